//! Locks between processes: a directory that one writer at a time changes, a file held by many or by one.

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
        unless_unsupported(file.lock()).map(|()| Self(file))
    }
}

/// A file that says who uses something: many together, or one alone. Given up when dropped, or when the process ends.
pub struct FileLock(#[expect(dead_code, reason = "the lock lives as long as the open file")] File);

impl FileLock {
    /// Waits until nobody holds it alone. The file is opened for reading only.
    pub fn shared(path: &Path) -> io::Result<Self> {
        let file = File::open(path)?;
        unless_unsupported(file.lock_shared()).map(|()| Self(file))
    }

    /// Waits until nobody holds it.
    pub fn alone(path: &Path) -> io::Result<Self> {
        let file = File::options().read(true).write(true).open(path)?;
        unless_unsupported(file.lock()).map(|()| Self(file))
    }
}

/// Where there are no locks, nobody holds one.
fn unless_unsupported(locked: io::Result<()>) -> io::Result<()> {
    match locked {
        Err(e) if e.kind() != io::ErrorKind::Unsupported => Err(e),
        _ => Ok(()),
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

    #[test]
    fn many_together_or_one_alone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        File::create(&path).unwrap();
        let other = File::open(&path).unwrap();
        let (one, two) = (FileLock::shared(&path).unwrap(), FileLock::shared(&path).unwrap());
        assert!(other.try_lock().is_err());
        drop((one, two));
        let alone = FileLock::alone(&path).unwrap();
        assert!(other.try_lock_shared().is_err());
        drop(alone);
        assert!(other.try_lock_shared().is_ok());
    }
}
