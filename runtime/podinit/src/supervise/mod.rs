//! What is to be done when: a state for each unit, and one place that holds the rules. No process, no clock,
//! no descriptor: what happened comes in with the time it happened at, what to do about it comes out as
//! [`Action`]s. So every rule can be tested without waiting for anything.

mod end;
mod rules;
mod state;
#[cfg(test)]
mod tests;

use std::collections::BTreeSet;
use std::time::Instant;

pub(crate) use end::End;
pub(crate) use state::{Phase, State};

use crate::config::{Kind, Ready, Unit};
use crate::signal::Signal;

/// What the caller has to do, in this order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Action {
    /// Start the unit's program and report [`Supervisor::started`] or [`Supervisor::ended`].
    Start(usize),
    /// Send a signal to the unit's process.
    Signal { unit: usize, pid: i32, signal: Signal },
    /// Kill all of the unit's process group.
    Kill { unit: usize, pid: i32 },
    /// Say that the unit will not be started: one that it requires will not come.
    GiveUp(usize),
    /// End with this.
    Finish(End),
}

/// All units.
pub(crate) struct Supervisor {
    units: Vec<Unit>,
    states: Vec<State>,
    /// For each unit, those that come after it, at whatever remove.
    later: Vec<BTreeSet<usize>>,
    main: Option<usize>,
    /// Set once everything is to stop: what it ends with.
    shutdown: Option<End>,
    finished: bool,
    /// Whether the main unit was sent a signal that asks it to end: when it does, that is what was meant.
    told_to_end: bool,
    /// Signals for the main unit that came before it had a process.
    held: BTreeSet<Signal>,
    actions: Vec<Action>,
}

impl Supervisor {
    /// Nothing has been started.
    pub(crate) fn new(units: Vec<Unit>, main: Option<usize>) -> Self {
        let states = units.iter().map(|unit| State::new(&unit.backoff)).collect();
        let later = (0..units.len()).map(|unit| all_later(&units, unit)).collect();
        Self {
            units,
            states,
            later,
            main,
            shutdown: None,
            finished: false,
            told_to_end: false,
            held: BTreeSet::new(),
            actions: Vec::new(),
        }
    }

    pub(crate) fn units(&self) -> &[Unit] {
        &self.units
    }

    pub(crate) fn unit(&self, number: usize) -> &Unit {
        &self.units[number]
    }

    pub(crate) fn state(&self, number: usize) -> &State {
        &self.states[number]
    }

    /// The unit of a name.
    pub(crate) fn find(&self, name: &str) -> Option<usize> {
        self.units.iter().position(|unit| unit.name == name)
    }

    /// The unit whose process this is.
    pub(crate) fn of_process(&self, pid: i32) -> Option<usize> {
        self.states.iter().position(|state| state.phase.pid() == Some(pid))
    }

    pub(crate) fn main(&self) -> Option<usize> {
        self.main
    }

    pub(crate) fn is_shutting_down(&self) -> bool {
        self.shutdown.is_some()
    }

    /// Whether every unit is up, or has done its work.
    pub(crate) fn is_all_ready(&self) -> bool {
        self.units.iter().zip(&self.states).all(|(unit, state)| state.is_good(unit.kind))
    }

    /// What has to be done now, given away.
    pub(crate) fn take_actions(&mut self) -> Vec<Action> {
        std::mem::take(&mut self.actions)
    }

    /// Goes on: starts what can be started, stops what is to be stopped.
    pub(crate) fn step(&mut self, now: Instant) {
        self.expire(now);
        self.apply_rules(now);
    }

    /// When to step again even if nothing happens.
    pub(crate) fn deadline(&self) -> Option<Instant> {
        self.states.iter().filter_map(|state| state.phase.deadline()).min()
    }

    /// A start has worked.
    pub(crate) fn started(&mut self, unit: usize, pid: i32, now: Instant) {
        let state = &mut self.states[unit];
        state.starts += 1;
        state.since = now;
        let Unit { kind, ready, ready_timeout, run_timeout, .. } = &self.units[unit];
        state.phase = match ready {
            // Ready when it has ended well.
            _ if *kind == Kind::Oneshot => {
                Phase::Starting { pid, deadline: run_timeout.map(|limit| now + limit) }
            }
            Ready::Running => Phase::Up { pid },
            Ready::File(_) | Ready::Notify => Phase::Starting { pid, deadline: Some(now + *ready_timeout) },
        };
        if self.main == Some(unit) {
            for signal in std::mem::take(&mut self.held) {
                self.actions.push(Action::Signal { unit, pid, signal });
            }
        }
    }

    /// A unit says that it is ready, or its file is there.
    pub(crate) fn ready(&mut self, unit: usize) {
        if let Phase::Starting { pid, .. } = self.states[unit].phase {
            self.states[unit].phase = Phase::Up { pid };
        }
    }

    /// A unit's process has ended, or could not be started.
    pub(crate) fn ended(&mut self, unit: usize, end: End, now: Instant) {
        self.states[unit].end = Some(end);
        self.after_end(unit, end, now);
    }

    /// A signal has come for all of podinit.
    pub(crate) fn signal(&mut self, signal: Signal) {
        let Some(main) = self.main else {
            if signal.asks_to_end() {
                self.shut_down(End::SUCCESS);
            }
            return;
        };
        match self.states[main].phase.pid() {
            Some(pid) => {
                self.told_to_end |= signal.asks_to_end();
                self.actions.push(Action::Signal { unit: main, pid, signal });
            }
            None if self.shutdown.is_some() => {}
            None if signal.asks_to_end() => self.shut_down(End::Signal(signal.number())),
            // One of each is enough, as for a process that holds it back.
            None => drop(self.held.insert(signal)),
        }
    }

    /// A signal for one unit. An error: it does not run.
    pub(crate) fn signal_unit(&mut self, unit: usize, signal: Signal) -> Result<(), ()> {
        let pid = self.states[unit].phase.pid().ok_or(())?;
        self.actions.push(Action::Signal { unit, pid, signal });
        Ok(())
    }

    /// Everything is to stop, in order.
    pub(crate) fn shut_down(&mut self, end: End) {
        self.shutdown.get_or_insert(end);
        for state in &mut self.states {
            state.wanted = false;
            state.restarting = false;
        }
    }

    /// A unit is to run, and whatever it requires.
    pub(crate) fn want(&mut self, unit: usize) {
        let mut all = vec![unit];
        while let Some(unit) = all.pop() {
            let backoff = self.units[unit].backoff;
            let state = &mut self.states[unit];
            state.wanted = true;
            if matches!(state.phase, Phase::Ended { .. } | Phase::Pausing { .. }) {
                state.delay = backoff.min;
                state.phase = Phase::Waiting;
            }
            // There is no circle: that was checked.
            let good = |&&n: &&usize| self.states[n].is_good(self.units[n].kind);
            all.extend(self.units[unit].requires.iter().filter(|n| !good(n)));
        }
    }

    /// A unit is to stop, and whatever requires it.
    pub(crate) fn unwant(&mut self, unit: usize) {
        let mut all = vec![unit];
        while let Some(unit) = all.pop() {
            self.states[unit].wanted = false;
            self.states[unit].restarting = false;
            all.extend((0..self.units.len()).filter(|&n| self.units[n].requires.contains(&unit)));
        }
    }

    /// A unit is to stop and to start again.
    pub(crate) fn restart(&mut self, unit: usize) {
        self.want(unit);
        self.states[unit].restarting = self.states[unit].phase.pid().is_some();
    }
}

fn all_later(units: &[Unit], unit: usize) -> BTreeSet<usize> {
    let mut later = BTreeSet::new();
    let mut new = vec![unit];
    while let Some(one) = new.pop() {
        let directly = (0..units.len()).filter(|&n| units[n].comes_after().any(|m| m == one));
        new.extend(directly.filter(|&n| later.insert(n)));
    }
    later
}
