//! One process more: a podinit of its own runs it in the zone, started by zlogin, told by a document in the control
//! directory, so that nothing has to be quoted for a shell, and telling in a folder of the run directory whether it began and
//! how it ended, so that zlogin's own failures are no program's.

use std::hash::{BuildHasher, Hasher, RandomState};
use std::io;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::time::Instant;

use aurora_engine::fs::replace_private_file;
use aurora_zones::exec_document;
use oci_spec::runtime::Process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};

use super::commands::{Commands, LIMIT, PODINIT, in_zone};
use super::control::{FOLDER, INSIDE, INSIDE_RO, RunDir};
use super::monitor::{die, killed};
use super::plan::{self, Ours};
use super::stdio::say;
use super::sys;
use crate::backend::{Handle, own_program};
use crate::console::Signals;
use crate::state::ProcessId;
use crate::{Error, Result, Signal};

/// Its command.
const COMMAND: &str = "zone-exec";
/// Between two looks at whether it has begun.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 10_000_000 };
/// As callers of exec know failures that are not the program's.
const FAILED: i32 = 255;

fn failed(e: io::Error) -> Error {
    Error::io("exec in the zone", e)
}

/// Starts a process and waits until it has begun, or could not.
pub(super) fn start(at: &Handle<'_>, ours: &Ours, process: &Process) -> Result<ProcessId> {
    // Of the caller's number it would come again while the process lives, and the zone's root could be there first.
    let place = Place::new(at.dir, &format!("exec-{:016x}", RandomState::new().build_hasher().finish()));
    let document = exec_document(process, ours.is_lx, &format!("{INSIDE}/{}", place.name))?;
    place.run_dir.make().map_err(failed)?;
    replace_private_file(&place.document, document.to_string().as_bytes()).map_err(failed)?;
    sys::close_on_exec().map_err(failed)?;
    let mut child = Command::new(own_program())
        .arg(COMMAND)
        .args([at.dir.as_os_str(), place.name.as_ref()])
        .env_clear()
        .current_dir("/")
        .spawn()
        .map_err(failed)?;
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
pub(super) fn run(dir: &Path, name: &str) -> Result<i32> {
    rustix::process::setsid().map_err(|e| failed(e.into()))?;
    let signals = Signals::watch().map_err(failed)?;
    let Some(ours) = plan::of_container(dir)? else { return Ok(FAILED) };
    let host = Commands::new();
    let place = Place::new(dir, name);
    let document = format!("{INSIDE_RO}/{name}.json");
    let line = in_zone(ours.zone(), &[PODINIT, "--config", &document]);
    let mut zlogin = Command::new(&line.program);
    let mut zlogin = zlogin.args(&line.args).env_clear().env("LC_ALL", "C").spawn().map_err(failed)?;
    let mut attended = Attended { host: &host, zone: ours.zone(), place: &place, has_begun: false };
    let ended = attended.until_end(&mut zlogin, &signals).and_then(|()| place.run_dir.exit());
    let reported = match &ended {
        Ok(Some(exit)) if !attended.has_begun => place.report(exit.error.clone()),
        Err(e) if !attended.has_begun => place.report(Some(e.to_string())),
        _ => Ok(()),
    };
    // Whatever has failed, nothing of it is left.
    place.remove()?;
    reported?;
    let exit = match ended? {
        Some(exit) => exit,
        // Its zone was halted.
        None if attended.has_begun => killed(Signal::KILL),
        // zlogin has failed, and said why.
        None => return Ok(FAILED),
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
    /// Whether that was reported.
    has_begun: bool,
}

impl Attended<'_> {
    /// Waits for the end of its zlogin; sends signals on meanwhile.
    fn until_end(&mut self, zlogin: &mut Child, signals: &Signals) -> Result<()> {
        let begun = Instant::now();
        while zlogin.try_wait().map_err(failed)?.is_none() {
            if !self.has_begun && begun.elapsed() > LIMIT {
                // Whoever has called holds the container's lock meanwhile.
                zlogin.kill().and_then(|()| zlogin.wait()).map_err(failed)?;
                return Err(failed(io::ErrorKind::TimedOut.into()));
            }
            if !self.has_begun && self.place.run_dir.is_ready() {
                self.has_begun = true;
                self.place.report(None)?;
            }
            for signal in signals.came() {
                self.forward(Signal::from(signal));
            }
            match poll(&mut [PollFd::from_borrowed_fd(signals.as_fd(), PollFlags::IN)], Some(&LOOK)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(e) => return Err(failed(e.into())),
            }
            signals.drain();
        }
        Ok(())
    }

    fn forward(&self, signal: Signal) {
        let socket = format!("{INSIDE}/{}/podinit.sock", self.place.name);
        if let Err(e) = self.host.signal(self.zone, Some(&socket), &signal.to_string()) {
            say(&format!("signal {signal}: {e}"));
        }
    }
}
