//! Places that hold many images, as they are written.

use std::fmt;
use std::path::Path;
use std::str::FromStr;

use crate::registry::RegistryName;

/// `//HOST[/PREFIX]`: a registry, or what is below a prefix there.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Registry {
    /// Host, and port if one is named.
    pub host: String,
    /// The prefix without slashes at its ends; empty for all of the registry.
    pub prefix: String,
}

impl FromStr for Registry {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let rest = text.strip_prefix("//").ok_or(())?.trim_end_matches('/');
        let (host, prefix) = rest.split_once('/').unwrap_or((rest, ""));
        let registry = Self { host: host.to_ascii_lowercase(), prefix: prefix.to_owned() };
        // A host needs a dot, a port or the name `localhost`, as everywhere; the names below it have their own rules.
        let probe = registry.image("x", "x").map_err(drop)?;
        if probe.host == registry.host { Ok(registry) } else { Err(()) }
    }
}

impl Registry {
    /// An image in it.
    pub fn image(
        &self,
        repository: &str,
        tag: &str,
    ) -> Result<RegistryName, crate::registry::RegistryNameError> {
        let prefix = if self.prefix.is_empty() { String::new() } else { format!("{}/", self.prefix) };
        format!("//{}/{prefix}{repository}:{tag}", self.host).parse()
    }

    /// Whether a repository is below the prefix.
    pub fn holds(&self, repository: &str) -> bool {
        let rest = repository.strip_prefix(self.prefix.as_str());
        self.prefix.is_empty() || rest.is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }
}

impl fmt::Display for Registry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let slash = if self.prefix.is_empty() { "" } else { "/" };
        write!(f, "//{}{slash}{}", self.host, self.prefix)
    }
}

/// A path in front of a colon that is not its own.
pub(super) fn colon_escaped(path: &Path) -> String {
    path.display().to_string().replace(':', "\\:")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_below_a_prefix() {
        let registry: Registry = "//h.example/a/b".parse().unwrap();
        assert!(registry.holds("a/b") && registry.holds("a/b/c") && !registry.holds("a/bc"));
        assert_eq!(registry.image("x/y", "1").unwrap().to_string(), "//h.example/a/b/x/y:1");
        let all: Registry = "//h.example".parse().unwrap();
        assert!(all.holds("anything"));
        for bad in ["h.example", "//h", "//", "//h.example/A", "//h.example/a:1"] {
            assert!(bad.parse::<Registry>().is_err(), "{bad}");
        }
    }
}
