//! `run --image`: the image becomes a bundle in a process of its own, as unpacking takes threads, and a container is
//! made by a process that has one.

use std::os::fd::AsFd;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Arc;

use aurora_convert::names::ImageName;
use aurora_convert::ops::UnpackOptions;
use aurora_convert::{Cancel, Ctx, NoProgress, Options};
use aurora_runtime::backend::Plan;
use aurora_runtime::{CreateOptions, Error, ImagePlace, ImageRequest, Runtime, backend, unpack_image};

use super::args::{Run, UnpackImage};
use crate::registry;
use crate::store::default_store;

/// Unpacks an image for a container; where.
pub(super) fn unpacked<'r>(
    runtime: &'r Runtime,
    args: &Run,
    name: &ImageName,
) -> Result<ImagePlace<'r>, Error> {
    let place = runtime.place_for_image(&args.id, args.image_quota)?;
    match fill(&place, name, args.store.as_deref()) {
        Ok(()) => Ok(place),
        Err(e) => Err(e.after(place.remove())),
    }
}

/// What would be done with it. It has to be unpacked for that, as users may be names, and is removed.
pub(super) fn planned(
    runtime: &Runtime,
    args: &Run,
    name: &ImageName,
    options: &CreateOptions,
) -> Result<Plan, Error> {
    let place = runtime.place_to_show(&args.id, args.image_quota)?;
    let plan =
        fill(&place, name, args.store.as_deref()).and_then(|()| runtime.plan_of_image(name, &place, options));
    let removed = place.remove();
    match plan {
        Ok(plan) => removed.map(|()| plan),
        Err(e) => Err(e.after(removed)),
    }
}

fn fill(place: &ImagePlace<'_>, name: &ImageName, store: Option<&Path>) -> Result<(), Error> {
    let failed = |source| Error::Io { what: "unpacking".to_owned(), source };
    let mut command = Command::new(backend::own_program());
    command.arg("unpack-image").args(place.wants_zonepath().then_some("--zonepath"));
    if let Some(store) = store {
        command.arg("--store").arg(store);
    }
    command.arg(name.to_string()).arg(place.bundle());
    command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
    let mut child = command.spawn().map_err(failed)?;
    // Open as long as this process is there to wait.
    let _open = child.stdin.take();
    let done = child.wait_with_output().map_err(failed)?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    let first = said.lines().find(|line| !line.is_empty()).unwrap_or("no reason was given");
    Err(failed(std::io::Error::other(first.trim_start_matches("error: "))))
}

/// The process of its own. Its standard input ends when nobody waits for it any more.
pub(super) fn unpack(args: &UnpackImage) -> Result<i32, Error> {
    let caller = std::io::stdin().as_fd().try_clone_to_owned();
    let caller = caller.map_err(|source| Error::Io { what: "standard input".to_owned(), source })?;
    let cancel = Arc::new(Cancel::default());
    let mut options = Options::new(std::env::temp_dir());
    options.threads = std::thread::available_parallelism().map_or(1, usize::from);
    options.store = args.store.clone().or_else(default_store);
    options.registries = registry::options(&registry::Registries::default());
    let ctx = Ctx::new(options, &NoProgress, &cancel);
    let how = UnpackOptions { zonepath: args.zonepath, ..UnpackOptions::default() };
    let request = ImageRequest { name: args.image.clone(), options: how };
    unpack_image(&request, &args.target, caller, &cancel, &ctx)?;
    Ok(0)
}
