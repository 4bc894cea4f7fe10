//! Contents that are files already, in the very directory where they are wanted: each is given its name there, and is not
//! copied.

use std::fs::File;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use rustix::fs::{AtFlags, Mode, OFlags};
use rustix::io::Errno;

use super::remove::remove_children;
use super::{Root, copy_range, own_ids};
use crate::body::{Body, ReadAt, address};

/// A directory for them within the one that is being filled, where whoever gives that up clears it away, too.
pub struct Nursery {
    root: Root,
    /// One that nothing of an image can be meant to have.
    name: String,
    dir: Arc<OwnedFd>,
    next: AtomicU64,
    /// The files, each with its body's address.
    grown: Mutex<Vec<(usize, String)>>,
}

impl Nursery {
    /// In a directory that is being filled.
    pub fn create(root: &Root) -> io::Result<Self> {
        let name = format!(".aurora-{:016x}", RandomState::new().build_hasher().finish());
        let root = root.again();
        let parent = root.dir()?;
        rustix::fs::mkdirat(&*parent, &*name, Mode::RWXU)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&*parent, &*name, flags, Mode::empty())?;
        // Whose the directory above is may have put another one in its place.
        let status = rustix::fs::fstat(&dir)?;
        if status.st_uid != own_ids().0 || status.st_mode & 0o077 != 0 {
            return Err(io::Error::other("a new directory is not this user's alone"));
        }
        let (next, grown) = (AtomicU64::new(0), Mutex::default());
        Ok(Self { root, name, dir: Arc::new(dir), next, grown })
    }

    /// A new file, its owner's alone.
    pub fn file(&self) -> io::Result<NurseryFile> {
        let name = self.next.fetch_add(1, Ordering::Relaxed).to_string();
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let file = rustix::fs::openat(&*self.dir, &*name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(NurseryFile { file: File::from(file), name, len: 0 })
    }

    /// No more of a file is written: from now on it is read, or gets its name.
    pub fn grown(&self, file: NurseryFile) -> Body {
        let NurseryFile { name, len, .. } = file;
        let dir = Arc::clone(&self.dir);
        let body: Body = Arc::new(Grown { dir, name: name.clone(), len, is_taken: AtomicBool::new(false) });
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        grown.push((address(&body), name));
        body
    }

    /// Gives a file up: it has no name any more, and what was written of it is left to be read.
    pub fn give_up(&self, file: NurseryFile) -> io::Result<impl Read + use<>> {
        rustix::fs::unlinkat(&*self.dir, &*file.name, AtFlags::empty())?;
        Ok(Written { file: file.file, at: 0, len: file.len })
    }

    /// Removes those whose bodies are at no address that is wanted.
    pub fn retain(&self, is_wanted: impl Fn(usize) -> bool) -> io::Result<()> {
        let mut grown = self.grown.lock().unwrap_or_else(PoisonError::into_inner);
        for (address, name) in std::mem::take(&mut *grown) {
            match is_wanted(address) {
                true => grown.push((address, name)),
                false => rustix::fs::unlinkat(&*self.dir, &*name, AtFlags::empty())?,
            }
        }
        Ok(())
    }

    /// Removes it with all that is in it: nothing of it can be read any more.
    pub fn remove(&self) -> io::Result<()> {
        remove_children(&self.dir)?;
        Ok(rustix::fs::unlinkat(&*self.root.dir()?, &*self.name, AtFlags::REMOVEDIR)?)
    }
}

/// A file being written.
pub struct NurseryFile {
    file: File,
    name: String,
    len: u64,
}

impl Write for NurseryFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.file.write(buf)?;
        self.len += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// What was written of one.
struct Written {
    file: File,
    at: u64,
    len: u64,
}

impl Read for Written {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let most = (self.len - self.at).min(buf.len() as u64) as usize;
        let n = self.file.read_at(&mut buf[..most], self.at)?;
        self.at += n as u64;
        Ok(n)
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
    fn open(&self) -> io::Result<File> {
        let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Ok(File::from(rustix::fs::openat(&*self.dir, &*self.name, flags, Mode::empty())?))
    }
}

impl ReadAt for Grown {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.open()?.read_exact_at(buf, offset)
    }

    fn copy_into(&self, offset: u64, len: u64, file: &File, at: u64) -> io::Result<u64> {
        copy_range(&self.open()?, offset, file, at, len)
    }

    fn move_into(&self, dir: BorrowedFd<'_>, name: &[u8]) -> io::Result<Option<File>> {
        if self.is_taken.swap(true, Ordering::Relaxed) {
            return Ok(None);
        }
        let file = self.open()?;
        match rename_new(self.dir.as_fd(), self.name.as_bytes(), dir, name) {
            Ok(()) => Ok(Some(file)),
            // Another file system mounted there, or one that takes neither of both.
            Err(
                Errno::XDEV | Errno::PERM | Errno::ACCESS | Errno::MLINK | Errno::OPNOTSUPP | Errno::NOSYS,
            ) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// Gives a file another name, which nothing may have yet.
fn rename_new(from: BorrowedFd<'_>, old: &[u8], to: BorrowedFd<'_>, new: &[u8]) -> Result<(), Errno> {
    #[cfg(target_os = "linux")]
    match rustix::fs::renameat_with(from, old, to, new, rustix::fs::RenameFlags::NOREPLACE) {
        // Not every file system knows the flag.
        Err(Errno::INVAL | Errno::NOSYS) => {}
        other => return other,
    }
    rustix::fs::linkat(from, old, to, new, AtFlags::empty())?;
    rustix::fs::unlinkat(from, old, AtFlags::empty())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn written(nursery: &Nursery, bytes: &[u8]) -> NurseryFile {
        let mut file = nursery.file().unwrap();
        file.write_all(bytes).unwrap();
        file
    }

    #[test]
    fn a_file_gets_one_name_and_nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        let nursery = Nursery::create(&root).unwrap();
        let mut file = written(&nursery, b"con");
        file.write_all(b"tent").unwrap();
        let body = nursery.grown(file);
        let mut got = [0; 4];
        body.read_exact_at(&mut got, 3).unwrap();
        assert_eq!((&got, body.len()), (b"tent", 7));
        assert!(body.read_exact_at(&mut got, 4).is_err());
        assert!(root.move_body(b"name", &*body).unwrap().is_some());
        assert!(root.move_body(b"other", &*body).unwrap().is_none());
        let second = nursery.grown(written(&nursery, b"x"));
        let e = root.move_body(b"name", &*second).err().unwrap();
        assert_eq!(e.kind(), io::ErrorKind::AlreadyExists);
        nursery.remove().unwrap();
        let status = std::fs::metadata(dir.path().join("name")).unwrap();
        assert_eq!((status.nlink(), status.mode() & 0o777), (1, 0o600));
        assert_eq!(std::fs::read(dir.path().join("name")).unwrap(), b"content");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_not_wanted_takes_no_room() {
        let dir = tempfile::tempdir().unwrap();
        let nursery = Nursery::create(&Root::open(dir.path()).unwrap()).unwrap();
        let bodies: Vec<Body> =
            (0..4).map(|n| nursery.grown(written(&nursery, &vec![n; usize::from(n) + 1]))).collect();
        nursery.retain(|at| at == address(&bodies[1]) || at == address(&bodies[3])).unwrap();
        let left: Vec<bool> = bodies.iter().map(|body| body.read_exact_at(&mut [0], 0).is_ok()).collect();
        assert_eq!(left, [false, true, false, true]);
        let mut rest = Vec::new();
        nursery.give_up(written(&nursery, b"abc")).unwrap().read_to_end(&mut rest).unwrap();
        assert_eq!(rest, b"abc");
        let there = std::fs::read_dir(dir.path()).unwrap().next().unwrap().unwrap().path();
        assert_eq!(std::fs::read_dir(there).unwrap().count(), 2);
    }
}
