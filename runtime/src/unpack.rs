//! Unpacking an image for a container: a process of its own, as it takes threads, and a container is made by a process that has
//! one.
//!
//! It ends with whoever has started it, also where that was killed, and whoever clears the place waits for it: nothing is removed
//! while it is being filled.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, UnpackOptions};
use aurora_convert::{Cancel, Ctx};
use rustix::event::{PollFd, PollFlags, Timespec, poll};

use crate::state::LockFile;
use crate::{Error, Result};

/// Beside the bundle, made with the place, and locked as long as it is filled.
pub(crate) const UNPACKING: &str = "unpacking";
/// How long unpacking may take to end when nobody wants it any more.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Which image, and what of it.
#[derive(Debug, Clone)]
pub struct ImageRequest {
    /// Its name.
    pub name: ImageName,
    /// How it is read.
    pub options: UnpackOptions,
}

/// Unpacks an image as a bundle. Starts threads. `caller` is the end of a pipe whose other end only the caller has; when that
/// is closed, `cancel`, which `ctx` has too, is set.
pub fn unpack_image(
    request: &ImageRequest,
    target: &Path,
    caller: OwnedFd,
    cancel: &Arc<Cancel>,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let name = target.with_file_name(UNPACKING);
    let failed = |e| Error::io(name.display().to_string(), e);
    let held = LockFile::open_existing(&name, PATIENCE).map_err(failed)?;
    let _held = held.ok_or_else(|| failed(io::ErrorKind::TimedOut.into()))?;
    // From now on the place is waited for; it may have been cleared before, but not for the caller.
    if is_closed(&caller).map_err(failed)? {
        return Err(failed(io::Error::other("whoever wanted the image is gone")));
    }
    watch(caller, Arc::clone(cancel)).map_err(failed)?;
    let target = ImageName::Dir { path: target.to_owned() };
    let options = UnpackOptions { bundle: true, ..request.options.clone() };
    ops::unpack(&request.name, &target, &options, ctx)?;
    Ok(())
}

fn is_closed(pipe: &OwnedFd) -> io::Result<bool> {
    let mut fds = [PollFd::new(pipe, PollFlags::IN)];
    poll(&mut fds, Some(&Timespec { tv_sec: 0, tv_nsec: 0 }))?;
    Ok(!fds[0].revents().is_empty())
}

/// Waits for the end of the pipe in a thread that ends with the process.
fn watch(pipe: OwnedFd, cancel: Arc<Cancel>) -> io::Result<()> {
    let mut pipe = File::from(pipe);
    std::thread::Builder::new().name("caller".to_owned()).spawn(move || {
        // Nobody writes: whatever comes is the end.
        let _ = pipe.read(&mut [0]);
        cancel.set();
    })?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_convert::{NoProgress, Options};

    #[test]
    fn nothing_is_unpacked_for_a_caller_that_is_gone() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Arc::new(Cancel::default());
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let source = dir.path().join("source");
        std::fs::create_dir(&source).unwrap();
        let request =
            ImageRequest { name: ImageName::Dir { path: source }, options: UnpackOptions::default() };
        let target = dir.path().join("bundle");
        File::create(dir.path().join(UNPACKING)).unwrap();
        let (reader, writer) = io::pipe().unwrap();
        drop(writer);
        let said = unpack_image(&request, &target, reader.into(), &cancel, &ctx).unwrap_err().to_string();
        assert!(said.ends_with("unpacking: whoever wanted the image is gone"), "{said}");
        assert!(!target.exists());
        let (reader, writer) = io::pipe().unwrap();
        unpack_image(&request, &target, reader.into(), &cancel, &ctx).unwrap();
        assert!(target.join("config.json").exists() && !cancel.is_set());
        // No place, no image.
        std::fs::remove_file(dir.path().join(UNPACKING)).unwrap();
        let other = io::pipe().unwrap().0;
        assert!(unpack_image(&request, &target, other.into(), &cancel, &ctx).is_err());
        assert!(!dir.path().join(UNPACKING).exists());
        drop(writer);
        while !cancel.is_set() {
            std::thread::yield_now();
        }
    }
}
