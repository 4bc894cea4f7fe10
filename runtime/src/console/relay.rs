//! What goes between the caller and a container's terminal until a process has ended. Nothing is waited for but everything
//! at once: neither who does not read nor who does not write holds up signals, the other direction, or the end.

use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::{FileType, Mode, OFlags, Stat, Timespec, major, minor};
use rustix::io::Errno;
use rustix::process::{Pid, Signal, WaitOptions, WaitStatus, kill_process, waitpid};
use rustix::termios::{OutputModes, tcgetattr, tcgetwinsize, tcsetwinsize};

use super::signals::Signals;

/// What is held in each direction; what comes beyond it waits where it is.
const BUFFER: usize = 16 << 10;
/// What is written at a time to what cannot be told not to wait: less than any of them takes when it takes something.
const SMALL: usize = 128;
/// The same of terminals that change what is written: those of Linux look for room at each byte, and say that there is
/// none as soon as the last piece of it is begun.
const ONE: usize = 1;
/// When a terminal that nobody holds is looked at again: somebody inside may open it. There is nothing to wait for.
const AGAIN: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
const AT_ONCE: Timespec = Timespec { tv_sec: 0, tv_nsec: 0 };
/// Added to the number of the signal that has ended a process.
const BY_SIGNAL: i32 = 128;

/// Moves bytes and signals until the process has ended and all that it wrote has arrived. Its exit status, or 128 and the
/// signal.
pub(super) fn serve(pid: Pid, mut relay: Option<Relay<'_>>, signals: &Signals) -> io::Result<i32> {
    let mut code = None;
    if let Some(relay) = &relay {
        relay.resize();
    }
    loop {
        for signal in signals.came() {
            match (signal, &relay, code) {
                (Signal::WINCH, Some(relay), _) => relay.resize(),
                // Only the rest of its output is waited for, and whoever is to read that does not.
                (Signal::HUP | Signal::INT | Signal::QUIT | Signal::TERM, _, Some(code)) => return Ok(code),
                (_, _, Some(_)) => {}
                (signal, _, None) => match kill_process(pid, signal) {
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
        let mut done = true;
        if let Some(relay) = &mut relay {
            relay.step()?;
            done = relay.is_dry();
        }
        match code {
            Some(code) if done => return Ok(code),
            _ => wait(relay.as_mut(), signals, code.is_some())?,
        }
        signals.drain();
    }
}

/// Until something can be done.
fn wait(relay: Option<&mut Relay<'_>>, signals: &Signals, ended: bool) -> io::Result<()> {
    let mut fds = vec![PollFd::new(signals, PollFlags::IN)];
    let Some(relay) = relay else { return poll_all(&mut fds, None) };
    let (timeout, stdin) = relay.wants(ended, &mut fds);
    poll_all(&mut fds, timeout.as_ref())?;
    let typed = stdin.is_some_and(|at| !fds[at].revents().is_empty());
    drop(fds);
    relay.typed = typed;
    Ok(())
}

fn poll_all(fds: &mut [PollFd<'_>], timeout: Option<&Timespec>) -> io::Result<()> {
    match poll(fds, timeout) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

/// A container's terminal and the caller's files.
pub(super) struct Relay<'a> {
    /// Its side that we hold. `None` when nobody is there any more to read what it says.
    master: Option<OwnedFd>,
    stdin: BorrowedFd<'a>,
    stdout: Output<'a>,
    input: Buffer,
    output: Buffer,
    /// There is something on standard input, which cannot be asked without waiting.
    typed: bool,
    /// There may come more on it.
    reading: bool,
    /// When it was read last, the terminal had nothing to say.
    silent: bool,
    /// Nobody holds its other side just now.
    left: bool,
}

impl<'a> Relay<'a> {
    pub(super) fn new(master: OwnedFd, stdin: BorrowedFd<'a>, stdout: BorrowedFd<'a>) -> io::Result<Self> {
        // It was sent to us alone, so the flag is nobody else's.
        rustix::io::ioctl_fionbio(&master, true)?;
        Ok(Self {
            master: Some(master),
            stdin,
            stdout: Output::new(stdout),
            input: Buffer::default(),
            output: Buffer::default(),
            typed: false,
            reading: true,
            silent: false,
            left: false,
        })
    }

    /// Moves what can be moved now, a buffer at most in each direction.
    fn step(&mut self) -> io::Result<()> {
        let Some(master) = &self.master else { return Ok(()) };
        if self.output.is_empty() {
            let got = self.output.fill(master.as_fd())?;
            self.silent = got != Got::Some;
            self.left = got == Got::End;
        }
        if !self.stdout.drain(&mut self.output)? {
            // Without a terminal, the process is told by a signal, or by an error when it writes.
            self.master = None;
            return Ok(());
        }
        if std::mem::take(&mut self.typed) && self.input.is_empty() {
            self.reading = self.input.fill(self.stdin)? != Got::End;
        }
        if !self.left {
            self.left |= !self.input.drain(master.as_fd(), BUFFER)?;
        }
        Ok(())
    }

    /// Whether all that was written on the terminal has been passed on.
    fn is_dry(&self) -> bool {
        self.master.is_none() || self.silent && self.output.is_empty()
    }

    /// What it waits for; for how long; where standard input is among it.
    fn wants<'b>(&'b self, ended: bool, fds: &mut Vec<PollFd<'b>>) -> (Option<Timespec>, Option<usize>) {
        let Some(master) = &self.master else { return (None, None) };
        if !self.output.is_empty() {
            fds.push(PollFd::from_borrowed_fd(self.stdout.fd(), PollFlags::OUT));
        } else if ended {
            return (Some(AT_ONCE), None);
        }
        let mut of_master = PollFlags::empty();
        of_master.set(PollFlags::IN, self.output.is_empty());
        of_master.set(PollFlags::OUT, !self.input.is_empty());
        // One that was left says so at once whatever it is asked.
        if !self.left && !of_master.is_empty() {
            fds.push(PollFd::new(master, of_master));
        }
        let mut stdin = None;
        if self.reading && self.input.is_empty() && !ended {
            stdin = Some(fds.len());
            fds.push(PollFd::from_borrowed_fd(self.stdin, PollFlags::IN));
        }
        (self.left.then_some(AGAIN), stdin)
    }

    /// The size of the caller's terminal, if it has one.
    fn resize(&self) {
        if let (Ok(size), Some(master)) = (tcgetwinsize(self.stdin), &self.master) {
            // A terminal that is gone needs no size.
            let _ = tcsetwinsize(master, size);
        }
    }
}

/// What came of reading.
#[derive(Debug, PartialEq, Eq)]
enum Got {
    Some,
    Nothing,
    /// And nothing will come.
    End,
}

/// Bytes on their way.
#[derive(Default)]
struct Buffer {
    bytes: Vec<u8>,
    /// Of which these have arrived.
    done: usize,
}

impl Buffer {
    fn is_empty(&self) -> bool {
        self.done == self.bytes.len()
    }

    /// Takes what is there. Only when it is empty.
    fn fill(&mut self, from: BorrowedFd<'_>) -> io::Result<Got> {
        self.bytes.resize(BUFFER, 0);
        self.done = 0;
        let read = rustix::io::read(from, &mut self.bytes);
        self.bytes.truncate(*read.as_ref().unwrap_or(&0));
        match read {
            Ok(0) => Ok(Got::End),
            Ok(_) => Ok(Got::Some),
            // A terminal whose other side nobody holds.
            Err(Errno::IO) => Ok(Got::End),
            Err(Errno::INTR | Errno::AGAIN) => Ok(Got::Nothing),
            Err(e) => Err(e.into()),
        }
    }

    /// Gives what is taken, some bytes at most; whether anyone is there to take it.
    fn drain(&mut self, to: BorrowedFd<'_>, most: usize) -> io::Result<bool> {
        let rest = &self.bytes[self.done..];
        if rest.is_empty() {
            return Ok(true);
        }
        match rustix::io::write(to, &rest[..rest.len().min(most)]) {
            Ok(n) => self.done += n,
            Err(Errno::INTR | Errno::AGAIN) => {}
            // The last: a socket whose other end was closed with something unread.
            Err(Errno::IO | Errno::PIPE | Errno::CONNRESET) => return Ok(false),
            Err(e) => return Err(e.into()),
        }
        Ok(true)
    }
}

/// The caller's standard output, written without waiting.
struct Output<'a> {
    given: BorrowedFd<'a>,
    /// The same, opened once more: that it does not wait would be so for everyone who shares the one given.
    own: Option<OwnedFd>,
    /// Writing waits where there is no room, so it is asked first.
    waits: bool,
}

/// What makes a new terminal of whoever opens it: a file of it is one side of a terminal, and opened again of another one.
const PTMX: (u32, u32) = (5, 2);

impl<'a> Output<'a> {
    fn new(given: BorrowedFd<'a>) -> Self {
        let found = rustix::fs::fstat(given).ok();
        let kind = found.as_ref().map(|found| FileType::from_raw_mode(found.st_mode));
        let again = || {
            use std::os::fd::AsRawFd;
            let flags = OFlags::WRONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
            rustix::fs::open(format!("/proc/self/fd/{}", given.as_raw_fd()), flags, Mode::empty()).ok()
        };
        let is_ptmx = |found: &Stat| (major(found.st_rdev), minor(found.st_rdev)) == PTMX;
        let own = match kind {
            Some(FileType::CharacterDevice) if !found.as_ref().is_some_and(is_ptmx) => again(),
            Some(FileType::Fifo) => again(),
            _ => None,
        };
        let waits = own.is_none() && kind != Some(FileType::RegularFile);
        Self { given, own, waits }
    }

    fn fd(&self) -> BorrowedFd<'_> {
        self.own.as_ref().map_or(self.given, AsFd::as_fd)
    }

    /// Whether writing does not wait now, be it that it fails.
    fn takes(&self) -> io::Result<bool> {
        let mut asked = [PollFd::from_borrowed_fd(self.given, PollFlags::OUT)];
        poll_all(&mut asked, Some(&AT_ONCE))?;
        Ok(!asked[0].revents().is_empty())
    }

    /// Whether it is a terminal that makes other bytes of those written. That may change at any time.
    fn changes_bytes(&self) -> bool {
        tcgetattr(self.given).is_ok_and(|modes| modes.output_modes.contains(OutputModes::OPOST))
    }

    /// Writes what it takes, or some of it; whether anyone is there to take it.
    fn drain(&self, from: &mut Buffer) -> io::Result<bool> {
        match self.waits {
            true if from.is_empty() || !self.takes()? => Ok(true),
            true => from.drain(self.fd(), if self.changes_bytes() { ONE } else { SMALL }),
            false => from.drain(self.fd(), BUFFER),
        }
    }
}

fn exit_code(status: WaitStatus) -> i32 {
    match (status.exit_status(), status.terminating_signal()) {
        (Some(code), _) => code,
        (None, Some(signal)) => BY_SIGNAL + signal,
        (None, None) => BY_SIGNAL,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs::File;
    use std::io::{Read, Write};
    use std::os::unix::net::UnixStream;
    use std::process::{Command, Stdio};

    use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};
    use rustix::termios::{OptionalActions, tcsetattr};

    /// A terminal that passes every byte on, as that of a program in full screen: its two sides.
    fn terminal() -> (OwnedFd, OwnedFd) {
        let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY).unwrap();
        rustix::io::fcntl_setfd(&master, rustix::io::FdFlags::CLOEXEC).unwrap();
        grantpt(&master).unwrap();
        unlockpt(&master).unwrap();
        let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::CLOEXEC;
        let slave = rustix::fs::open(ptsname(&master, Vec::new()).unwrap(), flags, Mode::empty()).unwrap();
        let mut raw = tcgetattr(&slave).unwrap();
        raw.make_raw();
        tcsetattr(&slave, OptionalActions::Now, &raw).unwrap();
        (master, slave)
    }

    /// Runs a script on a terminal of its own, with these files of the caller.
    #[expect(clippy::zombie_processes, reason = "it is waited for by its number")]
    fn run(script: &str, stdin: impl AsFd, stdout: impl AsFd) -> i32 {
        let (master, slave) = terminal();
        let side = || Stdio::from(slave.try_clone().unwrap());
        let mut shell = Command::new("sh");
        shell.args(["-c", script]).stdin(side()).stdout(side()).stderr(side());
        let child = shell.spawn().unwrap();
        drop((shell, slave));
        let signals = Signals::watch().unwrap();
        let relay = Relay::new(master, stdin.as_fd(), stdout.as_fd()).unwrap();
        serve(Pid::from_child(&child), Some(relay), &signals).unwrap()
    }

    fn null() -> File {
        File::open("/dev/null").unwrap()
    }

    #[test]
    fn who_reads_nothing_holds_nothing_up() {
        let mut typed = tempfile::tempfile().unwrap();
        typed.write_all(&[b'x'; 1 << 20]).unwrap();
        std::io::Seek::rewind(&mut typed).unwrap();
        let said = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(run("sleep 0.3; echo said; exit 7", &typed, &said), 7);
        assert_eq!(std::fs::read_to_string(said.path()).unwrap(), "said\n");
    }

    #[test]
    fn all_that_was_written_arrives() {
        let (mut read, write) = std::io::pipe().unwrap();
        let reader = std::thread::spawn(move || {
            // It ends long before all is read.
            std::thread::sleep(std::time::Duration::from_millis(300));
            let mut all = Vec::new();
            read.read_to_end(&mut all).map(|_| all.len()).unwrap()
        });
        assert_eq!(run("head -c 300000 /dev/zero; exit 3", null(), &write), 3);
        drop(write);
        assert_eq!(reader.join().unwrap(), 300_000);
    }

    #[test]
    fn what_is_typed_is_read_when_it_is_read() {
        let mut typed = tempfile::tempfile().unwrap();
        typed.write_all(&[b'x'; 200_000]).unwrap();
        std::io::Seek::rewind(&mut typed).unwrap();
        let said = tempfile::NamedTempFile::new().unwrap();
        assert_eq!(run("sleep 0.1; head -c 200000 | wc -c", &typed, &said), 0);
        assert_eq!(std::fs::read_to_string(said.path()).unwrap().trim(), "200000");
    }

    #[test]
    fn without_a_reader_the_terminal_is_gone() {
        let (read, write) = std::io::pipe().unwrap();
        drop(read);
        assert_eq!(run("exec cat /dev/zero", null(), &write), 1);
    }

    #[test]
    fn a_terminal_that_was_left_can_be_opened_again() {
        let said = tempfile::NamedTempFile::new().unwrap();
        let script = "t=$(tty); exec </dev/null >/dev/null 2>&1; sleep 0.3; echo again >$t; exit 4";
        assert_eq!(run(script, null(), &said), 4);
        assert_eq!(std::fs::read_to_string(said.path()).unwrap(), "again\n");
    }

    /// As much as an output takes that cannot be told not to wait. Would it wait, this would not return.
    fn filled(output: &Output<'_>) -> Buffer {
        assert!(output.waits);
        let mut buffer = Buffer { bytes: vec![b'\n'; 16 << 20], done: 0 };
        while output.takes().unwrap() {
            assert!(output.drain(&mut buffer).unwrap());
        }
        assert!(buffer.done > 0 && !buffer.is_empty());
        let done = buffer.done;
        assert!(output.drain(&mut buffer).unwrap());
        assert_eq!(buffer.done, done);
        buffer
    }

    #[test]
    fn a_socket_that_nobody_reads_is_not_waited_for() {
        let (ours, theirs) = UnixStream::pair().unwrap();
        let output = Output::new(ours.as_fd());
        let mut buffer = filled(&output);
        drop(theirs);
        assert!(!output.drain(&mut buffer).unwrap());
    }

    #[test]
    fn a_terminal_that_cannot_be_opened_again_is_not_waited_for() {
        for modes_of_output in [OutputModes::empty(), OutputModes::OPOST | OutputModes::ONLCR] {
            let (_master, slave) = terminal();
            let mut modes = tcgetattr(&slave).unwrap();
            modes.output_modes = modes_of_output;
            tcsetattr(&slave, OptionalActions::Now, &modes).unwrap();
            filled(&Output { given: slave.as_fd(), own: None, waits: true });
        }
    }

    #[test]
    fn the_other_side_of_a_terminal_stays_the_same_one() {
        let (master, slave) = terminal();
        let output = Output::new(master.as_fd());
        let mut buffer = Buffer { bytes: b"said".to_vec(), done: 0 };
        assert!(output.drain(&mut buffer).unwrap());
        let mut said = [0; 8];
        assert_eq!(rustix::io::read(&slave, &mut said).unwrap(), 4);
        filled(&output);
    }
}
