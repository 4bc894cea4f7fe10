//! Descriptors: how one document names another or a blob.

use std::collections::BTreeMap;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::OciError;
use super::json::{At, owned_text, unsigned};

/// The annotation that names an image within a layout.
pub const REF_NAME: &str = "org.opencontainers.image.ref.name";
/// The annotation that holds the full name where [`REF_NAME`] is a tag.
pub const CONTAINERD_NAME: &str = "io.containerd.image.name";
/// The annotation that marks what build tools attach to an image.
pub const DOCKER_REFERENCE_TYPE: &str = "vnd.docker.reference.type";

/// Annotations, sorted.
pub type Annotations = BTreeMap<String, String>;

/// What an index says that an image runs on.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PlatformSpec {
    /// `GOOS`.
    pub os: String,
    /// `GOARCH`.
    pub architecture: String,
    /// Of the processor.
    pub variant: Option<String>,
    /// Of the system.
    pub os_version: Option<String>,
    /// Of the system.
    pub os_features: Vec<String>,
}

/// A name of content by digest, size and type.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Descriptor {
    /// What it is.
    pub media_type: String,
    /// Its digest: well-formed, of any algorithm.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// The content itself, where it is embedded: of `size` bytes, not yet compared with the digest.
    pub data: Option<Vec<u8>>,
    /// Annotations.
    pub annotations: Annotations,
    /// What it runs on.
    pub platform: Option<PlatformSpec>,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
    /// Where else it may be had.
    pub urls: Vec<String>,
}

impl Descriptor {
    /// Of a type, digest and size.
    pub fn new(media_type: &str, digest: String, size: u64) -> Self {
        Self { media_type: media_type.to_owned(), digest, size, ..Self::default() }
    }

    pub(super) fn read(at: At<'_>) -> Result<Self, OciError> {
        let size = at.required("size", unsigned)?;
        Ok(Self {
            // Absent in some indexes of long ago: such a descriptor leads to nothing known.
            media_type: at.optional("mediaType", owned_text)?.unwrap_or_default(),
            digest: at.required("digest", digest)?,
            size,
            data: at.optional("data", |data| embedded(data, size))?,
            annotations: at.optional("annotations", annotations)?.unwrap_or_default(),
            platform: at.optional("platform", platform)?,
            artifact_type: at.optional("artifactType", owned_text)?.filter(|t| !t.is_empty()),
            urls: at.optional("urls", |urls| urls.list(owned_text))?.unwrap_or_default(),
        })
    }

    /// As JSON.
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        out.insert("mediaType".into(), json!(self.media_type));
        out.insert("digest".into(), json!(self.digest));
        out.insert("size".into(), json!(self.size));
        if let Some(data) = &self.data {
            out.insert("data".into(), json!(STANDARD.encode(data)));
        }
        if !self.annotations.is_empty() {
            out.insert("annotations".into(), json!(self.annotations));
        }
        if let Some(platform) = &self.platform {
            out.insert("platform".into(), platform.to_value());
        }
        if let Some(kind) = &self.artifact_type {
            out.insert("artifactType".into(), json!(kind));
        }
        if !self.urls.is_empty() {
            out.insert("urls".into(), json!(self.urls));
        }
        Value::Object(out)
    }

    /// The name that its layout gives it.
    pub fn ref_name(&self) -> Option<&str> {
        self.annotations.get(REF_NAME).map(String::as_str)
    }

    /// Whether it is what a build tool attached to an image, not an image.
    pub fn is_attestation(&self) -> bool {
        let unknown = |p: &PlatformSpec| p.os == "unknown" && p.architecture == "unknown";
        self.platform.as_ref().is_some_and(unknown) || self.annotations.contains_key(DOCKER_REFERENCE_TYPE)
    }
}

impl PlatformSpec {
    /// As JSON.
    pub fn to_value(&self) -> Value {
        let mut out = Map::new();
        out.insert("os".into(), json!(self.os));
        out.insert("architecture".into(), json!(self.architecture));
        if let Some(variant) = &self.variant {
            out.insert("variant".into(), json!(variant));
        }
        if let Some(version) = &self.os_version {
            out.insert("os.version".into(), json!(version));
        }
        if !self.os_features.is_empty() {
            out.insert("os.features".into(), json!(self.os_features));
        }
        Value::Object(out)
    }
}

fn platform(at: At<'_>) -> Result<PlatformSpec, OciError> {
    Ok(PlatformSpec {
        os: at.optional("os", owned_text)?.unwrap_or_default(),
        architecture: at.optional("architecture", owned_text)?.unwrap_or_default(),
        variant: at.optional("variant", owned_text)?.filter(|v| !v.is_empty()),
        os_version: at.optional("os.version", owned_text)?.filter(|v| !v.is_empty()),
        os_features: at.optional("os.features", |f| f.list(owned_text))?.unwrap_or_default(),
    })
}

pub(super) fn annotations(at: At<'_>) -> Result<Annotations, OciError> {
    let read = |(key, value): (&String, &Value)| {
        let path = format!("{}[{key:?}]", at.path);
        Ok((key.clone(), owned_text(At { document: at.document, path: &path, value })?))
    };
    at.object()?.iter().map(read).collect()
}

fn embedded(at: At<'_>, size: u64) -> Result<Vec<u8>, OciError> {
    let bytes = STANDARD.decode(at.text()?).map_err(|e| at.wrong("base64", e.to_string()))?;
    if bytes.len() as u64 != size {
        return Err(OciError::EmbeddedSize {
            document: at.document.into(),
            path: at.path.into(),
            expected: size,
            actual: bytes.len() as u64,
        });
    }
    Ok(bytes)
}

/// A digest's text: well-formed, and of the right length and digits where the algorithm is registered. Safe as
/// two components of a path.
pub(super) fn digest(at: At<'_>) -> Result<String, OciError> {
    let text = at.text()?;
    if is_digest(text) {
        return Ok(text.to_owned());
    }
    let text = text.chars().take(160).collect();
    Err(OciError::Digest { document: at.document.into(), path: at.path.into(), text })
}

/// `algorithm ":" encoded` of descriptor.md, "Digests".
pub fn is_digest(text: &str) -> bool {
    let Some((algorithm, encoded)) = text.split_once(':') else { return false };
    let is_word =
        |part: &str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
    let is_encoded = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'=' | b'_' | b'-');
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    let length = match algorithm {
        "sha256" => 64,
        "sha384" => 96,
        "sha512" => 128,
        _ => {
            return algorithm.split(['+', '.', '_', '-']).all(is_word)
                && !encoded.is_empty()
                && encoded.bytes().all(is_encoded);
        }
    };
    encoded.len() == length && encoded.bytes().all(is_hex)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digests_by_the_grammar() {
        let good = format!("sha256:{}", "0a".repeat(32));
        let cases = [
            (good.as_str(), true),
            ("multihash+base58:QmRZxt2b1FVZPNqd8hsiykDL3TdBDeTSPX9Kv46HmX4Gx8", true),
            ("sha256:", false),
            ("sha256:0A", false),
            ("sha256", false),
            ("x:../../etc", false),
            ("../x:aa", false),
            ("a..b:aa", false),
            ("", false),
        ];
        for (text, want) in cases {
            assert_eq!(is_digest(text), want, "{text}");
        }
        assert!(!is_digest(&good.to_uppercase().replace("SHA", "sha")));
    }

    #[test]
    fn a_descriptor_survives_and_lies_are_found() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let mut one = Descriptor::new("application/x", digest.clone(), 5);
        one.data = Some(b"hello".to_vec());
        one.annotations.insert(REF_NAME.into(), "v1".into());
        one.platform =
            Some(PlatformSpec { os: "linux".into(), architecture: "arm64".into(), ..Default::default() });
        one.artifact_type = Some("application/y".into());
        one.urls = vec!["https://example.org/".into()];
        let value = one.to_value();
        assert_eq!(Descriptor::read(At::top("d", &value)).unwrap(), one);
        let bad = [
            (json!({"digest": digest, "size": 4, "data": "aGVsbG8="}), "decodes to 5 bytes"),
            (json!({"digest": digest, "size": 5, "data": "?"}), "must be base64"),
            (json!({"digest": "sha256:zz", "size": 5}), "no digest"),
            (json!({"digest": digest, "size": 5.5}), "whole number"),
            (json!({"digest": digest}), "lacks size"),
            (json!({"digest": digest, "size": 1, "annotations": {"k": 1}}), "annotations[\"k\"]"),
            (json!([]), "must be an object"),
        ];
        for (value, want) in bad {
            let e = Descriptor::read(At::top("d", &value)).unwrap_err().to_string();
            assert!(e.contains(want), "{e} / {want}");
        }
    }
}
