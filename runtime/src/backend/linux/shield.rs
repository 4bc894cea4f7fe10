//! The program's own file, out of a container's reach.
//!
//! What joins a container is a copy of this process until it becomes the container's program, and that can be
//! `/proc/self/exe`: then this file runs inside, and can be opened from there, and written as soon as nobody runs it
//! (CVE-2019-5736). So the commands that enter containers run from a sealed copy in memory, which can be changed by nobody.

use std::ffi::OsString;
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::Command;

use rustix::fs::{MemfdFlags, SealFlags, fcntl_add_seals, fcntl_get_seals, memfd_create};
use rustix::io::Errno;

use crate::{Error, Result};

/// Where the program's file is, for the copy.
const PROGRAM: &str = "_RUNZ_PROGRAM";

/// Goes on as a sealed copy of this program, with the same arguments. Returns in the copy.
pub(crate) fn enter(args: &[OsString]) -> Result<()> {
    let failed = |e: io::Error| Error::io("running from a copy in memory", e);
    let own = File::open("/proc/self/exe").map_err(failed)?;
    if is_sealed(&own) {
        return Ok(());
    }
    let copy = copy(own).map_err(failed)?;
    let Some((name, rest)) = args.split_first() else { return Ok(()) };
    let mut command = Command::new(format!("/proc/self/fd/{}", copy.as_raw_fd()));
    let program = std::env::current_exe().map_err(failed)?;
    Err(failed(command.arg0(name).args(rest).env(PROGRAM, program).exec()))
}

/// The file of this program, whichever copy runs.
pub(crate) fn program() -> PathBuf {
    let own = std::env::current_exe().unwrap_or_default();
    match (std::env::var_os(PROGRAM), File::open("/proc/self/exe")) {
        (Some(path), Ok(file)) if is_sealed(&file) => path.into(),
        _ => own,
    }
}

fn is_sealed(file: &File) -> bool {
    // Only files in memory have seals.
    fcntl_get_seals(file).is_ok_and(|seals| seals.contains(SealFlags::WRITE))
}

fn copy(mut own: File) -> io::Result<File> {
    let flags = MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING;
    // Newer kernels want to be told that it is to be run, older ones do not know the word.
    let made = match memfd_create("runz", flags | MemfdFlags::EXEC) {
        Err(Errno::INVAL) => memfd_create("runz", flags),
        other => other,
    };
    let mut copy = File::from(made?);
    io::copy(&mut own, &mut copy)?;
    fcntl_add_seals(&copy, SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE)?;
    Ok(copy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;

    #[test]
    fn nobody_changes_a_copy() {
        let own = File::open("/proc/self/exe").unwrap();
        assert!(!is_sealed(&own));
        let length = own.metadata().unwrap().len();
        let mut copy = copy(own).unwrap();
        assert!(is_sealed(&copy));
        assert_eq!(copy.metadata().unwrap().len(), length);
        assert_eq!(copy.write(b"x").unwrap_err().raw_os_error(), Some(Errno::PERM.raw_os_error()));
        let again = File::options().write(true).open(format!("/proc/self/fd/{}", copy.as_raw_fd()));
        assert!(again.map_or(true, |mut file| file.write(b"x").is_err()));
    }
}
