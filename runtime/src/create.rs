//! `create`: from a bundle to an environment in which the program waits.

use std::path::{Path, PathBuf};
use std::time::SystemTime;

use aurora_convert::image::time::timestamp;
use aurora_convert::names::ImageName;
use aurora_engine::fs::replace_file;

use crate::backend::{Hooks, Host, Io, Plan, Request};
use crate::bundle::Bundle;
use crate::fail;
use crate::hooks::{HookCall, HookKind, of_kind};
use crate::state::{Phase, ProcessId, Record, Seen, StateDir, Status, default_root};
use crate::{Container, Error, Id, ImagePlace, Result, Runtime};

/// How a container is made.
#[derive(Debug, Clone, Default)]
pub struct CreateOptions {
    /// Where the first process reads and writes.
    pub io: Io,
    /// Gets the number of the first process.
    pub pid_file: Option<PathBuf>,
    /// The root file system lies on a RAM disk, which cannot be left by `pivot_root`.
    pub no_pivot: bool,
    /// systemd makes the control group.
    pub systemd: bool,
    /// The caller's session keyring is the container's, too.
    pub no_new_keyring: bool,
}

impl Runtime {
    /// What `create` would do.
    pub fn plan(&self, id: &Id, bundle: &Path, options: &CreateOptions) -> Result<Plan> {
        let bundle = Bundle::open(bundle)?;
        let host = self.backend().look(&bundle, self.host())?;
        self.planned(id, &bundle, options, &host)
    }

    /// What `create` would do with an image that was unpacked only for that.
    pub fn plan_of_image(
        &self,
        name: &ImageName,
        place: &ImagePlace<'_>,
        options: &CreateOptions,
    ) -> Result<Plan> {
        let at = place.at();
        let bundle = Bundle::open(&at.bundle())?;
        let host = self.backend().look(&bundle, Host { is_shown: true, ..self.host() })?;
        let mut plan = self.planned(at.id, &bundle, options, &host)?;
        plan.steps.splice(0..0, self.backend().image_steps(&at, name)?);
        Ok(plan)
    }

    fn host(&self) -> Host {
        let other_root = (self.root != default_root()).then(|| self.root.clone());
        Host { other_root, ..Host::of_this_process() }
    }

    fn planned(&self, id: &Id, bundle: &Bundle, options: &CreateOptions, host: &Host) -> Result<Plan> {
        let mut plan = self.backend().plan(&Request { id, bundle, options, root: &self.root, host })?;
        plan.notes.splice(0..0, bundle.notes.iter().cloned());
        Ok(plan)
    }

    /// Makes a container. When that fails, nothing of it is left.
    pub fn create(&self, id: &Id, bundle: &Path, options: &CreateOptions) -> Result<Container<'_>> {
        if self.root.join(id.as_str()).is_dir() {
            return Err(Error::Exists);
        }
        let bundle = Bundle::open(bundle)?;
        check_terminal(bundle.process().terminal().unwrap_or(false), &options.io)?;
        let host = self.backend().look(&bundle, self.host())?;
        let plan = self.planned(id, &bundle, options, &host)?;
        for note in &plan.notes {
            self.warn(note);
        }
        let record = Record {
            version: Record::VERSION,
            id: id.to_string(),
            backend: self.backend().name().to_owned(),
            phase: Phase::Creating,
            process: None,
            bundle: bundle.dir.clone(),
            rootfs: bundle.root(),
            created: now(),
            owner: owner(host.uid),
            annotations: bundle.spec.annotations().clone().unwrap_or_default().into_iter().collect(),
            systemd: options.systemd,
            undo: plan.undo.clone(),
        };
        self.backend().is_free(&plan)?;
        self.sweep(id);
        let dir = StateDir::create(&self.root, id, &record, &bundle.config)?;
        fail::point("state-made");
        let mut container = Container { runtime: self, id: id.clone(), dir, record };
        match container.make(&bundle, &plan, options) {
            Ok(()) => Ok(container),
            Err(e) => Err(e.after(container.undo())),
        }
    }
}

impl Container<'_> {
    fn make(&mut self, bundle: &Bundle, plan: &Plan, options: &CreateOptions) -> Result<()> {
        for (name, bytes) in &plan.files {
            let path = self.dir.path().join(name);
            let failed = |e| Error::io(path.display().to_string(), e);
            let parent = path.parent().expect("it is below the container's directory");
            std::fs::create_dir_all(parent).map_err(failed)?;
            replace_file(&path, bytes).map_err(failed)?;
        }
        fail::point("files-written");
        let hooks =
            OfCreate { record: self.record.clone(), bundle, report: self.dir.path().join("hook-error") };
        let process = self.backend()?.create(&self.handle(), plan, &options.io, &hooks)?;
        fail::point("environment-made");
        self.record.process = Some(process);
        self.record.phase = Phase::Created;
        self.dir.save(&self.record)?;
        fail::point("created");
        if let Some(path) = &options.pid_file {
            write_pid(path, process)?;
            fail::point("pid-file-written");
        }
        Ok(())
    }
}

/// The hooks that run while a container is made.
struct OfCreate<'a> {
    record: Record,
    bundle: &'a Bundle,
    report: PathBuf,
}

impl Hooks for OfCreate<'_> {
    fn call(&self, kind: HookKind, process: Option<ProcessId>) -> HookCall {
        let status = match kind {
            HookKind::StartContainer => Status::Created,
            _ => Status::Creating,
        };
        let record = Record { process, ..self.record.clone() };
        let of_process = self.bundle.process().env().clone();
        let env = if kind == HookKind::StartContainer { of_process.unwrap_or_default() } else { Vec::new() };
        HookCall {
            kind,
            state: Seen::new(&record, status),
            hooks: of_kind(self.bundle.spec.hooks().as_ref(), kind).to_vec(),
            env,
            report: Some(self.report.clone()),
        }
    }
}

/// A terminal has another end, and somebody must have it.
pub(crate) fn check_terminal(terminal: bool, io: &Io) -> Result<()> {
    match (terminal, &io.console, io.detached) {
        (true, None, true) => Err(Error::Usage(
            "cannot allocate tty if runz will detach without setting console socket".to_owned(),
        )),
        (false, Some(_), _) => {
            Err(Error::Usage("cannot use console socket if runz will not detach or allocate tty".to_owned()))
        }
        _ => Ok(()),
    }
}

/// Callers wait for the file, so it is whole when it is there.
pub(crate) fn write_pid(path: &Path, process: ProcessId) -> Result<()> {
    let text = process.pid.to_string();
    replace_file(path, text.as_bytes()).map_err(|e| Error::io(format!("pid file {}", path.display()), e))
}

fn now() -> String {
    aurora_convert::ops::rfc3339(timestamp(SystemTime::now()))
}

/// The name of a user of this host, or his number.
fn owner(uid: u32) -> String {
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let name = crate::process::user_name(&passwd, uid);
    name.map_or_else(|| format!("#{uid}"), str::to_owned)
}
