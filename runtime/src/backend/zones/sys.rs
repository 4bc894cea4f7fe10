//! What no library has a safe function for.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};

/// Where a process sees its open files, on both systems.
const OPEN: &str = "/proc/self/fd";
/// The first that is not a standard stream.
const FIRST: i32 = 3;

/// Whatever is open beyond the standard streams is closed in programs that are started from now on: callers wait for the end
/// of pipes that they have left open here.
pub(super) fn close_on_exec() -> io::Result<()> {
    let mut numbers = Vec::new();
    for entry in std::fs::read_dir(OPEN)? {
        numbers.extend(entry?.file_name().to_string_lossy().parse::<i32>().ok());
    }
    for number in numbers.into_iter().filter(|number| *number >= FIRST) {
        // SAFETY: only a flag of a file that is open is read and written; one that is not (that of the listing) gives an
        // error. The borrow ends before anything else is done.
        let fd = unsafe { BorrowedFd::borrow_raw(number) };
        match fcntl_getfd(fd).and_then(|flags| fcntl_setfd(fd, flags | FdFlags::CLOEXEC)) {
            Ok(()) | Err(Errno::BADF) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}
