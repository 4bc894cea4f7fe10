//! Files in the making, in a directory of their own, that tell whether their maker still lives.

use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::atomic::sync_parent;

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;
/// Of files that are never changed once they have their name.
const READ_ONLY: u32 = 0o444;
/// Of others.
const WRITABLE: u32 = 0o644;

/// A file being written. Its maker holds a lock on it, which ends with the process however that ends: what can be
/// locked by another one is a leftover. Dropped before it is named, it is removed.
pub struct LockedFile {
    writer: BufWriter<File>,
    path: Option<PathBuf>,
}

impl LockedFile {
    /// Creates one in `dir`, which must be in the file system of its later name.
    pub fn create(dir: &Path) -> io::Result<Self> {
        static NEXT: AtomicU64 = AtomicU64::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let path = dir.join(format!("{}-{number}", std::process::id()));
            let file = match File::options().read(true).write(true).create_new(true).mode(0o600).open(&path) {
                // Of a process of the same number: one that was killed, or one that sees other process numbers.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => continue,
                opened => opened?,
            };
            match file.lock() {
                Err(e) if e.kind() != io::ErrorKind::Unsupported => return Err(e),
                _ => {}
            }
            // Between creation and lock it looked like a leftover, and may have been removed as one.
            if file.metadata()?.nlink() > 0 {
                return Ok(Self { writer: BufWriter::with_capacity(BUFFER, file), path: Some(path) });
            }
        }
    }

    /// The file, for who reads what has been flushed.
    pub fn reader(&self) -> io::Result<File> {
        self.writer.get_ref().try_clone()
    }

    /// Throws away what was written.
    pub fn restart(&mut self) -> io::Result<()> {
        self.writer.seek(SeekFrom::Start(0))?;
        self.writer.get_ref().set_len(0)
    }

    /// Writes everything to disk, makes it read-only and gives it its name, in place of what has it already. The
    /// directory of that name is made if it is not there.
    pub fn commit(self, path: &Path) -> io::Result<()> {
        self.name(path, READ_ONLY)
    }

    /// The same of a file that is replaced now and then, and that its owner may write to.
    pub fn commit_writable(self, path: &Path) -> io::Result<()> {
        self.name(path, WRITABLE)
    }

    fn name(mut self, path: &Path, mode: u32) -> io::Result<()> {
        self.writer.flush()?;
        let file = self.writer.get_ref();
        file.set_permissions(std::fs::Permissions::from_mode(mode))?;
        file.sync_all()?;
        let partial = self.path.as_ref().expect("only this function takes it, and consumes the file");
        match std::fs::rename(partial, path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => {
                let parent = path.parent().ok_or(io::ErrorKind::InvalidFilename)?;
                std::fs::create_dir_all(parent)?;
                std::fs::rename(partial, path)?;
                sync_parent(parent)?;
            }
            renamed => renamed?,
        }
        self.path = None;
        sync_parent(path)
    }
}

impl Write for LockedFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writer.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Drop for LockedFile {
    fn drop(&mut self) {
        if let Some(path) = &self.path {
            // It is being given up because of another error, which is the one to be told.
            let _ = std::fs::remove_file(path);
        }
    }
}

/// Removes the files in `dir` whose makers are gone; how many there were. A directory that is not there has none.
pub fn remove_stale(dir: &Path) -> io::Result<usize> {
    let entries = match std::fs::read_dir(dir) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(0),
        entries => entries?,
    };
    let mut removed = 0;
    for entry in entries {
        let path = entry?.path();
        let opened = super::open_regular(&path);
        let Ok(file) = opened else { continue };
        // Locked by its maker, or in a file system without locks, where there is no telling.
        if file.try_lock().is_err() {
            continue;
        }
        match std::fs::remove_file(&path) {
            Ok(()) => removed += 1,
            // It got its name meanwhile, or somebody else tidies up, too.
            Err(e) if e.kind() == io::ErrorKind::NotFound => {}
            Err(e) => return Err(e),
        }
    }
    Ok(removed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn named_as_a_whole_and_read_only() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = LockedFile::create(dir.path()).unwrap();
        file.write_all(b"blob").unwrap();
        let path = dir.path().join("new/blob");
        file.commit(&path).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"blob");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o444);
        drop(LockedFile::create(dir.path()).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "only `new` is left");
    }

    #[test]
    fn only_leftovers_are_removed() {
        let dir = tempfile::tempdir().unwrap();
        let mut alive = LockedFile::create(dir.path()).unwrap();
        std::fs::write(dir.path().join("4242-0"), "of a process that was killed").unwrap();
        assert_eq!(remove_stale(dir.path()).unwrap(), 1);
        assert_eq!(remove_stale(&dir.path().join("none")).unwrap(), 0);
        alive.write_all(b"x").unwrap();
        alive.commit(&dir.path().join("done")).unwrap();
        assert!(dir.path().join("done").exists());
    }

    #[test]
    fn makers_and_those_who_tidy_up_do_not_hurt_each_other() {
        use std::sync::atomic::AtomicBool;
        let dir = tempfile::tempdir().unwrap();
        let partial = dir.path().join("partial");
        std::fs::create_dir(&partial).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    remove_stale(&partial).unwrap();
                }
            });
            for n in 0..300 {
                let mut file = LockedFile::create(&partial).unwrap();
                file.write_all(b"whole").unwrap();
                file.commit(&dir.path().join(format!("f{n}"))).unwrap();
            }
            stop.store(true, Ordering::Relaxed);
        });
        let whole = |n: i32| std::fs::read(dir.path().join(format!("f{n}"))).is_ok_and(|b| b == b"whole");
        assert!((0..300).all(whole));
        assert_eq!(std::fs::read_dir(&partial).unwrap().count(), 0);
    }
}
