//! What a file system tells of an inode, and how that is set again: by descriptor, or by directory and name
//! without following a link.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::{BorrowedFd, OwnedFd};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};

/// What kind of thing a name leads to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Directory.
    Dir,
    /// Regular file.
    File,
    /// Symbolic link.
    Symlink,
    /// Character device.
    Char,
    /// Block device.
    Block,
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
    /// A door, a port: what other systems have no word for.
    Other,
}

/// The part of `stat` that images keep.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Status {
    /// Type.
    pub kind: Kind,
    /// `0..=0o7777`.
    pub mode: u32,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Last modification: seconds since 1970, rounded down, and nanoseconds.
    pub mtime: (i64, u32),
    /// Bytes.
    pub size: u64,
    /// Whether fewer bytes are stored than it is long: there may be holes.
    pub is_sparse: bool,
    /// Names.
    pub links: u64,
    /// File system and inode: equal for names of the same inode.
    pub inode: (u64, u64),
    /// Of devices: major and minor number.
    pub device: (u32, u32),
}

impl Status {
    /// From the system's form, whose field types differ by system.
    #[allow(clippy::unnecessary_cast)]
    pub(super) fn new(stat: &Stat) -> Self {
        let kind = match FileType::from_raw_mode(stat.st_mode as _) {
            FileType::Directory => Kind::Dir,
            FileType::RegularFile => Kind::File,
            FileType::Symlink => Kind::Symlink,
            FileType::CharacterDevice => Kind::Char,
            FileType::BlockDevice => Kind::Block,
            FileType::Fifo => Kind::Fifo,
            FileType::Socket => Kind::Socket,
            FileType::Unknown => Kind::Other,
        };
        let size = u64::try_from(stat.st_size).unwrap_or(0);
        let stored = (stat.st_blocks as u64).saturating_mul(512);
        Self {
            kind,
            mode: stat.st_mode as u32 & 0o7777,
            uid: stat.st_uid as u32,
            gid: stat.st_gid as u32,
            mtime: (stat.st_mtime as i64, stat.st_mtime_nsec as u32),
            size,
            is_sparse: stored < size,
            links: stat.st_nlink as u64,
            inode: (stat.st_dev as u64, stat.st_ino as u64),
            device: (rustix::fs::major(stat.st_rdev), rustix::fs::minor(stat.st_rdev)),
        }
    }
}

/// Whether this process may do what only root may, as far as can be told beforehand.
pub fn is_root() -> bool {
    rustix::process::geteuid().is_root()
}

/// The owner that files get when nothing is said.
pub fn own_ids() -> (u32, u32) {
    (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw())
}

pub(super) fn ids(uid: u32, gid: u32) -> io::Result<(Option<Uid>, Option<Gid>)> {
    // The last number means "leave it" to every system.
    if uid == u32::MAX || gid == u32::MAX {
        return Err(io::ErrorKind::InvalidInput.into());
    }
    Ok((Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid))))
}

/// Only the time of modification; that of access is left as it is.
pub(super) fn times((secs, nanos): (i64, u32)) -> Timestamps {
    Timestamps {
        last_access: Timespec { tv_sec: 0, tv_nsec: UTIME_OMIT },
        last_modification: Timespec { tv_sec: secs, tv_nsec: nanos as _ },
    }
}

/// Sets the permissions of what is no link, without following one that took its place.
#[cfg(target_os = "linux")]
pub(super) fn chmod(dir: &OwnedFd, name: &[u8], mode: u32) -> io::Result<()> {
    let fd = rustix::fs::openat(dir, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())?;
    let stat = rustix::fs::fstat(&fd)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Err(rustix::io::Errno::LOOP.into());
    }
    // The kernel refuses fchmod on such a descriptor, but not on its name: it leads to this very inode.
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    Ok(rustix::fs::chmod(path, Mode::from_raw_mode(mode))?)
}

/// Sets the permissions of what is no link, without following one that took its place.
#[cfg(not(target_os = "linux"))]
pub(super) fn chmod(dir: &OwnedFd, name: &[u8], mode: u32) -> io::Result<()> {
    Ok(rustix::fs::chmodat(dir, name, Mode::from_raw_mode(mode as _), AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(super) fn chown(dir: &OwnedFd, name: &[u8], uid: u32, gid: u32) -> io::Result<()> {
    let (uid, gid) = ids(uid, gid)?;
    Ok(rustix::fs::chownat(dir, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(super) fn set_mtime(dir: &OwnedFd, name: &[u8], mtime: (i64, u32)) -> io::Result<()> {
    Ok(rustix::fs::utimensat(dir, name, &times(mtime), AtFlags::SYMLINK_NOFOLLOW)?)
}

pub(super) fn status(dir: &OwnedFd, name: &[u8]) -> io::Result<Status> {
    Ok(Status::new(&rustix::fs::statat(dir, name, AtFlags::SYMLINK_NOFOLLOW)?))
}

/// Attributes of one inode by full name, sorted.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

/// Extended attributes of a name in a directory (of the directory itself for an empty name), never those of
/// what a link points to.
#[cfg(target_os = "linux")]
mod xattr {
    use super::{AsRawFd, BorrowedFd, OwnedFd, Xattrs, io};
    use rustix::io::Errno;

    /// Longest value and longest list of names that Linux allows.
    const MAX: usize = 64 << 10;

    /// The calls take paths only, so the directory is named by its descriptor. Only the last component could be
    /// a link, and that one is not followed.
    fn path(dir: &OwnedFd, name: &[u8]) -> Vec<u8> {
        let mut path = format!("/proc/self/fd/{}", dir.as_raw_fd()).into_bytes();
        path.push(b'/');
        path.extend_from_slice(if name.is_empty() { b"." } else { name });
        path
    }

    pub(in super::super) fn get_all(dir: &OwnedFd, name: &[u8]) -> io::Result<Xattrs> {
        let path = path(dir, name);
        let mut buf = vec![0; 1024];
        let len = loop {
            match rustix::fs::llistxattr(&path, &mut buf[..]) {
                Ok(len) => break len,
                Err(Errno::RANGE) if buf.len() < MAX => buf.resize(MAX, 0),
                Err(Errno::OPNOTSUPP) => return Ok(Vec::new()),
                Err(e) => return Err(e.into()),
            }
        };
        let mut found = Vec::new();
        let mut value = Vec::new();
        for name in buf[..len].split(|&b| b == 0).filter(|name| !name.is_empty()) {
            value.resize(MAX, 0);
            match rustix::fs::lgetxattr(&path, name, &mut value[..]) {
                Ok(len) => found.push((name.to_vec(), value[..len].to_vec())),
                // Removed meanwhile, or not for this user.
                Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
                Err(e) => return Err(e.into()),
            }
        }
        found.sort();
        Ok(found)
    }

    pub(in super::super) fn set(dir: &OwnedFd, name: &[u8], key: &[u8], value: &[u8]) -> io::Result<()> {
        let flags = rustix::fs::XattrFlags::empty();
        Ok(rustix::fs::lsetxattr(path(dir, name), key, value, flags)?)
    }

    pub(in super::super) fn set_fd(fd: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::fsetxattr(fd, key, value, rustix::fs::XattrFlags::empty())?)
    }
}

/// Systems whose attributes are files in a hidden directory: not read, and said to be unsupported when set.
#[cfg(not(target_os = "linux"))]
mod xattr {
    use super::{BorrowedFd, OwnedFd, Xattrs, io};

    pub(in super::super) fn get_all(_: &OwnedFd, _: &[u8]) -> io::Result<Xattrs> {
        Ok(Vec::new())
    }

    pub(in super::super) fn set(_: &OwnedFd, _: &[u8], _: &[u8], _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }

    pub(in super::super) fn set_fd(_: BorrowedFd<'_>, _: &[u8], _: &[u8]) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

pub(super) use xattr::{get_all as xattrs, set as set_xattr, set_fd as set_xattr_fd};

/// Flags for every file opened below a root.
pub(super) const FILE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NOCTTY);
