//! One supervised program and the rules for it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Deserialize;

use super::Program;
use super::duration;
use crate::signal::Signal;

/// The name of the unit that `process` describes.
pub(super) const MAIN: &str = "main";

/// Something to keep running, or to run once.
#[derive(Clone)]
pub(crate) struct Unit {
    pub(crate) name: String,
    pub(crate) kind: Kind,
    pub(crate) program: Program,
    /// Units that come first, as numbers: it is enough that they are not about to.
    pub(crate) after: Vec<usize>,
    /// Units that come first and must be up (or, run once, must have ended well).
    pub(crate) requires: Vec<usize>,
    pub(crate) restart: Restart,
    pub(crate) backoff: Backoff,
    pub(crate) stop: Stop,
    pub(crate) ready: Ready,
    /// How long it may take to be ready.
    pub(crate) ready_timeout: Duration,
    /// Of what runs once: how long it may take.
    pub(crate) run_timeout: Option<Duration>,
    /// Whether everything ends if it fails.
    pub(crate) essential: bool,
    /// What it reads on standard input.
    pub(crate) input: Option<Vec<u8>>,
    /// What asks it to read its configuration again.
    pub(crate) reload: Signal,
    pub(crate) log: Log,
}

impl Unit {
    /// The main one, with nothing said about it.
    pub(super) fn main(program: Program) -> Self {
        Self {
            name: MAIN.to_owned(),
            kind: Kind::Main,
            program,
            after: Vec::new(),
            requires: Vec::new(),
            restart: Restart::Never,
            backoff: Backoff::default(),
            stop: Stop::default(),
            ready: Ready::Running,
            ready_timeout: READY_TIMEOUT,
            run_timeout: None,
            essential: false,
            input: None,
            reload: Signal::HUP,
            log: Log::Inherit,
        }
    }

    /// A hook, which runs once before all else.
    pub(super) fn hook(name: String, program: Program, timeout: Option<Duration>, state: Vec<u8>) -> Self {
        Self {
            name,
            kind: Kind::Oneshot,
            run_timeout: timeout,
            essential: true,
            input: Some(state),
            ..Self::main(program)
        }
    }

    /// Those that come first, for either reason.
    pub(crate) fn comes_after(&self) -> impl Iterator<Item = usize> {
        self.after.iter().chain(&self.requires).copied()
    }
}

/// As long as service managers commonly give a service to start.
pub(super) const READY_TIMEOUT: Duration = Duration::from_secs(90);

/// What its end means.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Kind {
    /// The end of everything.
    #[serde(skip)]
    Main,
    /// That something is wrong: it is meant to run on.
    Daemon,
    /// That it has done its work.
    Oneshot,
}

/// Whether it is started again when it ends by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Restart {
    Never,
    OnFailure,
    Always,
}

/// How long to wait before that: `min`, and twice as long each time up to `max`; `min` again once it has run
/// for `reset`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Backoff {
    #[serde(deserialize_with = "duration::deserialize")]
    pub(crate) min: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub(crate) max: Duration,
    #[serde(deserialize_with = "duration::deserialize")]
    pub(crate) reset: Duration,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { min: Duration::from_millis(100), max: Duration::from_secs(60), reset: Duration::from_secs(10) }
    }
}

/// How it is stopped: this signal, and after the time KILL to its whole process group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Stop {
    pub(crate) signal: Signal,
    #[serde(deserialize_with = "duration::deserialize")]
    pub(crate) timeout: Duration,
}

impl Default for Stop {
    fn default() -> Self {
        Self { signal: Signal::TERM, timeout: Duration::from_secs(10) }
    }
}

/// When it counts as ready.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Ready {
    /// Once it has been executed; what runs once, when it has ended well.
    Running,
    /// Once this file is there, below its root. It is removed before the start.
    File(PathBuf),
    /// Once it has sent `READY=1` to the socket in its environment's `NOTIFY_SOCKET`.
    Notify,
}

/// Where its output goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Log {
    /// To podinit's own.
    Inherit,
    Discard,
    /// Appended to a file.
    File(PathBuf),
}
