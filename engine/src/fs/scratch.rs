//! Directories for what has to have a name for a while.

use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

/// A directory that nobody else may look into, removed with all in it when dropped.
pub struct ScratchDir(PathBuf);

impl ScratchDir {
    /// A new one in `parent`.
    pub fn create(parent: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = parent.join(format!(".aurora-scratch-{}-{number}", std::process::id()));
            match std::fs::DirBuilder::new().mode(0o700).create(&path) {
                Ok(()) => return Ok(Self(path)),
                // Left by a process of the same number that was killed, or put there by somebody else.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", parent.display()))),
            }
        }
    }

    /// Where it is.
    pub fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for ScratchDir {
    fn drop(&mut self) {
        // Whoever could be told has gone on by now.
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_goes_with_all_that_is_in_it() {
        let dir = tempfile::tempdir().unwrap();
        let scratch = ScratchDir::create(dir.path()).unwrap();
        let other = ScratchDir::create(dir.path()).unwrap();
        assert_ne!(scratch.path(), other.path());
        std::fs::write(scratch.path().join("x"), "x").unwrap();
        drop((scratch, other));
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        assert!(ScratchDir::create(&dir.path().join("nowhere")).is_err());
    }
}
