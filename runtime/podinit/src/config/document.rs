//! The document as it is written, and how it becomes units.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::hooks::{self, HookDocument};
use super::process::{self, OciRlimit, OciUser};
use super::unit::{MAIN, READY_TIMEOUT, Stop};
use super::{Backoff, Config, Kind, Log, Program, Ready, Restart, Unit, UserOf, duration, order};
use crate::configmap::ConfigMap;
use crate::run_dir;
use crate::signal::Signal;

/// A field and what is wrong with it.
pub(super) type Problem = (String, String);

pub(super) fn problem(at: &str, what: impl Into<String>) -> Problem {
    (at.to_owned(), what.into())
}

/// More units than this are no pod.
const MAX_UNITS: usize = 256;

#[derive(Deserialize)]
pub(super) struct Document {
    hostname: Option<String>,
    process: Option<OciProcess>,
    #[serde(default)]
    hooks: Hooks,
    #[serde(default)]
    aurora: Aurora,
}

#[derive(Deserialize, Default)]
#[serde(rename_all = "camelCase")]
struct Hooks {
    #[serde(default)]
    start_container: Vec<HookDocument>,
}

/// `process` of the runtime specification. What can't be applied here must not be there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct OciProcess {
    #[serde(default)]
    terminal: bool,
    user: Option<OciUser>,
    #[serde(default)]
    args: Vec<String>,
    #[serde(default)]
    env: Vec<String>,
    cwd: String,
    #[serde(default)]
    rlimits: Vec<OciRlimit>,
    #[serde(default)]
    no_new_privileges: bool,
    capabilities: Option<BTreeMap<String, Vec<String>>>,
    apparmor_profile: Option<Value>,
    selinux_label: Option<Value>,
    scheduler: Option<Value>,
    io_priority: Option<Value>,
    #[serde(rename = "execCPUAffinity")]
    exec_cpu_affinity: Option<Value>,
    oom_score_adj: Option<Value>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Aurora {
    main: Rules,
    units: Vec<UnitDocument>,
    configmaps: Vec<ConfigMap>,
    run_dir: Option<PathBuf>,
    console: Option<PathBuf>,
    stdio: Option<PathBuf>,
    once: bool,
    halt: bool,
    /// The container's state, for hooks.
    state: Option<Map<String, Value>>,
}

/// What can be said about any unit.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
struct Rules {
    after: Vec<String>,
    requires: Vec<String>,
    restart: Option<Restart>,
    backoff: Backoff,
    stop: Stop,
    ready: Option<ReadyDocument>,
    reload: Option<Signal>,
    log: Option<LogDocument>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct ReadyDocument {
    file: Option<PathBuf>,
    #[serde(default)]
    notify: bool,
    #[serde(default = "ready_timeout", deserialize_with = "duration::deserialize")]
    timeout: Duration,
}

fn ready_timeout() -> Duration {
    READY_TIMEOUT
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "lowercase")]
enum LogDocument {
    Inherit,
    Discard,
    File(PathBuf),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct UnitDocument {
    name: String,
    #[serde(rename = "type")]
    kind: Kind,
    args: Vec<String>,
    env: Option<Vec<String>>,
    cwd: Option<String>,
    user: Option<UserDocument>,
    #[serde(default, deserialize_with = "duration::deserialize_some")]
    timeout: Option<Duration>,
    root: Option<PathBuf>,
    umask: Option<u32>,
    #[serde(default)]
    rlimits: Vec<OciRlimit>,
    #[serde(default)]
    no_new_privileges: bool,
    // Not a flattened `Rules`: serde can't refuse unknown members then.
    #[serde(default)]
    after: Vec<String>,
    #[serde(default)]
    requires: Vec<String>,
    restart: Option<Restart>,
    #[serde(default)]
    backoff: Backoff,
    #[serde(default)]
    stop: Stop,
    ready: Option<ReadyDocument>,
    reload: Option<Signal>,
    log: Option<LogDocument>,
}

#[derive(Deserialize)]
#[serde(untagged)]
enum UserDocument {
    Name(String),
    Ids(OciUser),
}

/// Turns a document into what is to be done.
pub(super) fn resolve(document: Document) -> Result<Config, Problem> {
    let Document { hostname, process, hooks, aurora } = document;
    if cfg!(not(any(target_os = "illumos", target_os = "linux"))) && aurora.halt {
        return Err(problem("aurora.halt", "nothing can be halted from within on this system"));
    }
    if aurora.units.len() > MAX_UNITS {
        return Err(problem("aurora.units", format!("more than {MAX_UNITS}: {}", aurora.units.len())));
    }
    let mut warnings = Vec::new();
    let mut known = BTreeMap::new();
    if process.is_some() {
        known.insert(MAIN.to_owned(), 0);
    }
    let hooks = hooks::units(hooks.start_container, aurora.state)?;
    for hook in &hooks {
        known.insert(hook.name.clone(), known.len());
    }
    for unit in &aurora.units {
        check_name(&unit.name)?;
        let number = known.len();
        if unit.name == MAIN || known.insert(unit.name.clone(), number).is_some() {
            return Err(problem("aurora.units", format!("the name is taken: {:?}", unit.name)));
        }
    }
    let mut units = Vec::new();
    let main = process.is_some().then_some(0);
    let mut env = None;
    if let Some(process) = process {
        let program = main_program(&process, &mut warnings)?;
        env.clone_from(&program.env);
        units.push(unit(MAIN.to_owned(), Kind::Main, program, aurora.main, &known)?);
    }
    let first = units.len();
    let hooks_count = hooks.len();
    units.extend(hooks);
    for document in aurora.units {
        units.push(other(document, env.as_deref(), &known)?);
    }
    hooks::come_first(&mut units, first..first + hooks_count);
    order::check(&units)?;
    let run_dir = aurora.run_dir.unwrap_or_else(|| run_dir::DEFAULT.into());
    if !run_dir.is_absolute() {
        return Err(problem("aurora.runDir", format!("not an absolute path: {}", run_dir.display())));
    }
    if aurora.console.is_some() && aurora.stdio.is_some() {
        return Err(problem("aurora.stdio", "there is a console already"));
    }
    Ok(Config {
        hostname,
        units,
        main,
        config_maps: aurora.configmaps,
        run_dir: Some(run_dir),
        console: aurora.console,
        stdio: aurora.stdio,
        once: aurora.once,
        halt: aurora.halt,
        warnings,
    })
}

fn check_name(name: &str) -> Result<(), Problem> {
    let fits = |c: char| c.is_ascii_alphanumeric() || "_.-".contains(c);
    if name.is_empty() || name.len() > 64 || name.starts_with('.') || !name.chars().all(fits) {
        return Err(problem(
            "aurora.units",
            format!("not a name of letters, digits, '_', '.' and '-': {name:?}"),
        ));
    }
    Ok(())
}

fn main_program(process: &OciProcess, warnings: &mut Vec<String>) -> Result<Program, Problem> {
    let refused = [
        ("process.apparmorProfile", &process.apparmor_profile),
        ("process.selinuxLabel", &process.selinux_label),
        ("process.scheduler", &process.scheduler),
        ("process.ioPriority", &process.io_priority),
        ("process.execCPUAffinity", &process.exec_cpu_affinity),
        ("process.oomScoreAdj", &process.oom_score_adj),
    ];
    for (at, value) in refused {
        if value.as_ref().is_some_and(|value| !value.is_null() && value != "") {
            return Err(problem(at, "podinit can't apply it"));
        }
    }
    let at = "process";
    let umask = process::umask("process.user.umask", process.user.as_ref().and_then(|user| user.umask))?;
    #[cfg(target_os = "linux")]
    let capabilities = process.capabilities.as_ref().map(|sets| {
        let (capabilities, unknown) = crate::capabilities::Capabilities::parse(sets);
        warnings.extend(unknown.iter().map(|name| format!("process.capabilities: unknown: {name:?}")));
        capabilities
    });
    #[cfg(not(target_os = "linux"))]
    if process.capabilities.is_some() {
        warnings.push("process.capabilities: this system has none, the zone's privileges hold".to_owned());
    }
    let no_new_privileges = privileges("process.noNewPrivileges", process.no_new_privileges)?;
    Ok(Program {
        executable: None,
        args: process::args(at, &process.args)?,
        env: Some(process::env(at, &process.env)?),
        cwd: Some(process::cwd(at, &process.cwd)?),
        user: process.user.as_ref().map_or(UserOf::Podinit, |user| UserOf::Ids(user.ids())),
        umask,
        rlimits: process::rlimits(at, &process.rlimits)?,
        root: None,
        no_new_privileges,
        #[cfg(target_os = "linux")]
        capabilities,
        terminal: Some(process.terminal),
    })
}

/// Only Linux can give up privileges that exec would bring.
fn privileges(at: &str, none: bool) -> Result<bool, Problem> {
    if none && cfg!(not(target_os = "linux")) {
        return Err(problem(at, "this system can't apply it"));
    }
    Ok(none)
}

fn other(
    document: UnitDocument,
    env: Option<&[(String, String)]>,
    known: &BTreeMap<String, usize>,
) -> Result<Unit, Problem> {
    let at = format!("aurora.units: {}", document.name);
    let member = |name: &str| format!("{at}.{name}");
    let (user, mut umask) = match &document.user {
        None => (UserOf::Podinit, None),
        Some(UserDocument::Name(name)) => (UserOf::Name(name.clone()), None),
        Some(UserDocument::Ids(user)) => (UserOf::Ids(user.ids()), user.umask),
    };
    umask = process::umask(&member("umask"), document.umask.or(umask))?;
    if let Some(root) = &document.root {
        if !root.is_absolute() {
            return Err(problem(&member("root"), format!("not an absolute path: {}", root.display())));
        }
        process::no_nul(&member("root"), &root.to_string_lossy())?;
    }
    let program = Program {
        executable: None,
        args: process::args(&at, &document.args)?,
        env: match &document.env {
            Some(lines) => Some(process::env(&at, lines)?),
            None => env.map(<[_]>::to_vec),
        },
        cwd: Some(process::cwd(&at, document.cwd.as_deref().unwrap_or("/"))?),
        user,
        umask,
        rlimits: process::rlimits(&at, &document.rlimits)?,
        root: document.root,
        no_new_privileges: privileges(&member("noNewPrivileges"), document.no_new_privileges)?,
        #[cfg(target_os = "linux")]
        capabilities: None,
        terminal: Some(false),
    };
    let rules = Rules {
        after: document.after,
        requires: document.requires,
        restart: document.restart,
        backoff: document.backoff,
        stop: document.stop,
        ready: document.ready,
        reload: document.reload,
        log: document.log,
    };
    let run_timeout = document.timeout;
    if run_timeout.is_some() && document.kind != Kind::Oneshot {
        return Err(problem(&member("timeout"), "only what runs once has a time to end"));
    }
    Ok(Unit { run_timeout, ..unit(document.name, document.kind, program, rules, known)? })
}

fn unit(
    name: String,
    kind: Kind,
    program: Program,
    rules: Rules,
    known: &BTreeMap<String, usize>,
) -> Result<Unit, Problem> {
    let at = |member: &str| match kind {
        Kind::Main => format!("aurora.main.{member}"),
        _ => format!("aurora.units: {name}.{member}"),
    };
    let restart = rules.restart.unwrap_or(match kind {
        Kind::Daemon => Restart::Always,
        Kind::Main | Kind::Oneshot => Restart::Never,
    });
    if kind == Kind::Oneshot && restart == Restart::Always {
        return Err(problem(&at("restart"), "what runs once is not started again when it has ended well"));
    }
    if rules.backoff.min.is_zero() || rules.backoff.min > rules.backoff.max {
        return Err(problem(&at("backoff"), "min is zero or above max"));
    }
    let ready_timeout = rules.ready.as_ref().map_or(READY_TIMEOUT, |ready| ready.timeout);
    let ready = match rules.ready {
        None => Ready::Running,
        Some(_) if kind == Kind::Oneshot => {
            return Err(problem(&at("ready"), "what runs once is ready when it has ended well"));
        }
        Some(ReadyDocument { file: Some(file), notify: false, .. }) if file.is_absolute() => {
            process::no_nul(&at("ready.file"), &file.to_string_lossy())?;
            Ready::File(file)
        }
        Some(ReadyDocument { file: None, notify: true, .. }) if program.root.is_some() => {
            return Err(problem(&at("ready"), "a unit with a root of its own does not see the socket"));
        }
        Some(ReadyDocument { file: None, notify: true, .. }) => Ready::Notify,
        Some(_) => return Err(problem(&at("ready"), "not one of notify and an absolute path as file")),
    };
    let log = match rules.log {
        None | Some(LogDocument::Inherit) => Log::Inherit,
        Some(LogDocument::Discard) => Log::Discard,
        Some(LogDocument::File(file)) if file.is_absolute() => Log::File(file),
        Some(LogDocument::File(file)) => {
            return Err(problem(&at("log"), format!("not an absolute path: {}", file.display())));
        }
    };
    Ok(Unit {
        after: order::numbers(&at("after"), &name, &rules.after, known)?,
        requires: order::numbers(&at("requires"), &name, &rules.requires, known)?,
        kind,
        program,
        restart,
        backoff: rules.backoff,
        stop: rules.stop,
        ready,
        ready_timeout,
        run_timeout: None,
        essential: false,
        input: None,
        reload: rules.reload.unwrap_or(Signal::HUP),
        log,
        name,
    })
}
