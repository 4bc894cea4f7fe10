//! OCI and Docker image documents, and the names that layers are made of. Nothing here hashes or reads files.
//!
//! A document that was read is a [`Raw`]: its bytes are kept and forwarded untouched, because somebody has named
//! them by their digest; only its `value` is looked at. Documents made here go through [`json::canonical`].

pub mod chain;
pub mod config;
pub mod descriptor;
pub mod docker_archive;
mod error;
pub mod index;
pub mod json;
pub mod layout;
pub mod manifest;
pub mod media;
pub mod reference;
pub mod whiteout;

pub use config::{Config, History};
pub use descriptor::{Annotations, Descriptor, PlatformSpec};
pub use error::OciError;
pub use index::Index;
pub use manifest::Manifest;

/// A document as it was read: its bytes, and what they mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw<T> {
    /// Untouched.
    pub bytes: Vec<u8>,
    /// Read from them.
    pub value: T,
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Another implementation's strict types must take what is written here.
    #[test]
    fn documents_are_understood_elsewhere() {
        let digest = |c: &str| format!("sha256:{}", c.repeat(64));
        let config = Config {
            created: Some("2023-11-14T22:13:20Z".into()),
            os: "linux".into(),
            architecture: "amd64".into(),
            diff_ids: vec![digest("1")],
            history: vec![History::layer(None, Some("made".into()))],
            ..Config::default()
        };
        let read: oci_spec::image::ImageConfiguration = serde_json::from_slice(&config.to_bytes()).unwrap();
        assert_eq!(read.rootfs().diff_ids(), &config.diff_ids);

        let mut layer = Descriptor::new(media::LAYER_ZSTD, digest("2"), 7);
        layer.annotations.insert("k".into(), "v".into());
        let config = Descriptor::new(media::CONFIG, digest("3"), 8);
        let manifest = Manifest { config, layers: vec![layer], ..Manifest::default() };
        let read: oci_spec::image::ImageManifest = serde_json::from_slice(&manifest.to_bytes()).unwrap();
        assert_eq!(read.layers()[0].media_type(), &oci_spec::image::MediaType::ImageLayerZstd);

        let mut entry = Descriptor::new(media::MANIFEST, digest("4"), 9);
        entry.platform = Some(PlatformSpec {
            os: "illumos".into(),
            architecture: "arm64".into(),
            variant: Some("v8".into()),
            ..PlatformSpec::default()
        });
        let index = Index { manifests: vec![entry], ..Index::default() };
        let read: oci_spec::image::ImageIndex = serde_json::from_slice(&index.to_bytes()).unwrap();
        assert_eq!(read.manifests()[0].platform().as_ref().unwrap().variant().as_deref(), Some("v8"));
        let layout: oci_spec::image::OciLayout = serde_json::from_slice(&layout::content()).unwrap();
        assert_eq!(layout.image_layout_version(), "1.0.0");
    }
}
