//! The system calls that no safe wrapper offers: signal sets, the signal descriptor, what happens between
//! fork and exec, which child has ended. Nothing here decides anything.
//!
//! All unsafe code of podinit is in this file.
#![allow(unsafe_code)]

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

use libc::c_int;
use rustix::fs::{Mode, OFlags};
use rustix::io::FdFlags;
use rustix::process::{Resource, Rlimit};

#[cfg(target_os = "linux")]
use crate::capabilities::Capabilities;

/// Bytes of one record of the signal descriptor, `struct signalfd_siginfo`; illumos has the same by design.
const SIGINFO_SIZE: usize = 128;

/// Records read at a time.
const SIGINFO_BATCH: usize = 16;

/// Reads in one turn. Real-time signals queue up, and may be sent faster than they are read.
const SIGINFO_READS: usize = 16;

/// Which signals were held back when podinit was started: what its children begin with.
#[derive(Clone, Copy)]
pub(crate) struct SignalMask(libc::sigset_t);

/// One signal as it came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Received {
    pub(crate) number: i32,
    /// Whether the kernel sent it and not a process.
    pub(crate) from_kernel: bool,
    /// Who sent it, as this process sees it; 0 for who it can't see.
    pub(crate) sender: u32,
}

#[cfg(target_os = "illumos")]
unsafe extern "C" {
    // signalfd(3C), uadmin(2): the libc crate has neither.
    fn signalfd(fd: c_int, mask: *const libc::sigset_t, flags: c_int) -> c_int;
    fn uadmin(cmd: c_int, fcn: c_int, mdep: usize) -> c_int;
}
#[cfg(not(target_os = "illumos"))]
use libc::signalfd;

/// Holds back every signal from now on and opens a descriptor to read them from. A signal that is held back
/// is kept even where its default would be to be ignored, or where process 1 is spared it; one that a fault
/// of our own raises still ends the process.
pub(crate) fn hold_signals() -> io::Result<(OwnedFd, SignalMask)> {
    let mut all = MaybeUninit::<libc::sigset_t>::uninit();
    let mut before = MaybeUninit::<libc::sigset_t>::uninit();
    // SAFETY: both sets are written by the calls before they are read, and outlive them. No handler is
    // installed, so no code of ours runs in a signal's context. The descriptor is new and owned by nobody
    // else.
    unsafe {
        check(libc::sigfillset(all.as_mut_ptr()))?;
        check(libc::sigprocmask(libc::SIG_SETMASK, all.as_ptr(), before.as_mut_ptr()))?;
        // Where our parent ignored it, the kernel would reap for us and tell nothing.
        if libc::signal(libc::SIGCHLD, libc::SIG_DFL) == libc::SIG_ERR {
            return Err(io::Error::last_os_error());
        }
        let fd = check(signalfd(-1, all.as_ptr(), 0))?;
        let fd = OwnedFd::from_raw_fd(fd);
        rustix::io::fcntl_setfd(&fd, FdFlags::CLOEXEC)?;
        rustix::fs::fcntl_setfl(&fd, rustix::fs::fcntl_getfl(&fd)? | OFlags::NONBLOCK)?;
        Ok((fd, SignalMask(before.assume_init())))
    }
}

/// Reads what has come, or some of it; whether there may be more.
pub(crate) fn read_signals(fd: impl AsFd) -> io::Result<(Vec<Received>, bool)> {
    let mut received = Vec::new();
    let mut buffer = [0; SIGINFO_SIZE * SIGINFO_BATCH];
    for _ in 0..SIGINFO_READS {
        let length = match rustix::io::read(&fd, &mut buffer) {
            Ok(0) | Err(rustix::io::Errno::AGAIN) => return Ok((received, false)),
            Ok(length) => length,
            Err(rustix::io::Errno::INTR) => continue,
            Err(error) => return Err(error.into()),
        };
        received.extend(buffer[..length].chunks_exact(SIGINFO_SIZE).map(parse_siginfo));
    }
    Ok((received, true))
}

fn parse_siginfo(record: &[u8]) -> Received {
    let field = |n: usize| {
        let bytes = &record[4 * n..4 * n + 4];
        u32::from_ne_bytes(bytes.try_into().expect("four bytes were taken"))
    };
    Received {
        number: field(0).cast_signed(),
        // Codes of processes are 0 (kill) and below (sigqueue, tgkill).
        from_kernel: field(2).cast_signed() > 0,
        sender: field(3),
    }
}

/// A child that has ended and is still to be waited for: its number is not given to anyone else meanwhile.
pub(crate) fn ended_child() -> io::Result<Option<i32>> {
    loop {
        let mut info = MaybeUninit::<libc::siginfo_t>::zeroed();
        let flags = libc::WEXITED | libc::WNOHANG | libc::WNOWAIT;
        // SAFETY: `info` is all zeros, a valid value of this plain structure, and outlives the call; where
        // nothing has ended it stays so (or is set to zeros), and its process number reads as 0.
        let (done, pid) = unsafe {
            let done = libc::waitid(libc::P_ALL, 0, info.as_mut_ptr(), flags);
            (done, info.assume_init_ref().si_pid())
        };
        match check(done) {
            Ok(_) => return Ok((pid != 0).then_some(pid)),
            Err(error) if error.raw_os_error() == Some(libc::ECHILD) => return Ok(None),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

/// Sends a signal to a process, or with a negative number to a process group.
pub(crate) fn kill(pid: i32, signal: i32) -> io::Result<()> {
    // SAFETY: the call takes numbers only.
    check(unsafe { libc::kill(pid, signal) }).map(drop)
}

/// Our process group; 0 where its leader is outside of our pid namespace. (rustix takes the number for one
/// that can't be 0.)
pub(crate) fn process_group() -> i32 {
    // SAFETY: the call takes nothing and can't fail.
    unsafe { libc::getpgrp() }
}

/// The process group in the foreground of the terminal on standard input, 0 in the same case.
pub(crate) fn foreground_group() -> io::Result<i32> {
    // SAFETY: the call takes a number only, and standard input is open or the call fails.
    check(unsafe { libc::tcgetpgrp(libc::STDIN_FILENO) })
}

/// Puts a process group into the foreground of the terminal on standard input. From the background too: the
/// signal that would stop us, SIGTTOU, is held back.
pub(crate) fn set_foreground_group(group: i32) -> io::Result<()> {
    // SAFETY: the call takes numbers only, and standard input is open or the call fails.
    check(unsafe { libc::tcsetpgrp(libc::STDIN_FILENO, group) }).map(drop)
}

/// The first and the last real-time signal that a program may use.
pub(crate) fn real_time_signals() -> (i32, i32) {
    (libc::SIGRTMIN(), libc::SIGRTMAX())
}

/// Whether we lead our session: no shell has us as a job of its own then.
pub(crate) fn is_session_leader() -> bool {
    // SAFETY: the calls take a number or nothing; that of a process that is there can't fail.
    unsafe { libc::getsid(0) == libc::getpid() }
}

/// Halts the zone that this process is the init of: where a brand starts init anew whenever it ends, ending
/// is no way out.
#[cfg(target_os = "illumos")]
pub(crate) fn halt() -> io::Result<()> {
    // uadmin(2): A_SHUTDOWN, AD_HALT.
    const A_SHUTDOWN: c_int = 2;
    const AD_HALT: c_int = 0;
    // SAFETY: the call takes numbers only.
    check(unsafe { uadmin(A_SHUTDOWN, AD_HALT, 0) }).map(drop)
}

/// The same of a pid namespace (reboot(2), "Behavior inside PID namespaces"). Of any other process than its first one the call
/// would be about the machine, or about somebody else's container.
#[cfg(not(target_os = "illumos"))]
pub(crate) fn halt() -> io::Result<()> {
    #[cfg(target_os = "linux")]
    if rustix::process::getpid() == rustix::process::Pid::INIT {
        return Ok(rustix::system::reboot(rustix::system::RebootCommand::PowerOff)?);
    }
    Err(io::ErrorKind::Unsupported.into())
}

/// Who a process becomes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Ids {
    pub(crate) uid: u32,
    pub(crate) gid: u32,
    pub(crate) groups: Vec<u32>,
}

/// How a child stands to the terminal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Session {
    /// A process group of its own.
    Group,
    /// The same, and the terminal on standard input, ours already, is given to it.
    Foreground,
    /// A session of its own, with the terminal on standard input.
    Terminal,
}

/// What a child does between fork and exec, in the order of the fields.
#[derive(Clone)]
pub(crate) struct Setup {
    pub(crate) session: Session,
    pub(crate) umask: Option<u32>,
    pub(crate) rlimits: Vec<(Resource, Rlimit)>,
    pub(crate) root: Option<CString>,
    #[cfg(target_os = "linux")]
    pub(crate) capabilities: Option<Capabilities>,
    pub(crate) ids: Option<Ids>,
    pub(crate) no_new_privileges: bool,
    pub(crate) cwd: Option<CString>,
    pub(crate) mask: SignalMask,
}

/// Which part of it failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Step {
    Session = 1,
    Terminal,
    Limits,
    Root,
    Capabilities,
    Groups,
    Gid,
    Uid,
    NoNewPrivileges,
    Directory,
    Signals,
}

impl Step {
    const ALL: [Self; 11] = [
        Self::Session,
        Self::Terminal,
        Self::Limits,
        Self::Root,
        Self::Capabilities,
        Self::Groups,
        Self::Gid,
        Self::Uid,
        Self::NoNewPrivileges,
        Self::Directory,
        Self::Signals,
    ];

    /// The step and the system's error of what a spawn returned. None: it was the exec itself.
    pub(crate) fn of(error: &io::Error) -> (Option<Self>, io::Error) {
        let raw = error.raw_os_error().unwrap_or(libc::EINVAL);
        let step = Self::ALL.into_iter().find(|step| *step as i32 == raw >> STEP_SHIFT);
        (step, io::Error::from_raw_os_error(raw & ((1 << STEP_SHIFT) - 1)))
    }
}

/// A child tells why it failed by one number, which is the error's: the step is put above it.
const STEP_SHIFT: i32 = 16;

/// Has the child of this command set itself up.
pub(crate) fn before_exec(command: &mut Command, setup: Setup) {
    let run = move || {
        set_up(&setup).map_err(|(step, error)| {
            io::Error::from_raw_os_error((step as i32) << STEP_SHIFT | error.raw_os_error())
        })
    };
    // SAFETY: the closure runs in the child of a process with one thread. It makes system calls with what was
    // allocated before the fork, allocates nothing (an error holds a number), takes no lock, and opens no
    // descriptor.
    unsafe { command.pre_exec(run) };
}

fn set_up(setup: &Setup) -> Result<(), (Step, rustix::io::Errno)> {
    use rustix::process as p;
    let at = |step: Step| move |error| (step, error);
    match setup.session {
        Session::Group | Session::Foreground => p::setpgid(None, None).map_err(at(Step::Session))?,
        Session::Terminal => {
            p::setsid().map_err(at(Step::Session))?;
            p::ioctl_tiocsctty(rustix::stdio::stdin()).map_err(at(Step::Terminal))?;
        }
    }
    if setup.session == Session::Foreground {
        // From the background, as above.
        rustix::termios::tcsetpgrp(rustix::stdio::stdin(), p::getpid()).map_err(at(Step::Terminal))?;
    }
    if let Some(umask) = setup.umask {
        p::umask(Mode::from_raw_mode(umask as _));
    }
    for (resource, limit) in &setup.rlimits {
        p::setrlimit(*resource, *limit).map_err(at(Step::Limits))?;
    }
    if let Some(root) = &setup.root {
        p::chroot(root).and_then(|()| p::chdir(c"/")).map_err(at(Step::Root))?;
    }
    #[cfg(target_os = "linux")]
    if let Some(capabilities) = &setup.capabilities {
        capabilities.before_ids().map_err(at(Step::Capabilities))?;
    }
    if let Some(ids) = &setup.ids {
        set_ids(ids)?;
    }
    #[cfg(target_os = "linux")]
    if let Some(capabilities) = &setup.capabilities {
        capabilities.after_ids().map_err(at(Step::Capabilities))?;
    }
    if setup.no_new_privileges {
        no_new_privileges().map_err(at(Step::NoNewPrivileges))?;
    }
    if let Some(cwd) = &setup.cwd {
        p::chdir(cwd).map_err(at(Step::Directory))?;
    }
    let SignalMask(mask) = &setup.mask;
    // SAFETY: the set was written by the system when it was taken, and the call only reads it.
    let done = unsafe { libc::sigprocmask(libc::SIG_SETMASK, mask, std::ptr::null_mut()) };
    errno(done).map_err(at(Step::Signals))
}

#[cfg(target_os = "linux")]
fn no_new_privileges() -> Result<(), rustix::io::Errno> {
    rustix::thread::set_no_new_privs(true)
}

#[cfg(not(target_os = "linux"))]
fn no_new_privileges() -> Result<(), rustix::io::Errno> {
    Err(rustix::io::Errno::NOTSUP)
}

fn set_ids(ids: &Ids) -> Result<(), (Step, rustix::io::Errno)> {
    // SAFETY: the calls take numbers, and a list whose length is given with it.
    unsafe {
        errno(libc::setgroups(ids.groups.len() as _, ids.groups.as_ptr())).map_err(|e| (Step::Groups, e))?;
        errno(libc::setgid(ids.gid)).map_err(|e| (Step::Gid, e))?;
        errno(libc::setuid(ids.uid)).map_err(|e| (Step::Uid, e))
    }
}

fn check(result: c_int) -> io::Result<c_int> {
    if result == -1 { Err(io::Error::last_os_error()) } else { Ok(result) }
}

fn errno(result: c_int) -> Result<(), rustix::io::Errno> {
    if result != -1 {
        return Ok(());
    }
    let error = io::Error::last_os_error();
    Err(rustix::io::Errno::from_io_error(&error).unwrap_or(rustix::io::Errno::INVAL))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn steps_survive_the_way_from_child_to_parent() {
        for step in Step::ALL {
            let mut command = Command::new("/nonexistent");
            let raw = (step as i32) << STEP_SHIFT | libc::EPERM;
            // SAFETY: the closure makes a number into an error and nothing else.
            unsafe { command.pre_exec(move || Err(io::Error::from_raw_os_error(raw))) };
            let (found, error) = Step::of(&command.spawn().unwrap_err());
            assert_eq!((found, error.raw_os_error()), (Some(step), Some(libc::EPERM)));
        }
        let (step, error) = Step::of(&Command::new("/nonexistent").spawn().unwrap_err());
        assert_eq!((step, error.raw_os_error()), (None, Some(libc::ENOENT)));
    }

    #[test]
    fn records_of_the_signal_descriptor() {
        let mut record = [0; SIGINFO_SIZE];
        record[0..4].copy_from_slice(&15_u32.to_ne_bytes());
        record[12..16].copy_from_slice(&77_u32.to_ne_bytes());
        assert_eq!(parse_siginfo(&record), Received { number: 15, from_kernel: false, sender: 77 });
        record[8..12].copy_from_slice(&0x80_u32.to_ne_bytes());
        assert!(parse_siginfo(&record).from_kernel);
        record[8..12].copy_from_slice(&(-6_i32).to_ne_bytes());
        assert!(!parse_siginfo(&record).from_kernel);
    }
}
