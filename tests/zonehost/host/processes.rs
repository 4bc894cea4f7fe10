//! Processes: those of zones, and the programs of Linux that do what only they can.

use std::fs;
use std::io;
use std::process::{Command, Stdio};
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde::{Deserialize, Serialize};

use super::failure::{Failure, Result};

/// How often something is looked at that will be so soon.
pub(crate) const MOMENT: Duration = Duration::from_millis(10);
/// After so many moments it will not: a minute.
const MOMENTS: u32 = 6000;

/// A process of this machine: numbers are used again, start times are not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Process {
    pub(crate) pid: i32,
    start: u64,
}

impl Process {
    /// One that runs now.
    pub(crate) fn of(pid: i32) -> Option<Self> {
        let (_, start) = stat(pid)?;
        Some(Self { pid, start })
    }

    /// Whether it runs. One that has ended and waits for its parent does not.
    pub(crate) fn runs(self) -> bool {
        stat(self.pid).is_some_and(|(state, start)| start == self.start && state != 'Z')
    }

    /// Ends it at once; with process 1 of a pid namespace goes all that is in there.
    pub(crate) fn kill(self) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.runs()) else { return Ok(()) };
        match kill_process(pid, Signal::KILL) {
            Ok(()) | Err(rustix::io::Errno::SRCH) => Ok(()),
            Err(e) => Err(Failure::linux(&format!("kill {}", self.pid), &e.into())),
        }
    }

    /// Asks it to end.
    pub(crate) fn terminate(self) -> Result<()> {
        let Some(pid) = Pid::from_raw(self.pid).filter(|_| self.runs()) else { return Ok(()) };
        kill_process(pid, Signal::TERM).map_err(|e| Failure::linux("kill", &e.into()))
    }

    /// Waits until it has ended.
    pub(crate) fn wait(self) -> Result<()> {
        let gone = until(|| !self.runs());
        if gone {
            Ok(())
        } else {
            Err(Failure::error(format!("zonehost: process {} does not end", self.pid)))
        }
    }
}

/// State and start time: proc_pid_stat(5), fields 3 and 22, behind the name, which may hold anything.
fn stat(pid: i32) -> Option<(char, u64)> {
    let text = fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    let fields: Vec<&str> = text.rsplit_once(") ")?.1.split(' ').collect();
    Some((fields.first()?.chars().next()?, fields.get(19)?.parse().ok()?))
}

/// Waits for something; whether it came.
pub(crate) fn until(mut what: impl FnMut() -> bool) -> bool {
    for _ in 0..MOMENTS {
        if what() {
            return true;
        }
        thread::sleep(MOMENT);
    }
    false
}

/// Runs a program of this machine to its end, with nothing on standard input.
pub(crate) fn run(program: &str, args: &[&str]) -> Result<()> {
    let done = Command::new(program)
        .args(args)
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .output()
        .map_err(|e| Failure::linux(program, &e))?;
    if done.status.success() {
        return Ok(());
    }
    let said = String::from_utf8_lossy(&done.stderr);
    Err(Failure::error(format!("zonehost: {program} {}: {}: {}", args.join(" "), done.status, said.trim())))
}

/// Processes whose root directory is one of these folders, or below: what is left of zones.
pub(crate) fn below(roots: &[String]) -> io::Result<Vec<(i32, String)>> {
    let mut found = Vec::new();
    for entry in fs::read_dir("/proc")? {
        let name = entry?.file_name();
        let Some(pid) = name.to_str().and_then(|name| name.parse::<i32>().ok()) else { continue };
        // It may have ended meanwhile; one that has ended has no root.
        let Ok(root) = fs::read_link(format!("/proc/{pid}/root")) else { continue };
        if roots.iter().any(|zone| root.starts_with(zone)) {
            let args = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            let words: Vec<_> = args.split(|b| *b == 0).map(String::from_utf8_lossy).collect();
            found.push((pid, words.join(" ").trim_end().to_owned()));
        }
    }
    found.sort();
    Ok(found)
}
