//! What a file system tells of an inode, and how that is set again: by descriptor, or by directory and name
//! without following a link.

use std::io;
#[cfg(target_os = "linux")]
use std::os::fd::AsRawFd;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Stat, Timespec, Timestamps, UTIME_OMIT, Uid};
#[cfg(target_os = "linux")]
use rustix::io::Errno;

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
        return Err(Errno::LOOP.into());
    }
    // The kernel refuses fchmod on such a descriptor, but not on its name: it leads to this very inode.
    let path = format!("/proc/self/fd/{}", fd.as_raw_fd());
    match rustix::fs::chmod(path, Mode::from_raw_mode(mode)) {
        // Without /proc, directories can still be opened; files are changed while they are open anyway.
        Err(Errno::NOENT) if is_dir(&stat) => {
            let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
            let opened = rustix::fs::openat(&fd, ".", flags, Mode::empty())?;
            Ok(rustix::fs::fchmod(opened, Mode::from_raw_mode(mode))?)
        }
        other => Ok(other?),
    }
}

#[cfg(target_os = "linux")]
fn is_dir(stat: &Stat) -> bool {
    FileType::from_raw_mode(stat.st_mode) == FileType::Directory
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

/// Flags for every file opened below a root.
pub(super) const FILE_FLAGS: OFlags = OFlags::NOFOLLOW.union(OFlags::CLOEXEC).union(OFlags::NOCTTY);
