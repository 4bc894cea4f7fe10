//! A terminal for a zone's program: the zone's console, which zlogin connects with a terminal of its own, whose other end the
//! caller is sent.

use std::io;
use std::os::fd::BorrowedFd;
use std::path::Path;
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;

use super::commands::console_of;
use super::terminal::Terminal;

/// How long zlogin may take to see that its zone has halted.
pub(super) const PATIENCE: Duration = Duration::from_secs(5);

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
        let mut terminal = Terminal::open(socket)?;
        terminal.send()?;
        let line = console_of(zone);
        let zlogin = Command::new(&line.program)
            .args(&line.args)
            .env_clear()
            .env("LC_ALL", "C")
            .stdin(terminal.stream()?)
            .stdout(terminal.stream()?)
            .stderr(terminal.stream()?)
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
