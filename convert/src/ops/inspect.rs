//! What an image is.

use std::collections::BTreeMap;
use std::path::PathBuf;

use aurora_formats::smartos::{Json, Manifest};
use serde::Serialize;
use serde_json::{Map, Value};

use super::survey::{self, BlobInfo, ImageInfo, StreamInfo};
use super::{Selection, must_exist, one_pipe, read, rfc3339};
use crate::lineage::{Layers, Lineage, Loaded, Snapshot, Step, Volume};
use crate::names::ImageName;
use crate::source::{imgapi, oci, smartos};
use crate::tree::{Kind, Tree};
use crate::{Ctx, ErrorKind, Loss, Result};

/// The description; serialised, it is the document of `inspect --json`.
#[derive(Debug, Clone, Default, Serialize)]
pub struct Inspection {
    /// As the user gave it.
    pub name: String,
    /// The word before the colon.
    pub form: &'static str,
    /// `filesystem` or `volume`, where it was read.
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<&'static str>,
    /// `OS/ARCH[/VARIANT]`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub platform: Option<String>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Who made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub author: Option<String>,
    /// Of an OCI manifest.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// Of an OCI config: the image's id.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Names in the last tree, or absent for a disk.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub entries: Option<u64>,
    /// Bytes of all files together, or of the disk.
    pub size: u64,
    /// Bytes of them that are data and no holes.
    pub data: u64,
    /// Block size of a volume.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub block_size: Option<u32>,
    /// Layers or snapshots, base first.
    pub layers: Vec<LayerInfo>,
    /// The process and its surroundings, as OCI has it.
    #[serde(skip_serializing_if = "Map::is_empty")]
    pub config: Map<String, Value>,
    /// Of the manifest.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Images that it was read on top of.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub origins: Vec<String>,
    /// All images of a layout or archive, as their documents tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub images: Vec<ImageInfo>,
    /// All streams of a ZFS stream package, or the one, as their records tell.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub streams: Vec<StreamInfo>,
    /// The manifests of a SmartOS image and of what it builds on, base first.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub manifests: Vec<ManifestInfo>,
    /// Why it was not read, where its documents could be.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
    /// What aurora cannot carry over from it.
    pub losses: Vec<LossInfo>,
}

/// One layer or snapshot.
#[derive(Debug, Clone, Default, Serialize)]
pub struct LayerInfo {
    /// From 1.
    pub number: usize,
    /// Of the layers up to here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub chain_id: Option<String>,
    /// The blob of an OCI layer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub blob: Option<BlobInfo>,
    /// What it is in ZFS.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub snapshot: Option<SnapshotInfo>,
    /// RFC 3339.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// What made it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created_by: Option<String>,
    /// Names in the whole tree after it.
    pub entries: u64,
    /// Bytes of all files after it.
    pub size: u64,
}

/// The manifest of a SmartOS image.
#[derive(Debug, Clone, Default, Serialize)]
pub struct ManifestInfo {
    /// Where it is.
    pub path: String,
    /// As it stands there.
    pub manifest: Value,
}

/// A snapshot's identity.
#[derive(Debug, Clone, Default, Serialize)]
pub struct SnapshotInfo {
    /// `dataset@snapshot`.
    pub name: String,
    /// As `zfs get guid` prints it; a text, as JSON numbers are not wide enough everywhere.
    pub guid: String,
    /// RFC 3339.
    pub created: String,
}

/// One loss.
#[derive(Debug, Clone, Serialize)]
pub struct LossInfo {
    /// The entry.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// See [`crate::LossKind::name`].
    pub kind: &'static str,
    /// Which one, or why.
    pub detail: String,
}

impl From<&Loss> for LossInfo {
    fn from(loss: &Loss) -> Self {
        Self {
            path: loss.path.as_ref().map(|path| path.to_listing()),
            kind: loss.kind.name(),
            detail: loss.detail.clone(),
        }
    }
}

/// Describes an image. `quick` looks at documents and headers alone, where the form has any.
pub fn inspect(name: &ImageName, selection: &Selection, quick: bool, ctx: &Ctx<'_>) -> Result<Inspection> {
    one_pipe(selection.origins.iter().chain([name]))?;
    must_exist(name)?;
    let mut surveyed = Inspection::default();
    ctx.progress.phase("reading documents");
    let has_documents =
        documents(name, selection, &mut surveyed, ctx).map_err(|e| e.in_image(name.to_string()))?;
    let mut found = if has_documents && quick {
        surveyed
    } else {
        let selection = &Selection { names_only: true, ..selection.clone() };
        let loaded = read(name, selection, Layers::Keep, ctx);
        let mut found = match loaded {
            Ok(Loaded::Volume(volume)) => disk(&volume),
            Ok(Loaded::Filesystem(lineage)) => {
                let mut found = filesystem(&lineage);
                if has_documents && name.is_oci() {
                    stored(name, selection, &mut found, ctx)?;
                }
                found
            }
            Err(e) if !has_documents || is_final(e.kind()) => return Err(e),
            // Which there are is told just the same.
            Err(e) if matches!(e.kind(), ErrorKind::Ambiguous { .. }) => Inspection::default(),
            Err(e) => Inspection { problem: Some(e.without_image().to_string()), ..Inspection::default() },
        };
        (found.images, found.streams) = (surveyed.images, surveyed.streams);
        found.manifests = surveyed.manifests;
        found
    };
    found.name = name.to_string();
    found.form = name.transport();
    found.origins = selection.origins.iter().map(ImageName::to_string).collect();
    found.losses = ctx.losses().iter().map(LossInfo::from).collect();
    Ok(found)
}

/// Tells what the form's own documents say. Whether it has any that can be read before the rest.
fn documents(name: &ImageName, selection: &Selection, found: &mut Inspection, ctx: &Ctx<'_>) -> Result<bool> {
    match name {
        // It can't be read a second time.
        _ if name.is_pipe() => return Ok(false),
        ImageName::Zfs { file, .. } => found.streams = survey::streams(file, ctx)?,
        ImageName::Smartos { path } => {
            let manifests = smartos::survey(path, &selection.origins, ctx)?.into_iter();
            let info = |(path, manifest): (PathBuf, Manifest)| ManifestInfo {
                path: path.display().to_string(),
                manifest: Value::from(&Json::Object(manifest.object().clone())),
            };
            found.manifests = manifests.map(info).collect();
        }
        ImageName::Imgapi { url, uuid } => {
            let manifests = imgapi::survey(url, *uuid, ctx)?.into_iter();
            let info = |(path, manifest): (String, Manifest)| ManifestInfo {
                path,
                manifest: Value::from(&Json::Object(manifest.object().clone())),
            };
            found.manifests = manifests.map(info).collect();
        }
        _ if name.is_oci() => found.images = survey::images(name, ctx)?,
        _ => return Ok(false),
    }
    Ok(true)
}

/// What the image that was read is in its stored form.
fn stored(name: &ImageName, selection: &Selection, found: &mut Inspection, ctx: &Ctx<'_>) -> Result<()> {
    let survey = oci::survey_one(name, selection.platform.as_ref(), ctx)?;
    found.digest = survey.manifest.map(|descriptor| descriptor.digest);
    found.id = survey.config.map(|digest| digest.to_string());
    for (layer, info) in found.layers.iter_mut().zip(survey.layers) {
        layer.blob = Some(survey::blob(info));
    }
    Ok(())
}

/// Errors that no partial answer makes up for.
fn is_final(kind: &ErrorKind) -> bool {
    matches!(kind, ErrorKind::Usage(_) | ErrorKind::NoSuchImage(_) | ErrorKind::Interrupted)
}

fn filesystem(lineage: &Lineage) -> Inspection {
    let mut found = described(&lineage.image, "filesystem");
    for (i, step) in lineage.steps.iter().enumerate() {
        let total = Total::of(&step.tree);
        found.layers.push(layer(i + 1, step, &total));
        found.entries = Some(total.entries);
        (found.size, found.data) = (total.size, total.data);
    }
    found
}

fn disk(volume: &Volume) -> Inspection {
    let mut found = described(&volume.image, "volume");
    found.size = volume.content.size;
    found.data = volume.content.extents.iter().map(|e| e.len).sum();
    found.block_size = volume.block_size;
    let mut chain = vec![volume];
    while let Some(base) = chain.last().and_then(|v| v.base.as_deref()) {
        chain.push(base);
    }
    for (i, state) in chain.into_iter().rev().enumerate() {
        found.layers.push(LayerInfo {
            number: i + 1,
            snapshot: state.snapshot.as_ref().map(snapshot),
            size: state.content.size,
            ..LayerInfo::default()
        });
    }
    found
}

fn described(image: &crate::image::Image, kind: &'static str) -> Inspection {
    Inspection {
        kind: Some(kind),
        platform: image.platform.as_ref().map(ToString::to_string),
        created: image.created.map(rfc3339),
        author: image.author.clone(),
        config: image.config.clone(),
        annotations: image.annotations.clone(),
        ..Inspection::default()
    }
}

fn layer(number: usize, step: &Step, total: &Total) -> LayerInfo {
    LayerInfo {
        number,
        chain_id: Some(step.chain_id.to_string()),
        blob: None,
        snapshot: step.snapshot.as_ref().map(snapshot),
        created: step.created.map(rfc3339),
        created_by: step.created_by.clone(),
        entries: total.entries,
        size: total.size,
    }
}

pub(super) fn snapshot(snapshot: &Snapshot) -> SnapshotInfo {
    let secs = i64::try_from(snapshot.creation_time).unwrap_or(i64::MAX);
    SnapshotInfo {
        name: String::from_utf8_lossy(&snapshot.name).into_owned(),
        guid: snapshot.guid.to_string(),
        created: rfc3339(aurora_formats::model::Timestamp::from_secs(secs)),
    }
}

/// Sums over a tree; a file with several names counts once.
#[derive(Default)]
struct Total {
    entries: u64,
    size: u64,
    data: u64,
}

impl Total {
    fn of(tree: &Tree) -> Self {
        let mut total = Self::default();
        let mut seen = std::collections::BTreeSet::new();
        for (_, id) in tree.walk() {
            total.entries += 1;
            if let (Kind::File(content), true) = (&tree.inode(id).kind, seen.insert(id)) {
                total.size = total.size.saturating_add(content.size);
                let data: u64 = content.extents.iter().map(|e| e.len).sum();
                total.data = total.data.saturating_add(data);
            }
        }
        total
    }
}
