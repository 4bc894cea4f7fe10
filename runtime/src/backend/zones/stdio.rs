//! Bytes between a monitor's standard streams and the pipes of a zone.
//!
//! Both ends of each pipe are held until podinit has taken its own: it is not held up then, and nothing is lost that comes
//! before. From then on the pipes end as the zone's processes end them.
//!
//! Nothing here waits for one stream alone: what can't be written yet is kept, and no more is read until it is.

use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;

use super::control::PIPES;

/// What is moved at a time: what a pipe holds.
const BUFFER: usize = 64 << 10;
/// What can be written to a pipe that is ready without waiting (PIPE_BUF is as much on Linux, and more on illumos). The caller's
/// streams are not made non-blocking: others have them, too.
const CHUNK: usize = 4 << 10;
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };

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
            output: Output::new(output),
            error: Output::new(error),
            held,
        })
    }

    /// podinit has its ends.
    pub(super) fn taken(&mut self) {
        self.held.clear();
    }

    /// Whether all that the zone's processes wrote has arrived, and none of them is there to write more.
    pub(super) fn has_ended(&self) -> bool {
        self.output.has_ended() && self.error.has_ended()
    }

    /// Waits for something to move, or for `other`, or for a time; moves some of it.
    pub(super) fn serve(&mut self, other: BorrowedFd<'_>, limit: &Timespec) -> io::Result<()> {
        let (stdin, stdout, stderr) =
            (rustix::stdio::stdin(), rustix::stdio::stdout(), rustix::stdio::stderr());
        let mut fds = vec![PollFd::from_borrowed_fd(other, PollFlags::IN)];
        fds.extend(self.output.waits_for(stdout));
        fds.extend(self.error.waits_for(stderr));
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
        for (output, to, name) in [(&mut self.output, stdout, "output"), (&mut self.error, stderr, "error")] {
            if let Err(e) = output.copy(to) {
                // The zone's processes are to find out by themselves that nobody reads.
                output.close();
                say(&format!("standard {name}: {e}"));
            }
        }
        if is_input {
            self.input.read(stdin);
        }
        // Its end is not the end of the program's input before that has begun: what is in the pipe would be lost.
        self.input.write(self.held.is_empty());
        Ok(())
    }
}

/// To the caller, who has asked nothing: whoever does not read is not waited for.
pub(super) fn say(text: &str) {
    if is_ready(rustix::stdio::stderr()) {
        // Where it can't be written, nobody is left to be told.
        let _ = writeln!(io::stderr(), "runz: {text}");
    }
}

/// Whether something can be written, be it an error.
fn is_ready(to: BorrowedFd<'_>) -> bool {
    poll(&mut [PollFd::from_borrowed_fd(to, PollFlags::OUT)], Some(&AT_ONCE)).is_ok_and(|ready| ready > 0)
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

/// From the zone to here.
struct Output {
    /// None when that has ended.
    from: Option<OwnedFd>,
    /// Read, and not yet written from `written` on.
    bytes: Vec<u8>,
    written: usize,
}

impl Output {
    fn new(from: OwnedFd) -> Self {
        Self { from: Some(from), bytes: Vec::new(), written: 0 }
    }

    fn has_ended(&self) -> bool {
        self.from.is_none() && self.bytes.is_empty()
    }

    fn close(&mut self) {
        (self.from, self.written) = (None, 0);
        self.bytes.clear();
    }

    fn waits_for<'a>(&'a self, to: BorrowedFd<'a>) -> Option<PollFd<'a>> {
        if self.bytes.is_empty() {
            self.from.as_ref().map(|from| PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN))
        } else {
            Some(PollFd::from_borrowed_fd(to, PollFlags::OUT))
        }
    }

    /// Moves as much as is read at a time, and can be written now.
    fn copy(&mut self, to: BorrowedFd<'_>) -> io::Result<()> {
        if self.bytes.is_empty()
            && let Some(from) = &self.from
        {
            self.bytes.resize(BUFFER, 0);
            let read = rustix::io::read(from, &mut self.bytes);
            self.bytes.truncate(*read.as_ref().unwrap_or(&0));
            match read {
                Ok(0) => self.from = None,
                Ok(_) | Err(Errno::AGAIN | Errno::INTR) => {}
                Err(e) => return Err(e.into()),
            }
        }
        while self.written < self.bytes.len() && is_ready(to) {
            let end = self.bytes.len().min(self.written + CHUNK);
            match rustix::io::write(to, &self.bytes[self.written..end]) {
                Ok(n) => self.written += n,
                Err(Errno::AGAIN | Errno::INTR) => return Ok(()),
                // Nobody reads any more.
                Err(Errno::PIPE | Errno::IO | Errno::BADF) => self.close(),
                Err(e) => return Err(e.into()),
            }
        }
        if self.written == self.bytes.len() {
            self.bytes.clear();
            self.written = 0;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::Read;

    fn pipe() -> (File, File) {
        let (from, to) = io::pipe().unwrap();
        (File::from(OwnedFd::from(from)), File::from(OwnedFd::from(to)))
    }

    fn output() -> (Output, File) {
        let (from, to) = pipe();
        rustix::io::ioctl_fionbio(&from, true).unwrap();
        (Output::new(from.into()), to)
    }

    #[test]
    fn what_nobody_reads_yet_is_kept_and_waited_for_by_nobody() {
        let (mut output, mut zone) = output();
        let (mut reader, caller) = pipe();
        // More than the caller's pipe holds: a write of all of it would never return here.
        let all: Vec<u8> = (0..4 * BUFFER).map(|n| (n / 7) as u8).collect();
        let (mut sent, mut got) = (0, Vec::new());
        rustix::io::ioctl_fionbio(&zone, true).unwrap();
        while sent < all.len() {
            match zone.write(&all[sent..]) {
                Ok(n) => sent += n,
                Err(e) => {
                    assert_eq!(e.kind(), io::ErrorKind::WouldBlock);
                    let before = output.bytes.len();
                    output.copy(caller.as_fd()).unwrap();
                    // It takes no more than there is room for.
                    if before > 0 && output.bytes.len() == before {
                        let mut part = vec![0; BUFFER];
                        let n = reader.read(&mut part).unwrap();
                        got.extend_from_slice(&part[..n]);
                    }
                }
            }
        }
        drop(zone);
        while !output.has_ended() {
            output.copy(caller.as_fd()).unwrap();
            if !is_ready(caller.as_fd()) {
                let mut part = vec![0; BUFFER];
                let n = reader.read(&mut part).unwrap();
                got.extend_from_slice(&part[..n]);
            }
        }
        drop(caller);
        reader.read_to_end(&mut got).unwrap();
        assert!(got == all);
    }

    #[test]
    fn readers_that_go_end_a_stream_and_other_failures_are_told() {
        let (mut output, mut zone) = self::output();
        let (reader, caller) = pipe();
        drop(reader);
        zone.write_all(b"x").unwrap();
        output.copy(caller.as_fd()).unwrap();
        assert!(output.has_ended());
        #[cfg(target_os = "linux")]
        {
            let (mut output, mut zone) = self::output();
            let full = File::options().write(true).open("/dev/full").unwrap();
            zone.write_all(b"x").unwrap();
            assert_eq!(output.copy(full.as_fd()).unwrap_err().kind(), io::ErrorKind::StorageFull);
            output.close();
            assert!(output.has_ended());
        }
    }
}
