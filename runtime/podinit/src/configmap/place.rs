//! A file put below a directory, whole or not at all.

use std::fs::File;
use std::io::{self, Write};
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, FileType, Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use serde::{Deserialize, Deserializer};

use super::Error;
use super::name::{FileName, TEMPORARY};
use crate::beneath;

/// Permissions, in octal as everyone writes them: `"0644"`.
#[derive(Clone, Copy)]
pub(super) struct Permissions(u32);

impl Default for Permissions {
    fn default() -> Self {
        Self(0o644)
    }
}

impl<'de> Deserialize<'de> for Permissions {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        let octal = (1..=4).contains(&text.len()) && text.bytes().all(|b| (b'0'..=b'7').contains(&b));
        u32::from_str_radix(&text, 8)
            .ok()
            .filter(|mode| octal && *mode <= 0o777)
            .map(Self)
            .ok_or_else(|| serde::de::Error::custom(format!("not permissions such as \"0644\": {text:?}")))
    }
}

/// Numbers of user and group: `"0:0"`.
#[derive(Clone, Copy)]
pub(super) struct Owner(u32, u32);

impl<'de> Deserialize<'de> for Owner {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        // The largest number means "leave it" to the system.
        let id = |text: &str| text.parse::<u32>().ok().filter(|id| *id != u32::MAX);
        text.split_once(':').and_then(|(uid, gid)| Some(Self(id(uid)?, id(gid)?))).ok_or_else(|| {
            serde::de::Error::custom(format!("not numbers of user and group such as \"0:0\": {text:?}"))
        })
    }
}

/// Makes or replaces a regular file. Missing directories are made; anything else in the way is an error.
pub(super) fn write(
    directory: &Path,
    name: &FileName<'_>,
    bytes: &[u8],
    mode: Permissions,
    owner: Option<Owner>,
) -> Result<(), Error> {
    let mut path = directory.to_owned();
    let mut dir = beneath::open_dir(directory, true).map_err(|e| in_the_way(&path, e))?;
    for parent in name.parents() {
        path.push(parent);
        dir = beneath::open_child(&dir, parent.as_bytes(), true).map_err(|e| in_the_way(&path, e))?;
    }
    path.push(name.last());
    match rustix::fs::statat(&dir, name.last(), AtFlags::SYMLINK_NOFOLLOW) {
        Ok(status) if FileType::from_raw_mode(status.st_mode) == FileType::RegularFile => {}
        Ok(_) => return Err(Error::NotAFile { path }),
        Err(Errno::NOENT) => {}
        Err(error) => return Err(Error::Write { path, source: error.into() }),
    }
    let written = put(&dir, name.last(), bytes, mode, owner);
    written.map_err(|source| Error::Write { path, source })
}

fn in_the_way(path: &Path, error: Errno) -> Error {
    let path: PathBuf = path.to_owned();
    match error {
        // Of a link at a place where a directory was asked for, either.
        Errno::NOTDIR | Errno::LOOP => Error::NotADirectory { path },
        error => Error::Write { path, source: error.into() },
    }
}

fn put(
    dir: &OwnedFd,
    name: &str,
    bytes: &[u8],
    Permissions(mode): Permissions,
    owner: Option<Owner>,
) -> io::Result<()> {
    // Left by one that was killed.
    match rustix::fs::unlinkat(dir, TEMPORARY, AtFlags::empty()) {
        Ok(()) | Err(Errno::NOENT) => {}
        Err(error) => return Err(error.into()),
    }
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let mut file = File::from(rustix::fs::openat(dir, TEMPORARY, flags, Mode::RUSR | Mode::WUSR)?);
    let filled = fill(&mut file, bytes, mode, owner)
        .and_then(|()| Ok(rustix::fs::renameat(dir, TEMPORARY, dir, name)?));
    if filled.is_err() {
        // What failed is what the caller is told; that this fails too changes nothing.
        let _ = rustix::fs::unlinkat(dir, TEMPORARY, AtFlags::empty());
    }
    filled
}

fn fill(file: &mut File, bytes: &[u8], mode: u32, owner: Option<Owner>) -> io::Result<()> {
    file.write_all(bytes)?;
    if let Some(Owner(uid, gid)) = owner {
        rustix::fs::fchown(&*file, Some(Uid::from_raw(uid)), Some(Gid::from_raw(gid)))?;
    }
    // Not as the umask has it.
    rustix::fs::fchmod(&*file, Mode::from_raw_mode(mode as _))?;
    file.sync_all()
}
