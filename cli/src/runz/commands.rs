//! Commands that do something.

use std::io::Read;
use std::path::Path;

use aurora_runtime::backend::Io;
use aurora_runtime::{
    CreateOptions, Error, ExecOptions, Foreground, HookCall, ImagePlace, ProcessChange, Runtime,
    features as build_features, spec as plain_spec,
};
use clap::CommandFactory;
use serde_json::{Map, Value};

use super::args::{
    Cli, Completions, Create, Delete, Exec, Features, Hook, Kill, Making, Man, One, Pause, Resume, Run, Spec,
    Update,
};
use super::image;
use super::report::print;

fn options(making: &Making, cli: &Cli) -> CreateOptions {
    let io = Io { console: making.console_socket.clone(), preserve_fds: making.preserve_fds, detached: true };
    CreateOptions {
        io,
        pid_file: making.pid_file.clone(),
        no_pivot: making.no_pivot,
        systemd: cli.systemd_cgroup,
        no_new_keyring: making.no_new_keyring,
    }
}

pub(super) fn create(runtime: &Runtime, args: &Create, cli: &Cli) -> Result<i32, Error> {
    let options = options(&args.making, cli);
    if args.making.dry_run {
        let plan = runtime.plan(&args.id, &args.making.bundle, &options)?;
        return print(&plan.steps.join("\n"));
    }
    runtime.create(&args.id, &args.making.bundle, &options)?;
    Ok(0)
}

pub(super) fn run(runtime: &Runtime, args: &Run, cli: &Cli) -> Result<i32, Error> {
    let mut options = options(&args.making, cli);
    if args.making.dry_run {
        let plan = match &args.image {
            Some(name) => image::planned(runtime, args, name, &options)?,
            None => runtime.plan(&args.id, &args.making.bundle, &options)?,
        };
        return print(&plan.steps.join("\n"));
    }
    let mut place = match &args.image {
        Some(name) => Some(image::unpacked(runtime, args, name)?),
        None => None,
    };
    let bundle = place.as_ref().map_or_else(|| args.making.bundle.clone(), ImagePlace::bundle);
    let mut made = false;
    let code = begin(runtime, args, &bundle, &mut options, &mut made, &mut place);
    let goes_on = code.is_ok() && (args.detach || args.keep);
    let undone = match place {
        _ if goes_on => Ok(()),
        _ if made => runtime.delete(&args.id, true),
        Some(place) => place.remove(),
        None => Ok(()),
    };
    match code {
        Ok(code) => undone.map(|()| code),
        Err(e) => Err(e.after(undone)),
    }
}

fn begin(
    runtime: &Runtime,
    args: &Run,
    bundle: &Path,
    options: &mut CreateOptions,
    made: &mut bool,
    place: &mut Option<ImagePlace<'_>>,
) -> Result<i32, Error> {
    options.io.detached = args.detach;
    let terminal = !args.detach && options.io.console.is_none() && runtime.wants_terminal(bundle)?;
    let mut foreground = Foreground::new(terminal)?;
    if terminal {
        options.io.console = foreground.console();
    }
    let mut container = runtime.create(&args.id, bundle, options)?;
    // Before, one of this name would be somebody else's. From now on the image goes with the container.
    *made = true;
    drop(place.take());
    if !args.detach {
        foreground.watch()?;
    }
    container.start()?;
    let pid = container.pid().expect("a container that was started has a first process");
    drop(container);
    if args.detach { Ok(0) } else { foreground.wait(pid) }
}

pub(super) fn start(runtime: &Runtime, args: &One) -> Result<i32, Error> {
    runtime.open(&args.id)?.start()?;
    Ok(0)
}

pub(super) fn exec(runtime: &Runtime, args: &Exec) -> Result<i32, Error> {
    let container = runtime.open(&args.id)?;
    let mut options = ExecOptions {
        process: args.process.clone(),
        change: ProcessChange {
            args: args.command.clone(),
            env: args.env.clone(),
            cwd: args.cwd.clone(),
            user: args.user,
            groups: args.additional_gids.clone(),
            capabilities: args.cap.clone(),
            no_new_privileges: args.no_new_privs,
            terminal: args.tty,
            apparmor: args.apparmor.clone(),
        },
        io: Io {
            console: args.console_socket.clone(),
            preserve_fds: args.preserve_fds,
            detached: args.detach,
        },
        pid_file: args.pid_file.clone(),
        ignore_paused: args.ignore_paused,
    };
    let mut process = container.process_of(&options)?;
    if args.tty {
        process.set_terminal(Some(true));
    }
    let terminal = !args.detach && options.io.console.is_none() && process.terminal() == Some(true);
    let foreground = Foreground::new(terminal)?;
    if terminal {
        options.io.console = foreground.console();
    }
    let executed = container.exec(&process, &options)?;
    drop(container);
    if args.detach { Ok(0) } else { foreground.wait(executed.pid) }
}

pub(super) fn kill(runtime: &Runtime, args: &Kill) -> Result<i32, Error> {
    let container = runtime.at_once(&args.id)?;
    container.kill(args.signal.parse()?, args.all)?;
    Ok(0)
}

pub(super) fn delete(runtime: &Runtime, args: &Delete) -> Result<i32, Error> {
    runtime.delete(&args.id, args.force)?;
    Ok(0)
}

pub(super) fn pause(runtime: &Runtime, args: &Pause) -> Result<i32, Error> {
    runtime.open(&args.id)?.pause()?;
    Ok(0)
}

pub(super) fn resume(runtime: &Runtime, args: &Resume) -> Result<i32, Error> {
    runtime.open(&args.id)?.resume()?;
    Ok(0)
}

pub(super) fn update(runtime: &Runtime, args: &Update) -> Result<i32, Error> {
    let mut resources = match &args.resources {
        None => Value::Object(Map::new()),
        Some(path) => {
            let bytes = if path == Path::new("-") {
                let mut bytes = Vec::new();
                std::io::stdin().read_to_end(&mut bytes).map(|_| bytes)
            } else {
                std::fs::read(path)
            };
            let bytes = bytes.map_err(|source| Error::Io { what: path.display().to_string(), source })?;
            serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.clone(), source })?
        }
    };
    let given = [
        ("memory", "limit", args.memory.map(Value::from)),
        ("memory", "reservation", args.memory_reservation.map(Value::from)),
        ("memory", "swap", args.memory_swap.map(Value::from)),
        ("cpu", "period", args.cpu_period.map(Value::from)),
        ("cpu", "quota", args.cpu_quota.map(Value::from)),
        ("cpu", "shares", args.cpu_share.map(Value::from)),
        ("cpu", "cpus", args.cpuset_cpus.clone().map(Value::from)),
        ("cpu", "mems", args.cpuset_mems.clone().map(Value::from)),
        ("blockIO", "weight", args.blkio_weight.map(Value::from)),
        ("pids", "limit", args.pids_limit.map(Value::from)),
    ];
    let strange = || Error::Usage("resources: not an object as linux.resources of a config".to_owned());
    let groups = resources.as_object_mut().ok_or_else(strange)?;
    for (group, member, value) in given {
        if let Some(value) = value {
            let group = groups.entry(group).or_insert_with(|| Value::Object(Map::new()));
            group.as_object_mut().ok_or_else(strange)?.insert(member.to_owned(), value);
        }
    }
    let path = args.resources.clone().unwrap_or_else(|| "resources".into());
    let resources = serde_json::from_value(resources).map_err(|source| Error::Json { path, source })?;
    runtime.open(&args.id)?.update(&resources)?;
    Ok(0)
}

pub(super) fn spec(args: &Spec) -> Result<i32, Error> {
    let (uid, gid) = (rustix::process::geteuid().as_raw(), rustix::process::getegid().as_raw());
    let spec = plain_spec(args.rootless.then_some((uid, gid)));
    let path = args.bundle.join("config.json");
    let failed = |source| Error::Io { what: path.display().to_string(), source };
    let mut file = match std::fs::File::create_new(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::AlreadyExists => {
            return Err(Error::Usage(format!("File {} exists. Remove it first", path.display())));
        }
        other => other.map_err(failed)?,
    };
    let text = serde_json::to_string_pretty(&spec).expect("a spec has a JSON form");
    std::io::Write::write_all(&mut file, format!("{text}\n").as_bytes()).map_err(failed)?;
    Ok(0)
}

pub(super) fn features(_: &Features) -> Result<i32, Error> {
    print(&serde_json::to_string_pretty(&build_features()).expect("it is JSON"))
}

/// Hooks of a kind. libcontainer tells what they are and, for some, the container's number on the host.
pub(super) fn hook(args: &Hook) -> Result<i32, Error> {
    let mut told = String::new();
    let read = std::io::stdin().read_to_string(&mut told);
    read.map_err(|source| Error::Io { what: "standard input".to_owned(), source })?;
    let wrong = |source| Error::Json { path: "standard input".into(), source };
    let told: Value = serde_json::from_str(&told).map_err(wrong)?;
    let mut call = HookCall::of_state(&args.kind, &told)?;
    // Inside, where it is not told, the first process is the one that has called.
    let pid = told["pid"].as_i64().and_then(|pid| i32::try_from(pid).ok()).filter(|pid| *pid > 0);
    let parent = || rustix::process::getppid().map_or(1, |pid| pid.as_raw_nonzero().get());
    call.state.pid = pid.unwrap_or_else(parent);
    let Err(e) = call.run() else { return Ok(0) };
    // In a user namespace the file may be out of reach; then it is said here.
    match call.report.as_ref().map(|report| std::fs::write(report, e.to_string())) {
        Some(Ok(())) => Ok(1),
        _ => Err(e),
    }
}

pub(super) fn completions(args: &Completions) -> Result<i32, Error> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Cli::command(), "runz", &mut script);
    print(String::from_utf8_lossy(&script).trim_end())
}

pub(super) fn man(args: &Man) -> Result<i32, Error> {
    let failed = |source| Error::Io { what: args.dir.display().to_string(), source };
    std::fs::create_dir_all(&args.dir).map_err(failed)?;
    clap_mangen::generate_to(Cli::command(), &args.dir).map_err(failed)?;
    Ok(0)
}
