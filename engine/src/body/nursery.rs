//! Contents that are files already, on the file system where they will be wanted: each gets its name there by a link, and is
//! not copied.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::{Body, ReadAt};
use crate::fs::{ScratchDir, copy_range};

/// A directory for them, which goes with all that is in it when this is dropped. What they are linked to stays.
pub struct Nursery {
    dir: Arc<OwnedFd>,
    next: AtomicU64,
    _scratch: ScratchDir,
}

impl Nursery {
    /// In `parent`, a directory of the file system where the files are wanted.
    pub fn create(parent: &Path) -> io::Result<Self> {
        let scratch = ScratchDir::create(parent)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::open(scratch.path(), flags, Mode::empty())?;
        Ok(Self { dir: Arc::new(dir), next: AtomicU64::new(0), _scratch: scratch })
    }

    /// A new file, its owner's alone.
    pub fn file(&self) -> io::Result<NurseryFile> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*self.dir, &*name, flags, Mode::RUSR | Mode::WUSR)?;
        let grown = Grown { dir: Arc::clone(&self.dir), name, len: 0, is_taken: AtomicBool::new(false) };
        Ok(NurseryFile { file: File::from(file), grown })
    }
}

/// A file being written.
pub struct NurseryFile {
    file: File,
    grown: Grown,
}

impl NurseryFile {
    /// No more is written: from now on it is read, or linked to.
    pub fn finish(self) -> Body {
        Arc::new(self.grown)
    }
}

impl Write for NurseryFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        self.grown.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// One that is whole. It is not kept open: there may be more of them than a process may open.
struct Grown {
    dir: Arc<OwnedFd>,
    name: String,
    len: u64,
    is_taken: AtomicBool,
}

impl Grown {
    fn open(&self, access: OFlags) -> io::Result<File> {
        let flags = access | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&*self.dir, &*self.name, flags, Mode::empty())?))
    }
}

impl ReadAt for Grown {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.open(OFlags::RDONLY)?.read_exact_at(buf, offset)
    }

    fn copy_into(&self, offset: u64, len: u64, file: &File, at: u64) -> io::Result<u64> {
        copy_range(&self.open(OFlags::RDONLY)?, offset, file, at, len)
    }

    fn link_into(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<File>> {
        // One file for two names would be a hard link that nobody has asked for.
        if self.is_taken.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        match rustix::fs::linkat(self.dir.as_fd(), &*self.name, dir, name, AtFlags::empty()) {
            Ok(()) => self.open(OFlags::RDWR).map(Some),
            // Another file system after all, or one without hard links.
            Err(Errno::XDEV | Errno::PERM | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn len(&self) -> u64 {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_is_linked_once_and_read_as_often_as_wanted() {
        let dir = tempfile::tempdir().unwrap();
        let nursery = Nursery::create(dir.path()).unwrap();
        let mut file = nursery.file().unwrap();
        file.write_all(b"con").unwrap();
        file.write_all(b"tent").unwrap();
        let body = file.finish();
        assert_eq!(body.len(), 7);
        let target = File::open(dir.path()).unwrap();
        let linked = body.link_into(target.as_fd(), b"name").unwrap().unwrap();
        linked.write_all_at(b"C", 0).unwrap();
        assert!(body.link_into(target.as_fd(), b"other").unwrap().is_none());
        let mut got = [0; 4];
        body.read_exact_at(&mut got, 3).unwrap();
        assert_eq!(&got, b"tent");
        assert!(body.read_exact_at(&mut got, 4).is_err());
        let second = nursery.file().unwrap().finish();
        let e = second.link_into(target.as_fd(), b"name").unwrap_err();
        assert_eq!(e.kind(), io::ErrorKind::AlreadyExists);
        drop(nursery);
        let status = std::fs::metadata(dir.path().join("name")).unwrap();
        assert_eq!((status.nlink(), status.mode() & 0o777), (1, 0o600));
        assert_eq!(std::fs::read(dir.path().join("name")).unwrap(), b"Content");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
