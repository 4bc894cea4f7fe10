//! `exec`: one process more.

use std::path::PathBuf;

use oci_spec::runtime::Process;

use crate::backend::Io;
use crate::bundle::{parse_process, read_json};
use crate::create::{check_terminal, write_pid};
use crate::process::ProcessChange;
use crate::state::{ProcessId, Status};
use crate::{Container, Error, Result};

/// How a process more is run.
#[derive(Debug, Clone, Default)]
pub struct ExecOptions {
    /// Its description; what `change` says otherwise.
    pub process: Option<PathBuf>,
    /// What is different from the container's own.
    pub change: ProcessChange,
    /// Where it reads and writes.
    pub io: Io,
    /// Gets its number.
    pub pid_file: Option<PathBuf>,
    /// Also in a container that is held.
    pub ignore_paused: bool,
}

/// A process that runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Executed {
    /// Its number, on the host.
    pub pid: i32,
}

impl Container<'_> {
    /// The process that `exec` is to run.
    pub fn process_of(&self, options: &ExecOptions) -> Result<Process> {
        let mut notes = Vec::new();
        let process = match &options.process {
            Some(path) => parse_process(read_json(path)?, path, &mut notes)?,
            None => {
                let path = self.dir().join(crate::bundle::CONFIG);
                let own = parse_process(self.config()?["process"].clone(), &path, &mut notes)?;
                options.change.apply(&own)?
            }
        };
        for note in notes {
            self.runtime.warn(&note);
        }
        Ok(process)
    }

    /// Runs a process more.
    pub fn exec(&self, process: &Process, options: &ExecOptions) -> Result<Executed> {
        match self.status()? {
            Status::Stopped | Status::Creating => return Err(Error::ExecStopped),
            Status::Paused if !options.ignore_paused => return Err(Error::ExecPaused),
            _ => {}
        }
        check_terminal(process.terminal().unwrap_or(false), &options.io)?;
        let started: ProcessId = self.backend()?.exec(&self.handle(), process, &options.io)?;
        if let Some(path) = &options.pid_file {
            write_pid(path, started)?;
        }
        Ok(Executed { pid: started.pid })
    }
}
