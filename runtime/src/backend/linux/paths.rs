//! `linux.readonlyPaths` and `linux.maskedPaths`, from inside, as runc has them: links are followed, as the root is the
//! container's by now, and what leads out of it by an open file is no place to mount on. libcontainer hides a link instead of
//! what it leads to, and takes from what is read only the right to run programs, too.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use rustix::fs::{CWD, OFlags, StatVfsMountFlags, makedev, statvfs};
use rustix::io::Errno;
use rustix::mount::{
    MountFlags, MoveMountFlags, OpenTreeFlags, mount, mount_bind_recursive, mount_remount, move_mount,
    open_tree,
};

use crate::error::plain;

/// What a mount keeps. Where it belongs to another user namespace nobody here may take it away.
const KEPT: [(StatVfsMountFlags, MountFlags); 3] = [
    (StatVfsMountFlags::NOSUID, MountFlags::NOSUID),
    (StatVfsMountFlags::NODEV, MountFlags::NODEV),
    (StatVfsMountFlags::NOEXEC, MountFlags::NOEXEC),
];

/// Takes the right to write from a path. One that is not there is as good.
pub(super) fn make_readonly(path: &Path) -> Result<(), String> {
    let done = || -> io::Result<()> {
        match mount_bind_recursive(path, path) {
            Err(Errno::NOENT) => return Ok(()),
            other => other?,
        }
        let found = statvfs(path)?.f_flag;
        let kept = KEPT.iter().filter(|(flag, _)| found.contains(*flag)).map(|(_, flag)| *flag);
        let flags = kept.fold(MountFlags::BIND | MountFlags::RDONLY, MountFlags::union);
        Ok(mount_remount(path, flags, "")?)
    };
    let shown = path.display();
    done().map_err(|e| {
        format!("can't make {path:?} read-only: mount {shown}:{shown}, flags: 0x5000: {}", plain(&e))
    })
}

/// Hides a path: a directory behind an empty one, all else behind the null device. One that is not there is as good.
pub(super) fn mask(path: &Path) -> Result<(), String> {
    let done = || -> io::Result<()> {
        match path.metadata() {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            Ok(found) if found.is_dir() => Ok(mount("tmpfs", path, "tmpfs", MountFlags::RDONLY, None)?),
            other => other.and_then(|_| null_over(path)),
        }
    };
    let shown = path.display();
    done().map_err(|e| {
        format!("can't mask path {shown}: mount /dev/null:{shown}, flags: 0x1000: {}", plain(&e))
    })
}

/// That very device, and no link or file that the image has in its place.
fn null_over(path: &Path) -> io::Result<()> {
    let flags = OFlags::PATH | OFlags::NOFOLLOW;
    let null = File::options().read(true).custom_flags(flags.bits().cast_signed()).open("/dev/null")?;
    let found = null.metadata()?;
    if !found.file_type().is_char_device() || found.rdev() != makedev(1, 3) {
        return Err(io::Error::other("/dev/null is another file inside the container"));
    }
    let own =
        OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC | OpenTreeFlags::AT_EMPTY_PATH;
    let tree = open_tree(&null, "", own)?;
    let onto = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_SYMLINKS;
    Ok(move_mount(&tree, "", CWD, path, onto)?)
}
