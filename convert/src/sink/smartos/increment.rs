//! An image upon one that is installed here: the system's own stream, under the image's name.

use std::io::{Read, Write};
use std::path::Path;

use aurora_engine::codec::Compression;
use aurora_engine::fs;
use aurora_formats::smartos::Uuid;

use super::output::Output;
use super::paths::Paths;
use super::{POOL, acceptable, check_type, codec, commit, compression, name, promise};
use crate::image::Image;
use crate::image::smartos::{Payload, default_uuid, to_manifest};
use crate::sink::zfs::relabel;
use crate::sink::{Outcome, WriteOptions};
use crate::source::smartos::REFUSED;
use crate::source::zfs::chain_id;
use crate::{Ctx, Error, Result};

/// What is known of it before the stream is read.
pub(crate) struct Increment<'a> {
    /// The description.
    pub(crate) image: &'a Image,
    /// The image below.
    pub(crate) origin: Uuid,
    /// Guid of the snapshot of the image below.
    pub(crate) from_guid: u64,
    /// Guid of the snapshot of this one.
    pub(crate) to_guid: u64,
}

/// Writes manifest and file. `open` starts the stream, once all else is known to be well.
pub(crate) fn write_increment(
    increment: &Increment<'_>,
    open: impl FnOnce() -> Result<Box<dyn Read + Send>>,
    path: &Path,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let compression = compression(options)?;
    check_type(false, options)?;
    let mut manifest = to_manifest(increment.image, Payload::Filesystem, &options.smartos, ctx);
    manifest.set("origin", increment.origin.to_string());
    let id = chain_id(increment.to_guid);
    name(&mut manifest, options.smartos.uuid, |m| default_uuid(m, &id));
    acceptable(&manifest)?;
    let mut manifests = [manifest];
    let paths = Paths::choose(path, &manifests, compression)?;
    if !options.force {
        paths.must_be_free()?;
    }
    let folder = fs::NewDirs::create(paths.folder())
        .map_err(|e| Error::io(paths.folder().display().to_string(), e))?;

    ctx.progress.phase("writing image");
    let packing = Compression { codec: codec(compression), level: options.compression.and_then(|c| c.level) };
    let mut output = Output::create(paths.file(0), packing, ctx)?;
    let snapshot = format!("{POOL}/{}@final", manifests[0].uuid()?);
    let guids = (increment.from_guid, increment.to_guid);
    relabel(open()?, snapshot.as_bytes(), guids, REFUSED, &mut output as &mut dyn Write, ctx)?;
    let done = output.finish()?;
    promise(&mut manifests[0], &done, compression, increment.to_guid);
    options.may_commit(ctx)?;
    let outcome = commit(&paths, &manifests, vec![done])?;
    folder.keep();
    Ok(outcome)
}
