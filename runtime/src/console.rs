//! The foreground: this process stands between the caller's terminal and a container's process, and takes over its end.

use std::io::{self, IoSliceMut, Read};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use aurora_engine::fs::ScratchDir;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::{Pid, Signal as Named, WaitOptions, WaitStatus, kill_process, waitpid};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcgetwinsize, tcsetattr, tcsetwinsize};
use signal_hook::consts;

use crate::{Error, Result};

/// Signals that go on to the process, as the terminal or the caller has sent them.
const FORWARDED: [(i32, Named); 9] = [
    (consts::SIGHUP, Named::HUP),
    (consts::SIGINT, Named::INT),
    (consts::SIGQUIT, Named::QUIT),
    (consts::SIGTERM, Named::TERM),
    (consts::SIGUSR1, Named::USR1),
    (consts::SIGUSR2, Named::USR2),
    (consts::SIGALRM, Named::ALARM),
    (consts::SIGCONT, Named::CONT),
    (consts::SIGWINCH, Named::WINCH),
];
/// What is moved at a time.
const BUFFER: usize = 16 << 10;
/// Added to the number of the signal that has ended a process.
const BY_SIGNAL: i32 = 128;

/// Waits for a terminal's other end, if there is to be one, and then for a process.
pub struct Foreground {
    socket: Option<(ScratchDir, UnixListener)>,
    signals: Option<Signals>,
}

impl Foreground {
    /// Before the process is made. Starts no thread.
    pub fn new(terminal: bool) -> Result<Self> {
        let listen = || -> io::Result<_> {
            let dir = ScratchDir::create(&std::env::temp_dir())?;
            let listener = UnixListener::bind(dir.path().join("console"))?;
            Ok((dir, listener))
        };
        let socket =
            if terminal { Some(listen().map_err(|e| Error::io("console socket", e))?) } else { None };
        Ok(Self { socket, signals: None })
    }

    /// Where the process is to send its terminal.
    pub fn console(&self) -> Option<PathBuf> {
        self.socket.as_ref().map(|(dir, _)| dir.path().join("console"))
    }

    /// From now on, signals are kept for the process. Not before it was made: it would have this one's handlers until it
    /// becomes a program.
    pub fn watch(&mut self) -> Result<()> {
        self.signals = Some(Signals::watch().map_err(|e| Error::io("watching for signals", e))?);
        Ok(())
    }

    /// Serves a process, a child of this one, to its end. Its exit status, or 128 and the signal.
    pub fn wait(mut self, pid: i32) -> Result<i32> {
        if self.signals.is_none() {
            self.watch()?;
        }
        let failed = |e: io::Error| Error::io(format!("waiting for process {pid}"), e);
        let pid = Pid::from_raw(pid).ok_or_else(|| failed(io::ErrorKind::InvalidInput.into()))?;
        let master = match self.socket {
            Some((_dir, listener)) => {
                let (stream, _) = listener.accept().map_err(failed)?;
                Some(receive(&stream).map_err(failed)?)
            }
            None => None,
        };
        let signals = self.signals.as_ref().expect("they are watched since the first line");
        let raw = master.as_ref().map(|_| Raw::set()).transpose().map_err(failed)?.flatten();
        let code = serve(pid, master.as_ref(), signals).map_err(failed);
        drop(raw);
        code
    }
}

/// Moves bytes and signals until the process has ended and all that it wrote has arrived.
fn serve(pid: Pid, master: Option<&OwnedFd>, signals: &Signals) -> io::Result<i32> {
    let stdin = io::stdin();
    let mut reading = master.is_some();
    let mut open = master.is_some();
    let mut code = None;
    if let Some(master) = master {
        resize(master);
    }
    loop {
        for signal in signals.came() {
            match (signal, master) {
                (Named::WINCH, Some(master)) => resize(master),
                _ => match kill_process(pid, signal) {
                    Ok(()) | Err(Errno::SRCH) => {}
                    Err(e) => return Err(e.into()),
                },
            }
        }
        if code.is_none()
            && let Some((_, status)) = waitpid(Some(pid), WaitOptions::NOHANG)?
        {
            code = Some(exit_code(status));
        }
        // After its end the terminal is read until nothing is there: others may hold it open.
        if let (Some(code), false) = (code, open) {
            return Ok(code);
        }
        let mut fds = vec![PollFd::from_borrowed_fd(signals.pipe.as_fd(), PollFlags::IN)];
        if let (Some(master), true) = (master, open) {
            fds.push(PollFd::from_borrowed_fd(master.as_fd(), PollFlags::IN));
        }
        if reading && code.is_none() {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::IN));
        }
        let at_once = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 0 };
        match poll(&mut fds, code.is_some().then_some(&at_once)) {
            Ok(0) if code.is_some() => open = false,
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        // Those of a terminal, in the order of above.
        let mut ready = fds.iter().skip(1).map(|fd| !fd.revents().is_empty());
        let (output, input) = (open && ready.next() == Some(true), ready.next() == Some(true));
        signals.drain();
        let Some(master) = master else { continue };
        if output {
            open = copy(master.as_fd(), rustix::stdio::stdout())?;
        }
        if input {
            reading = copy(stdin.as_fd(), master.as_fd())?;
        }
    }
}

/// Moves what is there; whether there may be more.
fn copy(from: BorrowedFd<'_>, to: BorrowedFd<'_>) -> io::Result<bool> {
    let mut buffer = [0; BUFFER];
    let n = match rustix::io::read(from, &mut buffer) {
        Ok(0) => return Ok(false),
        Ok(n) => n,
        // A terminal whose other side nobody holds any more.
        Err(Errno::IO) => return Ok(false),
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        Err(e) => return Err(e.into()),
    };
    let mut rest = &buffer[..n];
    while !rest.is_empty() {
        match rustix::io::write(to, rest) {
            Ok(n) => rest = &rest[n..],
            Err(Errno::INTR | Errno::AGAIN) => {}
            Err(Errno::IO | Errno::PIPE) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
}

fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => BY_SIGNAL + signal,
        (None, None) => BY_SIGNAL,
    }
}

/// The size of the caller's terminal, if it has one.
fn resize(master: &OwnedFd) {
    if let Ok(size) = tcgetwinsize(rustix::stdio::stdin()) {
        // A terminal that is gone needs no size.
        let _ = tcsetwinsize(master, size);
    }
}

/// The file that comes with a message on a console socket.
pub(crate) fn receive(stream: &UnixStream) -> io::Result<OwnedFd> {
    let mut name = [0; 4096];
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    recvmsg(stream, &mut [IoSliceMut::new(&mut name)], &mut control, RecvFlags::empty())?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut files) = message
            && let Some(file) = files.next()
        {
            rustix::io::fcntl_setfd(&file, rustix::io::FdFlags::CLOEXEC)?;
            return Ok(file);
        }
    }
    Err(io::Error::other("no terminal came through the console socket"))
}

/// The caller's terminal passes every key on; dropped, it is as before.
struct Raw(Termios);

impl Raw {
    /// `None` where standard input is no terminal.
    fn set() -> io::Result<Option<Self>> {
        let stdin = rustix::stdio::stdin();
        let Ok(before) = tcgetattr(stdin) else { return Ok(None) };
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin, OptionalActions::Now, &raw)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // It may be gone.
        let _ = tcsetattr(rustix::stdio::stdin(), OptionalActions::Now, &self.0);
    }
}

/// Signals as bytes in a pipe, so that they can be waited for with other things.
pub(crate) struct Signals {
    pub(crate) pipe: UnixStream,
    flags: Vec<(Named, Arc<AtomicBool>)>,
}

impl Signals {
    pub(crate) fn watch() -> io::Result<Self> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let mut flags = Vec::new();
        for (number, named) in FORWARDED {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, write.try_clone()?)?;
            flags.push((named, flag));
        }
        signal_hook::low_level::pipe::register(consts::SIGCHLD, write)?;
        Ok(Self { pipe, flags })
    }

    /// Those that came since the last time.
    pub(crate) fn came(&self) -> impl Iterator<Item = Named> + '_ {
        self.flags.iter().filter(|(_, flag)| flag.swap(false, Ordering::SeqCst)).map(|(named, _)| *named)
    }

    pub(crate) fn drain(&self) {
        let mut buffer = [0; 64];
        while matches!((&self.pipe).read(&mut buffer), Ok(n) if n > 0) {}
    }
}
