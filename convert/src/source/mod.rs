//! Readers: one file a format, each from bytes to a [`Loaded`] image.

mod counted;
pub mod dataset;
pub mod dir;
pub mod imgapi;
pub mod ingest;
pub mod oci;
pub mod qcow2;
pub mod raw;
pub mod smartos;
pub mod tar;
pub mod zfs;

use crate::image::Platform;
use crate::lineage::{Layers, Loaded};
use crate::names::ImageName;
use crate::{Ctx, Result};

/// What tunes reading.
#[derive(Debug, Clone, Default)]
pub struct ReadOptions {
    /// Every step, or only the last.
    pub layers: Layers,
    /// Which image of an index.
    pub platform: Option<Platform>,
    /// For an increment: the steps below it, base first.
    pub origins: Vec<ImageName>,
    /// Names, sizes and attributes are all that is wanted: contents must not be read, and layers of the local store that
    /// were read before need not be unpacked.
    pub names_only: bool,
}

/// Reads an image of any form.
pub fn read(name: &ImageName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let read = match name {
        ImageName::Oci { .. }
        | ImageName::OciArchive { .. }
        | ImageName::DockerArchive { .. }
        | ImageName::Docker { .. }
        | ImageName::Stored(_) => oci::read(name, options, ctx),
        ImageName::Zfs { file, pick } => zfs::read(file, pick.as_deref(), options, ctx),
        ImageName::Tar { file } => tar::read(file, options, ctx),
        ImageName::Dir { path } => dir::read(path, options, ctx),
        ImageName::Raw { file } => raw::read(file, options, ctx),
        ImageName::Qcow2 { file } => qcow2::read(file, options, ctx),
        ImageName::Smartos { path } => smartos::read(path, options, ctx),
        ImageName::Dataset { name } => dataset::read(name, options, ctx),
        ImageName::Imgapi { url, uuid } => imgapi::read(url, *uuid, options, ctx),
    };
    read.map_err(|e| e.in_image(name.to_string()))
}
