//! What there is to run: the control directory's `config.json`, or a command line.
//!
//! The format is described in `docs/podinit.md`. The document is the runtime specification's, with what only
//! podinit knows in one more member, `aurora`. Whatever podinit would have to leave undone is an error, and
//! so are unknown members of `aurora`; unknown members elsewhere are the runtime's business.

mod document;
mod duration;
mod hooks;
mod order;
mod process;
mod unit;

use std::ffi::OsString;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FileType, Mode, OFlags};

use crate::configmap::ConfigMap;
use crate::error::{Error, Result};

pub(crate) use process::{Program, UserOf};
pub(crate) use unit::{Backoff, Kind, Log, Ready, Restart, Unit};

/// A document larger than this is no configuration.
const MAX_DOCUMENT: u64 = 4 << 20;

/// Everything podinit was told.
pub(crate) struct Config {
    pub(crate) hostname: Option<String>,
    pub(crate) units: Vec<Unit>,
    /// The unit whose end is the end of all; none in a pod, which runs until it is stopped.
    pub(crate) main: Option<usize>,
    pub(crate) config_maps: Vec<ConfigMap>,
    /// Where socket, `ready` and `exit` are made.
    pub(crate) run_dir: Option<PathBuf>,
    /// What standard input, output and error are opened from, where process 1 is started without any.
    pub(crate) console: Option<PathBuf>,
    /// The same of pipes: the folder that has them.
    pub(crate) stdio: Option<PathBuf>,
    /// Whether a podinit that finds how one before it has ended does not begin.
    pub(crate) once: bool,
    /// Whether to halt the zone, or the pid namespace, instead of ending.
    pub(crate) halt: bool,
    /// What was met on the way and is no reason to stop.
    pub(crate) warnings: Vec<String>,
}

impl Config {
    /// Reads a document.
    pub(crate) fn read(path: &Path) -> Result<Self> {
        Self::parse(&read_limited(path)?, path)
    }

    /// The same from its bytes; `path` is for messages.
    pub(crate) fn parse(bytes: &[u8], path: &Path) -> Result<Self> {
        let document =
            serde_json::from_slice(bytes).map_err(|source| Error::Parse { path: path.to_owned(), source })?;
        document::resolve(document).map_err(|(field, problem)| Error::Invalid {
            path: path.to_owned(),
            field,
            problem,
        })
    }

    /// From a document that is at hand; or the field and what is wrong with it.
    #[cfg(test)]
    pub(crate) fn of_value(value: serde_json::Value) -> std::result::Result<Self, String> {
        let document = serde_json::from_value(value).map_err(|error| error.to_string())?;
        document::resolve(document).map_err(|(field, problem)| format!("{field}: {problem}"))
    }

    /// Whom the main program runs as, where that is not podinit's own user.
    pub(crate) fn main_uid(&self) -> Option<u32> {
        match &self.units[self.main?].program.user {
            UserOf::Ids(ids) if ids.uid != rustix::process::geteuid().as_raw() => Some(ids.uid),
            _ => None,
        }
    }

    /// Whether the main program is to have the terminal that podinit was started with.
    pub(crate) fn gives_terminal(&self) -> bool {
        let wants = self.main.and_then(|main| self.units[main].program.terminal);
        wants == Some(true) && self.console.is_none()
    }

    /// One program, as it stands on a command line, with podinit's own surroundings; or none at all.
    pub(crate) fn of_command(args: Vec<OsString>) -> Self {
        let units: Vec<Unit> = match args.is_empty() {
            true => Vec::new(),
            false => vec![Unit::main(Program::of_command(args))],
        };
        Self {
            hostname: None,
            main: (!units.is_empty()).then_some(0),
            units,
            config_maps: Vec::new(),
            run_dir: None,
            console: None,
            stdio: None,
            once: false,
            halt: false,
            warnings: Vec::new(),
        }
    }
}

/// Reads a regular file that is not too large.
fn read_limited(path: &Path) -> Result<Vec<u8>> {
    let failed = |source: std::io::Error| Error::Read { path: path.to_owned(), source };
    // Not blocked by a pipe in its place.
    let flags = OFlags::RDONLY | OFlags::CLOEXEC | OFlags::NONBLOCK;
    let fd = rustix::fs::openat(CWD, path, flags, Mode::empty()).map_err(|e| failed(e.into()))?;
    let status = rustix::fs::fstat(&fd).map_err(|e| failed(e.into()))?;
    if FileType::from_raw_mode(status.st_mode) != FileType::RegularFile {
        return Err(Error::NotAFile { path: path.to_owned() });
    }
    let mut bytes = Vec::new();
    File::from(fd).take(MAX_DOCUMENT + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_DOCUMENT {
        return Err(Error::TooLarge { path: path.to_owned(), limit: MAX_DOCUMENT });
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests;
