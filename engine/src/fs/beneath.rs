//! Directories below a directory, reached without ever following a symbolic link.

use std::io;
use std::os::fd::OwnedFd;
use std::path::Path;
use std::sync::{Arc, Mutex};

use rustix::fs::{Mode, OFlags};

/// How every directory on the way is opened.
const DIR_FLAGS: OFlags =
    OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// A path, and its directory.
type Opened = (Box<[u8]>, Arc<OwnedFd>);

/// A directory, as the root of relative paths. A path is components joined by `/`, none of them empty, `.` or
/// `..`; the empty path is the root. Whatever else is done below it meanwhile, nothing outside is ever reached
/// by a symbolic link.
pub(super) struct Beneath {
    root: Arc<OwnedFd>,
    /// The directory used last: entries come grouped by directory.
    last: Mutex<Option<Opened>>,
}

impl Beneath {
    /// Opens the root itself; of its own path, links are followed.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let root = Arc::new(rustix::fs::open(path, flags, Mode::empty())?);
        Ok(Self { root, last: Mutex::new(None) })
    }

    /// The same root, with nothing remembered.
    pub(super) fn again(&self) -> Self {
        Self { root: Arc::clone(&self.root), last: Mutex::new(None) }
    }

    /// The directory of that path.
    pub(super) fn dir(&self, path: &[u8]) -> io::Result<Arc<OwnedFd>> {
        if path.is_empty() {
            return Ok(Arc::clone(&self.root));
        }
        check(path)?;
        if let Some((last, fd)) = &*self.last.lock().expect("no holder of this lock can panic")
            && **last == *path
        {
            return Ok(Arc::clone(fd));
        }
        let fd = Arc::new(open_dir(&self.root, path)?);
        let kept = Some((path.into(), Arc::clone(&fd)));
        *self.last.lock().expect("no holder of this lock can panic") = kept;
        Ok(fd)
    }

    /// The directory that a path is in, and its last component. The root is in none.
    pub(super) fn parent<'p>(&self, path: &'p [u8]) -> io::Result<(Arc<OwnedFd>, &'p [u8])> {
        check(path)?;
        let (dir, name) = match path.iter().rposition(|&b| b == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        Ok((self.dir(dir)?, name))
    }
}

/// Refuses what is no path below a root.
fn check(path: &[u8]) -> io::Result<()> {
    let is_bad = |part: &[u8]| matches!(part, b"" | b"." | b"..");
    if path.contains(&0) || path.split(|&b| b == b'/').any(is_bad) {
        let text = format!("not a path below a root: {:?}", path.escape_ascii().to_string());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    Ok(())
}

fn open_dir(root: &OwnedFd, path: &[u8]) -> io::Result<OwnedFd> {
    if let Some(opened) = open_at_once(root, path) {
        return opened;
    }
    let mut parts = path.split(|&b| b == b'/');
    let first = parts.next().unwrap_or_default();
    let mut dir = rustix::fs::openat(root, first, DIR_FLAGS, Mode::empty())?;
    for part in parts {
        dir = rustix::fs::openat(&dir, part, DIR_FLAGS, Mode::empty())?;
    }
    Ok(dir)
}

/// By one call, where the kernel has it.
#[cfg(target_os = "linux")]
fn open_at_once(root: &OwnedFd, path: &[u8]) -> Option<io::Result<OwnedFd>> {
    use rustix::fs::ResolveFlags;
    use rustix::io::Errno;
    let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS | ResolveFlags::NO_MAGICLINKS;
    match rustix::fs::openat2(root, path, DIR_FLAGS, Mode::empty(), resolve) {
        // No such call before Linux 5.6; sandboxes that do not know it answer EPERM; EAGAIN tells of a rename
        // meanwhile; a path may be longer than one call takes. Component by component, all of them are clear.
        Err(Errno::NOSYS | Errno::PERM | Errno::AGAIN | Errno::NAMETOOLONG | Errno::TOOBIG) => None,
        other => Some(other.map_err(io::Error::from)),
    }
}

#[cfg(not(target_os = "linux"))]
fn open_at_once(_: &OwnedFd, _: &[u8]) -> Option<io::Result<OwnedFd>> {
    None
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn paths_that_could_lead_out_are_refused() {
        let dir = tempfile::tempdir().unwrap();
        let root = Beneath::open(dir.path()).unwrap();
        for path in [&b"/etc"[..], b"..", b"a/../b", b"a//b", b"./a", b"a/", b"a\0b"] {
            assert_eq!(root.dir(path).unwrap_err().kind(), io::ErrorKind::InvalidInput);
            assert_eq!(root.parent(path).unwrap_err().kind(), io::ErrorKind::InvalidInput);
        }
        assert_eq!(root.parent(b"").unwrap_err().kind(), io::ErrorKind::InvalidInput);
    }

    #[test]
    fn links_are_never_followed() {
        let (dir, outside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        std::fs::create_dir_all(dir.path().join("real/deep")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("out")).unwrap();
        std::os::unix::fs::symlink("real", dir.path().join("in")).unwrap();
        std::os::unix::fs::symlink(outside.path(), dir.path().join("real/out")).unwrap();
        let root = Beneath::open(dir.path()).unwrap();
        assert!(root.dir(b"real/deep").is_ok());
        for path in [&b"out"[..], b"in", b"in/deep", b"real/out"] {
            assert!(root.dir(path).is_err(), "{}", path.escape_ascii());
        }
    }
}
