//! Which images of a server: `field=value`, as imgadm has it.

use std::fmt;
use std::str::FromStr;

use aurora_formats::smartos::{Json, Manifest};

/// One condition.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Filter {
    field: String,
    value: String,
}

/// Why a text is no [`Filter`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a filter is FIELD=VALUE or FIELD=~PART: {0}")]
pub struct FilterError(String);

/// What servers filter by themselves. Those that don't know a parameter leave it aside, so all is looked at here, too,
/// but for what a manifest does not say.
const SERVERS: &[&str] = &["name", "version", "os", "type", "owner", "state", "channel", "billing_tag"];
/// Of these the manifests that come back need not tell: `state=all` means any.
const SERVERS_ONLY: &[&str] = &["state", "channel", "billing_tag"];

impl Filter {
    /// A condition.
    pub fn new(field: impl Into<String>, value: impl Into<String>) -> Self {
        Self { field: field.into(), value: value.into() }
    }

    /// The query parameter for it; none where only we can tell.
    pub(super) fn parameter(&self) -> Option<(&str, &str)> {
        let is_known = SERVERS.contains(&self.field.as_str()) || self.field.starts_with("tag.");
        // Parts are understood for names and versions alone.
        let is_plain = !self.value.starts_with('~') || matches!(self.field.as_str(), "name" | "version");
        (is_known && is_plain).then_some((self.field.as_str(), self.value.as_str()))
    }

    /// Whether it is about what manifests do not tell.
    pub(crate) fn is_for_servers(&self) -> bool {
        SERVERS_ONLY.contains(&self.field.as_str())
    }

    /// Whether an image fits.
    pub fn fits(&self, manifest: &Manifest) -> bool {
        if SERVERS_ONLY.contains(&self.field.as_str()) {
            return true;
        }
        let value = match self.field.split_once('.') {
            Some(("tag" | "tags", name)) => manifest.tag(name),
            Some(("requirements", name)) => manifest.requirement(name),
            _ => manifest.object().get(&self.field),
        };
        let text = match value {
            None | Some(Json::Null) => return self.value.starts_with('!'),
            Some(Json::String(text)) => text.clone(),
            Some(other) => other.to_compact(),
        };
        match (self.value.strip_prefix('~'), self.value.strip_prefix('!')) {
            (Some(part), _) => text.contains(part),
            (None, Some(other)) => text != other,
            (None, None) => text == self.value,
        }
    }
}

impl FromStr for Filter {
    type Err = FilterError;

    fn from_str(text: &str) -> Result<Self, FilterError> {
        let pair = text.split_once('=').filter(|(field, _)| !field.is_empty());
        let (field, value) = pair.ok_or_else(|| FilterError(text.chars().take(80).collect()))?;
        Ok(Self::new(field, value))
    }
}

impl fmt::Display for Filter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.field, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_fit_or_do_not() {
        let text = br#"{"v":2,"name":"base-64-lts","os":"smartos","type":"zone-dataset","public":true,
            "version":"18.1","tags":{"role":"os","n":1},"requirements":{"min_ram":256}}"#;
        let manifest = Manifest::parse(text).unwrap();
        let cases = [
            ("name=base-64-lts", true, true),
            ("name=~64", true, true),
            ("name=~65", false, true),
            ("os=smartos", true, true),
            ("type=!docker", true, true),
            ("type=!zone-dataset", false, true),
            ("type=~zone", true, false),
            ("public=true", true, false),
            ("public=false", false, false),
            ("tag.role=os", true, true),
            ("tag.n=1", true, true),
            ("tag.none=1", false, true),
            ("requirements.min_ram=256", true, false),
            ("owner=x", false, true),
            ("state=all", true, true),
            ("homepage=x", false, false),
        ];
        for (text, fits, is_sent) in cases {
            let filter: Filter = text.parse().unwrap();
            assert_eq!((filter.fits(&manifest), filter.parameter().is_some()), (fits, is_sent), "{text}");
            assert_eq!(filter.to_string(), text);
        }
        for bad in ["", "name", "=x"] {
            assert!(bad.parse::<Filter>().is_err(), "{bad}");
        }
    }
}
