//! What the documents and headers of a form tell, made ready to print.

use std::collections::BTreeMap;

use serde::Serialize;

use super::inspect::{SnapshotInfo, snapshot};
use super::rfc3339;
use crate::names::{FileName, ImageName};
use crate::source::{oci, zfs};
use crate::{Ctx, Result, Snapshot};

/// An image of a layout or archive.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ImageInfo {
    /// Its name, if it has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// All its names in a docker-archive.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub tags: Vec<String>,
    /// Of its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Of its manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// `OS/ARCH[/VARIANT]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// Digest of its config: the image's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub config: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Of the manifest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Stored bytes of all layers.
    pub size: u64,
    /// Base first.
    pub layers: Vec<BlobInfo>,
    /// Why there is no more to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The stored form of a layer.
#[derive(Debug, Clone, Default, Serialize)]
pub struct BlobInfo {
    /// Digest, or the path in a docker-archive.
    pub digest: String,
    /// What it is said to be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub media_type: Option<String>,
    /// Stored bytes.
    pub size: u64,
    /// What its content is packed with.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub compression: Option<&'static str>,
    /// Digest of the uncompressed bytes.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub diff_id: Option<String>,
    /// Of this and all below.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The snapshot it was made of.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotInfo>,
    /// What is odd about it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// The stream of one snapshot.
#[derive(Debug, Clone, Default, Serialize)]
pub struct StreamInfo {
    /// What it becomes.
    pub snapshot: SnapshotInfo,
    /// `filesystem` or `volume`.
    #[serde(rename = "type")]
    pub kind: &'static str,
    /// Guid of the snapshot that it is an increment to.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Features that its receiver must know.
    pub features: Vec<&'static str>,
    /// `little` or `big`.
    pub byte_order: &'static str,
    /// Records by name.
    pub records: BTreeMap<&'static str, u64>,
    /// Bytes, uncompressed.
    pub size: u64,
    /// Why its files can't be read, though nothing is wrong with it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// The images of a layout or archive.
pub(super) fn images(name: &ImageName, ctx: &Ctx<'_>) -> Result<Vec<ImageInfo>> {
    Ok(oci::survey(name, ctx)?.images.into_iter().map(image).collect())
}

fn image(found: oci::ImageSurvey) -> ImageInfo {
    ImageInfo {
        digest: found.manifest.as_ref().map(|d| d.digest.clone()),
        media_type: found.manifest.as_ref().map(|d| d.media_type.clone()),
        platform: found.platform.map(|p| p.to_string()),
        config: found.config.map(|d| d.to_string()),
        created: found.image.created.map(rfc3339),
        annotations: found.image.annotations,
        size: found.layers.iter().fold(0, |sum, layer| layer.size.saturating_add(sum)),
        layers: found.layers.into_iter().map(blob).collect(),
        problem: found.problem.map(|e| e.without_image().to_string()),
        name: found.name,
        tags: found.tags,
    }
}

/// A layer's stored form.
pub(super) fn blob(found: oci::LayerSurvey) -> BlobInfo {
    BlobInfo {
        digest: found.name,
        media_type: found.media_type,
        size: found.size,
        compression: found.codec.map(aurora_engine::codec::Codec::name),
        diff_id: found.diff_id.map(|d| d.to_string()),
        chain_id: found.chain_id.map(|d| d.to_string()),
        snapshot: found.snapshot.as_ref().map(snapshot),
        note: found.note,
    }
}

/// The streams of a file.
pub(super) fn streams(file: &FileName, ctx: &Ctx<'_>) -> Result<Vec<StreamInfo>> {
    Ok(zfs::survey(file, ctx)?.into_iter().map(stream).collect())
}

fn stream(found: zfs::SubstreamInfo) -> StreamInfo {
    let zfs::SubstreamInfo { name, guid, creation_time, .. } = found;
    StreamInfo {
        snapshot: snapshot(&Snapshot { name: name.into_bytes(), guid, creation_time }),
        kind: found.kind,
        origin: (found.from_guid != 0).then(|| found.from_guid.to_string()),
        features: found.features,
        byte_order: if found.is_big_endian { "big" } else { "little" },
        records: found.records,
        size: found.bytes,
        problem: found.refusal.map(|e| e.to_string()),
    }
}
