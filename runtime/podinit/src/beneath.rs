//! Directories opened component by component, no link followed: what lies in an image may lead anywhere.

use std::os::fd::OwnedFd;
use std::path::{Component, Path};

use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;

const FLAGS: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);

/// Opens an absolute path without `..`, from the root. With `make`, missing directories are made.
pub(crate) fn open_dir(path: &Path, make: bool) -> Result<OwnedFd, Errno> {
    let mut dir = rustix::fs::openat(CWD, "/", FLAGS, Mode::empty())?;
    for component in path.components() {
        match component {
            Component::RootDir => {}
            Component::Normal(name) => dir = open_child(&dir, name.as_encoded_bytes(), make)?,
            Component::CurDir | Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL),
        }
    }
    Ok(dir)
}

/// Opens a directory in a directory.
pub(crate) fn open_child(dir: &OwnedFd, name: &[u8], make: bool) -> Result<OwnedFd, Errno> {
    match rustix::fs::openat(dir, name, FLAGS, Mode::empty()) {
        Err(Errno::NOENT) if make => {
            match rustix::fs::mkdirat(dir, name, Mode::from_raw_mode(0o755)) {
                Ok(()) | Err(Errno::EXIST) => {}
                Err(error) => return Err(error),
            }
            rustix::fs::openat(dir, name, FLAGS, Mode::empty())
        }
        done => done,
    }
}

/// The directory that a path's last component lies in, and that component.
pub(crate) fn open_parent(path: &Path) -> Result<(OwnedFd, &[u8]), Errno> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else { return Err(Errno::INVAL) };
    Ok((open_dir(parent, false)?, name.as_encoded_bytes()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_link_is_followed() {
        let temp = tempfile::tempdir().unwrap();
        let at = |name: &str| temp.path().join(name);
        std::fs::create_dir_all(at("a/b")).unwrap();
        std::fs::write(at("file"), "").unwrap();
        std::os::unix::fs::symlink("a", at("link")).unwrap();
        let cases = [
            ("a/b", false, Ok(())),
            ("a/c", false, Err(Errno::NOENT)),
            ("a/c/d", true, Ok(())),
            ("link", false, Err(Errno::NOTDIR)),
            ("link/b", true, Err(Errno::NOTDIR)),
            ("file", true, Err(Errno::NOTDIR)),
            ("a/../a", true, Err(Errno::INVAL)),
        ];
        for (path, make, want) in cases {
            // Linux and illumos name it ELOOP or ENOTDIR, by whether a directory was asked for.
            let got = open_dir(&at(path), make)
                .map(drop)
                .map_err(|e| if e == Errno::LOOP { Errno::NOTDIR } else { e });
            assert_eq!(got, want, "{path}");
        }
        assert!(at("a/c/d").is_dir());
    }
}
