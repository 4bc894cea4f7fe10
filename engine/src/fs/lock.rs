//! A directory that one writer at a time changes.

use std::fs::File;
use std::io;
use std::path::Path;

/// Held while a directory is changed; given up when dropped, or when the process ends.
pub struct DirLock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

impl DirLock {
    /// Waits until no other process holds it. Where the file system or the system has no locks, there is none: as
    /// with every other program that writes there.
    pub fn acquire(dir: &Path) -> io::Result<Self> {
        let file = File::open(dir)?;
        match file.lock() {
            Err(e) if e.kind() != io::ErrorKind::Unsupported => Err(e),
            _ => Ok(Self(file)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_at_a_time() {
        let dir = tempfile::tempdir().unwrap();
        let held = DirLock::acquire(dir.path()).unwrap();
        assert!(File::open(dir.path()).unwrap().try_lock().is_err());
        drop(held);
        assert!(File::open(dir.path()).unwrap().try_lock().is_ok());
    }
}
