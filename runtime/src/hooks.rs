//! Hooks: programs that the config has run at points of a container's life, with its state on their standard input.

use std::fmt;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, ExitStatus, Stdio};
use std::time::{Duration, Instant};

use oci_spec::runtime::{Hook, Hooks};
use rustix::event::{PollFd, PollFlags, poll};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::state::Seen;
use crate::{Error, Result};

/// When a hook runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum HookKind {
    /// As the next one, before it: older configs have it.
    #[serde(rename = "prestart")]
    Prestart,
    /// The environment is there, the root is not entered: in the runtime's own surroundings.
    #[serde(rename = "createRuntime")]
    CreateRuntime,
    /// The same inside the container's mounts.
    #[serde(rename = "createContainer")]
    CreateContainer,
    /// Before the program, inside.
    #[serde(rename = "startContainer")]
    StartContainer,
    /// After the program has begun.
    #[serde(rename = "poststart")]
    Poststart,
    /// After the container is gone.
    #[serde(rename = "poststop")]
    Poststop,
}

impl HookKind {
    /// All, in the order of a container's life.
    pub const ALL: [Self; 6] = [
        Self::Prestart,
        Self::CreateRuntime,
        Self::CreateContainer,
        Self::StartContainer,
        Self::Poststart,
        Self::Poststop,
    ];

    /// Its name in the config.
    pub fn name(self) -> &'static str {
        match self {
            Self::Prestart => "prestart",
            Self::CreateRuntime => "createRuntime",
            Self::CreateContainer => "createContainer",
            Self::StartContainer => "startContainer",
            Self::Poststart => "poststart",
            Self::Poststop => "poststop",
        }
    }
}

impl fmt::Display for HookKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// The hooks of a kind.
pub(crate) fn of_kind(hooks: Option<&Hooks>, kind: HookKind) -> &[Hook] {
    let list = hooks.and_then(|hooks| match kind {
        HookKind::Prestart => hooks.prestart().as_ref(),
        HookKind::CreateRuntime => hooks.create_runtime().as_ref(),
        HookKind::CreateContainer => hooks.create_container().as_ref(),
        HookKind::StartContainer => hooks.start_container().as_ref(),
        HookKind::Poststart => hooks.poststart().as_ref(),
        HookKind::Poststop => hooks.poststop().as_ref(),
    });
    list.map_or(&[], Vec::as_slice)
}

/// Hooks that are to be run: all of a kind, one after another, until one fails.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct HookCall {
    /// Which.
    pub kind: HookKind,
    /// What they are told.
    pub state: Seen,
    /// They.
    pub hooks: Vec<Hook>,
    /// The variables of those that name none.
    #[serde(default)]
    pub env: Vec<String>,
    /// Where an error is written, for those whose caller learns a number only.
    #[serde(default)]
    pub report: Option<PathBuf>,
}

/// What a hook may say on its standard error before the rest is dropped.
const MAX_SAID: usize = 4096;
/// Between two looks at a hook that says nothing.
const TICK: rustix::fs::Timespec = rustix::fs::Timespec { tv_sec: 0, tv_nsec: 20_000_000 };

impl HookCall {
    /// Where calls are in the state that a backend's library tells: an object with one for each kind.
    pub(crate) const ANNOTATION: &str = "dev.aurora.hooks";

    /// The one that a backend has put into the state that its library tells.
    pub fn of_state(kind: &str, told: &Value) -> Result<Self> {
        let wrong = |source| Error::Json { path: "hook".into(), source };
        let calls = told["annotations"][Self::ANNOTATION].as_str().unwrap_or_default();
        let calls: Value = serde_json::from_str(calls).map_err(wrong)?;
        Self::deserialize(&calls[kind]).map_err(wrong)
    }

    /// Runs them.
    pub fn run(&self) -> Result<()> {
        for (number, hook) in self.hooks.iter().enumerate() {
            self.one(hook).map_err(|problem| Error::Hook { kind: self.kind, number, problem })?;
        }
        Ok(())
    }

    /// Runs them all, whatever they say; returns what went wrong.
    pub(crate) fn run_all(&self) -> Vec<Error> {
        let failed = |(number, hook)| {
            let problem = self.one(hook).err()?;
            Some(Error::Hook { kind: self.kind, number, problem })
        };
        self.hooks.iter().enumerate().filter_map(failed).collect()
    }

    fn one(&self, hook: &Hook) -> std::result::Result<(), String> {
        let begin = || -> io::Result<(Child, PipeReader)> {
            let (said, to_say) = io::pipe()?;
            let mut command = Command::new(hook.path());
            // The list begins with the name that the program sees of itself.
            if let Some((name, args)) = hook.args().as_ref().and_then(|args| args.split_first()) {
                command.arg0(name).args(args);
            }
            let env = hook.env().as_ref().unwrap_or(&self.env);
            command.env_clear().envs(env.iter().filter_map(|line| line.split_once('=')));
            command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(to_say);
            Ok((command.spawn()?, said))
        };
        let path = hook.path().display();
        let (child, said) = begin().map_err(|e| format!("{path}: {}", crate::error::plain(&e)))?;
        let limit = hook.timeout().and_then(|seconds| u64::try_from(seconds).ok()).map(Duration::from_secs);
        let state = serde_json::to_vec(&self.state).expect("a state has a JSON form");
        let mut text = Vec::new();
        match attend(child, &said, &state, limit, &mut text) {
            Ok(Some(status)) if status.success() => Ok(()),
            Ok(Some(status)) => {
                let how = match (status.code(), status.signal()) {
                    (Some(code), _) => format!("exit status {code}"),
                    (None, signal) => format!("signal {}", signal.unwrap_or_default()),
                };
                Err(format!("{path}: {how}, stderr: {}", String::from_utf8_lossy(&text).trim_end()))
            }
            Ok(None) => Err(format!("{path}: no end after {} s", limit.unwrap_or_default().as_secs())),
            Err(e) => Err(format!("{path}: {}", crate::error::plain(&e))),
        }
    }
}

/// Gives a hook its state, hears it out, and waits for its end; `None` when that took too long.
fn attend(
    mut child: Child,
    said: &PipeReader,
    state: &[u8],
    limit: Option<Duration>,
    text: &mut Vec<u8>,
) -> io::Result<Option<ExitStatus>> {
    let begun = Instant::now();
    let mut stdin = child.stdin.take();
    let mut rest = state;
    rustix::io::ioctl_fionbio(said, true)?;
    if let Some(stdin) = &stdin {
        rustix::io::ioctl_fionbio(stdin, true)?;
    }
    loop {
        if let Some(status) = child.try_wait()? {
            hear(said, text);
            return Ok(Some(status));
        }
        if limit.is_some_and(|limit| begun.elapsed() >= limit) {
            child.kill()?;
            child.wait()?;
            return Ok(None);
        }
        let writable = give(&mut stdin, &mut rest);
        let mut fds = vec![PollFd::from_borrowed_fd(said.as_fd(), PollFlags::IN)];
        if writable && let Some(stdin) = &stdin {
            fds.push(PollFd::from_borrowed_fd(stdin.as_fd(), PollFlags::OUT));
        }
        match poll(&mut fds, Some(&TICK)) {
            Ok(_) | Err(rustix::io::Errno::INTR) => {}
            Err(e) => return Err(e.into()),
        }
        if !hear(said, text) {
            // It has closed its end, so that only its own end is left to wait for.
            std::thread::sleep(Duration::from_nanos(TICK.tv_nsec.unsigned_abs()));
        }
    }
}

/// Writes what fits; whether there is more.
fn give(stdin: &mut Option<ChildStdin>, rest: &mut &[u8]) -> bool {
    let Some(pipe) = stdin else { return false };
    match pipe.write(rest) {
        Ok(n) if n < rest.len() => {
            *rest = &rest[n..];
            true
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => true,
        // All is said, or it does not want to know.
        _ => {
            *stdin = None;
            false
        }
    }
}

/// Reads what is there; whether there may be more.
fn hear(mut said: &PipeReader, text: &mut Vec<u8>) -> bool {
    let mut buffer = [0; 1024];
    loop {
        match said.read(&mut buffer) {
            Ok(0) => return false,
            Ok(n) => text.extend(&buffer[..n.min(MAX_SAID.saturating_sub(text.len()))]),
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(_) => return true,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Status;
    use serde_json::json;

    fn call(hooks: serde_json::Value) -> HookCall {
        let state = Seen {
            oci_version: "1.0.2".into(),
            id: "c".into(),
            pid: 7,
            status: Status::Creating,
            bundle: "/b".into(),
            rootfs: "/b/r".into(),
            created: String::new(),
            annotations: [("k".to_owned(), "v".repeat(200_000))].into(),
            owner: String::new(),
        };
        let hooks = serde_json::from_value(hooks).unwrap();
        HookCall { kind: HookKind::Prestart, state, hooks, env: vec!["A=1".into()], report: None }
    }

    fn sh(script: &str) -> serde_json::Value {
        json!({"path": "/bin/sh", "args": ["sh", "-c", script]})
    }

    #[test]
    fn a_hook_gets_the_state_and_its_own_variables() {
        let dir = tempfile::tempdir().unwrap();
        let out = dir.path().join("out");
        let mut hook = sh(&format!("cat >{0}; echo $A-$B >>{0}", out.display()));
        hook["env"] = json!(["B=2", "PATH=/usr/bin:/bin"]);
        call(json!([hook])).run().unwrap();
        let text = std::fs::read_to_string(&out).unwrap();
        let (state, vars) = text.split_at(text.rfind('}').unwrap() + 1);
        let state: Seen = serde_json::from_str(state).unwrap();
        assert_eq!((state.pid, state.status, vars.trim()), (7, Status::Creating, "-2"));
    }

    #[test]
    fn a_failing_hook_ends_the_row_and_says_why() {
        let dir = tempfile::tempdir().unwrap();
        let mark = dir.path().join("mark");
        let hooks = json!([sh("exit 0"), sh("echo no >&2; exit 3"), sh(&format!(">{}", mark.display()))]);
        let e = call(hooks.clone()).run().unwrap_err().to_string();
        assert_eq!(e, "error running prestart hook #1: /bin/sh: exit status 3, stderr: no");
        assert!(!mark.exists());
        assert_eq!(call(hooks).run_all().len(), 1);
        assert!(mark.exists());
        let e = call(json!([{"path": "/nonexistent"}])).run().unwrap_err().to_string();
        assert_eq!(e, "error running prestart hook #0: /nonexistent: no such file or directory");
        assert!(call(json!([sh("kill -9 $$")])).run().unwrap_err().to_string().contains("signal 9"));
    }

    #[test]
    fn a_hook_that_does_not_end_is_killed() {
        let mut hook = sh("sleep 1000");
        hook["timeout"] = json!(1);
        let e = call(json!([hook])).run().unwrap_err().to_string();
        assert!(e.ends_with("no end after 1 s"), "{e}");
    }
}
