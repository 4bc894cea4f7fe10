//! Extended attributes of one inode, of a link its own.

/// Attributes by full name, sorted.
pub type Xattrs = Vec<(Vec<u8>, Vec<u8>)>;

pub(super) use system::{get_all, set, set_fd};

#[cfg(target_os = "linux")]
mod system {
    use std::io;
    use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};

    use rustix::fs::{Mode, OFlags, XattrFlags};
    use rustix::io::Errno;

    use super::Xattrs;
    use crate::fs::meta;

    /// Longest value and longest list of names that Linux allows.
    const MAX: usize = 64 << 10;

    /// How the calls are told which inode is meant. By path is cheaper and serves every kind.
    enum Place {
        /// The directory is named by its descriptor, so only the last component could be a link, and that one
        /// is not followed.
        Path(Vec<u8>),
        /// Where there is no /proc: what can be opened, that is files and directories.
        Open(OwnedFd),
    }

    impl Place {
        /// Of a name in a directory, or of the directory itself for an empty name.
        fn by_path(dir: &OwnedFd, name: &[u8]) -> Self {
            let mut path = format!("/proc/self/fd/{}/", dir.as_raw_fd()).into_bytes();
            path.extend_from_slice(if name.is_empty() { b"." } else { name });
            Self::Path(path)
        }

        /// The other way; `Unsupported` for kinds that have none.
        fn by_opening(dir: &OwnedFd, name: &[u8]) -> io::Result<Self> {
            let name = if name.is_empty() { b"." } else { name };
            let kind = meta::status(dir, name)?.kind;
            if !matches!(kind, meta::Kind::File | meta::Kind::Dir) {
                return Err(io::ErrorKind::Unsupported.into());
            }
            let flags = OFlags::RDONLY | OFlags::NONBLOCK | meta::FILE_FLAGS;
            Ok(Self::Open(rustix::fs::openat(dir, name, flags, Mode::empty())?))
        }

        fn list(&self, buf: &mut [u8]) -> Result<usize, Errno> {
            match self {
                Self::Path(path) => rustix::fs::llistxattr(path, buf),
                Self::Open(fd) => rustix::fs::flistxattr(fd, buf),
            }
        }

        fn get(&self, key: &[u8], buf: &mut [u8]) -> Result<usize, Errno> {
            match self {
                Self::Path(path) => rustix::fs::lgetxattr(path, key, buf),
                Self::Open(fd) => rustix::fs::fgetxattr(fd, key, buf),
            }
        }

        fn get_all(&self) -> Result<Xattrs, Errno> {
            let mut names = vec![0; 1024];
            let len = loop {
                match self.list(&mut names) {
                    Ok(len) => break len,
                    Err(Errno::RANGE) if names.len() < MAX => names.resize(MAX, 0),
                    Err(Errno::OPNOTSUPP) => break 0,
                    Err(e) => return Err(e),
                }
            };
            let mut found = Vec::new();
            let mut value = Vec::new();
            for name in names[..len].split(|&b| b == 0).filter(|name| !name.is_empty()) {
                value.resize(MAX, 0);
                match self.get(name, &mut value) {
                    Ok(len) => found.push((name.to_vec(), value[..len].to_vec())),
                    // Removed meanwhile, or not for this user.
                    Err(Errno::NODATA | Errno::OPNOTSUPP | Errno::PERM) => {}
                    Err(e) => return Err(e),
                }
            }
            found.sort();
            Ok(found)
        }
    }

    /// Of a name in a directory, or of the directory itself for an empty name.
    pub(in super::super) fn get_all(dir: &OwnedFd, name: &[u8]) -> io::Result<Xattrs> {
        match Place::by_path(dir, name).get_all() {
            Err(Errno::NOENT) => match Place::by_opening(dir, name) {
                Ok(place) => Ok(place.get_all()?),
                Err(e) if e.kind() == io::ErrorKind::Unsupported => Ok(Vec::new()),
                Err(e) => Err(e),
            },
            other => Ok(other?),
        }
    }

    /// Of a name in a directory.
    pub(in super::super) fn set(dir: &OwnedFd, name: &[u8], key: &[u8], value: &[u8]) -> io::Result<()> {
        let set = |place: &Place| match place {
            Place::Path(path) => rustix::fs::lsetxattr(path, key, value, XattrFlags::empty()),
            Place::Open(fd) => rustix::fs::fsetxattr(fd, key, value, XattrFlags::empty()),
        };
        match set(&Place::by_path(dir, name)) {
            Err(Errno::NOENT) => Ok(set(&Place::by_opening(dir, name)?)?),
            other => Ok(other?),
        }
    }

    /// Of an open file.
    pub(in super::super) fn set_fd(fd: BorrowedFd<'_>, key: &[u8], value: &[u8]) -> io::Result<()> {
        Ok(rustix::fs::fsetxattr(fd, key, value, XattrFlags::empty())?)
    }

    #[cfg(test)]
    mod tests {
        use super::*;

        #[test]
        fn both_ways_tell_the_same() {
            let dir = tempfile::tempdir().unwrap();
            std::fs::write(dir.path().join("f"), "").unwrap();
            let fd = OwnedFd::from(std::fs::File::open(dir.path()).unwrap());
            for name in [&b"f"[..], b""] {
                let by_path = Place::by_path(&fd, name);
                let by_opening = Place::by_opening(&fd, name).unwrap();
                if let Err(e) = set(&fd, if name.is_empty() { b"." } else { name }, b"user.a", b"1") {
                    assert_eq!(e.kind(), io::ErrorKind::Unsupported, "only for lack of such attributes");
                    continue;
                }
                set(&fd, if name.is_empty() { b"." } else { name }, b"user.B", &[0; 2000]).unwrap();
                let want = vec![(b"user.B".to_vec(), vec![0; 2000]), (b"user.a".to_vec(), b"1".to_vec())];
                let is_ours = |x: Xattrs| -> Xattrs {
                    x.into_iter().filter(|(name, _)| name.starts_with(b"user.")).collect()
                };
                assert_eq!(is_ours(by_path.get_all().unwrap()), want);
                assert_eq!(is_ours(by_opening.get_all().unwrap()), want);
            }
            assert_eq!(get_all(&fd, b"gone").unwrap_err().kind(), io::ErrorKind::NotFound);
        }
    }
}

/// Systems whose attributes are files in a hidden directory: not read, and said to be unsupported when set.
#[cfg(not(target_os = "linux"))]
mod system {
    use std::io;
    use std::os::fd::{BorrowedFd, OwnedFd};

    use super::Xattrs;

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
