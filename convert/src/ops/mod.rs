//! What the commands do, without arguments to parse and without output.

mod cells;
mod convert;
mod date;
mod diff;
mod inspect;
mod into_store;
mod list;
mod origin;
mod pack;
mod placement;
mod registry;
mod servers;
mod size;
pub mod store;
mod survey;
mod unpack;
mod validate;
mod verify;

pub use cells::{Cell, cells, json_line, json_string, volume_line};
pub use convert::{ConvertOptions, Converted, Remains, convert};
pub use date::{civil, rfc3339};
pub use diff::{Comparison, DiffOptions, Difference, diff};
pub use inspect::{Inspection, LayerInfo, LossInfo, ManifestInfo, SnapshotInfo, inspect};
pub use into_store::default_layers;
pub use list::{LayerRow, ListRequest, Listing, list};
pub use pack::{PackOptions, Settings, pack};
pub(crate) use placement::place;
pub(crate) use registry::registry_target;
pub use registry::{Copied, CopyOptions, Moved, copy, get, login, logout, push, tags};
pub use servers::{Answer, Found, ancestry, avail, channels, import, local_ancestry, ping, show};
pub use size::show_size;
pub use survey::{BlobInfo, ImageInfo, StreamInfo};
pub use unpack::{UnpackOptions, VOLUMES, unpack};
pub use validate::{Fault, Profile, validate_manifest};
pub use verify::{Finding, Verified, verify};

use crate::image::Platform;
use crate::lineage::{Layers, Loaded};
use crate::names::ImageName;
use crate::source::{self, ReadOptions};
use crate::tree::place::Placement;
use crate::{Ctx, Error, ErrorKind, Result};

/// Which image a name means, beyond the name itself.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// Which image of an index.
    pub platform: Option<Platform>,
    /// For an increment: the steps below it, base first.
    pub origins: Vec<ImageName>,
    /// See [`ReadOptions::names_only`].
    pub names_only: bool,
}

/// Reads an image that must exist.
fn read(name: &ImageName, selection: &Selection, layers: Layers, ctx: &Ctx<'_>) -> Result<Loaded> {
    for image in selection.origins.iter().chain([name]) {
        must_exist(image)?;
    }
    let options = ReadOptions {
        layers,
        platform: selection.platform.clone(),
        origins: selection.origins.clone(),
        names_only: selection.names_only,
    };
    ctx.progress.phase("reading");
    source::read(name, &options, ctx)
}

/// Reads an image as any form but a dataset has it: without the zonepath around its root file system.
fn read_lifted(
    name: &ImageName,
    selection: &Selection,
    layers: Layers,
    wanted: Option<Placement>,
    ctx: &Ctx<'_>,
) -> Result<Loaded> {
    let mut loaded = read(name, selection, layers, ctx)?;
    if let Loaded::Filesystem(lineage) = &mut loaded {
        placement::lift(lineage, name, wanted, ctx).map_err(|e| e.in_image(name.to_string()))?;
    }
    Ok(loaded)
}

/// A file or directory that is not there is "no such image"; what is missing *in* an image is a damaged image.
fn must_exist(name: &ImageName) -> Result<()> {
    match name.path().map(|path| path.try_exists()) {
        Some(Ok(false)) => Err(ErrorKind::NoSuchImage(name.to_string()).into()),
        _ => Ok(()),
    }
}

/// Standard input can be read once.
fn one_pipe<'a>(names: impl Iterator<Item = &'a ImageName>) -> Result<()> {
    let piped: Vec<String> = names.filter(|name| name.is_pipe()).map(ImageName::to_string).collect();
    if piped.len() > 1 {
        return Err(Error::usage(format!("standard input holds one image, not {}", piped.join(" and "))));
    }
    Ok(())
}
