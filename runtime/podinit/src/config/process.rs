//! A program and its surroundings: `process` of the runtime specification, and the same members of a unit.

use std::ffi::{CString, OsStr, OsString};
use std::path::PathBuf;

use rustix::process::{Resource, Rlimit};
use serde::Deserialize;

use super::document::{Problem, problem};
use crate::sys::Ids;

/// What is executed, and as what.
#[derive(Clone)]
pub(crate) struct Program {
    /// What is executed, where that is not the first of the arguments.
    pub(crate) executable: Option<OsString>,
    pub(crate) args: Vec<OsString>,
    /// None: podinit's own.
    pub(crate) env: Option<Vec<(String, String)>>,
    pub(crate) cwd: Option<CString>,
    pub(crate) user: UserOf,
    pub(crate) umask: Option<u32>,
    pub(crate) rlimits: Vec<(Resource, Rlimit)>,
    pub(crate) root: Option<PathBuf>,
    pub(crate) no_new_privileges: bool,
    #[cfg(target_os = "linux")]
    pub(crate) capabilities: Option<crate::capabilities::Capabilities>,
    /// Whether the program is to have the terminal that podinit has. None: if there is one.
    pub(crate) terminal: Option<bool>,
}

/// Who a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum UserOf {
    /// Who podinit runs as.
    Podinit,
    Ids(Ids),
    /// To be looked up in the accounts of its root.
    Name(String),
}

impl Program {
    /// What is executed.
    pub(crate) fn executable(&self) -> &OsStr {
        self.executable.as_deref().unwrap_or(&self.args[0])
    }

    /// A command line, with everything else as podinit has it.
    pub(super) fn of_command(args: Vec<OsString>) -> Self {
        Self {
            executable: None,
            args,
            env: None,
            cwd: None,
            user: UserOf::Podinit,
            umask: None,
            rlimits: Vec::new(),
            root: None,
            no_new_privileges: false,
            #[cfg(target_os = "linux")]
            capabilities: None,
            terminal: None,
        }
    }
}

/// `process.user`.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct OciUser {
    uid: u32,
    gid: u32,
    #[serde(default)]
    additional_gids: Vec<u32>,
    pub(super) umask: Option<u32>,
}

impl OciUser {
    pub(super) fn ids(&self) -> Ids {
        Ids { uid: self.uid, gid: self.gid, groups: self.additional_gids.clone() }
    }
}

/// One of `process.rlimits`.
#[derive(Deserialize)]
pub(super) struct OciRlimit {
    #[serde(rename = "type")]
    kind: String,
    soft: u64,
    hard: u64,
}

/// Limits of all systems, then those that only Linux has.
const RESOURCES: &[(&str, Resource)] = &[
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_STACK", Resource::Stack),
    #[cfg(target_os = "linux")]
    ("RLIMIT_LOCKS", Resource::Locks),
    #[cfg(target_os = "linux")]
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    #[cfg(target_os = "linux")]
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    #[cfg(target_os = "linux")]
    ("RLIMIT_NICE", Resource::Nice),
    #[cfg(target_os = "linux")]
    ("RLIMIT_NPROC", Resource::Nproc),
    #[cfg(target_os = "linux")]
    ("RLIMIT_RSS", Resource::Rss),
    #[cfg(target_os = "linux")]
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    #[cfg(target_os = "linux")]
    ("RLIMIT_RTTIME", Resource::Rttime),
    #[cfg(target_os = "linux")]
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
];

pub(super) fn rlimits(at: &str, limits: &[OciRlimit]) -> Result<Vec<(Resource, Rlimit)>, Problem> {
    let at = format!("{at}.rlimits");
    let mut found: Vec<(Resource, Rlimit)> = Vec::new();
    for OciRlimit { kind, soft, hard } in limits {
        let Some((_, resource)) = RESOURCES.iter().find(|(name, _)| name == kind) else {
            return Err(problem(&at, format!("this system has no such limit: {kind:?}")));
        };
        if found.iter().any(|(known, _)| known == resource) {
            return Err(problem(&at, format!("twice: {kind:?}")));
        }
        if soft > hard {
            return Err(problem(&at, format!("{kind}: soft is above hard ({hard}): {soft}")));
        }
        // The largest number is the specification's way to say that there is no limit, and the system's.
        let limit = |n: u64| (n != u64::MAX).then_some(n);
        found.push((*resource, Rlimit { current: limit(*soft), maximum: limit(*hard) }));
    }
    Ok(found)
}

pub(super) fn args(at: &str, args: &[String]) -> Result<Vec<OsString>, Problem> {
    let at = format!("{at}.args");
    match args.first() {
        None => return Err(problem(&at, "there is nothing to run")),
        Some(program) if program.is_empty() => return Err(problem(&at, "the program has no name")),
        Some(_) => {}
    }
    args.iter().map(|arg| no_nul(&at, arg).map(OsString::from)).collect()
}

pub(super) fn env(at: &str, lines: &[String]) -> Result<Vec<(String, String)>, Problem> {
    let at = format!("{at}.env");
    let pair = |line: &String| match no_nul(&at, line)?.split_once('=') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(problem(&at, format!("not NAME=VALUE: {line:?}"))),
    };
    lines.iter().map(pair).collect()
}

pub(super) fn cwd(at: &str, cwd: &str) -> Result<CString, Problem> {
    let at = format!("{at}.cwd");
    if !cwd.starts_with('/') {
        return Err(problem(&at, format!("not an absolute path: {cwd:?}")));
    }
    Ok(CString::new(no_nul(&at, cwd)?).expect("there is no zero byte in it"))
}

pub(super) fn no_nul<'a>(at: &str, text: &'a str) -> Result<&'a str, Problem> {
    if text.contains('\0') { Err(problem(at, format!("a zero byte in it: {text:?}"))) } else { Ok(text) }
}

pub(super) fn umask(at: &str, umask: Option<u32>) -> Result<Option<u32>, Problem> {
    match umask {
        Some(umask) if umask > 0o777 => Err(problem(at, format!("umask above 0777: {umask:#o}"))),
        umask => Ok(umask),
    }
}
