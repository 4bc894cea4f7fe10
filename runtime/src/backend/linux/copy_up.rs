//! `tmpcopyup`: a tmpfs that begins with what the image has at its place. podman's `--read-only` asks for it; it is an
//! extension of runc.
//!
//! The image's directories are opened before anything is mounted, and copied from inside, when the tmpfs is there.

use std::fs::File;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use rustix::fs::{
    AtFlags, CWD, Dir, FileType, Gid, Mode, OFlags, ResolveFlags, Uid, chownat, fchmod, fchown, mkdirat,
    mknodat, openat, openat2, readlinkat, statat, symlinkat,
};
use rustix::io::Errno;

/// Directories in directories; a real tree has some ten.
const MAX_DEPTH: usize = 64;
const DIR: OFlags = OFlags::RDONLY.union(OFlags::DIRECTORY).union(OFlags::NOFOLLOW).union(OFlags::CLOEXEC);
const PRIVATE: Mode = Mode::RWXU;

/// A directory of the image that a tmpfs will hide.
#[derive(Debug)]
pub(super) struct Hidden {
    at: PathBuf,
    dir: OwnedFd,
}

impl Hidden {
    /// Opens it; `None` when the image has none. No link leads out of the root.
    pub(super) fn open(root: &Path, at: &Path) -> io::Result<Option<Self>> {
        let root = rustix::fs::open(root, DIR, Mode::empty())?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        match openat2(&root, at, flags, Mode::empty(), ResolveFlags::IN_ROOT) {
            Ok(dir) => Ok(Some(Self { at: at.to_owned(), dir })),
            Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
            Err(e) => Err(e.into()),
        }
    }

    /// Copies it into what is mounted there now; its own mode and owner, too, unless the mount names a mode.
    pub(super) fn copy(&self, with_mode: bool) -> Result<(), String> {
        let done = || -> io::Result<()> {
            let to =
                openat(CWD, &self.at, OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?;
            copy_dir(self.dir.as_fd(), to.as_fd(), 0)?;
            if with_mode {
                like(self.dir.as_fd(), to.as_fd())?;
            }
            Ok(())
        };
        done().map_err(|e| format!("tmpcopyup {}: {}", self.at.display(), crate::error::plain(&e)))
    }
}

/// All in it, without extended attributes and with links made files of their own, as runc copies.
fn copy_dir(from: BorrowedFd<'_>, to: BorrowedFd<'_>, depth: usize) -> io::Result<()> {
    if depth > MAX_DEPTH {
        return Err(io::Error::other("too many directories in one another"));
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let found = statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
        let kind = FileType::from_raw_mode(found.st_mode);
        match kind {
            FileType::Directory => {
                mkdirat(to, name, PRIVATE)?;
                let (from, to) =
                    (openat(from, name, DIR, Mode::empty())?, openat(to, name, DIR, Mode::empty())?);
                copy_dir(from.as_fd(), to.as_fd(), depth + 1)?;
                like(from.as_fd(), to.as_fd())?;
            }
            FileType::RegularFile => {
                let plain = OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let mut source = File::from(openat(from, name, OFlags::RDONLY | plain, Mode::empty())?);
                let new = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | plain;
                let mut target = File::from(openat(to, name, new, PRIVATE)?);
                io::copy(&mut source, &mut target)?;
                like(source.as_fd(), target.as_fd())?;
            }
            FileType::Symlink => {
                let leads_to = readlinkat(from, name, Vec::new())?;
                symlinkat(&leads_to, to, name)?;
                owned(to, name, &found)?;
            }
            _ => {
                mknodat(to, name, kind, Mode::from_raw_mode(found.st_mode), found.st_rdev)?;
                owned(to, name, &found)?;
            }
        }
    }
    Ok(())
}

fn owned(dir: BorrowedFd<'_>, name: &std::ffi::CStr, found: &rustix::fs::Stat) -> io::Result<()> {
    let owner = (Some(Uid::from_raw(found.st_uid)), Some(Gid::from_raw(found.st_gid)));
    Ok(chownat(dir, name, owner.0, owner.1, AtFlags::SYMLINK_NOFOLLOW)?)
}

/// Owner first, as changing him takes bits of the mode away.
fn like(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<()> {
    let found = rustix::fs::fstat(from)?;
    fchown(to, Some(Uid::from_raw(found.st_uid)), Some(Gid::from_raw(found.st_gid)))?;
    Ok(fchmod(to, Mode::from_raw_mode(found.st_mode))?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;
    use std::os::unix::fs::{PermissionsExt, symlink};

    #[test]
    fn a_tree_is_copied_and_no_link_followed() {
        let dir = tempfile::tempdir().unwrap();
        let (root, to) = (dir.path().join("root"), dir.path().join("to"));
        fs::create_dir_all(root.join("run/a/b")).unwrap();
        fs::create_dir(&to).unwrap();
        fs::write(root.join("run/a/file"), "x").unwrap();
        fs::set_permissions(root.join("run/a/file"), fs::Permissions::from_mode(0o640)).unwrap();
        symlink("/etc", root.join("run/link")).unwrap();
        symlink("../../../../run", root.join("var")).unwrap();
        // A link at the place itself leads inside.
        let hidden = Hidden::open(&root, Path::new("/var")).unwrap().unwrap();
        let hidden = Hidden { at: to.clone(), dir: hidden.dir };
        hidden.copy(true).unwrap();
        assert_eq!(fs::read_to_string(to.join("a/file")).unwrap(), "x");
        assert_eq!(fs::metadata(to.join("a/file")).unwrap().permissions().mode() & 0o777, 0o640);
        assert_eq!(fs::read_link(to.join("link")).unwrap(), Path::new("/etc"));
        assert!(to.join("a/b").is_dir());
        assert!(Hidden::open(&root, Path::new("/none")).unwrap().is_none());
        assert!(hidden.copy(true).unwrap_err().contains("file exists"));
    }
}
