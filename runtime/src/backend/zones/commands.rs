//! The host's programs, asked and told: zoneadm, zonecfg, dladm, zfs, zlogin.

use std::fmt;
use std::fs::{DirBuilder, Permissions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use aurora_engine::fs::replace_private_file;
use aurora_engine::host::{CommandError, CommandLine, HostPrograms, Programs};
use aurora_zones::{Action, Plan};
use rustix::fs::{CWD, Mode, mkfifoat};

use super::list::{self, Listed, MAX_SHOWN, State, state_of};
use crate::state::remove_tree;
use crate::{Error, Result, fail};

/// A zone that boots or halts on a busy machine takes seconds; one that takes minutes hangs.
pub(super) const LIMIT: Duration = Duration::from_secs(120);
/// How long a zone may take to come down once it was halted.
const PATIENCE: Duration = Duration::from_secs(30);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(20);
const ZLOGIN: &str = "/usr/sbin/zlogin";
const ZFS: &str = "/usr/sbin/zfs";
/// Its place in a zone.
pub(super) const PODINIT: &str = "/.aurora/podinit";

/// A host of zones.
#[derive(Clone)]
pub(super) struct Commands(Arc<dyn Programs>);

impl fmt::Debug for Commands {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Commands {
    /// This one.
    pub(super) fn new() -> Self {
        Self(Arc::new(HostPrograms::within(fail::limit(LIMIT))))
    }

    /// One that tests have made up.
    #[cfg(test)]
    pub(super) fn with(programs: Arc<dyn Programs>) -> Self {
        Self(programs)
    }

    /// Does one thing of a plan.
    pub(super) fn perform(&self, action: &Action) -> Result<()> {
        let failed = |path: &str| {
            let path = path.to_owned();
            move |e: io::Error| Error::io(path, e)
        };
        match action {
            Action::Run(words) => self.run(words).map(drop),
            Action::MakeDir(path) => {
                DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(failed(path))
            }
            Action::RemoveDir(path) => remove_tree(Path::new(path)).map_err(failed(path)),
            Action::WriteFile(path, text) => {
                replace_private_file(Path::new(path), text.as_bytes()).map_err(failed(path))
            }
            Action::CopyProgram(from, to) => {
                let bytes = std::fs::read(from).map_err(failed(from))?;
                replace_private_file(Path::new(to), &bytes)
                    .and_then(|()| std::fs::set_permissions(to, Permissions::from_mode(0o755)))
                    .map_err(failed(to))
            }
            Action::MakePipe(path) => {
                let made = mkfifoat(CWD, path.as_str(), Mode::RUSR | Mode::WUSR);
                made.map_err(|e| failed(path)(e.into()))
            }
        }
    }

    /// Runs a program; what it printed.
    fn run(&self, words: &[String]) -> Result<Vec<u8>> {
        Ok(self.0.run(&command_line(words))?)
    }

    /// Runs a program that is asked something; what it was, and what it printed.
    pub(super) fn ask(&self, action: &Action) -> Result<(CommandLine, Vec<u8>)> {
        let Action::Run(words) = action else { unreachable!("a question is a program") };
        Ok((command_line(words), self.run(words)?))
    }

    /// What a zone does; none where there is no such zone.
    pub(super) fn state(&self, zone: &str) -> Result<Option<State>> {
        let (line, printed) = self.ask(&Plan::list())?;
        Ok(state_of(&printed, zone, &line)?)
    }

    /// All zones but the global one.
    pub(super) fn zones(&self) -> Result<Vec<Listed>> {
        let (line, printed) = self.ask(&Plan::list())?;
        Ok(list::all(&printed, &line)?)
    }

    /// Halts a zone that is up. Others may do the same at the same time.
    pub(super) fn halt(&self, plan: &Plan) -> Result<()> {
        let is_up = || Ok::<_, Error>(self.state(plan.zone())?.is_some_and(State::is_up));
        if is_up()?
            && let Err(e) = self.perform(&plan.kill())
            && is_up()?
        {
            return Err(e);
        }
        self.wait_down(plan.zone())
    }

    /// Waits for a zone to be down.
    pub(super) fn wait_down(&self, zone: &str) -> Result<()> {
        let begun = Instant::now();
        loop {
            match self.state(zone)? {
                Some(state) if state.is_up() && begun.elapsed() > PATIENCE => {
                    return Err(Error::ZoneState {
                        zone: zone.to_owned(),
                        wanted: State::Installed.name(),
                        found: state.name(),
                    });
                }
                Some(state) if state.is_up() => std::thread::sleep(PAUSE),
                _ => return Ok(()),
            }
        }
    }

    /// Whether there is a VNIC of this name.
    pub(super) fn has_vnic(&self, name: &str) -> Result<bool> {
        let (line, printed) = self.ask(&Plan::links())?;
        Ok(names(&printed, &line)?.iter().any(|link| link == name))
    }

    /// The file systems of ZFS, with where each is mounted; none where this host has no zfs.
    pub(super) fn mounted(&self) -> Result<Vec<(String, String)>> {
        let line =
            CommandLine::new(ZFS, &["list", "-H", "-t", "filesystem", "-o", "name,mounted,mountpoint"]);
        let printed = match self.0.run(&line) {
            Err(e) if e.is_missing_program() => return Ok(Vec::new()),
            other => other?,
        };
        let text = String::from_utf8_lossy(&printed);
        let row = |row: &str| match &row.split('\t').collect::<Vec<_>>()[..] {
            [_, "no" | "-", _] => Ok(None),
            [name, "yes", at] => Ok(Some(((*name).to_owned(), (*at).to_owned()))),
            _ => Err(strange_line(&line, row)),
        };
        text.lines().map(row).filter_map(Result::transpose).collect()
    }

    /// Whether a dataset is there.
    pub(super) fn has_dataset(&self, name: &str) -> Result<bool> {
        let line = CommandLine::new(ZFS, &["list", "-H", "-t", "filesystem", "-o", "name"]);
        let printed = self.0.run(&line)?;
        Ok(names(&printed, &line)?.iter().any(|known| known == name))
    }

    /// Whether a dataset is read-only, and what it was told itself.
    pub(super) fn readonly(&self, dataset: &str) -> Result<(bool, Option<String>)> {
        let line = CommandLine::new(ZFS, &["get", "-H", "-o", "value,source", "readonly", dataset]);
        let printed = self.0.run(&line)?;
        let text = String::from_utf8_lossy(&printed);
        match text.trim_end_matches('\n').split_once('\t') {
            Some((value @ ("on" | "off"), source)) => {
                Ok((value == "on", (source == "local").then(|| value.to_owned())))
            }
            _ => Err(strange_line(&line, &text)),
        }
    }

    /// Sends a signal to a unit of a podinit in a zone, whose socket is there. Names and not numbers: they are what both
    /// sides have in common.
    pub(super) fn signal(&self, zone: &str, socket: Option<&str>, signal: &str) -> Result<()> {
        let mut words = vec![PODINIT, "--ctl"];
        if let Some(socket) = socket {
            words.extend(["--socket", socket]);
        }
        words.extend(["signal", "main", signal]);
        self.0.run(&in_zone(zone, &words))?;
        Ok(())
    }

    /// Whether a podinit in a zone answers at its socket.
    pub(super) fn answers(&self, zone: &str, socket: &str) -> bool {
        self.0.run(&in_zone(zone, &[PODINIT, "--ctl", "--socket", socket, "status"])).is_ok()
    }
}

/// A program in a zone by zlogin: without su and login, which images need not have, and without a terminal. Nothing in it
/// needs to be quoted for the shell that zlogin runs it through.
pub(super) fn in_zone(zone: &str, words: &[&str]) -> CommandLine {
    CommandLine::new(ZLOGIN, &[&["-Q", "-S", zone], words].concat())
}

/// The same on a terminal: zlogin makes one of the zone, with a session of its own, and keeps it as the one that it is started with.
/// No key is an escape; no shell is there.
pub(super) fn in_zone_on_terminal(zone: &str, words: &[&str]) -> CommandLine {
    CommandLine::new(ZLOGIN, &[&["-Q", "-S", "-E", "-i", zone], words].concat())
}

/// A zone's console, as long as the zone is up, with nothing said that is not the zone's and no key kept.
pub(super) fn console_of(zone: &str) -> CommandLine {
    CommandLine::new(ZLOGIN, &["-Q", "-C", "-d", "-E", zone])
}

/// Names of links or datasets, one a line. What is none is an error: a thing would be taken for gone otherwise.
pub(super) fn names(printed: &[u8], line: &CommandLine) -> Result<Vec<String>> {
    let is_name = |name: &str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_.:/% ".contains(c);
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain)
    };
    let text = String::from_utf8_lossy(printed);
    match text.lines().find(|name| !is_name(name)) {
        Some(strange) => Err(strange_line(line, strange)),
        None => Ok(text.lines().map(str::to_owned).collect()),
    }
}

pub(super) fn strange_line(line: &CommandLine, text: &str) -> Error {
    CommandError::Output { line: line.clone(), text: text.chars().take(MAX_SHOWN).collect() }.into()
}

fn command_line(words: &[String]) -> CommandLine {
    let (program, args) = words.split_first().expect("a command has a name");
    CommandLine { program: program.clone(), args: args.to_vec() }
}
