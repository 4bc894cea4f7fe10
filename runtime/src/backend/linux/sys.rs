//! System calls for which no library has a safe function.
#![allow(unsafe_code)]

use std::io;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd};

use oci_spec::runtime::PosixRlimitType;

use super::devices::Instruction;
use crate::Signal;

/// Sends a signal. A process that has ended in the meantime is as good.
pub(super) fn kill(pid: i32, signal: Signal) -> io::Result<()> {
    if let Some((named, pid)) = signal.named().zip(rustix::process::Pid::from_raw(pid)) {
        return match rustix::process::kill_process(pid, named) {
            Err(e) if e != rustix::io::Errno::SRCH => Err(e.into()),
            _ => Ok(()),
        };
    }
    // SAFETY: plain numbers; which signals there are is checked by the kernel. Real-time ones have no names in libraries.
    match unsafe { libc::kill(pid, signal.number()) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            e if e.raw_os_error() == Some(libc::ESRCH) => Ok(()),
            e => Err(e),
        },
    }
}

/// What Rust's start has changed, and a program expects otherwise.
pub(super) fn default_sigpipe() {
    // SAFETY: no handler of ours is replaced, and the next thing this process does is to become the program.
    unsafe {
        libc::signal(libc::SIGPIPE, libc::SIG_DFL);
    }
}

/// Restricts this process and what comes of it to what a program in the kernel's filter language allows.
pub(super) fn install_filter(filter: &[libc::sock_filter], flags: u32) -> io::Result<()> {
    let len = u16::try_from(filter.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let program = libc::sock_fprog { len, filter: filter.as_ptr().cast_mut() };
    // SAFETY: `program` points to `len` instructions that outlive the call; the kernel copies and does not change them.
    let done =
        unsafe { libc::syscall(libc::SYS_seccomp, libc::SECCOMP_SET_MODE_FILTER, flags, &raw const program) };
    if done == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// Has a program of the kernel decide about devices for all processes of a control group of the second version, besides any
/// that decides already.
pub(super) fn restrict_devices(group: BorrowedFd<'_>, program: &[Instruction]) -> io::Result<()> {
    // The beginnings of `union bpf_attr`, of linux/bpf.h; the kernel takes the rest for zeros.
    #[repr(C)]
    struct Load {
        kind: u32,
        count: u32,
        instructions: u64,
        license: u64,
    }
    #[repr(C)]
    struct Attach {
        group: u32,
        program: u32,
        kind: u32,
        flags: u32,
    }
    const PROG_LOAD: libc::c_long = 5;
    const PROG_ATTACH: libc::c_long = 8;
    const PROG_TYPE_CGROUP_DEVICE: u32 = 15;
    const CGROUP_DEVICE: u32 = 6;
    const F_ALLOW_MULTI: u32 = 2;
    let count = u32::try_from(program.len()).map_err(|_| io::Error::from_raw_os_error(libc::E2BIG))?;
    let load = Load {
        kind: PROG_TYPE_CGROUP_DEVICE,
        count,
        instructions: program.as_ptr() as u64,
        license: c"MPL-2.0".as_ptr() as u64,
    };
    // SAFETY: the structure is as long as is said; its pointers lead to `count` instructions and a text with its end, which
    // outlive the call. The kernel checks the program before it takes it.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, PROG_LOAD, &raw const load, size_of::<Load>()) };
    let fd = i32::try_from(fd).ok().filter(|fd| *fd >= 0).ok_or_else(io::Error::last_os_error)?;
    // SAFETY: it is new and nobody else's.
    let fd = unsafe { OwnedFd::from_raw_fd(fd) };
    let number = |fd: i32| fd.cast_unsigned();
    let attach = Attach {
        group: number(group.as_raw_fd()),
        program: number(fd.as_raw_fd()),
        kind: CGROUP_DEVICE,
        flags: F_ALLOW_MULTI,
    };
    // SAFETY: the structure is as long as is said, and the files that it names are open.
    match unsafe { libc::syscall(libc::SYS_bpf, PROG_ATTACH, &raw const attach, size_of::<Attach>()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// Gives this process and what comes of it the session keyring of that name, new if there is none that it may search. A
/// kernel without keys has nothing to be given.
pub(super) fn join_session_keyring(name: &str) -> io::Result<()> {
    /// All for whoever possesses it; to be seen, read, searched and linked by its user: so it is found by name again.
    const PERMISSIONS: u32 = 0x3f1b_0000;
    let name = std::ffi::CString::new(name)?;
    // SAFETY: the kernel copies the name, which ends with a zero byte and outlives the call.
    let key = unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    let done = match key {
        -1 => -1,
        // SAFETY: plain numbers, of which the first is the keyring that was joined.
        key => unsafe { libc::syscall(libc::SYS_keyctl, libc::KEYCTL_SETPERM, key, PERMISSIONS) },
    };
    match io::Error::last_os_error() {
        _ if done != -1 => Ok(()),
        e if e.raw_os_error() == Some(libc::ENOSYS) => Ok(()),
        e => Err(e),
    }
}

/// Sets a limit of this process. The error names the limit by the kernel's number, as runc does.
pub(super) fn set_limit(kind: PosixRlimitType, soft: u64, hard: u64) -> Result<(), (u32, io::Error)> {
    use rustix::process::{Resource, Rlimit, setrlimit};
    let resource = match kind {
        PosixRlimitType::RlimitCpu => Resource::Cpu,
        PosixRlimitType::RlimitFsize => Resource::Fsize,
        PosixRlimitType::RlimitData => Resource::Data,
        PosixRlimitType::RlimitStack => Resource::Stack,
        PosixRlimitType::RlimitCore => Resource::Core,
        PosixRlimitType::RlimitRss => Resource::Rss,
        PosixRlimitType::RlimitNproc => Resource::Nproc,
        PosixRlimitType::RlimitNofile => Resource::Nofile,
        PosixRlimitType::RlimitMemlock => Resource::Memlock,
        PosixRlimitType::RlimitAs => Resource::As,
        PosixRlimitType::RlimitLocks => Resource::Locks,
        PosixRlimitType::RlimitSigpending => Resource::Sigpending,
        PosixRlimitType::RlimitMsgqueue => Resource::Msgqueue,
        PosixRlimitType::RlimitNice => Resource::Nice,
        PosixRlimitType::RlimitRtprio => Resource::Rtprio,
        PosixRlimitType::RlimitRttime => Resource::Rttime,
    };
    // All ones is no limit.
    let value = |n: u64| (n != u64::MAX).then_some(n);
    let limit = Rlimit { current: value(soft), maximum: value(hard) };
    setrlimit(resource, limit).map_err(|e| (resource as u32, e.into()))
}
