//! Programs as processes.

use std::io::{self, Read, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread::JoinHandle;
use std::time::Duration;

use super::{CommandError, CommandLine, Input, MAX_OUTPUT, MAX_STDERR, Programs, limited};
use crate::fs::Stoppable;

/// Starts processes.
#[derive(Debug, Clone, Default)]
pub struct HostPrograms {
    stop: Arc<AtomicBool>,
    limit: Option<Duration>,
}

impl HostPrograms {
    /// Once `stop` is set, no output is read any more from programs that [`Programs::read`] has started: they may be
    /// silent for as long as they like. Programs still run, as what cleans up must.
    pub fn new(stop: Arc<AtomicBool>) -> Self {
        Self { stop, limit: None }
    }

    /// What [`Programs::run`] starts has no variables but `LC_ALL=C` and starts no thread here, and is killed when it takes
    /// longer than this.
    pub fn within(limit: Duration) -> Self {
        Self { limit: Some(limit), ..Self::default() }
    }
}

impl Programs for HostPrograms {
    fn run(&self, line: &CommandLine) -> Result<Vec<u8>, CommandError> {
        if let Some(limit) = self.limit {
            return limited::run(line, limit);
        }
        Running::start(line, Stdio::null(), Stdio::piped())?.printed()
    }

    fn ask(&self, line: &CommandLine, input: &[u8]) -> Result<Vec<u8>, CommandError> {
        let mut running = Running::start(line, Stdio::piped(), Stdio::piped())?;
        if let Some(mut stdin) = running.child.stdin.take() {
            // Who does not listen says why by how it ends.
            let _ = stdin.write_all(input);
        }
        running.printed()
    }

    fn read(&self, line: &CommandLine) -> Result<Box<dyn Read + Send>, CommandError> {
        let mut running = Running::start(line, Stdio::null(), Stdio::piped())?;
        let stdout = running.child.stdout.take().map(|stdout| Stoppable::new(stdout, Arc::clone(&self.stop)));
        Ok(Box::new(Output { stdout, running }))
    }

    fn write(&self, line: &CommandLine) -> Result<Box<dyn Input>, CommandError> {
        let mut running = Running::start(line, Stdio::piped(), Stdio::null())?;
        let stdin = running.child.stdin.take();
        Ok(Box::new(Fed { stdin, running }))
    }
}

/// A process that is killed when it is dropped before its end.
struct Running {
    child: Child,
    line: CommandLine,
    /// Drains standard error, so that the process never waits for that; its last bytes.
    stderr: Option<JoinHandle<Vec<u8>>>,
    /// How it ended.
    ended: Option<Result<(), CommandError>>,
}

impl Running {
    fn start(line: &CommandLine, stdin: Stdio, stdout: Stdio) -> Result<Self, CommandError> {
        let mut command = Command::new(&line.program);
        command.args(&line.args).stdin(stdin).stdout(stdout).stderr(Stdio::piped());
        // Messages are looked at. A group of its own: the keys that end us must not end what cleans up, and with the
        // process goes whatever it has started.
        command.env("LC_ALL", "C").process_group(0);
        let mut child = command.spawn().map_err(|e| CommandError::start(line, e))?;
        let stderr = child.stderr.take().map(|stderr| std::thread::spawn(|| last_bytes(stderr)));
        Ok(Self { child, line: line.clone(), stderr, ended: None })
    }

    /// All that it prints to its end, which must be a good one.
    fn printed(mut self) -> Result<Vec<u8>, CommandError> {
        let mut printed = Vec::new();
        if let Some(stdout) = self.child.stdout.take() {
            let read = stdout.take(MAX_OUTPUT + 1).read_to_end(&mut printed);
            read.map_err(|e| CommandError::start(&self.line, e))?;
        }
        if printed.len() as u64 > MAX_OUTPUT {
            return Err(CommandError::TooMuch { line: self.line.clone(), limit: MAX_OUTPUT });
        }
        self.wait()?;
        Ok(printed)
    }

    /// Waits for the end; a failure stays one, however often it is asked for.
    fn wait(&mut self) -> Result<(), CommandError> {
        if let Some(ended) = &self.ended {
            return ended.clone();
        }
        let status = self.child.wait().map_err(|e| CommandError::start(&self.line, e))?;
        let said = self.stderr.take().and_then(|thread| thread.join().ok()).unwrap_or_default();
        let ended =
            if status.success() { Ok(()) } else { Err(CommandError::failed(&self.line, status, &said)) };
        self.ended.insert(ended).clone()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.ended.is_some() {
            return;
        }
        give_up(&mut self.child);
    }
}

/// Kills a process, that has not been waited for and leads a group, and whatever it has started.
pub(super) fn give_up(child: &mut Child) {
    // It is being given up because of another error, which is the one to be told.
    if let Some(pid) = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw) {
        let _ = rustix::process::kill_process_group(pid, rustix::process::Signal::KILL);
    }
    let _ = child.kill();
    let _ = child.wait();
}

/// Reads to the end and keeps the last [`MAX_STDERR`] bytes.
fn last_bytes(mut from: impl Read) -> Vec<u8> {
    let (mut kept, mut buf) = (Vec::new(), [0; 4096]);
    loop {
        match from.read(&mut buf) {
            Ok(0) => return kept,
            Ok(n) => {
                kept.extend_from_slice(&buf[..n]);
                let over = kept.len().saturating_sub(MAX_STDERR);
                kept.drain(..over);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return kept,
        }
    }
}

/// Standard output of a process.
struct Output {
    stdout: Option<Stoppable<ChildStdout>>,
    running: Running,
}

impl Read for Output {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if let Some(stdout) = &mut self.stdout {
            let n = stdout.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            self.stdout = None;
        }
        self.running.wait().map(|()| 0).map_err(CommandError::into_io)
    }
}

/// Standard input of a process.
struct Fed {
    stdin: Option<ChildStdin>,
    running: Running,
}

impl Fed {
    /// A closed pipe is the end of the process, which says why.
    fn explain(&mut self, error: io::Error) -> io::Error {
        if error.kind() != io::ErrorKind::BrokenPipe {
            return error;
        }
        self.stdin = None;
        match self.running.wait() {
            Err(e) => e.into_io(),
            Ok(()) => error,
        }
    }
}

impl Write for Fed {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let Some(stdin) = &mut self.stdin else { return Err(io::ErrorKind::BrokenPipe.into()) };
        let written = stdin.write(buf);
        written.map_err(|e| self.explain(e))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Input for Fed {
    fn finish(mut self: Box<Self>) -> Result<(), CommandError> {
        self.stdin = None;
        self.running.wait()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sh(script: &str) -> CommandLine {
        CommandLine::new("sh", &["-c", script])
    }

    #[test]
    fn output_comes_back_and_failures_say_why() {
        let host = HostPrograms::default();
        assert_eq!(host.run(&sh("echo $LC_ALL; cat")).unwrap(), b"C\n");
        let failed = host.run(&sh("echo out; echo why >&2; echo so >&2; exit 3")).unwrap_err();
        assert_eq!(
            failed.to_string(),
            "`sh -c echo out; echo why >&2; echo so >&2; exit 3` failed (exit status: 3): why; so"
        );
        let missing = host.run(&CommandLine::new("no-such-program-of-aurora", &[])).unwrap_err();
        assert!(missing.is_missing_program() && !failed.is_missing_program(), "{missing}");
        let much = host.run(&sh("yes")).unwrap_err();
        assert!(matches!(much, CommandError::TooMuch { limit: MAX_OUTPUT, .. }), "{much}");
        let CommandError::Failed { stderr, .. } = host
            .run(&sh("i=0; while [ $i -lt 3000 ]; do echo line$i >&2; i=$((i+1)); done; exit 1"))
            .unwrap_err()
        else {
            panic!("it fails")
        };
        assert!(stderr.len() <= 2 * MAX_STDERR && stderr.ends_with("line2999") && !stderr.contains("line9;"));
    }

    #[test]
    fn a_stream_ends_well_only_where_its_program_did() {
        let read = |script: &str| {
            let mut got = Vec::new();
            let done = HostPrograms::default().read(&sh(script)).unwrap().read_to_end(&mut got);
            (got, done.map_err(|e| e.to_string()))
        };
        assert_eq!(read("printf abc"), (b"abc".to_vec(), Ok(3)));
        let (got, done) = read("printf abc; echo broken >&2; exit 1");
        assert_eq!(got, b"abc");
        assert!(done.unwrap_err().ends_with("failed (exit status: 1): broken"));
        let (_, done) = read("kill -9 $$");
        assert!(done.unwrap_err().contains("signal: 9"));
    }

    #[test]
    fn what_is_written_to_may_refuse() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("got");
        let mut input = HostPrograms::default().write(&sh(&format!("cat > {}", path.display()))).unwrap();
        input.write_all(b"abc").unwrap();
        input.finish().unwrap();
        assert_eq!(std::fs::read(path).unwrap(), b"abc");

        let mut input = HostPrograms::default().write(&sh("exec <&-; echo full >&2; exit 2")).unwrap();
        let error = loop {
            if let Err(e) = input.write_all(&[0; 1 << 16]) {
                break e;
            }
        };
        assert!(error.to_string().ends_with(": full"), "{error}");
        let late = HostPrograms::default().write(&sh("cat >/dev/null; echo late >&2; exit 1")).unwrap();
        assert!(late.finish().unwrap_err().says("late"));
    }

    #[test]
    fn given_up_it_is_killed_with_all_it_started() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("pid");
        let script = format!("sleep 1000 & echo $! > {}; echo go; wait", path.display());
        let mut reader = HostPrograms::default().read(&sh(&script)).unwrap();
        let mut go = [0; 3];
        reader.read_exact(&mut go).unwrap();
        let pid: i32 = std::fs::read_to_string(&path).unwrap().trim().parse().unwrap();
        drop(reader);
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        // Killed, but its death is told to the system's first process, which takes its time.
        let is_dead = || match std::fs::read_to_string(format!("/proc/{}/stat", pid.as_raw_nonzero())) {
            Ok(stat) => stat.rsplit(") ").next().is_some_and(|rest| rest.starts_with(['Z', 'X'])),
            Err(_) => rustix::process::test_kill_process(pid).is_err(),
        };
        while !is_dead() {
            std::thread::yield_now();
        }
    }
}
