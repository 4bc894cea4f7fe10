//! `run --image`: the image becomes a bundle in a process of its own, as unpacking takes threads, and a container is
//! made by a process that has one.

use std::path::Path;
use std::process::Command;

use aurora_convert::names::ImageName;
use aurora_convert::ops::UnpackOptions;
use aurora_convert::{Cancel, Ctx, Error as ImageError, ErrorKind, NoProgress, Options};
use aurora_runtime::{Error, Id, ImagePlace, ImageRequest, Runtime, backend, unpack_image};

use super::args::UnpackImage;
use crate::registry;
use crate::store::default_store;

/// Unpacks an image for a container; where.
pub(super) fn unpacked(
    runtime: &Runtime,
    id: &Id,
    name: &ImageName,
    store: Option<&Path>,
) -> Result<ImagePlace, Error> {
    let place = runtime.place_for_image(id)?;
    let failed = |source| Error::Io { what: "unpacking".to_owned(), source };
    let mut command = Command::new(backend::own_program());
    command.arg("unpack-image");
    if let Some(store) = store {
        command.arg("--store").arg(store);
    }
    let done = command.arg(name.to_string()).arg(place.bundle()).output().map_err(failed)?;
    if done.status.success() {
        return Ok(place);
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let first = said.lines().find(|line| !line.is_empty()).unwrap_or("no reason was given");
    let why = ErrorKind::Unsupported(first.trim_start_matches("error: ").to_owned());
    Err(Error::from(ImageError::from(why)).after(place.remove()))
}

/// The process of its own.
pub(super) fn unpack(args: &UnpackImage) -> Result<i32, Error> {
    let cancel = Cancel::default();
    let mut options = Options::new(std::env::temp_dir());
    options.threads = std::thread::available_parallelism().map_or(1, usize::from);
    options.store = args.store.clone().or_else(default_store);
    options.registries = registry::options(&registry::Registries::default());
    let ctx = Ctx::new(options, &NoProgress, &cancel);
    let request = ImageRequest { name: args.image.clone(), options: UnpackOptions::default() };
    unpack_image(&request, &args.target, &ctx)?;
    Ok(0)
}
