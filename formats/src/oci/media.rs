//! Media types, OCI's and Docker's, and what they stand for.

/// An image manifest.
pub const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
/// An index of manifests.
pub const INDEX: &str = "application/vnd.oci.image.index.v1+json";
/// An image's configuration.
pub const CONFIG: &str = "application/vnd.oci.image.config.v1+json";
/// `{}`: an artifact without a configuration.
pub const EMPTY: &str = "application/vnd.oci.empty.v1+json";
/// A layer, not compressed.
pub const LAYER: &str = "application/vnd.oci.image.layer.v1.tar";
/// A layer, gzip.
pub const LAYER_GZIP: &str = "application/vnd.oci.image.layer.v1.tar+gzip";
/// A layer, zstd.
pub const LAYER_ZSTD: &str = "application/vnd.oci.image.layer.v1.tar+zstd";
/// Docker's manifest.
pub const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
/// Docker's index.
pub const DOCKER_INDEX: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
/// Docker's configuration.
pub const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";

/// What a descriptor of an index leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Another index.
    Index,
    /// A manifest.
    Manifest,
    /// Docker's first schema, refused.
    Schema1,
    /// Anything else: not an error, and nothing to us.
    Other,
}

/// What a media type on an index's descriptor means.
pub fn kind(media_type: &str) -> Kind {
    match media_type {
        INDEX | DOCKER_INDEX => Kind::Index,
        MANIFEST | DOCKER_MANIFEST => Kind::Manifest,
        _ if media_type.starts_with("application/vnd.docker.distribution.manifest.v1+") => Kind::Schema1,
        _ => Kind::Other,
    }
}

/// Whether a config of this type describes a root file system; else the manifest is an artifact's.
pub fn is_image_config(media_type: &str) -> bool {
    matches!(media_type, CONFIG | DOCKER_CONFIG)
}

/// How a layer's label says that it is packed. The content decides; a label that lies is worth a note.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Packing {
    /// Not at all.
    None,
    /// gzip.
    Gzip,
    /// zstd.
    Zstd,
}

/// A layer's media type, read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LayerType {
    /// How the label says that it is packed.
    pub packing: Packing,
    /// Not of the deprecated kinds that must not leave their registry.
    pub distributable: bool,
}

/// Reads a layer's media type; `None` for what is no layer known.
pub fn layer(media_type: &str) -> Option<LayerType> {
    let oci = media_type.strip_prefix("application/vnd.oci.image.layer.");
    let docker = media_type.strip_prefix("application/vnd.docker.image.rootfs.");
    let (packing, distributable) = match (oci, docker) {
        (Some(rest), _) => match rest.strip_prefix("nondistributable.") {
            Some(rest) => (rest.strip_prefix("v1.tar")?, false),
            None => (rest.strip_prefix("v1.tar")?, true),
        },
        (_, Some(rest)) => match rest.strip_prefix("foreign.") {
            Some(rest) => (rest.strip_prefix("diff.tar")?, false),
            None => (rest.strip_prefix("diff.tar")?, true),
        },
        _ => return None,
    };
    let packing = match packing {
        "" => Packing::None,
        "+gzip" | ".gzip" => Packing::Gzip,
        "+zstd" | ".zstd" => Packing::Zstd,
        _ => return None,
    };
    Some(LayerType { packing, distributable })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn layers_of_every_kind_are_known() {
        let cases = [
            (LAYER, Some((Packing::None, true))),
            (LAYER_GZIP, Some((Packing::Gzip, true))),
            (LAYER_ZSTD, Some((Packing::Zstd, true))),
            ("application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Some((Packing::Gzip, false))),
            ("application/vnd.docker.image.rootfs.diff.tar.gzip", Some((Packing::Gzip, true))),
            ("application/vnd.docker.image.rootfs.diff.tar", Some((Packing::None, true))),
            ("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Some((Packing::Gzip, false))),
            ("application/vnd.oci.image.layer.v1.tar+lz4", None),
            ("application/x-nothing-known", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(layer(text).map(|l| (l.packing, l.distributable)), want, "{text}");
        }
        assert_eq!(kind("application/vnd.docker.distribution.manifest.v1+prettyjws"), Kind::Schema1);
        assert_eq!(kind("application/xml"), Kind::Other);
    }
}
