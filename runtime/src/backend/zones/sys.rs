//! What no library has a safe function for.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::BorrowedFd;

use rustix::io::{Errno, FdFlags, fcntl_getfd, fcntl_setfd};

/// Where a process sees its open files, on both systems.
const OPEN: &str = "/proc/self/fd";
/// The first that is not a standard stream.
const FIRST: i32 = 3;

/// Makes a terminal of one end of a pair, where it is none yet: on illumos it is a stream that has to be told (pts(4D), streamio(4I)).
#[cfg(not(target_os = "illumos"))]
pub(super) fn make_terminal(_: BorrowedFd<'_>) -> io::Result<()> {
    Ok(())
}

/// Makes a terminal of one end of a pair, where it is none yet: on illumos it is a stream that has to be told (pts(4D), streamio(4I)).
#[cfg(target_os = "illumos")]
pub(super) fn make_terminal(fd: BorrowedFd<'_>) -> io::Result<()> {
    use rustix::ioctl::{Ioctl, IoctlOutput, Opcode, ioctl};
    /// streamio(4I): whether a module is in the stream.
    const I_FIND: Opcode = 0x530b;
    /// sys/stropts.h: puts one on top as I_PUSH does, which would make the terminal the controlling one of who leads a session and
    /// has none, as we do: it is to become that of one process, and when that asks for it.
    const I_PUSH_NOCTTY: Opcode = 0x5327;
    /// Hardware emulation, line discipline, and what old programs expect.
    const MODULES: [[u8; 9]; 3] = [*b"ptem\0\0\0\0\0", *b"ldterm\0\0\0", *b"ttcompat\0"];
    struct Module {
        opcode: Opcode,
        name: [u8; 9],
    }
    // SAFETY: both requests read a name up to its zero byte, which is within the array, and write nothing.
    unsafe impl Ioctl for Module {
        type Output = bool;
        const IS_MUTATING: bool = false;
        fn opcode(&self) -> Opcode {
            self.opcode
        }
        fn as_ptr(&mut self) -> *mut std::ffi::c_void {
            self.name.as_mut_ptr().cast()
        }
        unsafe fn output_from_ptr(
            found: IoctlOutput,
            _: *mut std::ffi::c_void,
        ) -> rustix::io::Result<Self::Output> {
            Ok(found != 0)
        }
    }
    for name in MODULES {
        // SAFETY: the requests are what `Module` says they are.
        unsafe {
            if !ioctl(fd, Module { opcode: I_FIND, name })? {
                ioctl(fd, Module { opcode: I_PUSH_NOCTTY, name })?;
            }
        }
    }
    Ok(())
}

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
