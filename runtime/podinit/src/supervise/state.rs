//! Where a unit is in its life.

use std::time::{Duration, Instant};

use super::End;
use crate::config::{Backoff, Kind};

/// One unit's state.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) phase: Phase,
    /// Whether it is to run.
    pub(super) wanted: bool,
    /// Whether it is to be started again once it has stopped.
    pub(super) restarting: bool,
    /// How its last process ended.
    pub(crate) end: Option<End>,
    /// How often it was started.
    pub(crate) starts: u64,
    /// When its last process was started.
    pub(super) since: Instant,
    /// How long to wait before it is started again.
    pub(super) delay: Duration,
}

/// The stations.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// For what comes first.
    Waiting,
    /// The caller is starting it.
    Launching,
    /// It runs and is not ready yet. After the deadline, if there is one, it is killed.
    Starting { pid: i32, deadline: Option<Instant> },
    /// It runs and is ready.
    Up { pid: i32 },
    /// It was asked to end. After the deadline it is killed; without one it has been.
    Stopping { pid: i32, deadline: Option<Instant> },
    /// It ended by itself and is to be started again.
    Pausing { until: Instant },
    /// For good, or until someone asks for it.
    Ended { failed: bool },
}

impl Phase {
    /// Its process, while it has one.
    pub(crate) fn pid(self) -> Option<i32> {
        match self {
            Self::Starting { pid, .. } | Self::Up { pid } | Self::Stopping { pid, .. } => Some(pid),
            Self::Waiting | Self::Launching | Self::Pausing { .. } | Self::Ended { .. } => None,
        }
    }

    pub(super) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Starting { deadline, .. } | Self::Stopping { deadline, .. } => deadline,
            Self::Pausing { until } => Some(until),
            Self::Waiting | Self::Launching | Self::Up { .. } | Self::Ended { .. } => None,
        }
    }

    /// The word for it in answers and messages.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Waiting | Self::Launching => "waiting",
            Self::Starting { .. } => "starting",
            Self::Up { .. } => "up",
            Self::Stopping { .. } => "stopping",
            Self::Pausing { .. } => "pausing",
            Self::Ended { failed: false } => "ended",
            Self::Ended { failed: true } => "failed",
        }
    }
}

impl State {
    pub(super) fn new(backoff: &Backoff) -> Self {
        Self {
            phase: Phase::Waiting,
            wanted: true,
            restarting: false,
            end: None,
            starts: 0,
            since: Instant::now(),
            delay: backoff.min,
        }
    }

    /// Whether it is up, or has done its work: what requires it can start.
    pub(crate) fn is_good(&self, kind: Kind) -> bool {
        match self.phase {
            Phase::Up { .. } => true,
            Phase::Ended { failed: false } => kind == Kind::Oneshot && self.end.is_some_and(End::is_success),
            _ => false,
        }
    }

    /// Whether it is not about to become anything else: what merely comes after it can start.
    pub(super) fn is_settled(&self, kind: Kind) -> bool {
        self.is_good(kind) || matches!(self.phase, Phase::Ended { .. })
    }

    pub(crate) fn is_ended(&self) -> bool {
        matches!(self.phase, Phase::Ended { .. })
    }
}
