//! `run --image`: where the bundle of an image is, that only one container has.

use std::fs::{DirBuilder, File};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::PathBuf;
use std::time::Duration;

use crate::backend::ImageAt;
use crate::fail;
use crate::state::{LockFile, Mode, PRIVATE, make_root, remove_tree};
use crate::unpack::{PATIENCE, UNPACKING};
use crate::{Error, Id, Result, Runtime};

/// Beside the containers; no container has this name, as ids have no `@`. Nor a colon, as other names here: what is in it may be a
/// zone's path, and colons are what zoneadm separates these from other words by.
const BUNDLES: &str = "@bundles";
/// In a container's folder there: held by whoever unpacks an image for it, or removes one.
const LOCK: &str = "lock";
/// More than it takes to find that the place taken is that of a container that exists.
const GLANCE: Duration = Duration::from_millis(500);

/// A place for the image of one container, and nobody else's as long as this is there.
pub struct ImagePlace<'r> {
    runtime: &'r Runtime,
    id: Id,
    dir: PathBuf,
    lock: LockFile,
    quota: Option<u64>,
}

impl<'r> ImagePlace<'r> {
    /// Takes it. `None` when it is taken and stays so.
    fn take(runtime: &'r Runtime, id: &Id, patience: Duration) -> io::Result<Option<Self>> {
        let root = &runtime.root;
        loop {
            make_root(root)?;
            let dir = runtime.image_dir(id);
            DirBuilder::new().recursive(true).mode(PRIVATE).create(&dir)?;
            let taken = dir.canonicalize().and_then(|dir| {
                let lock = LockFile::open_within(&dir.join(LOCK), Mode::Exclusive, patience)?;
                Ok((dir, lock))
            });
            let (dir, lock) = match taken {
                // It was removed in between.
                Err(e) if e.kind() == io::ErrorKind::NotFound => continue,
                Ok((_, None)) => return Ok(None),
                other => other.map(|(dir, lock)| (dir, lock.expect("no lock was answered above")))?,
            };
            if lock.is_at(&dir.join(LOCK))? {
                return Ok(Some(Self { runtime, id: id.clone(), dir, lock, quota: None }));
            }
        }
    }

    /// Where the bundle goes.
    pub fn bundle(&self) -> PathBuf {
        self.at().bundle()
    }

    /// Whether it has to be the path of a zone.
    pub fn wants_zonepath(&self) -> bool {
        self.runtime.backend().wants_zonepath()
    }

    pub(crate) fn at(&self) -> ImageAt<'_> {
        ImageAt { id: &self.id, root: &self.runtime.root, dir: &self.dir, quota: self.quota }
    }

    fn failed(&self) -> impl Fn(io::Error) -> Error {
        Error::at(&self.dir)
    }

    /// Removes what there is, also what a command has left that was killed; the lock last.
    fn clear(&self) -> Result<()> {
        self.wait_unpacked()?;
        for backend in self.runtime.backends() {
            backend.clear_image(&self.at())?;
        }
        self.empty().map_err(self.failed())
    }

    /// What was killed while an image was unpacked for it has left that at work, for a moment.
    fn wait_unpacked(&self) -> Result<()> {
        match LockFile::open_existing(&self.dir.join(UNPACKING), PATIENCE) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Err(e) => Err(self.failed()(e)),
            Ok(Some(_)) => Ok(()),
            Ok(None) => Err(Error::Busy { id: self.id.to_string(), seconds: PATIENCE.as_secs() }),
        }
    }

    fn empty(&self) -> io::Result<()> {
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
        // It went with the container that was made of it otherwise, and may be somebody else's by now.
        if self.lock.is_at(&name).map_err(self.failed())? {
            self.clear()?;
            std::fs::remove_file(&name).map_err(self.failed())?;
        }
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
    /// the same time, the second finds that there is one already. `quota` is the most bytes that the image and what the container
    /// writes may take.
    pub fn place_for_image(&self, id: &Id, quota: Option<u64>) -> Result<ImagePlace<'_>> {
        let place = ImagePlace { quota, ..self.empty_place(id)? };
        fail::point("image-placed");
        match self.backend().place_image(&place.at()) {
            Ok(()) => Ok(place),
            Err(e) => Err(e.after(place.remove())),
        }
    }

    /// The same for an image that is looked at and not run. Its caller removes it.
    pub fn place_to_show(&self, id: &Id, quota: Option<u64>) -> Result<ImagePlace<'_>> {
        Ok(ImagePlace { quota, ..self.empty_place(id)? })
    }

    fn empty_place(&self, id: &Id) -> Result<ImagePlace<'_>> {
        let exists = || self.root.join(id.as_str()).exists();
        // Looked at before anything is made, which would have to be removed again.
        if exists() {
            return Err(Error::Exists);
        }
        let taken = ImagePlace::take(self, id, Duration::ZERO).map_err(Error::at(&self.image_dir(id)))?;
        let place = taken.ok_or(Error::Exists)?;
        if exists() {
            // It was made in between. Its bundle may be the one that is here.
            let undone = if place.bundle().exists() { Ok(()) } else { place.remove() };
            return Err(Error::Exists.after(undone));
        }
        place.clear()?;
        // Before anyone unpacks, who does not make it: what was removed stays so.
        match File::create(place.dir.join(UNPACKING)).map_err(place.failed()) {
            Ok(_) => Ok(place),
            Err(e) => Err(e.after(place.remove())),
        }
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
        match ImagePlace::take(self, id, GLANCE).map_err(Error::at(&dir))? {
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
        let place = runtime.place_for_image(&id, None).unwrap();
        // What a killed command has left.
        let left = place.bundle().with_file_name(".unpacking-x").join("rootfs");
        std::fs::create_dir_all(&left).unwrap();
        drop(place);
        let place = runtime.place_for_image(&id, None).unwrap();
        assert!(!left.exists());
        std::fs::create_dir(place.bundle()).unwrap();
        let mode = root.path().join("@bundles").metadata().unwrap().permissions().mode();
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
        std::fs::create_dir_all(root.path().join("@bundles/c/bundle")).unwrap();
        std::fs::create_dir(root.path().join("c")).unwrap();
        assert!(matches!(runtime.place_for_image(&id, None), Err(Error::Exists)));
        assert!(root.path().join("@bundles/c/bundle").exists());
        runtime.remove_image(&id).unwrap();
        runtime.remove_image(&id).unwrap();
        assert!(!root.path().join("@bundles").exists());
        std::fs::remove_dir(root.path().join("c")).unwrap();
        let said = runtime.place_for_image(&id, Some(1)).err().unwrap().to_string();
        assert_eq!(said, "run --image-quota is not supported by the record backend");
        assert!(!root.path().join("@bundles").exists());
        std::fs::create_dir(root.path().join("c")).unwrap();
        // Nothing is made for one that has none.
        assert!(matches!(runtime.place_for_image(&id, None), Err(Error::Exists)));
        assert!(!root.path().join("@bundles").exists());
    }
}
