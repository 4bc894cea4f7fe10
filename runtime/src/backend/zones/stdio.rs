//! Bytes between a monitor's standard streams and the pipes of a zone.
//!
//! Both ends of each pipe are held until podinit has taken its own: it is not held up then, and nothing is lost that comes
//! before. From then on the pipes end as the zone's processes end them.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::control::PIPES;

/// What is moved at a time: what a pipe holds.
const BUFFER: usize = 64 << 10;

/// The streams of a program without a terminal.
pub(super) struct Streams {
    input: Input,
    output: Output,
    error: Output,
    /// The zone's ends.
    held: Vec<OwnedFd>,
}

impl Streams {
    /// Opens the pipes of a folder.
    pub(super) fn open(folder: &Path) -> io::Result<Self> {
        let open = |name: &str, flags: OFlags| {
            let flags = flags | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
            rustix::fs::open(folder.join(name), flags, Mode::empty())
        };
        let [stdin, stdout, stderr] = PIPES;
        // Reading ends first: there is no writing end without one.
        let mut held = vec![open(stdin, OFlags::RDONLY)?];
        let to = open(stdin, OFlags::WRONLY)?;
        let (output, error) = (open(stdout, OFlags::RDONLY)?, open(stderr, OFlags::RDONLY)?);
        held.extend([open(stdout, OFlags::WRONLY)?, open(stderr, OFlags::WRONLY)?]);
        Ok(Self {
            input: Input { to: Some(to), is_open: true, bytes: Vec::new() },
            output: Output(Some(output)),
            error: Output(Some(error)),
            held,
        })
    }

    /// podinit has its ends.
    pub(super) fn taken(&mut self) {
        self.held.clear();
    }

    /// Whether all that the zone's processes wrote has arrived, and none of them is there to write more.
    pub(super) fn has_ended(&self) -> bool {
        self.output.0.is_none() && self.error.0.is_none()
    }

    /// Waits for something to move, or for `other`, or for a time; moves it.
    pub(super) fn serve(&mut self, other: BorrowedFd<'_>, limit: &Timespec) -> io::Result<()> {
        let (stdin, stdout, stderr) =
            (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        let mut fds = vec![PollFd::from_borrowed_fd(other, PollFlags::IN)];
        for output in [&self.output, &self.error] {
            fds.extend(output.0.as_ref().map(|from| PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN)));
        }
        if self.input.wants_more() {
            fds.push(PollFd::from_borrowed_fd(stdin, PollFlags::IN));
        } else if let Some(to) = self.input.to.as_ref().filter(|_| !self.input.bytes.is_empty()) {
            fds.push(PollFd::from_borrowed_fd(to.as_fd(), PollFlags::OUT));
        }
        match poll(&mut fds, Some(limit)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        let is_input = self.input.wants_more() && fds.last().is_some_and(|fd| !fd.revents().is_empty());
        drop(fds);
        self.output.copy(stdout)?;
        self.error.copy(stderr)?;
        if is_input {
            self.input.read(stdin);
        }
        // Its end is not the end of the program's input before that has begun: what is in the pipe would be lost.
        self.input.write(self.held.is_empty());
        Ok(())
    }
}

/// From here to the zone.
struct Input {
    to: Option<OwnedFd>,
    /// Whether there may be more.
    is_open: bool,
    /// Read, and not yet written.
    bytes: Vec<u8>,
}

impl Input {
    fn wants_more(&self) -> bool {
        self.is_open && self.to.is_some() && self.bytes.is_empty()
    }

    fn read(&mut self, from: BorrowedFd<'_>) {
        let mut buffer = vec![0; BUFFER];
        match rustix::io::read(from, &mut buffer) {
            Err(Errno::INTR | Errno::AGAIN) => {}
            // What can't be read has no more: it may be closed.
            Ok(0) | Err(_) => self.is_open = false,
            Ok(n) => {
                buffer.truncate(n);
                self.bytes = buffer;
            }
        }
    }

    fn write(&mut self, may_end: bool) {
        if let Some(to) = &self.to
            && !self.bytes.is_empty()
        {
            match rustix::io::write(to, &self.bytes) {
                Ok(n) => drop(self.bytes.drain(..n)),
                Err(Errno::INTR | Errno::AGAIN) => {}
                // Nobody reads any more.
                Err(_) => {
                    self.to = None;
                    self.bytes.clear();
                }
            }
        }
        if !self.is_open && self.bytes.is_empty() && may_end {
            self.to = None;
        }
    }
}

/// From the zone to here; none when it has ended.
struct Output(Option<OwnedFd>);

impl Output {
    /// Moves all that is there.
    fn copy(&mut self, to: BorrowedFd<'_>) -> io::Result<()> {
        let mut buffer = [0; BUFFER];
        while let Some(from) = &self.0 {
            match rustix::io::read(from, &mut buffer) {
                Ok(0) => self.0 = None,
                Ok(n) if write_all(to, &buffer[..n])? => {}
                // Nobody reads any more: the zone's processes are to find that out by themselves.
                Ok(_) => self.0 = None,
                Err(Errno::AGAIN) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }
}

/// Writes all, also to what takes only so much at a time. Whether there is anyone to read it.
fn write_all(to: BorrowedFd<'_>, mut bytes: &[u8]) -> io::Result<bool> {
    while !bytes.is_empty() {
        match rustix::io::write(to, bytes) {
            Ok(n) => bytes = &bytes[n..],
            Err(Errno::INTR) => {}
            Err(Errno::AGAIN) => match poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            },
            Err(Errno::PIPE | Errno::IO | Errno::BADF) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
    }
    Ok(true)
}
