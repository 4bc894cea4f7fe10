//! A terminal between zlogin and the caller: zlogin has one end of it, and the caller is sent the other.

use std::ffi::CString;
use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::Stdio;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
use rustix::termios::{Winsize, tcsetwinsize};

use super::sys;

const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

/// A new terminal.
pub(super) struct Terminal {
    /// zlogin's end.
    near: OwnedFd,
    /// The caller's, until it is sent; then the caller alone has it.
    far: Option<Far>,
}

struct Far {
    master: OwnedFd,
    name: CString,
    socket: UnixStream,
}

impl Terminal {
    /// Makes one that is nobody's yet, for whoever listens at a socket.
    pub(super) fn open(socket: &Path) -> io::Result<Self> {
        let socket = UnixStream::connect(socket)?;
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let near = rustix::fs::open(&name, flags, Mode::empty())?;
        sys::make_terminal(near.as_fd())?;
        Ok(Self { near, far: Some(Far { master, name, socket }) })
    }

    /// Sets its size, in rows and columns.
    pub(super) fn resize(&self, rows: u16, columns: u16) -> io::Result<()> {
        let size = Winsize { ws_row: rows, ws_col: columns, ws_xpixel: 0, ws_ypixel: 0 };
        Ok(tcsetwinsize(&self.near, size)?)
    }

    /// Becomes the controlling terminal of this process, which leads a session: zlogin, which is in the same process group, is told
    /// then of each new size.
    pub(super) fn take(&self) -> io::Result<()> {
        Ok(rustix::process::ioctl_tiocsctty(&self.near)?)
    }

    /// One of zlogin's streams.
    pub(super) fn stream(&self) -> io::Result<Stdio> {
        Ok(self.near.try_clone()?.into())
    }

    /// Sends the other end.
    pub(super) fn send(&mut self) -> io::Result<()> {
        match self.far.take() {
            Some(far) => send(&far.socket, far.name.to_bytes(), &far.master),
            None => Ok(()),
        }
    }

    /// Whether nobody has the other end any more.
    pub(super) fn is_left(&self) -> bool {
        let mut asked = [PollFd::new(&self.near, PollFlags::empty())];
        poll(&mut asked, Some(&AT_ONCE)).is_ok() && asked[0].revents().contains(PollFlags::HUP)
    }
}

/// As runtimes send a terminal: its name, and its other end beside that.
fn send(stream: &UnixStream, name: &[u8], master: &OwnedFd) -> io::Result<()> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    let files = [master.as_fd()];
    if !control.push(SendAncillaryMessage::ScmRights(&files)) {
        return Err(io::ErrorKind::OutOfMemory.into());
    }
    sendmsg(stream, &[IoSlice::new(name)], &mut control, SendFlags::empty())?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixListener;

    use rustix::termios::tcgetwinsize;

    #[test]
    fn what_is_sent_is_the_other_end() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut left, right) = UnixStream::pair().unwrap();
        send(&here, b"/dev/pts/7", &right.into()).unwrap();
        let mut received = File::from(crate::console::receive(&there).unwrap());
        received.write_all(b"x").unwrap();
        drop(received);
        let mut text = String::new();
        left.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }

    #[test]
    fn it_is_left_when_the_caller_has_gone() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("socket");
        assert_eq!(Terminal::open(&path).err().unwrap().kind(), io::ErrorKind::NotFound);
        let listener = UnixListener::bind(&path).unwrap();
        let mut terminal = Terminal::open(&path).unwrap();
        terminal.resize(24, 80).unwrap();
        assert!(!terminal.is_left());
        terminal.send().unwrap();
        // It is sent once.
        terminal.send().unwrap();
        let received = crate::console::receive(&listener.accept().unwrap().0).unwrap();
        let size = tcgetwinsize(&received).unwrap();
        assert_eq!((size.ws_row, size.ws_col), (24, 80));
        assert!(!terminal.is_left());
        drop(received);
        assert!(terminal.is_left());
    }
}
