//! The confined writer: a tree made below a directory, and nothing ever outside of it.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::Path;
use std::sync::Arc;

use rustix::fs::{AtFlags, FileType, Mode, OFlags};

use super::beneath::Beneath;
use super::meta::{self, Kind, Status};
use super::xattr;
use crate::body::ReadAt;

/// A directory that a tree is written into. Paths are relative, bytes,
/// components joined by `/`, never `.` or `..`. Symbolic links below it are made, never followed; what exists is
/// never replaced. New directories and files are for their owner alone until their permissions are set.
pub struct Root {
    below: Beneath,
}

impl Root {
    /// Opens an existing directory.
    pub fn open(path: &Path) -> io::Result<Self> {
        Ok(Self { below: Beneath::open(path)? })
    }

    /// The same directory for another thread, which keeps the directory below that it used last to itself.
    pub fn again(&self) -> Self {
        Self { below: self.below.again() }
    }

    /// The directory itself.
    pub(super) fn dir(&self) -> io::Result<Arc<OwnedFd>> {
        self.below.dir(b"")
    }

    /// A new directory.
    pub fn make_dir(&self, path: &[u8]) -> io::Result<()> {
        let (dir, name) = self.below.parent(path)?;
        Ok(rustix::fs::mkdirat(&*dir, name, Mode::RWXU)?)
    }

    /// A new file, empty.
    pub fn create_file(&self, path: &[u8]) -> io::Result<NewFile> {
        let (dir, name) = self.below.parent(path)?;
        let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | meta::FILE_FLAGS;
        let fd = rustix::fs::openat(&*dir, name, flags, Mode::RUSR | Mode::WUSR)?;
        Ok(NewFile(File::from(fd)))
    }

    /// A body becomes a file, where that takes no copy; see [`ReadAt::move_into`].
    pub fn move_body(&self, path: &[u8], body: &dyn ReadAt) -> io::Result<Option<NewFile>> {
        let (dir, name) = self.below.parent(path)?;
        Ok(body.move_into(dir.as_fd(), name)?.map(NewFile))
    }

    /// A new symbolic link.
    pub fn make_symlink(&self, path: &[u8], target: &[u8]) -> io::Result<()> {
        let (dir, name) = self.below.parent(path)?;
        Ok(rustix::fs::symlinkat(target, &*dir, name)?)
    }

    /// One more name for what `existing` names; of a symbolic link, for the link itself.
    pub fn make_link(&self, path: &[u8], existing: &[u8]) -> io::Result<()> {
        let (from_dir, from) = self.below.parent(existing)?;
        let (dir, name) = self.below.parent(path)?;
        Ok(rustix::fs::linkat(&*from_dir, from, &*dir, name, AtFlags::empty())?)
    }

    /// A new device, pipe or socket. Any other kind is an error, as is a kind that the system can't make so.
    pub fn make_node(&self, path: &[u8], kind: Kind, (major, minor): (u32, u32)) -> io::Result<()> {
        let file_type = match kind {
            Kind::Char => FileType::CharacterDevice,
            Kind::Block => FileType::BlockDevice,
            Kind::Fifo => FileType::Fifo,
            Kind::Socket => FileType::Socket,
            _ => return Err(io::ErrorKind::InvalidInput.into()),
        };
        let device = match kind {
            Kind::Char | Kind::Block => rustix::fs::makedev(major, minor),
            _ => 0,
        };
        // Linux takes 32 bits of the number and would drop the rest in silence.
        if cfg!(target_os = "linux") && (major > 0xfff || minor > 0xf_ffff) {
            return Err(io::ErrorKind::Unsupported.into());
        }
        let (dir, name) = self.below.parent(path)?;
        Ok(rustix::fs::mknodat(&*dir, name, file_type, Mode::RUSR | Mode::WUSR, device)?)
    }

    /// Sets owner and group, of a link its own. Must come first: it takes setuid bits and capabilities away.
    pub fn set_owner(&self, path: &[u8], uid: u32, gid: u32) -> io::Result<()> {
        if path.is_empty() {
            let (uid, gid) = meta::ids(uid, gid)?;
            return Ok(rustix::fs::fchown(&*self.below.dir(path)?, uid, gid)?);
        }
        let (dir, name) = self.below.parent(path)?;
        meta::chown(&dir, name, uid, gid)
    }

    /// Sets one extended attribute, of a link its own. `Unsupported` where the system has no such call.
    pub fn set_xattr(&self, path: &[u8], key: &[u8], value: &[u8]) -> io::Result<()> {
        if path.is_empty() {
            return xattr::set_fd(self.below.dir(path)?.as_fd(), key, value);
        }
        let (dir, name) = self.below.parent(path)?;
        xattr::set(&dir, name, key, value)
    }

    /// Sets the permissions. Links have none.
    pub fn set_mode(&self, path: &[u8], mode: u32) -> io::Result<()> {
        if path.is_empty() {
            return Ok(rustix::fs::fchmod(&*self.below.dir(path)?, Mode::from_raw_mode(mode as _))?);
        }
        let (dir, name) = self.below.parent(path)?;
        meta::chmod(&dir, name, mode)
    }

    /// Sets the time of modification (seconds since 1970 and nanoseconds), of a link its own. Must come last,
    /// for a directory after everything in it.
    pub fn set_mtime(&self, path: &[u8], mtime: (i64, u32)) -> io::Result<()> {
        if path.is_empty() {
            return Ok(rustix::fs::futimens(&*self.below.dir(path)?, &meta::times(mtime))?);
        }
        let (dir, name) = self.below.parent(path)?;
        meta::set_mtime(&dir, name, mtime)
    }

    /// What a name leads to now, links not followed.
    pub fn status(&self, path: &[u8]) -> io::Result<Status> {
        if path.is_empty() {
            return Ok(Status::new(&rustix::fs::fstat(&*self.below.dir(path)?)?));
        }
        let (dir, name) = self.below.parent(path)?;
        meta::status(&dir, name)
    }

    /// Removes everything in it, to give up. The directory itself stays.
    pub fn clear(&self) -> io::Result<()> {
        let dir = self.dir()?;
        super::remove::remove_children(&dir)
    }
}

/// A file being written.
pub struct NewFile(File);

impl NewFile {
    /// Writes bytes at a place; what is never written is a hole.
    pub fn write_all_at(&self, bytes: &[u8], offset: u64) -> io::Result<()> {
        self.0.write_all_at(bytes, offset)
    }

    /// Has the kernel copy bytes of a body; see [`ReadAt::copy_into`].
    pub fn copy_from(&self, body: &dyn ReadAt, from: u64, len: u64, offset: u64) -> io::Result<u64> {
        body.copy_into(from, len, &self.0, offset)
    }

    /// Sets the length.
    pub fn set_len(&self, len: u64) -> io::Result<()> {
        self.0.set_len(len)
    }

    /// See [`Root::set_owner`].
    pub fn set_owner(&self, uid: u32, gid: u32) -> io::Result<()> {
        let (uid, gid) = meta::ids(uid, gid)?;
        Ok(rustix::fs::fchown(&self.0, uid, gid)?)
    }

    /// See [`Root::set_xattr`].
    pub fn set_xattr(&self, key: &[u8], value: &[u8]) -> io::Result<()> {
        xattr::set_fd(self.0.as_fd(), key, value)
    }

    /// See [`Root::set_mode`].
    pub fn set_mode(&self, mode: u32) -> io::Result<()> {
        Ok(rustix::fs::fchmod(&self.0, Mode::from_raw_mode(mode as _))?)
    }

    /// See [`Root::set_mtime`].
    pub fn set_mtime(&self, mtime: (i64, u32)) -> io::Result<()> {
        Ok(rustix::fs::futimens(&self.0, &meta::times(mtime))?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::{MetadataExt, symlink};

    #[test]
    fn makes_every_kind() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.make_dir(b"d").unwrap();
        let file = root.create_file(b"d/f").unwrap();
        file.write_all_at(b"end", 1 << 20).unwrap();
        file.set_len(2 << 20).unwrap();
        file.set_mode(0o4711).unwrap();
        file.set_mtime((-5, 7)).unwrap();
        root.make_symlink(b"d/l", b"/nowhere").unwrap();
        root.set_mtime(b"d/l", (1_000_000_000, 999_999_999)).unwrap();
        root.make_link(b"g", b"d/f").unwrap();
        root.make_link(b"m", b"d/l").unwrap();
        root.make_node(b"p", Kind::Fifo, (0, 0)).unwrap();
        root.make_node(b"s", Kind::Socket, (0, 0)).unwrap();
        root.set_mode(b"p", 0o622).unwrap();
        root.set_mode(b"d", 0o555).unwrap();
        root.set_mtime(b"d", (3, 4)).unwrap();
        root.set_mtime(b"", (1, 2)).unwrap();

        let stat = |name: &str| std::fs::symlink_metadata(dir.path().join(name)).unwrap();
        let f = stat("d/f");
        assert_eq!((f.mode() & 0o7777, f.mtime(), f.mtime_nsec(), f.len()), (0o4711, -5, 7, 2 << 20));
        assert!(f.blocks() * 512 < 1 << 20, "the hole is one");
        assert_eq!(f.ino(), stat("g").ino());
        let l = stat("d/l");
        assert_eq!((l.mtime(), l.mtime_nsec(), l.ino()), (1_000_000_000, 999_999_999, stat("m").ino()));
        assert_eq!((stat("p").mode(), stat("s").mode() & 0o170_000), (0o010_622, 0o140_000));
        assert_eq!((stat("d").mode() & 0o7777, stat("d").mtime()), (0o555, 3));
        assert_eq!((stat("").mtime(), stat("").mtime_nsec()), (1, 2));
        root.clear().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn nothing_is_replaced() {
        let dir = tempfile::tempdir().unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.create_file(b"x").unwrap();
        symlink("/etc/passwd", dir.path().join("y")).unwrap();
        for name in [b"x", b"y"] {
            assert_eq!(root.create_file(name).err().unwrap().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(root.make_dir(name).unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(root.make_symlink(name, b"z").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
            assert_eq!(root.make_link(name, b"x").unwrap_err().kind(), io::ErrorKind::AlreadyExists);
        }
    }

    #[test]
    fn a_parent_that_becomes_a_link_leads_nowhere() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let victim = outside.path().join("victim");
        std::fs::write(&victim, "untouched").unwrap();
        let before = std::fs::metadata(&victim).unwrap();
        let root = Root::open(dir.path()).unwrap();
        root.make_dir(b"d").unwrap();
        root.create_file(b"d/old").unwrap();
        root.make_dir(b"other").unwrap();
        root.create_file(b"other/x").unwrap(); // so that `d` is not the directory used last
        std::fs::rename(dir.path().join("d"), dir.path().join("e")).unwrap();
        symlink(outside.path(), dir.path().join("d")).unwrap();

        assert!(root.create_file(b"d/new").is_err());
        assert!(root.make_dir(b"d/new").is_err());
        assert!(root.make_symlink(b"d/new", b"x").is_err());
        assert!(root.make_link(b"d/new", b"other/x").is_err());
        assert!(root.make_link(b"new", b"d/victim").is_err());
        assert!(root.make_node(b"d/new", Kind::Fifo, (0, 0)).is_err());
        assert!(root.set_owner(b"d/victim", 1, 1).is_err());
        assert!(root.set_mode(b"d/victim", 0o777).is_err());
        assert!(root.set_mtime(b"d/victim", (0, 0)).is_err());
        assert!(root.set_xattr(b"d/victim", b"user.x", b"y").is_err());
        // The last component a link: its own attributes change, or nothing does.
        symlink(&victim, dir.path().join("link")).unwrap();
        assert!(root.set_mode(b"link", 0o777).is_err());
        root.set_mtime(b"link", (0, 0)).unwrap();
        let _ = root.set_owner(b"link", 1, 1);
        let _ = root.set_xattr(b"link", b"user.x", b"y");
        root.clear().unwrap();

        let after = std::fs::metadata(&victim).unwrap();
        assert_eq!(std::fs::read_to_string(&victim).unwrap(), "untouched");
        assert_eq!(
            (before.mode(), before.uid(), before.mtime(), before.ctime_nsec()),
            (after.mode(), after.uid(), after.mtime(), after.ctime_nsec())
        );
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 1);
    }

    #[test]
    fn a_race_of_links_against_the_writer_touches_nothing_outside() {
        use std::sync::atomic::{AtomicBool, Ordering};
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let (real, aside) = (dir.path().join("d"), dir.path().join("aside"));
        std::fs::create_dir(&real).unwrap();
        let stop = AtomicBool::new(false);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !stop.load(Ordering::Relaxed) {
                    std::fs::rename(&real, &aside).unwrap();
                    symlink(outside.path(), &real).unwrap();
                    std::fs::remove_file(&real).unwrap();
                    std::fs::rename(&aside, &real).unwrap();
                }
            });
            // Long enough for both to happen, however the threads are scheduled.
            let start = std::time::Instant::now();
            let (mut met, mut missed, mut n) = (0, 0, 0);
            while (n < 2000 || met == 0 || missed == 0) && start.elapsed().as_secs() < 30 {
                // A fresh one each time: nothing is remembered of the directory.
                let root = Root::open(dir.path()).unwrap();
                let name = format!("d/f{n}");
                match root.create_file(name.as_bytes()) {
                    Ok(_) => met += 1,
                    Err(_) => missed += 1,
                }
                let _ = root.set_mtime(name.as_bytes(), (0, 0));
                n += 1;
            }
            stop.store(true, Ordering::Relaxed);
            assert!(met > 0 && missed > 0, "{met} writes met the directory, {missed} did not");
        });
        assert_eq!(std::fs::read_dir(outside.path()).unwrap().count(), 0);
    }
}
