//! The foreground: this process stands between the caller's terminal and a container's process, and takes over its end.

mod relay;
mod signals;

use std::io::{self, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::OwnedFd;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::PathBuf;

use aurora_engine::fs::ScratchDir;
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, recvmsg};
use rustix::process::Pid;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr};

use crate::{Error, Result};
use relay::{Relay, serve};
pub(crate) use signals::Signals;

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
        let relay = master.map(|master| Relay::new(master, stdin(), stdout())).transpose().map_err(failed)?;
        let code = serve(pid, relay, signals).map_err(failed);
        drop(raw);
        code
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
        let Ok(before) = tcgetattr(stdin()) else { return Ok(None) };
        let mut raw = before.clone();
        raw.make_raw();
        tcsetattr(stdin(), OptionalActions::Now, &raw)?;
        Ok(Some(Self(before)))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        // It may be gone.
        let _ = tcsetattr(stdin(), OptionalActions::Now, &self.0);
    }
}
