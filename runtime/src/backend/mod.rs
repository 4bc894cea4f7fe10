//! What is special about an operating system: the life of a container and nothing more.

#[cfg(target_os = "linux")]
pub mod linux;
pub mod record;
pub mod zones;

use std::ffi::OsString;
use std::path::{Path, PathBuf};

use aurora_convert::names::ImageName;
use oci_spec::runtime::{LinuxResources, Process};
use serde_json::Value;

use crate::bundle::Bundle;
use crate::create::CreateOptions;
use crate::hooks::HookCall;
use crate::state::{Phase, ProcessId, Record};
use crate::{Error, HookKind, Id, Result, Signal};

/// A container's life on one operating system.
///
/// Callers hold the container's lock, have checked what may happen in its state, and keep the record. An implementation
/// may be called after any other call was killed: `destroy` undoes whatever the record's undo list names, and what it
/// finds gone is no error.
pub trait Backend {
    /// Its name, in records and messages.
    fn name(&self) -> &'static str;

    /// Adds to what is known of the host what this backend's plans depend on for a bundle. Changes nothing.
    fn look(&self, _bundle: &Bundle, host: Host) -> Result<Host> {
        Ok(host)
    }

    /// From a config to what will be done. A pure function: all that it knows of the host is in the request. Refuses
    /// what it cannot honour.
    fn plan(&self, request: &Request<'_>) -> Result<Plan>;

    /// Refuses a plan whose undoing would hurt others: what is to be made must not be there already. Called before anything
    /// is written down.
    fn is_free(&self, _plan: &Plan) -> Result<()> {
        Ok(())
    }

    /// Makes the environment, with the program waiting in it. Runs the hooks up to `createContainer` on the way. What it
    /// has made when it fails, it leaves for `destroy`, which is called then.
    fn create(&self, at: &Handle<'_>, plan: &Plan, io: &Io, hooks: &dyn Hooks) -> Result<ProcessId>;

    /// Lets the program run, and returns when it does.
    fn start(&self, at: &Handle<'_>) -> Result<()>;

    /// Sends a signal to the first process, or to all.
    fn signal(&self, at: &Handle<'_>, signal: Signal, all: bool) -> Result<()>;

    /// The same for a container that counts as stopped. What there is of it all the same may be killed.
    fn signal_ended(&self, _at: &Handle<'_>, _signal: Signal) -> Result<()> {
        Err(Error::NotRunning)
    }

    /// Whether the process in the record is there, while the container runs.
    fn has_process(&self, _at: &Handle<'_>) -> Result<bool> {
        Ok(true)
    }

    /// What is, now.
    fn observe(&self, at: &Handle<'_>) -> Result<Observed>;

    /// Runs one process more. It is a child of the caller.
    fn exec(&self, at: &Handle<'_>, process: &Process, io: &Io) -> Result<ProcessId>;

    /// Undoes all, whatever state it is in.
    fn destroy(&self, at: &Handle<'_>) -> Result<()>;

    /// Whether an image is unpacked for it with its root file system as a zone's path has it.
    fn wants_zonepath(&self) -> bool {
        false
    }

    /// Makes what an image's bundle is to lie in, where nothing is yet. What has to be undone is written down beside it before it
    /// is done. What it has made when it fails, it leaves for `clear_image`.
    fn place_image(&self, at: &ImageAt<'_>) -> Result<()> {
        without_quota(self.name(), at)
    }

    /// Undoes that, as far as it was done, and as often as it is called. Of all backends, as nobody knows which one it was.
    fn clear_image(&self, _at: &ImageAt<'_>) -> Result<()> {
        Ok(())
    }

    /// What is done for an image, for people.
    fn image_steps(&self, at: &ImageAt<'_>, name: &ImageName) -> Result<Vec<String>> {
        without_quota(self.name(), at)?;
        Ok(vec![format!("unpack {name} to {}", at.bundle().display())])
    }

    /// Holds all processes.
    fn pause(&self, _at: &Handle<'_>) -> Result<()> {
        Err(Error::Unsupported { backend: self.name(), what: "pause" })
    }

    /// Lets them go on.
    fn resume(&self, _at: &Handle<'_>) -> Result<()> {
        Err(Error::Unsupported { backend: self.name(), what: "resume" })
    }

    /// The processes, by their numbers on the host.
    fn processes(&self, _at: &Handle<'_>) -> Result<Vec<i32>> {
        Err(Error::Unsupported { backend: self.name(), what: "ps" })
    }

    /// What they use, in the members that `events --stats` prints.
    fn stats(&self, _at: &Handle<'_>) -> Result<Value> {
        Err(Error::Unsupported { backend: self.name(), what: "events" })
    }

    /// Other limits, from now on.
    fn update(&self, _at: &Handle<'_>, _resources: &LinuxResources) -> Result<()> {
        Err(Error::Unsupported { backend: self.name(), what: "update" })
    }
}

fn without_quota(backend: &'static str, at: &ImageAt<'_>) -> Result<()> {
    match at.quota {
        Some(_) => Err(Error::Unsupported { backend, what: "run --image-quota" }),
        None => Ok(()),
    }
}

/// Where the image of a container is unpacked.
#[derive(Debug, Clone, Copy)]
pub struct ImageAt<'a> {
    /// The container.
    pub id: &'a Id,
    /// The state directory.
    pub root: &'a Path,
    /// A folder that is the container's alone, by its real name.
    pub dir: &'a Path,
    /// Most bytes that it and what its container writes may take.
    pub quota: Option<u64>,
}

impl ImageAt<'_> {
    /// The bundle in it.
    pub fn bundle(&self) -> PathBuf {
        self.dir.join(BUNDLE)
    }
}

/// In the folder of [`ImageAt`].
const BUNDLE: &str = "bundle";

/// Runs the hooks that belong into the middle of `create`.
pub trait Hooks {
    /// Those of a kind, with what they are to be told.
    fn call(&self, kind: HookKind, process: Option<ProcessId>) -> HookCall;
}

/// What a plan is made from.
#[derive(Debug, Clone, Copy)]
pub struct Request<'a> {
    /// The container.
    pub id: &'a Id,
    /// What it is made of.
    pub bundle: &'a Bundle,
    /// How.
    pub options: &'a CreateOptions,
    /// The state directory, where the container's own directory will be.
    pub root: &'a Path,
    /// On what.
    pub host: &'a Host,
}

/// What plans depend on of a host.
#[derive(Debug, Clone, Default)]
pub struct Host {
    /// Who calls.
    pub uid: u32,
    /// This program, which hooks are run through.
    pub program: PathBuf,
    /// Whether limits may be raised and the out-of-memory score lowered (on Linux CAP_SYS_RESOURCE).
    pub may_raise: bool,
    /// Whether systemd manages control groups here.
    pub systemd: bool,
    /// Whether control groups are of the second version alone.
    pub unified: bool,
    /// The state directory, if it is not the one that is used unless another is named.
    pub other_root: Option<PathBuf>,
    /// The instruction set, as Rust has it.
    pub arch: &'static str,
    /// The bundle was made of an image to show a plan: what `create` would find around it is not there.
    pub is_shown: bool,
    /// What only plans of zones depend on.
    pub zones: Option<zones::Facts>,
}

impl Host {
    /// This one.
    pub fn of_this_process() -> Self {
        let host = Self {
            uid: rustix::process::geteuid().as_raw(),
            program: own_program(),
            arch: std::env::consts::ARCH,
            ..Self::default()
        };
        #[cfg(target_os = "linux")]
        let host = linux::facts(host);
        host
    }
}

/// What `create` will do: made without touching anything, so that it can be shown and tested.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Plan {
    /// What must be undone in the end, in the order in which it is done.
    pub undo: Vec<String>,
    /// Files that the backend wants in the container's directory.
    pub files: Vec<(String, Vec<u8>)>,
    /// What is done, for people.
    pub steps: Vec<String>,
    /// What of the config is not followed, and does no harm.
    pub notes: Vec<String>,
}

/// A container that exists.
#[derive(Debug, Clone, Copy)]
pub struct Handle<'a> {
    /// Its name.
    pub id: &'a Id,
    /// Its directory.
    pub dir: &'a Path,
    /// What is known of it.
    pub record: &'a Record,
}

/// Where a process reads and writes: what this process has, or a terminal whose other end is sent to a socket.
#[derive(Debug, Clone, Default)]
pub struct Io {
    /// The socket.
    pub console: Option<PathBuf>,
    /// Open files beyond the first three that it gets.
    pub preserve_fds: u32,
    /// The process is not waited for by this one.
    pub detached: bool,
}

/// What a container's processes do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Observed {
    /// Nothing is there.
    Absent,
    /// The first process waits for `start`.
    Waiting,
    /// It runs.
    Running,
    /// All are held.
    Paused,
    /// The first process has ended; others may be there.
    Ended,
}

/// The file of this program.
pub fn own_program() -> PathBuf {
    #[cfg(target_os = "linux")]
    return linux::shield::program();
    #[cfg(not(target_os = "linux"))]
    std::env::current_exe().unwrap_or_default()
}

/// Before a command that enters containers: out of their reach, if that takes anything. May run this program anew, with
/// these arguments.
pub fn shield(args: &[OsString]) -> Result<()> {
    #[cfg(target_os = "linux")]
    return linux::shield::enter(args);
    #[cfg(not(target_os = "linux"))]
    {
        // A zone's processes have no way to this one's files.
        let _ = args;
        Ok(())
    }
}

/// Which backend makes new containers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// This kernel's, by libcontainer.
    Linux,
    /// Zones of illumos.
    Zones,
}

/// The backends of this build. The first makes containers, each keeps those that it has made.
pub fn all(first: Option<Kind>, zones: zones::ZoneOptions) -> Result<Vec<Box<dyn Backend>>> {
    let zones = Box::new(zones::Zones::new(zones));
    #[cfg(target_os = "linux")]
    return Ok(match first {
        Some(Kind::Zones) => vec![zones, Box::new(linux::Linux)],
        Some(Kind::Linux) | None => vec![Box::new(linux::Linux), zones],
    });
    #[cfg(not(target_os = "linux"))]
    match first {
        Some(Kind::Zones) => Ok(vec![zones]),
        None if cfg!(target_os = "illumos") => Ok(vec![zones]),
        _ => Err(Error::NoBackend { os: std::env::consts::OS }),
    }
}

/// What a container does, of what was meant and what is.
pub(crate) fn status(phase: Phase, observed: Observed) -> crate::state::Status {
    use crate::state::Status;
    match (phase, observed) {
        (_, Observed::Absent | Observed::Ended) => Status::Stopped,
        // Whoever was making it is gone, or the lock would not be ours.
        (Phase::Creating, _) => Status::Stopped,
        (_, Observed::Paused) => Status::Paused,
        (Phase::Created, _) | (Phase::Started, Observed::Waiting) => Status::Created,
        (Phase::Started, Observed::Running) => Status::Running,
    }
}
