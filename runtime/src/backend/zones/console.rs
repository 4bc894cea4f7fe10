//! A terminal for a zone's program: the zone's console, which zlogin connects with a terminal of its own, whose other end the
//! caller is sent.

use std::io::{self, IoSlice};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::net::{SendAncillaryBuffer, SendAncillaryMessage, SendFlags, sendmsg};
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::commands::console_of;

/// How long zlogin may take to see that its zone has halted.
const PATIENCE: Duration = Duration::from_secs(5);

/// A zlogin at the console of a zone.
pub(super) struct Console {
    zlogin: Child,
    has_ended: bool,
    /// Since when it is to end.
    ending: Option<Instant>,
}

impl Console {
    /// Connects a zone's console with a new terminal, and sends the terminal's other end to a socket.
    pub(super) fn open(zone: &str, socket: &Path) -> io::Result<Self> {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY)?;
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC)?;
        grantpt(&master)?;
        unlockpt(&master)?;
        let name = ptsname(&master, Vec::new())?;
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(&name, flags, Mode::empty())?;
        send(&UnixStream::connect(socket)?, name.to_bytes(), &master)?;
        let line = console_of(zone);
        let stream = || slave.try_clone();
        let zlogin = Command::new(&line.program)
            .args(&line.args)
            .env_clear()
            .env("LC_ALL", "C")
            .stdin(stream()?)
            .stdout(stream()?)
            .stderr(stream()?)
            .spawn()?;
        Ok(Self { zlogin, has_ended: false, ending: None })
    }

    /// The zone is down: zlogin ends by itself when it has passed on all.
    pub(super) fn end(&mut self) {
        self.ending.get_or_insert_with(Instant::now);
    }

    pub(super) fn has_ended(&self) -> bool {
        self.has_ended
    }

    /// Waits for `other`, or for a time.
    pub(super) fn serve(&mut self, other: BorrowedFd<'_>, limit: &Timespec) -> io::Result<()> {
        match poll(&mut [PollFd::from_borrowed_fd(other, PollFlags::IN)], Some(limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        if self.ending.is_some_and(|since| since.elapsed() > PATIENCE) {
            self.zlogin.kill()?;
        }
        self.has_ended = self.has_ended || self.zlogin.try_wait()?.is_some();
        Ok(())
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
    use std::io::{Read, Write};

    #[test]
    fn what_is_sent_is_the_other_end() {
        let (here, there) = UnixStream::pair().unwrap();
        let (mut left, right) = UnixStream::pair().unwrap();
        send(&here, b"/dev/pts/7", &right.into()).unwrap();
        let mut received = std::fs::File::from(crate::console::receive(&there).unwrap());
        received.write_all(b"x").unwrap();
        drop(received);
        let mut text = String::new();
        left.read_to_string(&mut text).unwrap();
        assert_eq!(text, "x");
    }
}
