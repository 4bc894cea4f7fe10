//! The reader of a tree below a directory: sorted, never following a link, and noticing files that change.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags, SeekFrom};
use rustix::io::Errno;

use super::beneath::Beneath;
use super::copy_range;
use super::meta::{self, Kind, Status};
use super::remove;
use super::xattr::{self, Xattrs};
use crate::body::ReadAt;

/// Files of one tree that are kept open. Far below the usual limit of 1024 descriptors, and enough for readers
/// that go back and forth.
const MAX_OPEN: usize = 64;

/// A path, and its file.
type Opened = (Box<[u8]>, Arc<File>);

/// A tree to be read. Paths are those of [`super::Root`].
pub struct DirTree {
    below: Beneath,
    /// Used last at the back.
    open: Mutex<VecDeque<Opened>>,
}

impl DirTree {
    /// Opens an existing directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { below: Beneath::open(path)?, open: Mutex::default() })
    }

    /// What the tree's own directory is.
    pub fn root_status(&self) -> io::Result<Status> {
        Ok(Status::new(&rustix::fs::fstat(&*self.below.dir(b"")?)?))
    }

    /// The names in a directory with what they lead to, sorted by their bytes. A name that goes away meanwhile
    /// is left out.
    pub fn list(&self, path: &[u8]) -> io::Result<Vec<(Vec<u8>, Status)>> {
        let dir = self.below.dir(path)?;
        let mut found = Vec::new();
        for name in remove::names(&dir)? {
            match meta::status(&dir, &name) {
                Ok(status) => found.push((name, status)),
                Err(e) if e.kind() == io::ErrorKind::NotFound => {}
                Err(e) => return Err(e),
            }
        }
        Ok(found)
    }

    /// Extended attributes; none where the system keeps them elsewhere.
    pub fn xattrs(&self, path: &[u8]) -> io::Result<Xattrs> {
        if path.is_empty() {
            return xattr::get_all(&*self.below.dir(path)?, b"");
        }
        let (dir, name) = self.below.parent(path)?;
        xattr::get_all(&dir, name)
    }

    /// Where a symbolic link points.
    pub fn read_link(&self, path: &[u8]) -> io::Result<Vec<u8>> {
        let (dir, name) = self.below.parent(path)?;
        Ok(rustix::fs::readlinkat(&*dir, name, Vec::new())?.into_bytes())
    }

    /// Runs of data of a file, as `(offset, length)`, ascending; between them are holes. A system or file system
    /// that can't tell calls everything data.
    pub fn extents(&self, path: &[u8], status: &Status) -> io::Result<Vec<(u64, u64)>> {
        if status.size == 0 {
            return Ok(Vec::new());
        }
        if !status.is_sparse {
            return Ok(vec![(0, status.size)]);
        }
        data_runs(&*self.file(path, status)?, status.size)
    }

    /// A regular file, opened or still open; it must be the one, and unchanged, that `expected` tells of.
    fn file(&self, path: &[u8], expected: &Status) -> io::Result<Arc<File>> {
        {
            let mut open = self.open.lock().expect("no holder of this lock can panic");
            if let Some(at) = open.iter().rposition(|(p, _)| **p == *path) {
                let found = open.remove(at).expect("it was found there under the same lock");
                let file = Arc::clone(&found.1);
                open.push_back(found);
                return Ok(file);
            }
        }
        let (dir, name) = self.below.parent(path)?;
        // Not to wait for a writer, should a pipe have taken the file's place.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | meta::FILE_FLAGS;
        let file = File::from(rustix::fs::openat(&*dir, name, flags, Mode::empty())?);
        unchanged(&file, path, expected)?;
        let file = Arc::new(file);
        let mut open = self.open.lock().expect("no holder of this lock can panic");
        if open.len() >= MAX_OPEN {
            open.pop_front();
        }
        open.push_back((path.into(), Arc::clone(&file)));
        Ok(file)
    }
}

/// Fails if a file is not what it was when it was listed.
fn unchanged(file: &File, path: &[u8], expected: &Status) -> io::Result<()> {
    let now = Status::new(&rustix::fs::fstat(file)?);
    let key = |s: &Status| (s.kind, s.size, s.mtime, s.inode);
    if key(&now) == key(expected) {
        return Ok(());
    }
    Err(io::Error::other(format!("file changed while it was read: {}", path.escape_ascii())))
}

/// Runs of data of an open file of `size` bytes. Leaves its position anywhere.
pub fn data_runs(file: &File, size: u64) -> io::Result<Vec<(u64, u64)>> {
    let mut runs = Vec::new();
    let mut at = 0;
    while at < size {
        let from = match rustix::fs::seek(file, SeekFrom::Data(at)) {
            Ok(from) => from,
            Err(Errno::NXIO) => break,
            // A file system or device that knows no holes.
            Err(Errno::INVAL | Errno::OPNOTSUPP | Errno::NOTTY) => return Ok(vec![(0, size)]),
            Err(e) => return Err(e.into()),
        };
        let to = rustix::fs::seek(file, SeekFrom::Hole(from))?.min(size);
        if from >= to {
            break;
        }
        runs.push((from, to - from));
        at = to;
    }
    Ok(runs)
}

/// A file of a tree as a body. It is opened when it is read, and closed again when others are.
pub struct DirFile {
    tree: Arc<DirTree>,
    path: Box<[u8]>,
    status: Status,
}

impl DirFile {
    /// The regular file of that path, as [`DirTree::list`] has told of it.
    pub fn new(tree: Arc<DirTree>, path: &[u8], status: Status) -> io::Result<Self> {
        if status.kind != Kind::File {
            return Err(io::ErrorKind::InvalidInput.into());
        }
        Ok(Self { tree, path: path.into(), status })
    }
}

impl ReadAt for DirFile {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.status.size) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let file = self.tree.file(&self.path, &self.status)?;
        file.read_exact_at(buf, offset)?;
        // At its end once more: a file that is written to while it is read shows by its time.
        if offset + buf.len() as u64 == self.status.size {
            unchanged(&file, &self.path, &self.status)?;
        }
        Ok(())
    }

    fn copy_into(&self, offset: u64, len: u64, to: &File, at: u64) -> io::Result<u64> {
        let file = self.tree.file(&self.path, &self.status)?;
        let copied = copy_range(&file, offset, to, at, len)?;
        if offset + copied == self.status.size {
            unchanged(&file, &self.path, &self.status)?;
        }
        Ok(copied)
    }

    fn len(&self) -> u64 {
        self.status.size
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, Write};
    use std::os::unix::fs::symlink;

    fn status_of(tree: &DirTree, name: &[u8]) -> Status {
        tree.list(b"").unwrap().into_iter().find(|(n, _)| n == name).unwrap().1
    }

    #[test]
    fn lists_sorted_and_reads_links_as_such() {
        let dir = tempfile::tempdir().unwrap();
        for name in ["b", "a", "Z"] {
            std::fs::write(dir.path().join(name), name).unwrap();
        }
        std::fs::hard_link(dir.path().join("a"), dir.path().join("c")).unwrap();
        symlink("/etc", dir.path().join("l")).unwrap();
        let tree = DirTree::open(dir.path()).unwrap();
        let found = tree.list(b"").unwrap();
        let names: Vec<&[u8]> = found.iter().map(|(n, _)| &n[..]).collect();
        assert_eq!(names, [&b"Z"[..], b"a", b"b", b"c", b"l"]);
        assert_eq!(found[1].1.inode, found[3].1.inode);
        assert_eq!((found[1].1.links, found[4].1.kind), (2, Kind::Symlink));
        assert_eq!(tree.read_link(b"l").unwrap(), b"/etc");
        assert!(tree.list(b"l").is_err(), "a link to a directory is no directory");
    }

    #[test]
    fn holes_are_found() {
        let dir = tempfile::tempdir().unwrap();
        let mut file = File::create(dir.path().join("f")).unwrap();
        file.seek(std::io::SeekFrom::Start(1 << 20)).unwrap();
        file.write_all(&[7; 4096]).unwrap();
        file.set_len(4 << 20).unwrap();
        let tree = DirTree::open(dir.path()).unwrap();
        let status = status_of(&tree, b"f");
        let runs = tree.extents(b"f", &status).unwrap();
        let covers = runs.iter().any(|(at, len)| *at <= 1 << 20 && at + len >= (1 << 20) + 4096);
        assert!(covers && runs.iter().map(|(_, len)| len).sum::<u64>() < 2 << 20, "{runs:?}");
    }

    #[test]
    fn many_files_are_read_with_few_open() {
        let dir = tempfile::tempdir().unwrap();
        for n in 0..3 * MAX_OPEN {
            std::fs::write(dir.path().join(format!("{n:04}")), n.to_string()).unwrap();
        }
        let tree = Arc::new(DirTree::open(dir.path()).unwrap());
        let list = tree.list(b"").unwrap();
        let body = |(name, status): &(Vec<u8>, Status)| DirFile::new(tree.clone(), name, *status).unwrap();
        let bodies: Vec<DirFile> = list.iter().map(body).collect();
        for _ in 0..2 {
            for (n, body) in bodies.iter().enumerate() {
                let mut buf = vec![0; body.len() as usize];
                body.read_exact_at(&mut buf, 0).unwrap();
                assert_eq!(buf, n.to_string().as_bytes());
            }
        }
        assert!(tree.open.lock().unwrap().len() <= MAX_OPEN);
    }

    #[test]
    fn files_that_change_are_noticed() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("f");
        let change: [(&str, &dyn Fn()); 4] = [
            ("grown", &|| std::fs::write(&path, "longer than before").unwrap()),
            ("shrunk", &|| std::fs::write(&path, "s").unwrap()),
            ("replaced by a link", &|| {
                std::fs::remove_file(&path).unwrap();
                symlink("/etc/passwd", &path).unwrap();
            }),
            ("gone", &|| std::fs::remove_file(&path).unwrap()),
        ];
        for (name, change) in change {
            let _ = std::fs::remove_file(&path);
            std::fs::write(&path, "content").unwrap();
            let tree = Arc::new(DirTree::open(dir.path()).unwrap());
            let body = DirFile::new(tree.clone(), b"f", status_of(&tree, b"f")).unwrap();
            change();
            assert!(body.read_exact_at(&mut [0; 7], 0).is_err(), "{name}");
        }
    }
}
