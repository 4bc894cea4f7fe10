//! zlogin(1), `-i`: a command on a new terminal of the zone, which is kept as the one that zlogin itself is on.
//!
//! "Forces interactive mode when a utility argument is specified." There is no shell, and nothing of login(1) or su(1). In the zone the
//! command leads a session of which the new terminal is the controlling one. Bytes go one way and the other by one thread that waits
//! for each write, as zlogin's do: who does not read what it writes keeps it from all else.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::os::unix::process::ExitStatusExt;
use std::process::{Child, ExitStatus};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::Signal;
use rustix::pty::{grantpt, ptsname, unlockpt};
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, Winsize, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};

use super::failure::{Failure, Result};
use super::zlogin::{self, Escape, Raw};
use super::zone::Zone;

/// What zlogin reads of its own input at a time, and of the zone's output (ZLOGIN_RDBUFSIZ, ZLOGIN_BUFSIZ).
const TYPED: usize = 1024;
const SAID: usize = 8192;
/// How long it waits for the last output when the command has ended.
const LAST: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// Before it tries again to write what the terminal does not take.
const AGAIN: Duration = Duration::from_millis(10);
/// Statuses that are errors of illumos: that of a command that could not be executed, of one that a signal has ended, and of a
/// connection that was closed (ENOEXEC, ECONNABORTED, EPIPE).
const NOT_EXECUTED: u8 = 8;
const ABORTED: u8 = 130;
const CLOSED: u8 = 32;

/// The status: "In interactive mode … the exit status is not returned", says the manual; newer ones return it.
pub(super) fn login(zone: &Zone, name: &str, command: &[String], options: Options) -> Result<u8> {
    let init = zlogin::init(zone)?;
    let failed = |e: io::Error| Failure::linux("terminal", &e);
    // Those of the terminal that it is on become the new one's: before that is made raw.
    let (modes, size) = of_stdin().map_err(failed)?;
    let (master, slave_name) = open(init.pid).map_err(failed)?;
    let slave = OpenOptions::new()
        .read(true)
        .write(true)
        .custom_flags(OFlags::NOCTTY.bits().cast_signed())
        .open(format!("/proc/{}/root{slave_name}", init.pid))
        .map_err(failed)?;
    let short = slave_name.trim_start_matches("/dev/");
    if !options.quiet {
        println!("[Connected to zone '{name}' {short}]");
    }
    let raw = Raw::set()?;
    tcsetattr(&slave, OptionalActions::Flush, &modes)
        .and_then(|()| tcsetwinsize(&slave, size))
        .map_err(|e| failed(e.into()))?;
    // execve(2): nothing is looked for in PATH. What went wrong is said on the terminal.
    let is_there = command[0].starts_with('/') && zlogin::is_there(zone, &command[0]);
    let ended = if is_there {
        let (events, has_new_size) = events().map_err(failed)?;
        let stream = || slave.try_clone().map_err(failed);
        let mut entering = zlogin::entering(zone, init, zlogin::Terminal::Own, options.failsafe);
        entering.args(command).stdin(stream()?).stdout(stream()?).stderr(stream()?);
        let child = entering.spawn().map_err(failed)?;
        drop((entering, slave));
        let mut session =
            Session { master, child, events, escape: Escape::new(options.escape), has_new_size };
        session.serve().map_err(failed)?
    } else {
        print!("zlogin: exec failure: No such file or directory\r\n");
        End::Status(NOT_EXECUTED)
    };
    drop(raw);
    if !options.quiet {
        eprintln!("\n[Connection to zone '{name}' {short} closed]");
    }
    Ok(match ended {
        End::Status(status) => status,
        End::Closed => {
            eprintln!("Error: connection closed due to unexpected pollevents=0x10.");
            CLOSED
        }
    })
}

fn of_stdin() -> io::Result<(Termios, Winsize)> {
    Ok((tcgetattr(stdin())?, tcgetwinsize(stdin())?))
}

/// How it is to be done.
#[derive(Clone, Copy)]
pub(super) struct Options {
    pub(super) quiet: bool,
    pub(super) failsafe: bool,
    pub(super) escape: Option<u8>,
}

/// A terminal of the zone, as zonept(3C) makes one: its side that is not the zone's, and its name there.
fn open(init: i32) -> io::Result<(File, String)> {
    let flags = (OFlags::NOCTTY | OFlags::NONBLOCK).bits().cast_signed();
    let place = format!("/proc/{init}/root/dev/pts/ptmx");
    let master = OpenOptions::new().read(true).write(true).custom_flags(flags).open(place)?;
    grantpt(&master)?;
    unlockpt(&master)?;
    let name = ptsname(&master, Vec::new())?;
    let name = name.to_str().map_err(|_| io::ErrorKind::InvalidData)?.to_owned();
    Ok((master, name))
}

/// A byte comes for each signal about children or the size of the terminal; of the latter, also a mark.
fn events() -> io::Result<(UnixStream, Arc<AtomicBool>)> {
    let (events, told) = UnixStream::pair()?;
    events.set_nonblocking(true)?;
    told.set_nonblocking(true)?;
    let has_new_size = Arc::new(AtomicBool::new(false));
    signal_hook::flag::register(Signal::WINCH.as_raw(), Arc::clone(&has_new_size))?;
    for signal in [Signal::WINCH, Signal::CHILD] {
        signal_hook::low_level::pipe::register(signal.as_raw(), told.try_clone()?)?;
    }
    Ok((events, has_new_size))
}

enum End {
    Status(u8),
    /// The terminal that zlogin is on is gone.
    Closed,
}

struct Session {
    master: File,
    child: Child,
    events: UnixStream,
    escape: Escape,
    has_new_size: Arc<AtomicBool>,
}

impl Session {
    fn serve(&mut self) -> io::Result<End> {
        loop {
            if let Some(status) = self.child.try_wait()? {
                self.last()?;
                return Ok(End::Status(of(status)));
            }
            self.resize()?;
            let (input, stdin) = (PollFlags::IN, stdin());
            let mut fds = [
                PollFd::new(&self.master, input),
                PollFd::new(&self.events, input),
                PollFd::from_borrowed_fd(stdin, input),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
            let [said, _, typed] = fds.map(|fd| fd.revents());
            let mut buffer = [0; 64];
            while matches!(self.events.read(&mut buffer), Ok(1..)) {}
            if !said.is_empty() && !self.pass_on()? {
                // Nobody in the zone has it any more: it is the end that is waited for.
                let status = self.child.wait()?;
                return Ok(End::Status(of(status)));
            }
            if typed.contains(input) {
                match self.typed()? {
                    Typed::Some => {}
                    // Of what is at its end, zlogin closes what it was passed on to: that is the terminal.
                    Typed::End => return Ok(End::Closed),
                    Typed::Quit => return Ok(End::Status(0)),
                }
            } else if !typed.is_empty() {
                return Ok(End::Closed);
            }
        }
    }

    /// What the zone says; whether there may be more. Whoever is to read it is waited for.
    fn pass_on(&self) -> io::Result<bool> {
        let mut buffer = [0; SAID];
        match (&self.master).read(&mut buffer) {
            Ok(0) => Ok(false),
            Ok(length) => write_all(stdout(), &buffer[..length]).map(|()| true),
            Err(e) if e.kind() == io::ErrorKind::WouldBlock => Ok(true),
            Err(e) if e.raw_os_error() == Some(Errno::IO.raw_os_error()) => Ok(false),
            Err(e) => Err(e),
        }
    }

    fn last(&self) -> io::Result<()> {
        loop {
            let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
            if poll(&mut fds, Some(&LAST))? == 0
                || !fds[0].revents().contains(PollFlags::IN)
                || !self.pass_on()?
            {
                return Ok(());
            }
        }
    }

    /// What is typed, a byte at a time.
    fn typed(&mut self) -> io::Result<Typed> {
        let mut buffer = [0; TYPED];
        let length = match rustix::io::read(stdin(), &mut buffer) {
            Ok(0) | Err(Errno::IO) => return Ok(Typed::End),
            Ok(length) => length,
            Err(Errno::INTR | Errno::AGAIN) => 0,
            Err(e) => return Err(e.into()),
        };
        for byte in &buffer[..length] {
            match self.escape.next(*byte) {
                zlogin::Key::Passed => {}
                zlogin::Key::Kept => continue,
                zlogin::Key::Quits => return Ok(Typed::Quit),
            }
            while let Err(e) = (&self.master).write_all(&[*byte]) {
                if e.kind() != io::ErrorKind::WouldBlock || self.child.try_wait()?.is_some() {
                    return Ok(Typed::End);
                }
                self.pass_on()?;
                std::thread::sleep(AGAIN);
            }
        }
        Ok(Typed::Some)
    }

    /// A new size is the new terminal's, too: if a signal has told of it, and not otherwise.
    fn resize(&self) -> io::Result<()> {
        if self.has_new_size.swap(false, Ordering::SeqCst) {
            tcsetwinsize(&self.master, tcgetwinsize(stdin())?)?;
        }
        Ok(())
    }
}

enum Typed {
    Some,
    End,
    Quit,
}

fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<()> {
    while !bytes.is_empty() {
        match rustix::io::write(to.as_fd(), bytes) {
            Ok(length) => bytes = &bytes[length..],
            Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
    }
    Ok(())
}

fn of(status: ExitStatus) -> u8 {
    match (status.code(), status.signal()) {
        (Some(code), _) => u8::try_from(code).unwrap_or(1),
        _ => ABORTED,
    }
}

/// Mounts what a zone's terminals are in.
pub(super) fn terminals(root: &str) -> Result<()> {
    let folder = format!("{root}/dev/pts");
    fs::create_dir(&folder).map_err(|e| Failure::linux(&folder, &e))?;
    let options = "nosuid,noexec,newinstance,mode=620,ptmxmode=666";
    super::processes::run(super::mounts::MOUNT, &["-t", "devpts", "-o", options, "devpts", &folder])?;
    std::os::unix::fs::symlink("pts/ptmx", format!("{root}/dev/ptmx")).map_err(|e| Failure::linux("ptmx", &e))
}
