//! Writers: one file a format, each from a [`Loaded`] image to bytes. A half-written result never bears its
//! final name.

pub mod dataset;
pub mod dir;
pub mod oci;
pub mod qcow2;
pub mod raw;
pub mod smartos;
pub mod tar;
pub mod zfs;

pub use aurora_engine::codec::{Codec, Compression};
use aurora_engine::digest::Digest;
use aurora_formats::oci::Descriptor;

use crate::image::Platform;
use crate::image::smartos::SmartosOptions;
use crate::lineage::{Base, Loaded};
use crate::names::ImageName;
use crate::{Ctx, Error, ErrorKind, Result};

/// What tunes writing.
#[derive(Debug, Clone, Default)]
pub struct WriteOptions {
    /// How layers, archives and streams are packed; `None` is the format's own default.
    pub compression: Option<Compression>,
    /// Platform to write where the source names none, or to write instead.
    pub platform: Option<Platform>,
    /// Who is to receive a ZFS stream.
    pub target: Target,
    /// Of a dataset: every layer a snapshot, and those that its pool has are not written again.
    pub share_layers: bool,
    /// Overwrite an existing destination.
    pub force: bool,
    /// A loss is an error.
    pub strict: bool,
    /// What the first layer lies upon: of OCI images.
    pub upon: Option<Base>,
    /// The layers of the first steps, where they were made before and are where the image goes: of OCI images.
    pub made: Vec<Made>,
    /// What the manifest of a SmartOS image is to say.
    pub smartos: SmartosOptions,
}

impl WriteOptions {
    /// The last question before a result gets its final name: is the work still wanted, and is nothing lost
    /// that must not be? Every sink asks it once all is written.
    pub fn may_commit(&self, ctx: &Ctx<'_>) -> Result<()> {
        ctx.check()?;
        if self.strict { refuse_losses(ctx) } else { Ok(()) }
    }
}

/// Fails where something was lost: `--strict`.
pub fn refuse_losses(ctx: &Ctx<'_>) -> Result<()> {
    let losses = ctx.losses();
    let mut serious = losses.iter().filter(|loss| loss.is_serious());
    let Some(first) = serious.next() else { return Ok(()) };
    let more = match serious.count() {
        0 => String::new(),
        n => format!(" (and {n} more)"),
    };
    Err(ErrorKind::Lossy(format!("{first}{more}")).into())
}

/// The systems that a ZFS stream is written for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// Linux and FreeBSD: extended attributes as system attributes, device numbers in Linux's form.
    #[default]
    OpenZfs,
    /// illumos and SmartOS: extended attributes in directories, device numbers in illumos's form.
    Illumos,
}

impl Target {
    /// This host: what it receives itself.
    pub const HOST: Self =
        if cfg!(any(target_os = "illumos", target_os = "solaris")) { Self::Illumos } else { Self::OpenZfs };
}

/// A layer of a step that was made before. Steps and options being the same, it would become the same bytes again.
#[derive(Debug, Clone, PartialEq)]
pub struct Made {
    /// Of the layer.
    pub(crate) descriptor: Descriptor,
    /// Of its uncompressed bytes.
    pub(crate) diff_id: Digest,
}

/// What was written.
#[derive(Debug, Clone, Default)]
pub struct Outcome {
    /// Lines for people and keys for `--json`, in this order: digests, guids, sizes of what was made.
    pub facts: Vec<(String, String)>,
}

/// Writes an image in any form.
pub fn write(loaded: &Loaded, name: &ImageName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let written = match (name, loaded) {
        (ImageName::Zfs { file, .. }, Loaded::Filesystem(lineage)) => zfs::write(lineage, file, options, ctx),
        (ImageName::Zfs { file, .. }, Loaded::Volume(volume)) => {
            zfs::write_volume(volume, file, options, ctx)
        }
        (ImageName::Dataset { name }, _) => dataset::write(loaded, name, options, ctx),
        (ImageName::Imgapi { .. }, _) => {
            Err(Error::usage("image servers are read, not written; use smartos:PATH"))
        }
        (ImageName::Smartos { path }, _) => smartos::write(loaded, path, options, ctx),
        (ImageName::Qcow2 { file }, Loaded::Volume(volume)) => qcow2::write(volume, file, options, ctx),
        (ImageName::Raw { file }, Loaded::Volume(volume)) => raw::write(volume, file, options, ctx),
        (ImageName::Raw { .. } | ImageName::Qcow2 { .. }, Loaded::Filesystem(_)) => {
            Err(ErrorKind::Unsupported("a root file system is no disk".into()).into())
        }
        (_, Loaded::Volume(_)) => Err(ErrorKind::Unsupported(
            "a disk has no files; write it to raw:, qcow2:, zfs:, dataset: or smartos:".into(),
        )
        .into()),
        (ImageName::Tar { file }, Loaded::Filesystem(lineage)) => tar::write(lineage, file, options, ctx),
        (ImageName::Dir { path }, Loaded::Filesystem(lineage)) => dir::write(lineage, path, options, ctx),
        (_, Loaded::Filesystem(lineage)) => oci::write(lineage, name, options, ctx),
    };
    written.map_err(|e| e.in_image(name.to_string()))
}
