//! Removing what may be arbitrarily deep: a container's processes fill folders of its directory as they like, and neither the
//! descriptors of this process nor the length of paths may be used up by that.

use std::ffi::CStr;
use std::fs;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, Dir, Mode, OFlags, openat, renameat, unlinkat};
use rustix::io::Errno;

/// Names that are kept.
const AT_A_TIME: usize = 1 << 16;

/// Removes a directory that may be gone already. Nothing else works in it. No link is followed.
pub(crate) fn remove_tree(path: &Path) -> io::Result<()> {
    let top = match open(rustix::fs::CWD, path) {
        Err(Errno::NOENT) => return Ok(()),
        other => other?,
    };
    let mut moved = 0_u64;
    // A folder's folders become the top's: nothing is more than two deep, and each is moved once.
    loop {
        let mut folders = Vec::new();
        empty(&top, |name| {
            if folders.len() < AT_A_TIME {
                folders.push(name.to_owned());
            }
            Ok(())
        })?;
        if folders.is_empty() {
            break;
        }
        for folder in folders {
            let inner = open(top.as_fd(), folder.as_c_str())?;
            empty(&inner, |name| {
                moved += 1;
                // No other name is taken: those of a container's own files do not begin so, and those of others are not here.
                match renameat(&inner, name, &top, format!(":{moved}")) {
                    Err(Errno::EXIST | Errno::NOTEMPTY) => Ok(()),
                    other => other,
                }
            })?;
            match unlinkat(&top, &folder, AtFlags::REMOVEDIR) {
                // One had no free name this time.
                Ok(()) | Err(Errno::EXIST | Errno::NOTEMPTY) => {}
                Err(e) => return Err(e.into()),
            }
        }
    }
    fs::remove_dir(path)
}

fn open<P: rustix::path::Arg>(at: BorrowedFd<'_>, path: P) -> rustix::io::Result<OwnedFd> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    openat(at, path, flags, Mode::empty())
}

/// Removes what is in a folder, but for folders, of which something else is done.
fn empty(folder: &OwnedFd, mut other: impl FnMut(&CStr) -> rustix::io::Result<()>) -> io::Result<()> {
    for entry in Dir::read_from(folder)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        // Asked first: where it may, illumos unlinks folders.
        let status = rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?;
        if rustix::fs::FileType::from_raw_mode(status.st_mode).is_dir() {
            other(name)?;
        } else {
            unlinkat(folder, name, AtFlags::empty())?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Deeper than a process has descriptors, and than a path is long.
    const DEPTH: usize = 5000;

    #[test]
    fn deep_and_wide() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("gone");
        remove_tree(&path).unwrap();
        fs::create_dir(&path).unwrap();
        let outside = dir.path().join("outside");
        fs::create_dir(&outside).unwrap();
        fs::write(outside.join("file"), "").unwrap();
        std::os::unix::fs::symlink(&outside, path.join("link")).unwrap();
        // Names that are used here, too.
        for name in [":1", ":2/:1", ":3/x", "a/b"] {
            fs::create_dir_all(path.join(name)).unwrap();
        }
        fs::write(path.join("a/b/file"), "").unwrap();
        fs::write(path.join(":4"), "").unwrap();
        let mut deep = open(rustix::fs::CWD, &path).unwrap();
        for _ in 0..DEPTH {
            rustix::fs::mkdirat(&deep, "d", Mode::RWXU).unwrap();
            deep = open(deep.as_fd(), "d").unwrap();
        }
        drop(deep);
        remove_tree(&path).unwrap();
        assert!(!path.exists() && outside.join("file").exists());
    }
}
