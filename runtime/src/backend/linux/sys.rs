//! System calls for which no library has a safe function.
#![allow(unsafe_code)]

use std::io;

use oci_spec::runtime::PosixRlimitType;

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
