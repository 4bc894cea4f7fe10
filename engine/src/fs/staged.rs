//! Directories that bear their final name only when they are whole.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use super::Root;
use super::atomic::{sync_parent, temporary_name};

/// A directory to be filled: a new one beside its final name, or an existing empty one. Dropped before
/// [`StagedDir::commit`], the new one is removed and the existing one emptied again.
pub struct StagedDir {
    root: Root,
    place: PathBuf,
    stage: Stage,
}

enum Stage {
    New { temporary: PathBuf, path: PathBuf },
    Existing,
    Done,
}

impl StagedDir {
    /// `AlreadyExists` for what is no empty directory.
    pub fn create(path: &Path) -> io::Result<Self> {
        if super::exists(path)? {
            let is_empty = path.is_dir() && std::fs::read_dir(path)?.next().is_none();
            if !is_empty {
                return Err(io::ErrorKind::AlreadyExists.into());
            }
            return Ok(Self { root: Root::open(path)?, place: path.to_owned(), stage: Stage::Existing });
        }
        loop {
            let temporary = temporary_name(path)?;
            match std::fs::DirBuilder::new().mode(0o700).create(&temporary) {
                Ok(()) => {
                    let root = Root::open(&temporary)?;
                    let place = temporary.clone();
                    return Ok(Self { root, place, stage: Stage::New { temporary, path: path.to_owned() } });
                }
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// What is to be filled.
    pub fn root(&self) -> &Root {
        &self.root
    }

    /// Where that is until [`StagedDir::commit`].
    pub fn path(&self) -> &Path {
        &self.place
    }

    /// It is whole: gives it its final name.
    pub fn commit(mut self) -> io::Result<()> {
        if let Stage::New { temporary, path } = &self.stage {
            // Over an empty directory of that name, made meanwhile, a rename succeeds too; that harms nobody.
            std::fs::rename(temporary, path)?;
            let path = path.clone();
            self.stage = Stage::Done;
            return sync_parent(&path);
        }
        self.stage = Stage::Done;
        Ok(())
    }
}

impl Drop for StagedDir {
    fn drop(&mut self) {
        // It is being given up because of another error, which is the one to be told.
        if !matches!(self.stage, Stage::Done) {
            let _ = self.root.clear();
        }
        if let Stage::New { temporary, .. } = &self.stage {
            let _ = std::fs::remove_dir(temporary);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whole_or_gone() {
        let dir = tempfile::tempdir().unwrap();
        let names = || std::fs::read_dir(dir.path()).unwrap().count();
        let path = dir.path().join("new");
        let staged = StagedDir::create(&path).unwrap();
        staged.root().create_file(b"f").unwrap();
        assert!(!path.exists());
        drop(staged);
        assert_eq!(names(), 0);

        let staged = StagedDir::create(&path).unwrap();
        staged.root().create_file(b"f").unwrap();
        staged.commit().unwrap();
        assert!(path.join("f").exists() && names() == 1);
        assert_eq!(StagedDir::create(&path).err().unwrap().kind(), io::ErrorKind::AlreadyExists);

        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        let staged = StagedDir::create(&empty).unwrap();
        staged.root().make_dir(b"d").unwrap();
        staged.root().create_file(b"d/f").unwrap();
        staged.root().set_mode(b"d", 0).unwrap();
        drop(staged);
        assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
    }
}
