//! Containers as zones of illumos (docs/zones.md).
//!
//! What a zone is made of is planned by `aurora_zones`; this does it: `commands` runs the host's programs, `undo` plays the
//! journal backwards, `monitor` is the process that stands for a zone's program, `exec` one that stands for a process more.
//! All of it is built on Linux as well, where it can be shown (`create --dry-run`) and tried on stand-ins of these programs.

mod commands;
mod console;
mod control;
mod exec;
mod facts;
mod image;
mod list;
mod lock;
mod monitor;
mod own;
mod plan;
mod stdio;
mod sys;
mod terminal;
mod undo;

use std::path::{Path, PathBuf};
use std::time::Duration;

use aurora_convert::names::ImageName;
use oci_spec::runtime::Process;

use super::{Backend, Handle, Hooks, Host, ImageAt, Io, Observed, Plan, Request};
use crate::bundle::Bundle;
use crate::fail;
use crate::state::ProcessId;
use crate::{Error, HookKind, Result, Signal};
pub use aurora_zones::Dialect;
use aurora_zones::StepKind;
use commands::Commands;
use control::{Exit, RunDir};
pub use facts::{Facts, Mounted, Podinit};
use list::{Listed, State};
use plan::Ours;

/// Between two looks at a program that begins.
const PAUSE: Duration = Duration::from_millis(10);
/// So many of them until the zone is looked at, which is a program that is run.
const LOOKS: u32 = 20;

/// What is not to be found out.
#[derive(Debug, Clone, Default)]
pub struct ZoneOptions {
    /// Whose zonecfg there is.
    pub dialect: Option<Dialect>,
    /// The file of podinit.
    pub podinit: Option<PathBuf>,
    /// Below which dataset containers have those of their own. Without, only images have one, and it is looked for.
    pub dataset: Option<String>,
}

/// A host of zones.
#[derive(Debug, Clone)]
pub struct Zones {
    host: Commands,
    options: ZoneOptions,
    /// Starts the process that stands for a zone's program.
    start_monitor: fn(&Handle<'_>, &Io) -> Result<ProcessId>,
}

impl Zones {
    /// This host.
    pub fn new(options: ZoneOptions) -> Self {
        Self { host: Commands::new(), options, start_monitor: monitor::start }
    }

    /// What `create` has planned.
    fn ours(at: &Handle<'_>) -> Result<Ours> {
        let missing = || backend("nothing is known of its zone");
        plan::of_container(at.dir)?.ok_or_else(missing)
    }

    fn state(&self, at: &Handle<'_>) -> Result<(Ours, Option<State>)> {
        let ours = Self::ours(at)?;
        let state = self.host.state(ours.zone())?;
        Ok((ours, state))
    }

    fn expect(&self, ours: &Ours, wanted: State) -> Result<()> {
        match self.host.state(ours.zone())? {
            Some(found) if found == wanted => Ok(()),
            found => Err(Error::ZoneState {
                zone: ours.zone().to_owned(),
                wanted: wanted.name(),
                found: found.map_or("gone", State::name),
            }),
        }
    }
}

fn backend(problem: &str) -> Error {
    Error::Backend { backend: "zones", problem: problem.to_owned() }
}

impl Backend for Zones {
    fn name(&self) -> &'static str {
        "zones"
    }

    fn look(&self, bundle: &Bundle, host: Host) -> Result<Host> {
        let root = facts::root(bundle)?;
        // What would be done can be shown where nothing of it can be done.
        let (dataset, problem) = match facts::dataset(&root, &self.host) {
            Ok(dataset) => (dataset, None),
            Err(e) => (None, Some(e.to_string())),
        };
        let facts = Facts {
            dialect: self.options.dialect.or_else(facts::dialect),
            dataset,
            problem,
            root,
            parent: self.options.dataset.clone(),
            podinit: Podinit::find(self.options.podinit.as_deref(), &host.program),
        };
        Ok(Host { zones: Some(facts), ..host })
    }

    fn plan(&self, request: &Request<'_>) -> Result<Plan> {
        plan::plan(request)
    }

    fn is_free(&self, plan: &Plan) -> Result<()> {
        let ours = plan::read(plan)?;
        if let Some(problem) = &ours.problem {
            return Err(backend(problem));
        }
        if !ours.has_dataset {
            let problem = "no dataset is mounted where it lies";
            return Err(Error::NoZoneRoot { path: ours.root, problem });
        }
        let path = ours.root.parent().unwrap_or(&ours.root);
        for Listed { name, state, path: other } in self.host.zones()? {
            if name == ours.zone() {
                let problem = format!("there is a zone of its name already, {}: {name}", state.name());
                return Err(backend(&problem));
            }
            if path.starts_with(&other) || other.starts_with(path) {
                let problem =
                    format!("zone {name} lies there already, {}: {}", state.name(), other.display());
                return Err(backend(&problem));
            }
        }
        for step in ours.plan.steps() {
            match step.kind {
                StepKind::Vnic if self.host.has_vnic(&step.object)? => {
                    return Err(backend(&format!("there is a link of its name already: {}", step.object)));
                }
                StepKind::RunDir => self.host.may_make(&step.object, &ours.id)?,
                _ => {}
            }
        }
        Ok(())
    }

    fn create(&self, at: &Handle<'_>, _: &Plan, io: &Io, hooks: &dyn Hooks) -> Result<ProcessId> {
        let ours = Self::ours(at)?;
        for step in ours.plan.steps() {
            if step.kind == StepKind::RunDir {
                self.host.destroy_own(&step.object, at.id.as_str())?;
            }
            for action in &step.actions {
                self.host.perform(action)?;
            }
            fail::point(&format!("zone-{}", step.kind));
        }
        self.expect(&ours, State::Ready)?;
        let process = (self.start_monitor)(at, io)?;
        fail::point("zone-monitor");
        for kind in [HookKind::Prestart, HookKind::CreateRuntime, HookKind::CreateContainer] {
            hooks.call(kind, Some(process)).run()?;
        }
        fail::point("zone-hooks");
        Ok(process)
    }

    fn start(&self, at: &Handle<'_>) -> Result<()> {
        let ours = Self::ours(at)?;
        if monitor::holder(at.dir)?.is_none() {
            return Err(backend("its monitor is gone, and with it where the program's output would go"));
        }
        self.host.perform(&ours.plan.start())?;
        fail::point("zone-booted");
        self.wait_begun(at.dir, &ours)
    }

    fn signal(&self, at: &Handle<'_>, signal: Signal, all: bool) -> Result<()> {
        let Some(ours) = plan::of_container(at.dir)? else { return Ok(()) };
        match self.host.state(ours.zone())? {
            Some(State::Running) if signal == Signal::KILL => self.host.halt(&ours.plan),
            Some(State::Running) if signal.number() == 0 => Ok(()),
            Some(State::Running) if all => Err(Error::Unsupported {
                backend: self.name(),
                what: "kill --all with another signal than KILL",
            }),
            Some(State::Running) => self.host.signal(ours.zone(), None, &signal.to_string()),
            // No process is there. What a program would not live through, its zone does not.
            Some(State::Ready) if signal.ends_by_default() => {
                self.host.halt(&ours.plan)?;
                monitor::signal(at.dir, signal)
            }
            Some(State::ShuttingDown | State::Down | State::Mounted) if signal == Signal::KILL => {
                self.host.halt(&ours.plan)
            }
            _ => Ok(()),
        }
    }

    /// That a program has ended is what the zone's root can write. The zone is killed all the same.
    fn signal_ended(&self, at: &Handle<'_>, signal: Signal) -> Result<()> {
        match plan::of_container(at.dir)? {
            Some(ours) if signal == Signal::KILL => match self.host.state(ours.zone())? {
                Some(State::Running | State::ShuttingDown | State::Down) => self.host.halt(&ours.plan),
                _ => Err(Error::NotRunning),
            },
            _ => Err(Error::NotRunning),
        }
    }

    /// The zone goes on without its monitor.
    fn has_process(&self, at: &Handle<'_>) -> Result<bool> {
        Ok(monitor::holder(at.dir)?.is_some())
    }

    fn observe(&self, at: &Handle<'_>) -> Result<Observed> {
        let Some(ours) = plan::of_container(at.dir)? else { return Ok(Observed::Absent) };
        match self.host.state(ours.zone())? {
            None => Ok(Observed::Absent),
            Some(State::Configured | State::Incomplete | State::Installed) => Ok(Observed::Ended),
            Some(State::Ready) => Ok(Observed::Waiting),
            // Its brand may start podinit anew, and nobody is there to halt it. What can't be read, the zone's root has written.
            Some(State::Running)
                if monitor::holder(at.dir)?.is_none() && matches!(RunDir::of(at.dir).exit(), Ok(Some(_))) =>
            {
                Ok(Observed::Ended)
            }
            Some(State::Running | State::ShuttingDown | State::Down) => Ok(Observed::Running),
            Some(State::Mounted) => Err(Error::ZoneState {
                zone: ours.zone().to_owned(),
                wanted: State::Running.name(),
                found: State::Mounted.name(),
            }),
        }
    }

    fn exec(&self, at: &Handle<'_>, process: &Process, io: &Io) -> Result<ProcessId> {
        if io.preserve_fds > 0 {
            return Err(Error::Usage("--preserve-fds: a zone can't be given open files".to_owned()));
        }
        match self.state(at)? {
            (ours, Some(State::Running)) => exec::start(at, &ours, process, io),
            _ => Err(Error::NotRunning),
        }
    }

    fn wants_zonepath(&self) -> bool {
        true
    }

    fn place_image(&self, at: &ImageAt<'_>) -> Result<()> {
        image::place(at, &self.options, &self.host)
    }

    fn clear_image(&self, at: &ImageAt<'_>) -> Result<()> {
        image::clear(at, &self.host)
    }

    fn image_steps(&self, at: &ImageAt<'_>, name: &ImageName) -> Result<Vec<String>> {
        image::steps(at, name, &self.options, &self.host)
    }

    fn destroy(&self, at: &Handle<'_>) -> Result<()> {
        match plan::of_container(at.dir)? {
            Some(ours) => undo::all(at, &ours, &self.host),
            // `create` was killed before it had anything to do.
            None => Ok(()),
        }
    }
}

impl Zones {
    /// Until podinit has told that the program has begun, or why not. Hooks may take as long as they are given.
    fn wait_begun(&self, dir: &Path, ours: &Ours) -> Result<()> {
        let run_dir = RunDir::of(dir);
        for look in 1_u32.. {
            // The zone first: what it has told before its end is there then.
            let is_up =
                !look.is_multiple_of(LOOKS) || self.host.state(ours.zone())?.is_some_and(State::is_up);
            if run_dir.is_ready() {
                return Ok(());
            }
            match run_dir.exit()? {
                Some(Exit { error: Some(why), .. }) => return Err(Error::Program(why)),
                Some(_) => return Ok(()),
                None if !is_up => return Err(backend("the zone has halted before its program began")),
                None => std::thread::sleep(PAUSE),
            }
        }
        Ok(())
    }
}

/// The hidden commands: processes that stand for what runs in a zone.
pub fn stand_in(command: &StandIn) -> Result<i32> {
    match command {
        StandIn::Monitor { dir, console } => monitor::run(dir, console.as_deref()),
        StandIn::Exec { dir, name, console } => exec::run(dir, name, console.as_deref()),
    }
}

/// Which.
#[derive(Debug, Clone)]
pub enum StandIn {
    /// For the first program.
    Monitor {
        /// The container's directory.
        dir: PathBuf,
        /// The socket that is sent a terminal.
        console: Option<PathBuf>,
    },
    /// For a process more.
    Exec {
        /// The container's directory.
        dir: PathBuf,
        /// What it is called in the control directory.
        name: String,
        /// The socket that is sent a terminal.
        console: Option<PathBuf>,
    },
}

#[cfg(test)]
mod tests;
