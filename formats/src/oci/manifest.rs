//! Manifests: one image's config and layers.

use serde_json::{Map, Value, json};

use super::descriptor::{Annotations, Descriptor, annotations};
use super::index::check_head;
use super::json::{At, owned_text};
use super::media::{self, LayerType};
use super::{OciError, Raw, json};

/// An image manifest, OCI's or Docker's second schema; or an artifact's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Manifest {
    /// The configuration.
    pub config: Descriptor,
    /// The layers, base first.
    pub layers: Vec<Descriptor>,
    /// Annotations.
    pub annotations: Annotations,
    /// What kind of artifact it is.
    pub artifact_type: Option<String>,
}

impl Manifest {
    /// Reads one. `media_type` is what the descriptor said that led here.
    pub fn parse(document: &str, media_type: Option<&str>, bytes: &[u8]) -> Result<Raw<Self>, OciError> {
        let value = json::parse(document, bytes)?;
        let at = At::top(document, &value);
        check_head(at, media_type, &[media::MANIFEST, media::DOCKER_MANIFEST])?;
        let members = at.object()?;
        if ["manifests", "fsLayers"].iter().any(|key| members.contains_key(*key)) {
            return Err(OciError::BothKinds { document: document.into() });
        }
        let manifest = Self {
            config: at.required("config", Descriptor::read)?,
            layers: at.optional("layers", |l| l.list(Descriptor::read))?.unwrap_or_default(),
            annotations: at.optional("annotations", annotations)?.unwrap_or_default(),
            artifact_type: at.optional("artifactType", owned_text)?.filter(|t| !t.is_empty()),
        };
        Ok(Raw { bytes: bytes.to_vec(), value: manifest })
    }

    /// What kind of artifact it is; `None` if it is an image.
    pub fn artifact(&self) -> Option<&str> {
        let config = self.config.media_type.as_str();
        match &self.artifact_type {
            // An image may say so of itself, too.
            Some(kind) if !media::is_image_config(kind) => Some(kind),
            _ if !media::is_image_config(config) => Some(config),
            _ => None,
        }
    }

    /// The kinds of the layers, or the first that is unknown.
    pub fn layer_types(&self) -> Result<Vec<LayerType>, OciError> {
        let read = |(n, layer): (usize, &Descriptor)| {
            media::layer(&layer.media_type).ok_or_else(|| OciError::LayerMediaType {
                number: n + 1,
                media_type: layer.media_type.chars().take(160).collect(),
            })
        };
        self.layers.iter().enumerate().map(read).collect()
    }

    /// The bytes of one made here.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = Map::new();
        out.insert("schemaVersion".into(), json!(2));
        out.insert("mediaType".into(), json!(media::MANIFEST));
        out.insert("config".into(), self.config.to_value());
        let layers: Vec<_> = self.layers.iter().map(Descriptor::to_value).collect();
        out.insert("layers".into(), Value::Array(layers));
        if !self.annotations.is_empty() {
            out.insert("annotations".into(), json!(self.annotations));
        }
        if let Some(kind) = &self.artifact_type {
            out.insert("artifactType".into(), json!(kind));
        }
        json::canonical(&Value::Object(out))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn descriptor(media_type: &str) -> Descriptor {
        Descriptor::new(media_type, format!("sha256:{}", "1".repeat(64)), 2)
    }

    #[test]
    fn images_artifacts_and_lies() {
        let mut manifest = Manifest {
            config: descriptor(media::CONFIG),
            layers: vec![descriptor(media::LAYER_GZIP)],
            ..Default::default()
        };
        manifest.annotations.insert(String::new(), "empty key".into());
        let read = Manifest::parse("m", Some(media::MANIFEST), &manifest.to_bytes()).unwrap();
        assert_eq!(read.value, manifest);
        assert_eq!(manifest.artifact(), None);
        let e = Manifest::parse("m", Some(media::DOCKER_MANIFEST), &manifest.to_bytes()).unwrap_err();
        assert!(matches!(e, OciError::MediaType { .. }), "{e}");
        manifest.artifact_type = Some("application/spdx+json".into());
        assert_eq!(manifest.artifact(), Some("application/spdx+json"));
        manifest.artifact_type = None;
        manifest.config.media_type = media::EMPTY.into();
        assert_eq!(manifest.artifact(), Some(media::EMPTY));
        manifest.layers.push(descriptor("application/x-nothing-known"));
        let e = manifest.layer_types().unwrap_err().to_string();
        assert_eq!(e, "layer 2 has an unknown media type: \"application/x-nothing-known\"");
    }
}
