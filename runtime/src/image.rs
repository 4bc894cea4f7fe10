//! `run --image`: a bundle of an image of the local store, or of any other name that images have.

use std::fs::DirBuilder;
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use aurora_convert::Ctx;
use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, UnpackOptions};

use crate::state::{LockFile, Mode, PRIVATE, make_root, remove_tree};
use crate::{Error, Id, Result, Runtime};

/// Which image, and what of it.
#[derive(Debug, Clone)]
pub struct ImageRequest {
    /// Its name.
    pub name: ImageName,
    /// How it is read.
    pub options: UnpackOptions,
}

/// Unpacks an image as a bundle. Starts threads, so that no container can be made by this process afterwards.
pub fn unpack_image(request: &ImageRequest, target: &Path, ctx: &Ctx<'_>) -> Result<()> {
    let target = ImageName::Dir { path: target.to_owned() };
    let options = UnpackOptions { bundle: true, ..request.options.clone() };
    ops::unpack(&request.name, &target, &options, ctx)?;
    Ok(())
}

/// Beside the containers; no container has this name, as ids have no colon.
const BUNDLES: &str = ":bundles";
/// In a container's folder there: held by whoever unpacks an image for it, or removes one.
const LOCK: &str = "lock";
/// The bundle.
const BUNDLE: &str = "bundle";
/// More than it takes to find that the place taken is that of a container that exists.
const GLANCE: Duration = Duration::from_millis(500);

/// A place for the image of one container, and nobody else's as long as this is there.
#[derive(Debug)]
pub struct ImagePlace {
    dir: PathBuf,
    lock: LockFile,
}

impl ImagePlace {
    /// Takes it. `None` when it is taken and stays so.
    fn take(root: &Path, id: &Id, patience: Duration) -> io::Result<Option<Self>> {
        let dir = root.join(BUNDLES).join(id.as_str());
        let name = dir.join(LOCK);
        loop {
            make_root(root)?;
            DirBuilder::new().recursive(true).mode(PRIVATE).create(&dir)?;
            let lock = match LockFile::open_within(&name, Mode::Exclusive, patience) {
                // It was removed in between.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Ok(None) => return Ok(None),
                other => other?.expect("no lock was answered above"),
            };
            if lock.is_at(&name)? {
                return Ok(Some(Self { dir, lock }));
            }
        }
    }

    /// Where the bundle goes.
    pub fn bundle(&self) -> PathBuf {
        self.dir.join(BUNDLE)
    }

    /// Removes what there is, also what a command has left that was killed; the lock last.
    fn clear(&self) -> io::Result<()> {
        for entry in std::fs::read_dir(&self.dir)? {
            let entry = entry?;
            if entry.file_name() == LOCK {
                continue;
            }
            match entry.file_type()?.is_dir() {
                true => remove_tree(&entry.path())?,
                false => std::fs::remove_file(entry.path())?,
            }
        }
        Ok(())
    }

    /// Gives it up, with all that is in it.
    pub fn remove(self) -> Result<()> {
        let name = self.dir.join(LOCK);
        let all = || -> io::Result<()> {
            // It went with the container that was made of it, and may be somebody else's by now.
            if !self.lock.is_at(&name)? {
                return Ok(());
            }
            self.clear()?;
            std::fs::remove_file(&name)
        };
        all().map_err(|e| Error::io(self.dir.display().to_string(), e))?;
        // Not if somebody else has come in between. The last one takes the folder along.
        if std::fs::remove_dir(&self.dir).is_ok()
            && let Some(folder) = self.dir.parent()
        {
            let _ = std::fs::remove_dir(folder);
        }
        Ok(())
    }
}

impl Runtime {
    /// A place for the bundle of a container's image: removed with the container. Of two that begin one of the same name at
    /// the same time, the second finds that there is one already.
    pub fn place_for_image(&self, id: &Id) -> Result<ImagePlace> {
        let dir = self.image_dir(id);
        let failed = |e| Error::io(dir.display().to_string(), e);
        let exists = || self.root.join(id.as_str()).exists();
        // Looked at before anything is made, which would have to be removed again.
        if exists() {
            return Err(Error::Exists);
        }
        let place = ImagePlace::take(&self.root, id, Duration::ZERO).map_err(failed)?.ok_or(Error::Exists)?;
        if exists() {
            // It was made in between. Its bundle may be the one that is here.
            let undone = if place.bundle().exists() { Ok(()) } else { place.remove() };
            return Err(Error::Exists.after(undone));
        }
        place.clear().map_err(failed)?;
        Ok(place)
    }

    fn image_dir(&self, id: &Id) -> PathBuf {
        self.root.join(BUNDLES).join(id.as_str())
    }

    /// Removes what `run --image` has unpacked for a container that is gone, unless somebody is about to make another one.
    pub(crate) fn remove_image(&self, id: &Id) -> Result<()> {
        let dir = self.image_dir(id);
        if !dir.exists() {
            return Ok(());
        }
        let failed = |e| Error::io(dir.display().to_string(), e);
        match ImagePlace::take(&self.root, id, GLANCE).map_err(failed)? {
            Some(place) => place.remove(),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::backend::record::Recording;

    #[test]
    fn a_place_is_taken_cleared_and_given_up() {
        let root = tempfile::tempdir().unwrap();
        let runtime = Runtime::new(root.path().to_owned(), vec![Box::new(Recording::default())], |_| {});
        let id: Id = "c".parse().unwrap();
        let place = runtime.place_for_image(&id).unwrap();
        // What a killed command has left.
        let left = place.bundle().with_file_name(".unpacking-x").join("rootfs");
        std::fs::create_dir_all(&left).unwrap();
        drop(place);
        let place = runtime.place_for_image(&id).unwrap();
        assert!(!left.exists());
        std::fs::create_dir(place.bundle()).unwrap();
        let mode = root.path().join(":bundles").metadata().unwrap().permissions().mode();
        // Programs of images may give rights to whoever runs them.
        assert_eq!(mode & 0o777, 0o700);
        runtime.remove_image(&id).unwrap();
        // What comes then under the name is another's.
        std::fs::create_dir_all(place.bundle()).unwrap();
        let other = place.bundle();
        place.remove().unwrap();
        assert!(other.exists());
        runtime.remove_image(&id).unwrap();
        assert_eq!(std::fs::read_dir(root.path()).unwrap().count(), 0);
        // The bundle of a container that is there stays.
        std::fs::create_dir_all(root.path().join(":bundles/c/bundle")).unwrap();
        std::fs::create_dir(root.path().join("c")).unwrap();
        assert!(matches!(runtime.place_for_image(&id), Err(Error::Exists)));
        assert!(root.path().join(":bundles/c/bundle").exists());
        runtime.remove_image(&id).unwrap();
        runtime.remove_image(&id).unwrap();
        assert!(!root.path().join(":bundles").exists());
        // Nothing is made for one that has none.
        assert!(matches!(runtime.place_for_image(&id), Err(Error::Exists)));
        assert!(!root.path().join(":bundles").exists());
    }
}
