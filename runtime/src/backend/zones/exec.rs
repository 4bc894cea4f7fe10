//! One process more: a podinit of its own runs it in the zone, started by zlogin, told by a document in the control
//! directory, so that nothing has to be quoted for a shell, and telling in a folder of the run directory whether it began and
//! how it ended, so that zlogin's own failures are no program's.
//!
//! A terminal of the zone is zlogin's work, which keeps it as another one that is made here: that one's other end is sent to whoever
//! has called, once the program has begun. zlogin alone moves bytes, so who does not read holds up that zlogin alone.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::{Duration, Instant};

use aurora_engine::fs::replace_private_file;
use aurora_zones::exec_document;
use oci_spec::runtime::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal as Named;
use rustix::stdio::stdin;
use rustix::termios::tcgetwinsize;
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::commands::{Commands, LIMIT, PODINIT, in_zone, in_zone_on_terminal};
use super::console::PATIENCE;
use super::control::{Exit, FOLDER, INSIDE, INSIDE_RO, RunDir};
use super::list::State;
use super::monitor::{die, killed};
use super::plan::{self, Ours};
use super::stdio::say;
use super::sys;
use super::terminal::Terminal;
use crate::backend::{Handle, Io, own_program};
use crate::console::Signals;
use crate::state::ProcessId;
use crate::{Error, Result, Signal};

/// Its command.
const COMMAND: &str = "zone-exec";
/// Between two looks at whether it has begun.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// Between two looks at the zone, each a program that is run. The end of zlogin, which mostly tells as much, wakes before.
const LOOK_AT_ZONE: Duration = Duration::from_secs(2);
const LATE: Timespec = Timespec { tv_sec: 2, tv_nsec: 0 };
/// Between two looks at what no signal tells of.
const SOON: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };
/// As callers of exec know failures that are not the program's.
const FAILED: i32 = 255;
/// Signals that end the wait for the last output, where that is all that is waited for.
const ENDING: [Named; 4] = [Named::HUP, Named::INT, Named::QUIT, Named::TERM];

fn failed(e: io::Error) -> Error {
    Error::io("exec in the zone", e)
}

/// Starts a process and waits until it has begun, or could not.
pub(super) fn start(at: &Handle<'_>, ours: &Ours, process: &Process, io: &Io) -> Result<ProcessId> {
    // Of the caller's number it would come again while the process lives, and the zone's root could be there first.
    let place = Place::new(at.dir, &format!("exec-{:016x}", RandomState::new().build_hasher().finish()));
    let document = exec_document(process, ours.is_lx, &format!("{INSIDE}/{}", place.name))?;
    let socket = io.console.as_ref().map(std::path::absolute).transpose().map_err(failed)?;
    let spawned = place.describe(&document).and_then(|()| {
        sys::close_on_exec()?;
        Command::new(own_program())
            .arg(COMMAND)
            .args([at.dir.as_os_str(), place.name.as_ref()])
            .args(socket)
            .env_clear()
            .current_dir("/")
            .spawn()
    });
    let mut child = match spawned {
        Ok(child) => child,
        Err(e) => return Err(failed(e).after(place.remove())),
    };
    match wait_begun(&mut child, &place) {
        Ok(()) => Ok(ProcessId { pid: child.id().cast_signed(), start: 0 }),
        Err(e) => {
            // It has ended, or is about to: the folder is its own.
            child.wait().map_err(failed)?;
            Err(e)
        }
    }
}

fn wait_begun(child: &mut Child, place: &Place) -> Result<()> {
    loop {
        // Asked first: what it has reported before its end is there then.
        let has_ended = has_ended(child)?;
        match place.take_report()? {
            Some(Report { error: Some(why) }) => return Err(Error::Program(why)),
            Some(Report { error: None }) => return Ok(()),
            None if has_ended => {
                return Err(failed(io::Error::other("zlogin has ended before the program began")));
            }
            None => std::thread::sleep(std::time::Duration::from_nanos(LOOK.tv_nsec.unsigned_abs())),
        }
    }
}

/// How it began, for whoever has called.
#[derive(Serialize, Deserialize)]
struct Report {
    error: Option<String>,
}

/// Whether it has ended, without taking its status from whoever waits for it.
fn has_ended(child: &Child) -> Result<bool> {
    use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
    let pid = Pid::from_raw(child.id().cast_signed()).expect("a child has a number");
    let flags = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let status = waitid(WaitId::Pid(pid), flags).map_err(|e| failed(e.into()))?;
    Ok(status.is_some())
}

/// Where a process more is described, and tells.
struct Place {
    name: String,
    run_dir: RunDir,
    document: PathBuf,
    /// Out of the zone's reach, and there until whoever has called takes it.
    report: PathBuf,
}

impl Place {
    fn new(dir: &Path, name: &str) -> Self {
        let folder = dir.join(FOLDER);
        Self {
            name: name.to_owned(),
            run_dir: RunDir::of_exec(dir, name),
            document: folder.join("ro").join(format!("{name}.json")),
            report: folder.join(name),
        }
    }

    fn describe(&self, document: &Value) -> io::Result<()> {
        self.run_dir.make()?;
        replace_private_file(&self.document, document.to_string().as_bytes())
    }

    /// Rows and columns of its terminal, where they are given.
    fn size(&self) -> Result<Option<(u16, u16)>> {
        let bytes = std::fs::read(&self.document).map_err(failed)?;
        let document: Value = serde_json::from_slice(&bytes)
            .map_err(|source| Error::Json { path: self.document.clone(), source })?;
        let size = &document["process"]["consoleSize"];
        let cells = |name: &str| size[name].as_u64().map(|n| u16::try_from(n).unwrap_or(u16::MAX));
        Ok(cells("height").zip(cells("width")))
    }

    /// Removes what the zone sees of it.
    fn remove(&self) -> Result<()> {
        // The document first: there are secrets in the environment of programs.
        match std::fs::remove_file(&self.document) {
            Err(e) if e.kind() != io::ErrorKind::NotFound => return Err(failed(e)),
            _ => {}
        }
        self.run_dir.remove().map_err(failed)
    }

    fn report(&self, error: Option<String>) -> Result<()> {
        let bytes = serde_json::to_vec(&Report { error }).expect("it has a JSON form");
        replace_private_file(&self.report, &bytes).map_err(failed)
    }

    fn take_report(&self) -> Result<Option<Report>> {
        let bytes = match std::fs::read(&self.report) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            other => other.map_err(failed)?,
        };
        std::fs::remove_file(&self.report).map_err(failed)?;
        let path = self.report.clone();
        serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Json { path, source })
    }
}

/// The process that stands for it: holds the standard streams, sends signals on, and ends as it has.
pub(super) fn run(dir: &Path, name: &str, console: Option<&Path>) -> Result<i32> {
    rustix::process::setsid().map_err(|e| failed(e.into()))?;
    let signals = Signals::watch().map_err(failed)?;
    let Some(ours) = plan::of_container(dir)? else { return Ok(FAILED) };
    let host = Commands::new();
    let place = Place::new(dir, name);
    let mut attended =
        Attended { host: &host, zone: ours.zone(), place: &place, terminal: None, has_begun: false };
    let ended = attended.whole(console, &signals);
    let reported = match &ended {
        Ok(Some(exit)) if !attended.has_begun => place.report(exit.error.clone()),
        Err(e) if !attended.has_begun => place.report(Some(e.to_string())),
        _ => Ok(()),
    };
    // Whatever has failed, nothing of it is left.
    place.remove()?;
    reported?;
    let exit = match ended {
        Ok(Some(exit)) => exit,
        // Its zone was halted.
        Ok(None) if attended.has_begun => killed(Signal::KILL),
        Err(e) if attended.has_begun => return Err(e),
        // It is said: by zlogin, or by whoever has called, who was told.
        Ok(None) | Err(_) => return Ok(FAILED),
    };
    if let Some(signal) = exit.signal() {
        die(signal);
    }
    Ok(i32::from(exit.code))
}

/// A process that is waited for.
struct Attended<'a> {
    host: &'a Commands,
    zone: &'a str,
    place: &'a Place,
    terminal: Option<Terminal>,
    /// Whether that was reported.
    has_begun: bool,
}

impl Attended<'_> {
    /// From its start to its end, which is none where it was not told.
    fn whole(&mut self, console: Option<&Path>, signals: &Signals) -> Result<Option<Exit>> {
        let document = format!("{INSIDE_RO}/{}.json", self.place.name);
        let words = [PODINIT, "--config", &document];
        self.terminal = console.map(|socket| self.open(socket)).transpose()?;
        let line = match self.terminal {
            Some(_) => in_zone_on_terminal(self.zone, &words),
            None => in_zone(self.zone, &words),
        };
        let mut zlogin = Command::new(&line.program);
        zlogin.args(&line.args).env_clear().env("LC_ALL", "C");
        if let Some(terminal) = &self.terminal {
            // What zlogin has to say itself is for whoever has called, who may never see the terminal.
            let stream = || terminal.stream().map_err(failed);
            zlogin.stdin(stream()?).stdout(stream()?);
        }
        let mut zlogin = zlogin.spawn().map_err(failed)?;
        self.until_end(&mut zlogin, signals).inspect_err(|_| {
            // That it can't be killed would be another failure of the same.
            let _ = zlogin.kill().and_then(|()| zlogin.wait());
        })
    }

    /// A terminal of the size that the process is to have, or that of the caller's.
    fn open(&self, socket: &Path) -> Result<Terminal> {
        let terminal = Terminal::open(socket).map_err(failed)?;
        let of_caller = || tcgetwinsize(stdin()).ok().map(|size| (size.ws_row, size.ws_col));
        if let Some((rows, columns)) = self.place.size()?.or_else(of_caller) {
            terminal.resize(rows, columns).map_err(failed)?;
        }
        terminal.take().map_err(failed)?;
        Ok(terminal)
    }

    /// Waits for the end of its zlogin, and of itself; sends signals on meanwhile.
    fn until_end(&mut self, zlogin: &mut Child, signals: &Signals) -> Result<Option<Exit>> {
        let begun = Instant::now();
        let (mut look_at, mut had_left) = (begun + LOOK_AT_ZONE, false);
        // Since when nothing but the last output is waited for.
        let mut ending: Option<Instant> = None;
        // How often in a row nobody has answered.
        let mut silent = 0;
        loop {
            let has_left = zlogin.try_wait().map_err(failed)?.is_some();
            // Asked afterwards: what was told before its end is there.
            if !self.has_begun && self.place.run_dir.is_ready() {
                self.begin()?;
            }
            if has_left && let Some(exit) = self.place.run_dir.exit()? {
                return Ok(Some(exit));
            }
            if !self.has_begun && has_left {
                return Ok(None);
            }
            if !self.has_begun && begun.elapsed() > LIMIT {
                // Whoever has called holds the container's lock meanwhile.
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
            if look_at <= Instant::now() || has_left != had_left {
                (look_at, had_left) = (Instant::now() + LOOK_AT_ZONE, has_left);
                let is_up = self.is_up();
                // It may go on without its zlogin, which somebody has ended, or the end of the terminal.
                if has_left {
                    silent =
                        if is_up && self.host.answers(self.zone, &self.socket()) { 0 } else { silent + 1 };
                    // Asking is a zlogin, too, which may fail by itself.
                    if !is_up || silent > 1 {
                        return self.place.run_dir.exit();
                    }
                    if silent > 0 {
                        look_at = Instant::now();
                    }
                }
                if !is_up {
                    ending.get_or_insert_with(Instant::now);
                }
            }
            if ending.is_some_and(|since| since.elapsed() > PATIENCE) {
                // Nobody reads what it has left to write.
                zlogin.kill().map_err(failed)?;
            }
            for signal in signals.came() {
                if ENDING.contains(&signal)
                    && let Some(exit) = self.place.run_dir.exit()?
                {
                    zlogin.kill().and_then(|()| zlogin.wait()).map_err(failed)?;
                    return Ok(Some(exit));
                }
                self.forward(signal);
            }
            let limit = match self.has_begun {
                true if ending.is_none() && !has_left => LATE,
                true => SOON,
                false => LOOK,
            };
            match poll(&mut [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)], Some(&limit)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(failed(e.into())),
            }
            signals.drain();
        }
    }

    /// It runs: whoever has called gets its terminal, and is told.
    fn begin(&mut self) -> Result<()> {
        if let Some(Err(e)) = self.terminal.as_mut().map(Terminal::send) {
            // Nobody would ever read it.
            self.send(Signal::KILL);
            return Err(failed(e));
        }
        self.has_begun = true;
        self.place.report(None)
    }

    /// What can't be found out is asked again.
    fn is_up(&self) -> bool {
        self.host.state(self.zone).map_or(true, |state| state.is_some_and(State::is_up))
    }

    /// Where its podinit takes requests.
    fn socket(&self) -> String {
        format!("{INSIDE}/{}/podinit.sock", self.place.name)
    }

    /// Sends a signal on, unless it hears of it by its terminal.
    fn forward(&self, signal: Named) {
        match (&self.terminal, signal) {
            (Some(_), Named::WINCH) => {}
            (Some(terminal), Named::HUP | Named::CONT) if terminal.is_left() => {}
            _ => self.send(Signal::from(signal)),
        }
    }

    fn send(&self, signal: Signal) {
        if let Err(e) = self.host.signal(self.zone, Some(&self.socket()), &signal.to_string()) {
            say(&format!("signal {signal}: {e}"));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_size_of_a_terminal() {
        let dir = tempfile::tempdir().unwrap();
        let place = Place::new(dir.path(), "exec-1");
        std::fs::create_dir_all(place.document.parent().unwrap()).unwrap();
        let size = |process: &str| {
            std::fs::write(&place.document, format!("{{\"process\":{process}}}")).unwrap();
            place.size().unwrap()
        };
        assert_eq!(size("{}"), None);
        assert_eq!(size("{\"consoleSize\":{\"height\":24}}"), None);
        assert_eq!(size("{\"consoleSize\":{\"height\":24,\"width\":80}}"), Some((24, 80)));
        assert_eq!(size("{\"consoleSize\":{\"height\":70000,\"width\":1}}"), Some((u16::MAX, 1)));
    }
}
