//! The rules.
//!
//! - A unit starts when what it comes after is settled and what it requires is up (or, run once, has ended
//!   well). What requires a unit that will not come up fails.
//! - A unit that is to stop is asked to when nothing that comes after it and is to stop as well still runs: the
//!   order of stopping is the order of starting backwards. After its time it is killed.
//! - A unit that ends by itself is started again as its `restart` says, later each time; or it has ended, well
//!   or not.
//! - When the main unit has ended, everything is to stop. When everything has, podinit finishes with the main
//!   unit's end.

use std::time::Instant;

use super::{Action, End, Phase, Supervisor};
use crate::config::{Kind, Restart};

impl Supervisor {
    /// What the clock alone changes.
    pub(super) fn expire(&mut self, now: Instant) {
        for unit in 0..self.units.len() {
            let Some(deadline) = self.states[unit].phase.deadline() else { continue };
            if now < deadline {
                continue;
            }
            match self.states[unit].phase {
                Phase::Pausing { .. } => self.states[unit].phase = Phase::Waiting,
                // Not ready in time, or not gone in time. What is killed ends, and then the rules for that
                // hold.
                Phase::Starting { pid, .. } => {
                    self.states[unit].phase = Phase::Starting { pid, deadline: None };
                    self.actions.push(Action::Kill { unit, pid });
                }
                Phase::Stopping { pid, .. } => {
                    self.states[unit].phase = Phase::Stopping { pid, deadline: None };
                    self.actions.push(Action::Kill { unit, pid });
                }
                _ => {}
            }
        }
    }

    /// Until none of them changes anything more.
    pub(super) fn apply_rules(&mut self, now: Instant) {
        while (0..self.units.len()).any(|unit| self.apply_to(unit, now)) {}
        let all_ended = self.states.iter().all(super::State::is_ended);
        if let Some(end) = self.shutdown.filter(|_| all_ended && !self.finished) {
            self.finished = true;
            self.actions.push(Action::Finish(end));
        }
    }

    fn apply_to(&mut self, unit: usize, now: Instant) -> bool {
        let state = &self.states[unit];
        match state.phase {
            Phase::Waiting | Phase::Pausing { .. } if !state.wanted => {
                self.end_for_good(unit, false);
                true
            }
            Phase::Waiting if self.units[unit].requires.iter().any(|&on| self.will_not_come(on)) => {
                self.actions.push(Action::GiveUp(unit));
                self.end_for_good(unit, true);
                true
            }
            Phase::Waiting if self.can_start(unit) => {
                self.states[unit].phase = Phase::Launching;
                self.actions.push(Action::Start(unit));
                true
            }
            Phase::Starting { pid, .. } | Phase::Up { pid }
                if (!state.wanted || state.restarting) && self.can_stop(unit) =>
            {
                let stop = self.units[unit].stop;
                self.states[unit].phase = Phase::Stopping { pid, deadline: Some(now + stop.timeout) };
                self.actions.push(Action::Signal { unit, pid, signal: stop.signal });
                true
            }
            _ => false,
        }
    }

    fn will_not_come(&self, unit: usize) -> bool {
        self.states[unit].is_ended() && !self.states[unit].is_good(self.units[unit].kind)
    }

    fn can_start(&self, unit: usize) -> bool {
        let kind = |n: usize| self.units[n].kind;
        let Self { units, states, .. } = self;
        units[unit].requires.iter().all(|&n| states[n].is_good(kind(n)))
            && units[unit].after.iter().all(|&n| states[n].is_settled(kind(n)))
    }

    fn can_stop(&self, unit: usize) -> bool {
        let runs =
            |n: usize| self.states[n].phase.pid().is_some() || self.states[n].phase == Phase::Launching;
        !self.later[unit].iter().any(|&n| runs(n) && !self.states[n].wanted)
    }

    /// What follows from the end of a process.
    pub(super) fn after_end(&mut self, unit: usize, end: End, now: Instant) {
        if self.units[unit].kind == Kind::Main && self.shutdown.is_some() {
            // It ended because everything is to: its end is what counts all the same.
            self.shutdown = Some(end);
        }
        let state = &mut self.states[unit];
        if !state.wanted {
            return self.end_for_good(unit, false);
        }
        if state.restarting || matches!(state.phase, Phase::Stopping { .. }) {
            state.restarting = false;
            state.phase = Phase::Waiting;
            return;
        }
        let again = match self.units[unit].restart {
            _ if self.told_to_end && self.units[unit].kind == Kind::Main => false,
            Restart::Never => false,
            Restart::OnFailure => !end.is_success(),
            Restart::Always => true,
        };
        if !again {
            return self.end_for_good(unit, !end.is_success());
        }
        let backoff = self.units[unit].backoff;
        // What was never executed has not run, however long ago the last time was.
        let ran_well = state.phase.pid().is_some() && now.duration_since(state.since) >= backoff.reset;
        if ran_well {
            state.delay = backoff.min;
        }
        state.phase = Phase::Pausing { until: now + state.delay };
        state.delay = (state.delay * 2).min(backoff.max);
    }

    fn end_for_good(&mut self, unit: usize, failed: bool) {
        self.states[unit].phase = Phase::Ended { failed };
        if self.units[unit].kind == Kind::Main {
            // Without a process it has failed for what it requires.
            let end = self.states[unit].end.unwrap_or(End::NotRun(NOT_STARTED));
            self.shut_down(end);
        } else if failed && self.units[unit].essential {
            self.shut_down(End::NotRun(NOT_STARTED));
        }
    }
}

/// What everything ends with if the main unit could not even be started: the code of things that were found and not
/// executed.
const NOT_STARTED: u8 = 126;
