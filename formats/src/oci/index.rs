//! Indexes: lists of manifests and of further indexes.

use serde_json::{Map, Value, json};

use super::descriptor::{Annotations, Descriptor, annotations};
use super::json::{At, owned_text, unsigned};
use super::{OciError, Raw, json, media};

/// An image index, or Docker's manifest list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Index {
    /// What it lists, in its order: the first that fits is meant.
    pub manifests: Vec<Descriptor>,
    /// Annotations.
    pub annotations: Annotations,
    /// Members that nobody here knows.
    pub extra: Map<String, Value>,
}

const KNOWN: [&str; 4] = ["schemaVersion", "mediaType", "manifests", "annotations"];

impl Index {
    /// Reads one. `media_type` is what the descriptor said that led here.
    pub fn parse(document: &str, media_type: Option<&str>, bytes: &[u8]) -> Result<Raw<Self>, OciError> {
        Self::read(document, media_type, json::parse(document, bytes)?, bytes, json::MAX_ELEMENTS)
    }

    /// Reads the `index.json` of a layout, which may be longer than what registries take.
    pub fn parse_listing(document: &str, bytes: &[u8]) -> Result<Raw<Self>, OciError> {
        Self::read(document, None, json::parse_listing(document, bytes)?, bytes, json::MAX_LISTED)
    }

    fn read(
        document: &str,
        media_type: Option<&str>,
        value: Value,
        bytes: &[u8],
        limit: usize,
    ) -> Result<Raw<Self>, OciError> {
        let at = At::top(document, &value);
        check_head(at, media_type, &[media::INDEX, media::DOCKER_INDEX])?;
        let members = at.object()?;
        if ["layers", "config", "fsLayers"].iter().any(|key| members.contains_key(*key)) {
            return Err(OciError::BothKinds { document: document.into() });
        }
        let known = |key: &String| KNOWN.contains(&key.as_str());
        let index = Self {
            manifests: at
                .optional("manifests", |m| m.list_up_to(limit, Descriptor::read))?
                .unwrap_or_default(),
            annotations: at.optional("annotations", annotations)?.unwrap_or_default(),
            extra: members.iter().filter(|(k, _)| !known(k)).map(|(k, v)| (k.clone(), v.clone())).collect(),
        };
        Ok(Raw { bytes: bytes.to_vec(), value: index })
    }

    /// The bytes of one made here.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.extra.clone();
        out.insert("schemaVersion".into(), json!(2));
        out.insert("mediaType".into(), json!(media::INDEX));
        let manifests: Vec<_> = self.manifests.iter().map(Descriptor::to_value).collect();
        out.insert("manifests".into(), Value::Array(manifests));
        if !self.annotations.is_empty() {
            out.insert("annotations".into(), json!(self.annotations));
        }
        json::canonical(&Value::Object(out))
    }
}

/// What manifests and indexes begin with: a schema version, and a media type that agrees with the descriptor's.
pub(super) fn check_head(at: At<'_>, descriptor: Option<&str>, allowed: &[&str]) -> Result<(), OciError> {
    let version = at.optional("schemaVersion", unsigned)?;
    let media_type = at.optional("mediaType", owned_text)?.filter(|t| !t.is_empty());
    if version == Some(1) || media_type.as_deref().is_some_and(|t| media::kind(t) == media::Kind::Schema1) {
        return Err(OciError::Schema1 { document: at.document.into() });
    }
    at.required("schemaVersion", |v| match unsigned(v)? {
        2 => Ok(()),
        other => Err(v.wrong("2", other.to_string())),
    })?;
    let Some(actual) = media_type else { return Ok(()) };
    let expected = descriptor.unwrap_or(allowed[0]);
    if actual == expected || (descriptor.is_none() && allowed.contains(&actual.as_str())) {
        return Ok(());
    }
    Err(OciError::MediaType { document: at.document.into(), expected: expected.into(), actual })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_layout_lists_more_than_an_index_of_a_registry() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let one = format!(r#"{{"mediaType":"{}","digest":"{digest}","size":1}}"#, media::MANIFEST);
        let text =
            |n: usize| format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, vec![one.as_str(); n].join(","));
        let (fits, long) = (text(json::MAX_ELEMENTS), text(json::MAX_ELEMENTS + 1));
        assert!(Index::parse("x", None, fits.as_bytes()).is_ok());
        let e = Index::parse("x", None, long.as_bytes()).unwrap_err();
        assert!(matches!(e, OciError::TooMany { limit: json::MAX_ELEMENTS, .. }), "{e}");
        assert_eq!(Index::parse_listing("x", long.as_bytes()).unwrap().value.manifests.len(), 10_001);
    }

    #[test]
    fn an_index_is_read_or_refused() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let entry = json!({"mediaType": media::MANIFEST, "digest": digest, "size": 1});
        let good = json!({"schemaVersion": 2, "manifests": [entry], "annotations": null, "x": [1]});
        let read = Index::parse("index.json", None, &json::canonical(&good)).unwrap();
        assert_eq!(read.value.manifests.len(), 1);
        let again = Index::parse("index.json", None, &read.value.to_bytes()).unwrap();
        assert_eq!(again.value, read.value, "nothing is lost, `x` neither");
        assert_eq!(read.bytes, json::canonical(&good), "the bytes are kept");
        let cases = [
            (json!({"manifests": []}), "lacks schemaVersion"),
            (json!({"schemaVersion": 1, "fsLayers": []}), "schema 1"),
            (json!({"schemaVersion": 3}), "must be 2"),
            (json!({"schemaVersion": 2, "mediaType": media::MANIFEST}), "mediaType must be"),
            (json!({"schemaVersion": 2, "manifests": [], "layers": []}), "both"),
            (json!({"schemaVersion": 2, "manifests": {}}), "must be an array"),
            (json!({"schemaVersion": 2, "manifests": [1]}), "manifests[0]"),
        ];
        for (value, want) in cases {
            let e = Index::parse("index.json", None, &json::canonical(&value)).unwrap_err().to_string();
            assert!(e.contains(want), "{e} / {want}");
        }
    }
}
