//! A container from `start` to `delete`.

use std::path::{Path, PathBuf};

use oci_spec::runtime::{Hooks, LinuxResources};
use serde_json::Value;

use crate::backend::{self, Backend, Handle};
use crate::bundle::Bundle;
use crate::fail;
use crate::hooks::{HookCall, HookKind, of_kind};
use crate::state::{Mode, Phase, Record, Seen, StateDir, Status, ids, sweep};
use crate::{Error, Id, Result, Signal};

/// The containers of a state directory.
pub struct Runtime {
    pub(crate) root: PathBuf,
    /// The first makes containers; which one made a container is in its record.
    backends: Vec<Box<dyn Backend>>,
    warn: Box<dyn Fn(&str)>,
}

impl Runtime {
    /// Those of `root`. The first of the backends makes new ones. `warn` is told what is no error and should not be missed.
    pub fn new(root: PathBuf, backends: Vec<Box<dyn Backend>>, warn: impl Fn(&str) + 'static) -> Self {
        // The backend changes directories on its way.
        let root = std::path::absolute(&root).unwrap_or(root);
        Self { root, backends, warn: Box::new(warn) }
    }

    /// The backend of new containers.
    pub(crate) fn backend(&self) -> &dyn Backend {
        self.backends.first().expect("a runtime is given at least one").as_ref()
    }

    /// All of them.
    pub(crate) fn backends(&self) -> &[Box<dyn Backend>] {
        &self.backends
    }

    /// The backend that has made a container.
    fn backend_of(&self, record: &Record) -> Result<&dyn Backend> {
        let made = self.backends.iter().find(|backend| backend.name() == record.backend);
        let unknown = || Error::UnknownBackend { id: record.id.clone(), backend: record.backend.clone() };
        made.map(AsRef::as_ref).ok_or_else(unknown)
    }

    pub(crate) fn warn(&self, text: &str) {
        (self.warn)(text);
    }

    /// A container that will be changed; other commands wait.
    pub fn open(&self, id: &Id) -> Result<Container<'_>> {
        self.locked(id, Mode::Exclusive)
    }

    /// A container that stays as it is.
    pub fn look(&self, id: &Id) -> Result<Container<'_>> {
        self.locked(id, Mode::Shared)
    }

    /// A container that is only signalled, whatever others do with it.
    pub fn at_once(&self, id: &Id) -> Result<Container<'_>> {
        self.locked(id, Mode::Unlocked)
    }

    fn locked(&self, id: &Id, mode: Mode) -> Result<Container<'_>> {
        let (dir, record) = StateDir::open(&self.root, id, mode)?;
        Ok(Container { runtime: self, id: id.clone(), dir, record })
    }

    /// What a container does, also while another command works on it: hooks may ask.
    pub fn seen(&self, id: &Id) -> Result<Seen> {
        let path = self.root.join(id.as_str());
        let (record, busy) = StateDir::peek(&path)?;
        let handle = Handle { id, dir: &path, record: &record };
        let status = match record.phase {
            Phase::Creating if busy => Status::Creating,
            phase => backend::status(phase, self.backend_of(&record)?.observe(&handle)?),
        };
        let seen = Seen::new(&record, status);
        if seen.pid != 0 && !self.backend_of(&record)?.has_process(&handle)? {
            return Ok(Seen { pid: 0, ..seen });
        }
        Ok(seen)
    }

    /// Whether the program of a bundle has a terminal.
    pub fn wants_terminal(&self, bundle: &Path) -> Result<bool> {
        Ok(Bundle::open(bundle)?.process().terminal().unwrap_or(false))
    }

    /// All containers, by name. One that goes away meanwhile is left out.
    pub fn list(&self) -> Result<Vec<Seen>> {
        let mut all = Vec::new();
        for id in ids(&self.root)? {
            match self.seen(&id) {
                Ok(seen) => all.push(seen),
                Err(Error::NotExist) => {}
                Err(e) => self.warn(&format!("{id}: {e}")),
            }
        }
        Ok(all)
    }

    /// Removes a container that has ended or was never started; with `force` any, and none is as good.
    pub fn delete(&self, id: &Id, force: bool) -> Result<()> {
        if force && let Ok(container) = self.at_once(id) {
            // A `start` that waits for a hook holds the lock until the container is gone.
            container.kill(Signal::KILL, true)?;
        }
        let container = match self.open(id) {
            Err(Error::NotExist) if force => {
                self.remove_image(id)?;
                self.sweep(id);
                return Ok(());
            }
            other => other?,
        };
        let status = container.status()?;
        match status {
            Status::Stopped | Status::Created => {}
            _ if force => {}
            _ => return Err(Error::NotStopped { id: id.to_string(), status }),
        }
        container.undo()?;
        self.sweep(id);
        Ok(())
    }

    /// Removes what killed commands have left of a container. What can't be removed is in nobody's way.
    pub(crate) fn sweep(&self, id: &Id) {
        if let Err(e) = sweep(&self.root, id) {
            self.warn(&e.to_string());
        }
    }
}

/// A container, locked.
pub struct Container<'r> {
    pub(crate) runtime: &'r Runtime,
    pub(crate) id: Id,
    pub(crate) dir: StateDir,
    pub(crate) record: Record,
}

impl Container<'_> {
    pub(crate) fn handle(&self) -> Handle<'_> {
        Handle { id: &self.id, dir: self.dir.path(), record: &self.record }
    }

    pub(crate) fn backend(&self) -> Result<&dyn Backend> {
        self.runtime.backend_of(&self.record)
    }

    /// Its directory.
    pub fn dir(&self) -> &Path {
        self.dir.path()
    }

    /// What it does.
    pub fn status(&self) -> Result<Status> {
        let observed = self.backend()?.observe(&self.handle())?;
        Ok(backend::status(self.record.phase, observed))
    }

    /// Its first process, as long as it is known.
    pub fn pid(&self) -> Option<i32> {
        self.record.process.map(|process| process.pid)
    }

    /// Lets the program run.
    pub fn start(&mut self) -> Result<()> {
        match self.status()? {
            Status::Created => {}
            Status::Stopped | Status::Creating => return Err(Error::StartStopped),
            Status::Running | Status::Paused => return Err(Error::AlreadyRunning),
        }
        self.record.phase = Phase::Started;
        self.dir.save(&self.record)?;
        fail::point("start-saved");
        self.backend()?.start(&self.handle())?;
        fail::point("started");
        let poststart = self.hooks(HookKind::Poststart, Status::Running)?;
        if let Err(e) = poststart.run() {
            // Since 1.3 this ends the container; `delete` does the rest.
            self.backend()?.signal(&self.handle(), Signal::KILL, true)?;
            return Err(e);
        }
        Ok(())
    }

    /// Sends a signal to its first process, or to all.
    pub fn kill(&self, signal: Signal, all: bool) -> Result<()> {
        match self.status()? {
            // Callers end what a container has left this way, and look at no state before.
            Status::Stopped if !all => self.backend()?.signal_ended(&self.handle(), signal),
            _ => self.backend()?.signal(&self.handle(), signal, all),
        }
    }

    /// Holds all its processes.
    pub fn pause(&self) -> Result<()> {
        match self.status()? {
            Status::Running | Status::Created => self.backend()?.pause(&self.handle()),
            _ => Err(Error::NotRunning),
        }
    }

    /// Lets them go on.
    pub fn resume(&self) -> Result<()> {
        match self.status()? {
            Status::Paused => self.backend()?.resume(&self.handle()),
            _ => Err(Error::NotPaused),
        }
    }

    /// The numbers of its processes on the host.
    pub fn processes(&self) -> Result<Vec<i32>> {
        self.backend()?.processes(&self.handle())
    }

    /// What its processes use.
    pub fn stats(&self) -> Result<Value> {
        match self.status()? {
            Status::Stopped => Err(Error::NotRunning),
            _ => self.backend()?.stats(&self.handle()),
        }
    }

    /// Other limits, from now on.
    pub fn update(&self, resources: &LinuxResources) -> Result<()> {
        match self.status()? {
            Status::Stopped => Err(Error::NotRunning),
            _ => self.backend()?.update(&self.handle(), resources),
        }
    }

    /// Its config as it was when it was made.
    pub(crate) fn config(&self) -> Result<Value> {
        self.dir.config()
    }

    fn hooks(&self, kind: HookKind, status: Status) -> Result<HookCall> {
        let config = self.config()?;
        let path = self.dir.path().join(crate::bundle::CONFIG);
        let hooks: Option<Hooks> =
            serde_json::from_value(config["hooks"].clone()).map_err(|source| Error::Json { path, source })?;
        Ok(HookCall {
            kind,
            state: Seen::new(&self.record, status),
            hooks: of_kind(hooks.as_ref(), kind).to_vec(),
            env: Vec::new(),
            report: None,
        })
    }

    /// Ends and removes it, whatever it was doing.
    pub(crate) fn undo(self) -> Result<()> {
        self.backend()?.destroy(&self.handle())?;
        fail::point("destroyed");
        // As long as there is a directory, nobody begins another one of this name. Before the hooks, which are not to run again
        // where this fails and is tried again.
        self.runtime.remove_image(&self.id)?;
        for e in self.hooks(HookKind::Poststop, Status::Stopped)?.run_all() {
            self.runtime.warn(&e.to_string());
        }
        self.dir.remove()
    }
}
