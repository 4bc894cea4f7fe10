//! The flattened tree of an image, or what one layer changes.

use std::collections::BTreeSet;

use aurora_formats::model::EntryPath;

use super::{Selection, json_line, json_string, one_pipe, read_lifted};
use crate::lineage::{Layers, Loaded};
use crate::names::ImageName;
use crate::tree::place::Placement;
use crate::tree::{self, ListOptions, Row};
use crate::{Ctx, Error, Result};

/// What to list.
#[derive(Debug, Clone, Default)]
pub struct ListRequest {
    /// Which image.
    pub selection: Selection,
    /// Where in a dataset the root file system is; `None` tells it by its looks.
    pub placement: Option<Placement>,
    /// The changes of this layer or snapshot alone, numbered from 1.
    pub layer: Option<usize>,
    /// What of each entry.
    pub options: ListOptions,
}

/// What an image holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Listing {
    /// All entries, in order.
    Tree(Vec<Row>),
    /// What one layer does, in order.
    Layer(Vec<LayerRow>),
    /// A disk.
    Volume {
        /// Bytes.
        size: u64,
        /// Of its content, unless that was not to be read.
        sha256: Option<String>,
    },
}

/// One change of a layer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum LayerRow {
    /// Added or changed; as it is afterwards.
    Changed(Row),
    /// Removed, with all below it; the path as listings have it.
    Removed(String),
}

impl LayerRow {
    /// One line of JSON; `type` tells what is gone.
    pub fn to_json(&self) -> String {
        match self {
            Self::Changed(row) => json_line(row),
            Self::Removed(path) => format!("{{\"path\":{},\"type\":\"removed\"}}", json_string(path)),
        }
    }
}

/// Lists an image.
pub fn list(name: &ImageName, request: &ListRequest, ctx: &Ctx<'_>) -> Result<Listing> {
    one_pipe(request.selection.origins.iter().chain([name]))?;
    let layers = if request.layer.is_some() { Layers::Keep } else { Layers::Squash };
    if request.placement.is_some() && !name.is_zfs() {
        return Err(
            Error::usage("--placement is for ZFS streams and SmartOS images").in_image(name.to_string())
        );
    }
    // What a layer changes is told by comparing contents, too.
    let names_only = request.options.no_hash && request.layer.is_none();
    let selection = Selection { names_only, ..request.selection.clone() };
    let loaded = read_lifted(name, &selection, layers, request.placement, ctx)?;
    listing(&loaded, request, ctx).map_err(|e| e.in_image(name.to_string()))
}

/// Lists what was read.
pub(super) fn listing(loaded: &Loaded, request: &ListRequest, ctx: &Ctx<'_>) -> Result<Listing> {
    let lineage = match (loaded, request.layer) {
        (Loaded::Filesystem(lineage), _) => lineage,
        (Loaded::Volume(_), Some(_)) => return Err(Error::usage("a disk has no layers to list")),
        (Loaded::Volume(volume), None) => {
            ctx.progress.phase("hashing");
            let hash = || tree::sha256(&volume.content, ctx);
            let sha256 = (!request.options.no_hash).then(hash).transpose()?;
            return Ok(Listing::Volume { size: volume.content.size, sha256 });
        }
    };
    ctx.progress.phase("hashing");
    let count = lineage.steps.len();
    let number = request.layer.unwrap_or(count);
    let Some(step) = number.checked_sub(1).and_then(|i| lineage.steps.get(i)) else {
        return Err(Error::usage(format!("layers are numbered 1 to {count}, and there is no {number}")));
    };
    let below = request.layer.and_then(|_| lineage.steps.get(number.checked_sub(2)?));
    let Some(below) = below else {
        let rows = tree::rows(&step.tree, request.options, ctx)?;
        return Ok(match request.layer {
            None => Listing::Tree(rows),
            Some(_) => Listing::Layer(rows.into_iter().map(LayerRow::Changed).collect()),
        });
    };
    let diff = tree::diff(&below.tree, &step.tree)
        .map_err(|e| Error::io("cannot compare with the layer below", e))?;
    let changed: BTreeSet<&EntryPath> = diff.changed.iter().map(|(path, _)| path).collect();
    let rows = tree::rows_where(&step.tree, |path| changed.contains(path), request.options, ctx)?;
    // Both are sorted by raw bytes; escaped text would sort otherwise.
    let mut merged: Vec<(&EntryPath, LayerRow)> =
        changed.iter().copied().zip(rows.into_iter().map(LayerRow::Changed)).collect();
    merged.extend(diff.removed.iter().map(|path| (path, LayerRow::Removed(path.to_listing()))));
    merged.sort_by(|a, b| a.0.cmp(b.0));
    Ok(Listing::Layer(merged.into_iter().map(|(_, row)| row).collect()))
}
