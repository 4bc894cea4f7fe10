//! Containers of this kernel, by libcontainer: the only folder that knows it.
//!
//! libcontainer clones itself without a program in between, changes the working directory for a moment, and wants a
//! process with one thread; `runz` is one. It is given a config of its own, from which all is taken that it does
//! otherwise than callers of runc expect: the program and its surroundings (`program`), seccomp (`seccomp`), hooks (which
//! it tells a state of its own), and the end of a container (`cgroup`), which must also follow a crash.

mod cgroup;
mod copy_up;
mod devices;
mod errors;
mod facts;
mod freezer;
mod paths;
mod plan;
mod proc;
mod program;
mod seccomp;
pub(crate) mod shield;
mod stats;
mod sys;

use std::fs::File;
use std::io::Read;
use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use libcontainer::container::builder::ContainerBuilder;
use libcontainer::container::{Container, ContainerStatus};
use libcontainer::syscall::syscall::SyscallType;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxResources, Process};
use rustix::fs::{Mode, OFlags};
use serde_json::Value;

use super::{Backend, Handle, Hooks, Io, Observed, Plan, Request};
use crate::error::plain;
use crate::fail;
use crate::state::{Phase, ProcessId};
use crate::{Error, HookKind, Result, Signal};
use cgroup::Group;
use copy_up::Hidden;
use errors::Trace;
pub(crate) use facts::facts;
use plan::{CONFIG, CopyUp, FOLDER, OURS, Ours};
use program::Program;

/// The name that libcontainer knows every container by, each below a folder of its own.
const NAME: &str = "container";
/// Locked by whoever has a part in making the container, in [`FOLDER`].
const MAKING: &str = "making";
/// The same of processes more.
const ENTERING: &str = "entering";
/// Through which `start` learns how the program began, in [`FOLDER`].
const RESULT: &str = "result";
/// What a first process may say of its failure.
const MAX_RESULT: u64 = 64 << 10;
/// How long the processes of a container may take to end after SIGKILL.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// This kernel.
#[derive(Debug, Clone, Copy)]
pub struct Linux;

impl Backend for Linux {
    fn name(&self) -> &'static str {
        "linux"
    }

    fn plan(&self, request: &Request<'_>) -> Result<Plan> {
        plan::plan(request)
    }

    fn is_free(&self, plan: &Plan) -> Result<()> {
        let ours: Ours = plan::read(plan, OURS)?;
        match Group::in_list(&plan.undo, ours.systemd).pids()?.len() {
            0 => Ok(()),
            found => {
                Err(Error::Program(format!("container's cgroup is not empty: {found} process(es) found")))
            }
        }
    }

    fn create(&self, at: &Handle<'_>, plan: &Plan, io: &Io, hooks: &dyn Hooks) -> Result<ProcessId> {
        let folder = at.dir.join(FOLDER);
        let ours: Ours = plan::read(plan, OURS)?;
        let mut config: Value = plan::read(plan, CONFIG)?;
        plan::insert_hooks(&mut config, hooks, &ours.program);
        write(&folder.join(CONFIG), &config)?;
        // Every copy of this process that has a part in it holds the lock, until it is a program or gone.
        let making = create_new(&folder.join(MAKING))?;
        making.lock().map_err(|e| Error::io(folder.join(MAKING).display().to_string(), e))?;
        let trace = Trace::begin(&folder)?;
        let result = fifo(&folder.join(RESULT))?;
        let program = Program {
            process: Arc::new(ours.process.clone()),
            seccomp: seccomp::filter(ours.seccomp.as_ref())?,
            start_hooks: Some(Arc::new(hooks.call(HookKind::StartContainer, None))),
            copy_up: Arc::new(hidden(&ours.copy_up, &at.record.rootfs)?),
            readonly_paths: Arc::new(ours.readonly_paths.clone()),
            masked_paths: Arc::new(ours.masked_paths.clone()),
            result: Some(Arc::new(result)),
        };
        if ours.new_keyring {
            join_keyring(at)?;
        }
        fail::point("making");
        let built = builder(&folder, io, program)
            .and_then(|builder| {
                builder
                    .as_init(&folder)
                    .with_systemd(at.record.systemd)
                    .with_detach(true)
                    .with_no_pivot(ours.no_pivot)
                    .build()
            })
            .map_err(|e| hook_error(at.dir).unwrap_or_else(|| trace.explain(&e)))?;
        fail::point("made");
        drop(making);
        let pid = built.pid().ok_or_else(|| backend("the container has no first process"))?.as_raw();
        if let Some(rules) = &ours.devices {
            restrict_devices(pid, rules)?;
        }
        proc::id(pid).ok_or_else(|| backend(&format!("the first process has ended at once: {pid}")))
    }

    fn start(&self, at: &Handle<'_>) -> Result<()> {
        let folder = at.dir.join(FOLDER);
        let failed = |e| Error::io(folder.join(RESULT).display().to_string(), e);
        let trace = Trace::begin(&folder)?;
        // Opened before the program can begin; not blocking, as its other end is gone where the process is.
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
        let result =
            rustix::fs::open(folder.join(RESULT), flags, Mode::empty()).map_err(|e| failed(e.into()))?;
        rustix::io::ioctl_fionbio(&result, false).map_err(|e| failed(e.into()))?;
        let mut container = load(&folder)?;
        container.start().map_err(|e| trace.explain(&e))?;
        fail::point("notified");
        // The end of the file: the program has taken the place of the process that held the other end.
        let mut said = String::new();
        File::from(result).take(MAX_RESULT).read_to_string(&mut said).map_err(failed)?;
        if said.is_empty() { Ok(()) } else { Err(Error::Program(said)) }
    }

    fn signal(&self, at: &Handle<'_>, signal: Signal, all: bool) -> Result<()> {
        let group = Group::of(at);
        if all {
            group.signal(signal)?;
        } else if let Some(process) = at.record.process.filter(|process| proc::is_alive(*process)) {
            sys::kill(process.pid, signal).map_err(|e| Error::io(format!("signal {signal}"), e))?;
        }
        if signal == Signal::KILL && group.is_frozen() {
            // What is held in a control group of the first version does not even die.
            group.thaw()?;
        }
        Ok(())
    }

    fn observe(&self, at: &Handle<'_>) -> Result<Observed> {
        let Some(process) = at.record.process else { return Ok(Observed::Absent) };
        if !proc::is_alive(process) {
            return Ok(Observed::Ended);
        }
        if Group::of(at).is_frozen() {
            return Ok(Observed::Paused);
        }
        let waits = at.record.phase != Phase::Started || is_held(&at.dir.join(FOLDER).join(RESULT));
        Ok(if waits { Observed::Waiting } else { Observed::Running })
    }

    fn exec(&self, at: &Handle<'_>, process: &Process, io: &Io) -> Result<ProcessId> {
        let folder = at.dir.join(FOLDER);
        let ours: Ours = plan::read_file(&folder.join(OURS))?;
        // Its copies, if it is killed, may still go into the group: `destroy` waits for them.
        let entering = create_new(&folder.join(ENTERING))?;
        entering.lock_shared().map_err(|e| named(&folder.join(ENTERING), e))?;
        let trace = Trace::begin(&folder)?;
        // It would not add to one that is only created, or held: whether it may was asked before.
        let mut container = load(&folder)?;
        let before = container.status();
        container.set_status(ContainerStatus::Running).save().map_err(|e| trace.explain(&e))?;
        let path = folder.join(format!("process-{}.json", std::process::id()));
        write(&path, &plan::for_library(process))?;
        let program = Program {
            process: Arc::new(process.clone()),
            seccomp: seccomp::filter(ours.seccomp.as_ref())?,
            start_hooks: None,
            copy_up: Arc::default(),
            readonly_paths: Arc::default(),
            masked_paths: Arc::default(),
            result: None,
        };
        if ours.new_keyring {
            join_keyring(at)?;
        }
        let built = builder(&folder, io, program)
            .and_then(|builder| builder.as_tenant().with_detach(true).with_process(Some(&path)).build());
        drop(entering);
        remove_traces_of_exec(&folder, &path);
        // `start` asks for it.
        container.set_status(before).save().map_err(|e| trace.explain(&e))?;
        let pid = built.map_err(|e| trace.explain(&e))?.as_raw();
        // It may have ended by now; whoever waits for it is its parent, so the number is its own still.
        Ok(proc::id(pid).unwrap_or(ProcessId { pid, start: 0 }))
    }

    fn destroy(&self, at: &Handle<'_>) -> Result<()> {
        let group = Group::of(at);
        let (making, entering) = (at.dir.join(FOLDER).join(MAKING), at.dir.join(FOLDER).join(ENTERING));
        let begun = Instant::now();
        if has_ended_alone(at) {
            // Copies of an `exec` that was killed find nothing to enter, and may have made a group before.
            while !is_free(&entering) && begun.elapsed() <= PATIENCE {
                std::thread::sleep(PAUSE);
            }
            // Another container may have the same group by now. What only ends there is none: those copies let go of the
            // lock before they leave the group.
            return match group.pids()?.into_iter().all(proc::is_ending) {
                true => group.remove(),
                false => Ok(()),
            };
        }
        loop {
            if let Some(process) = at.record.process.filter(|process| proc::is_alive(*process)) {
                sys::kill(process.pid, Signal::KILL).map_err(|e| Error::io("signal SIGKILL", e))?;
            }
            let left = group.kill()?;
            let is_alive = at.record.process.is_some_and(proc::is_alive);
            // Copies of a `create` or `exec` that was killed end by themselves, or come into the group and are ended there.
            if left == 0 && !is_alive && is_free(&making) && is_free(&entering) {
                break;
            }
            if begun.elapsed() > PATIENCE {
                return Err(backend(&format!("processes do not end: {left} in {}", group.name())));
            }
            std::thread::sleep(PAUSE);
        }
        group.remove()
    }

    fn pause(&self, at: &Handle<'_>) -> Result<()> {
        Group::of(at).freeze()
    }

    fn resume(&self, at: &Handle<'_>) -> Result<()> {
        Group::of(at).thaw()
    }

    fn processes(&self, at: &Handle<'_>) -> Result<Vec<i32>> {
        Group::of(at).pids()
    }

    fn stats(&self, at: &Handle<'_>) -> Result<Value> {
        Ok(stats::json(&Group::of(at).stats()?))
    }

    fn update(&self, at: &Handle<'_>, resources: &LinuxResources) -> Result<()> {
        Group::of(at).apply(resources)
    }
}

fn builder(
    folder: &Path,
    io: &Io,
    program: Program,
) -> std::result::Result<ContainerBuilder, libcontainer::error::LibcontainerError> {
    let preserve = i32::try_from(io.preserve_fds).unwrap_or(i32::MAX);
    // It is reached by a link from another directory.
    let console = io.console.as_ref().map(|path| std::path::absolute(path).unwrap_or_else(|_| path.clone()));
    let builder = ContainerBuilder::new(NAME.to_owned(), SyscallType::default()).with_root_path(folder)?;
    Ok(builder.with_console_socket(console).with_preserved_fds(preserve).with_executor(program))
}

/// Rules for devices, from before the program begins. The group is where the process is, whoever has made it.
fn restrict_devices(pid: i32, rules: &[LinuxDeviceCgroup]) -> Result<()> {
    let failed = |e: std::io::Error| Error::io("linux.resources.devices: a program for the kernel", e);
    let program =
        devices::program(rules).map_err(|problem| Error::config("linux.resources.devices", problem))?;
    let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).map_err(failed)?;
    let below = groups.lines().find_map(|line| line.strip_prefix("0::/"));
    let below = below.filter(|below| !below.is_empty());
    let below = below.ok_or_else(|| backend(&format!("process {pid} is in no control group of its own")))?;
    let group = File::open(cgroup_root().join(below)).map_err(failed)?;
    sys::restrict_devices(group.as_fd(), &program).map_err(failed)
}

/// The session keyring of a container, which this process takes and its copies inherit: the caller's stays with the caller.
/// Here and not inside, where the process may be a user's by now, who may have few keys.
fn join_keyring(at: &Handle<'_>) -> Result<()> {
    let name = format!("_ses.{}", at.id);
    sys::join_session_keyring(&name).map_err(|e| Error::io(format!("session keyring {name}"), e))
}

/// What tmpfs mounts will hide of the image, opened.
fn hidden(copy_up: &[CopyUp], root: &Path) -> Result<Vec<(Hidden, bool)>> {
    let mut all = Vec::new();
    for CopyUp { at, with_mode } in copy_up {
        if let Some(hidden) = Hidden::open(root, at).map_err(|e| named(at, e))? {
            all.push((hidden, *with_mode));
        }
    }
    Ok(all)
}

/// Whether its first process has ended, and with it all others: they are in a namespace of their own.
fn has_ended_alone(at: &Handle<'_>) -> bool {
    let has_ended = at.record.process.is_some_and(|process| !proc::is_alive(process));
    let config: Option<Value> = plan::read_file(&at.dir.join(crate::bundle::CONFIG)).ok();
    let is_own = |namespace: &Value| namespace["type"] == "pid" && namespace["path"].is_null();
    has_ended
        && config.is_some_and(|c| c["linux"]["namespaces"].as_array().is_some_and(|n| n.iter().any(is_own)))
}

fn load(folder: &Path) -> Result<Container> {
    Container::load(folder.join(NAME)).map_err(|e| backend(&e.to_string()))
}

/// What a hook said that libcontainer has run.
fn hook_error(dir: &Path) -> Option<Error> {
    let text = std::fs::read_to_string(dir.join("hook-error")).ok()?;
    Some(Error::Program(text))
}

/// libcontainer leaves its sockets behind.
fn remove_traces_of_exec(folder: &Path, process: &Path) {
    let sockets = std::fs::read_dir(folder.join(NAME)).into_iter().flatten().flatten();
    let of_exec = sockets.filter(|entry| entry.file_name().to_string_lossy().starts_with("tenant-"));
    for path in of_exec.map(|entry| entry.path()).chain([process.to_owned()]) {
        // No other `exec` is at work; what cannot be removed goes with the container.
        let _ = std::fs::remove_file(path);
    }
}

fn is_free(path: &Path) -> bool {
    File::open(path).map_or(true, |file| file.try_lock().is_ok())
}

fn create_new(path: &Path) -> Result<File> {
    File::options().write(true).create(true).truncate(false).open(path).map_err(|e| named(path, e))
}

/// A pipe with a name, open at both ends: it is read later, by another process.
fn fifo(path: &Path) -> Result<File> {
    let failed = |e: rustix::io::Errno| named(path, e.into());
    let private = Mode::RUSR | Mode::WUSR;
    rustix::fs::mkfifoat(rustix::fs::CWD, path, private).map_err(failed)?;
    let file = rustix::fs::open(path, OFlags::RDWR | OFlags::CLOEXEC, Mode::empty()).map_err(failed)?;
    Ok(File::from(file))
}

/// Whether somebody would read what is written there: the process that waits for `start` does not let go of it until it is
/// the program, and nothing inside can take hold of it. (`start` reads it too, until then.)
fn is_held(fifo: &Path) -> bool {
    rustix::fs::open(fifo, OFlags::WRONLY | OFlags::NONBLOCK | OFlags::CLOEXEC, Mode::empty()).is_ok()
}

fn write(path: &Path, value: &Value) -> Result<()> {
    std::fs::write(path, value.to_string()).map_err(|e| named(path, e))
}

fn named(path: &Path, e: std::io::Error) -> Error {
    Error::io(path.display().to_string(), e)
}

fn backend(problem: &str) -> Error {
    Error::Backend { backend: "linux", problem: problem.to_owned() }
}

/// A path in a message.
fn shown(path: &Path, e: &std::io::Error) -> String {
    format!("{}: {}", path.display(), plain(e))
}

/// What may be said of mounts.
pub(crate) fn mount_options() -> Vec<String> {
    libcontainer::syscall::linux::MountOption::known_options()
}

/// Where this process looks for control groups.
fn cgroup_root() -> PathBuf {
    PathBuf::from("/sys/fs/cgroup")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pipe_is_held_until_its_reader_lets_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join(RESULT);
        assert!(!is_held(&path));
        let held = fifo(&path).unwrap();
        assert!(is_held(&path) && is_held(&path));
        drop(held);
        assert!(!is_held(&path));
    }
}
