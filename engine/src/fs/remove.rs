//! Removing a tree without following a link out of it.

use std::io;
use std::os::fd::OwnedFd;

use rustix::fs::{AtFlags, Dir, FileType, Mode, OFlags};
use rustix::io::Errno;

/// Names in a directory, sorted by their bytes, `.` and `..` left out.
pub(super) fn names(dir: &OwnedFd) -> io::Result<Vec<Vec<u8>>> {
    let mut found = Vec::new();
    for entry in Dir::read_from(dir)? {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if !matches!(name, b"." | b"..") {
            found.push(name.to_vec());
        }
    }
    found.sort_unstable();
    Ok(found)
}

/// Removes what is in a directory, all below included. One descriptor and one list of names a level: as deep as
/// paths of images may be.
pub(super) fn remove_children(top: &OwnedFd) -> io::Result<()> {
    struct Level {
        dir: OwnedFd,
        names: Vec<Vec<u8>>,
    }
    let mut levels = vec![Level { dir: top.try_clone()?, names: names(top)? }];
    while let Some(level) = levels.last_mut() {
        let Some(name) = level.names.last() else {
            levels.pop();
            // The directory just emptied is still the last name of the level above.
            if let Some(above) = levels.last_mut()
                && let Some(name) = above.names.pop()
            {
                rustix::fs::unlinkat(&above.dir, name, AtFlags::REMOVEDIR)?;
            }
            continue;
        };
        let is_dir = match rustix::fs::statat(&level.dir, name, AtFlags::SYMLINK_NOFOLLOW) {
            Ok(stat) => FileType::from_raw_mode(stat.st_mode) == FileType::Directory,
            Err(Errno::NOENT) => false,
            Err(e) => return Err(e.into()),
        };
        if !is_dir {
            match rustix::fs::unlinkat(&level.dir, name, AtFlags::empty()) {
                Ok(()) | Err(Errno::NOENT) => level.names.pop(),
                Err(e) => return Err(e.into()),
            };
            continue;
        }
        // A directory may have got permissions that keep even its owner from emptying it.
        let _ = super::meta::chmod(&level.dir, name, 0o700);
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let dir = rustix::fs::openat(&level.dir, name, flags, Mode::empty())?;
        let names = names(&dir)?;
        levels.push(Level { dir, names });
    }
    Ok(())
}
