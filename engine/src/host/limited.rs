//! A program that has to end in time, run without a thread: what manages the host may hang on it, and its daemons may hold
//! the ends of our pipes for as long as they live.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, poll};
use rustix::fs::Timespec;
use rustix::io::Errno;

use super::process::give_up;
use super::{CommandError, CommandLine, MAX_OUTPUT, MAX_STDERR};

/// Between two looks at a program that says nothing.
const TICK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };

/// Runs it to its end; what it printed.
pub(super) fn run(line: &CommandLine, limit: Duration) -> Result<Vec<u8>, CommandError> {
    let failed = |e| CommandError::start(line, e);
    let mut command = Command::new(&line.program);
    command.args(&line.args).stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
    command.env_clear().env("LC_ALL", "C").process_group(0);
    let mut child = command.spawn().map_err(failed)?;
    let done = attend(&mut child, line, limit);
    // Where it has ended already there is nothing to kill.
    if done.is_err() && matches!(child.try_wait(), Ok(None)) {
        give_up(&mut child);
    }
    done
}

fn attend(child: &mut Child, line: &CommandLine, limit: Duration) -> Result<Vec<u8>, CommandError> {
    let failed = |e: io::Error| CommandError::start(line, e);
    let begun = Instant::now();
    let mut stdout = Pipe::new(child.stdout.take()).map_err(failed)?;
    let mut stderr = Pipe::new(child.stderr.take()).map_err(failed)?;
    loop {
        // Asked first: what it has printed before its end is in the pipes then.
        let ended = child.try_wait().map_err(failed)?;
        stdout.read().map_err(failed)?;
        stderr.read().map_err(failed)?;
        if stdout.bytes.len() as u64 > MAX_OUTPUT {
            return Err(CommandError::TooMuch { line: line.clone(), limit: MAX_OUTPUT });
        }
        let over = stderr.bytes.len().saturating_sub(MAX_STDERR);
        stderr.bytes.drain(..over);
        match ended {
            Some(status) if status.success() => return Ok(stdout.bytes),
            Some(status) => return Err(CommandError::failed(line, status, &stderr.bytes)),
            None if begun.elapsed() >= limit => {
                return Err(CommandError::TooLong { line: line.clone(), seconds: limit.as_secs() });
            }
            None => wait([&stdout, &stderr]).map_err(failed)?,
        }
    }
}

/// One end of a pipe to a program, read without waiting.
struct Pipe<R> {
    from: Option<R>,
    bytes: Vec<u8>,
}

impl<R: Read + AsFd> Pipe<R> {
    fn new(from: Option<R>) -> io::Result<Self> {
        if let Some(from) = &from {
            rustix::io::ioctl_fionbio(from, true)?;
        }
        Ok(Self { from, bytes: Vec::new() })
    }

    /// What is there, up to a little more than is believed.
    fn read(&mut self) -> io::Result<()> {
        let mut buffer = [0; 8192];
        while let Some(from) = &mut self.from {
            if self.bytes.len() as u64 > MAX_OUTPUT {
                return Ok(());
            }
            match from.read(&mut buffer) {
                Ok(0) => self.from = None,
                Ok(n) => self.bytes.extend_from_slice(&buffer[..n]),
                Err(e) if e.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(())
    }
}

trait Watched {
    fn fd(&self) -> Option<PollFd<'_>>;
}

impl<R: AsFd> Watched for Pipe<R> {
    fn fd(&self) -> Option<PollFd<'_>> {
        self.from.as_ref().map(|from| PollFd::from_borrowed_fd(from.as_fd(), PollFlags::IN))
    }
}

/// Until it says something or closes an end, or for a moment.
fn wait(pipes: [&dyn Watched; 2]) -> io::Result<()> {
    let mut fds: Vec<PollFd<'_>> = pipes.into_iter().filter_map(Watched::fd).collect();
    match poll(&mut fds, Some(&TICK)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::host::{HostPrograms, Programs};

    fn sh(script: &str) -> CommandLine {
        CommandLine::new("/bin/sh", &["-c", script])
    }

    const SECONDS: Duration = Duration::from_secs(60);

    #[test]
    fn output_comes_back_and_failures_say_why() {
        let host = HostPrograms::within(SECONDS);
        assert_eq!(host.run(&sh("echo $LC_ALL; echo $HOME; cat")).unwrap(), b"C\n\n");
        let failed = host.run(&sh("echo out; echo why >&2; echo so >&2; exit 3")).unwrap_err().to_string();
        assert!(failed.ends_with("failed (exit status: 3): why; so"), "{failed}");
        assert!(host.run(&CommandLine::new("/nonexistent/x", &[])).unwrap_err().is_missing_program());
        let much = host.run(&sh("yes")).unwrap_err();
        assert!(matches!(much, CommandError::TooMuch { .. }), "{much}");
    }

    #[test]
    fn what_does_not_end_is_killed_and_what_it_leaves_behind_is_not_waited_for() {
        let e = run(&sh("sleep 1000"), Duration::from_millis(50)).unwrap_err().to_string();
        assert_eq!(e, "`/bin/sh -c sleep 1000` did not end within 0 s");
        // A daemon that keeps the pipes; it is told to end by a file.
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("end");
        let script = format!("(while ! [ -e {} ]; do sleep 0.05; done) & echo ready", mark.display());
        assert_eq!(run(&sh(&script), SECONDS).unwrap(), b"ready\n");
        std::fs::write(mark, "").unwrap();
    }
}
