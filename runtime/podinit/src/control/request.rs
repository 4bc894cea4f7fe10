//! Requests and their answers, and when an answer is due.

use serde::Deserialize;
use serde_json::{Value, json};

use super::server::Reload;
use crate::config::{Kind, Unit};
use crate::signal::Signal;
use crate::supervise::{Phase, Supervisor};

/// What can be asked for.
#[derive(Debug, Deserialize)]
#[serde(tag = "op", rename_all = "lowercase", deny_unknown_fields)]
pub(super) enum Request {
    Status { unit: Option<String> },
    Start { unit: String },
    Stop { unit: String },
    Restart { unit: String },
    Signal { unit: String, signal: Signal },
    Reload { unit: Option<String> },
    Shutdown {},
}

/// What becomes of a request.
#[derive(Debug)]
pub(crate) enum Outcome {
    Answer(Value),
    /// An answer comes when the unit has got there.
    Later(Goal),
}

/// What someone waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Goal {
    /// Up or done. `starts` is how often it had been started before.
    Started {
        unit: usize,
        starts: u64,
    },
    Stopped {
        unit: usize,
    },
}

pub(super) fn refuse(why: impl std::fmt::Display) -> Value {
    json!({ "ok": false, "error": why.to_string() })
}

fn done() -> Value {
    json!({ "ok": true })
}

/// Does what a line asks for.
pub(crate) fn handle(line: &[u8], supervisor: &mut Supervisor, reload: &mut Reload<'_>) -> Outcome {
    match serde_json::from_slice(line) {
        Ok(request) => {
            perform(request, supervisor, reload).unwrap_or_else(|why| Outcome::Answer(refuse(why)))
        }
        Err(error) => Outcome::Answer(refuse(format_args!("not a request: {error}"))),
    }
}

fn perform(
    request: Request,
    supervisor: &mut Supervisor,
    reload: &mut Reload<'_>,
) -> Result<Outcome, String> {
    let find = |supervisor: &Supervisor, name: &str| {
        supervisor.find(name).ok_or_else(|| format!("no such unit: {name:?}"))
    };
    let startable = |supervisor: &Supervisor| match supervisor.is_shutting_down() {
        true => Err("podinit is shutting down".to_owned()),
        false => Ok(()),
    };
    Ok(match request {
        Request::Status { unit: Some(name) } => {
            let unit = find(supervisor, &name)?;
            Outcome::Answer(json!({ "ok": true, "units": [status(supervisor, unit)] }))
        }
        Request::Status { unit: None } => {
            let units: Vec<Value> = (0..supervisor.units().len()).map(|n| status(supervisor, n)).collect();
            Outcome::Answer(json!({ "ok": true, "ready": supervisor.is_all_ready(), "units": units }))
        }
        Request::Start { unit } => {
            let unit = find(supervisor, &unit)?;
            startable(supervisor)?;
            let state = supervisor.state(unit);
            let runs = state.phase.pid().is_some();
            // One that runs already is not started once more.
            let starts = state.starts - u64::from(runs);
            supervisor.want(unit);
            Outcome::Later(Goal::Started { unit, starts })
        }
        Request::Restart { unit } => {
            let unit = find(supervisor, &unit)?;
            startable(supervisor)?;
            let starts = supervisor.state(unit).starts;
            supervisor.restart(unit);
            Outcome::Later(Goal::Started { unit, starts })
        }
        Request::Stop { unit } => {
            let unit = find(supervisor, &unit)?;
            supervisor.unwant(unit);
            Outcome::Later(Goal::Stopped { unit })
        }
        Request::Signal { unit: name, signal } => {
            let unit = find(supervisor, &name)?;
            supervisor.signal_unit(unit, signal).map_err(|()| format!("it does not run: {name:?}"))?;
            Outcome::Answer(done())
        }
        Request::Reload { unit } => {
            let unit = unit.map(|name| find(supervisor, &name)).transpose()?;
            reload()?;
            if let Some(unit) = unit.or(supervisor.main()) {
                let Unit { name, reload, .. } = supervisor.unit(unit);
                let (name, signal) = (name.clone(), *reload);
                supervisor.signal_unit(unit, signal).map_err(|()| format!("it does not run: {name:?}"))?;
            }
            Outcome::Answer(done())
        }
        Request::Shutdown {} => {
            supervisor.shut_down(crate::supervise::End::SUCCESS);
            Outcome::Answer(done())
        }
    })
}

fn status(supervisor: &Supervisor, number: usize) -> Value {
    let (unit, state) = (supervisor.unit(number), supervisor.state(number));
    let kind = match unit.kind {
        Kind::Main => "main",
        Kind::Daemon => "daemon",
        Kind::Oneshot => "oneshot",
    };
    let mut status =
        json!({ "name": unit.name, "type": kind, "state": state.phase.name(), "starts": state.starts });
    if let Some(pid) = state.phase.pid() {
        status["pid"] = pid.into();
    }
    if let Some(end) = state.end {
        status["exit"] = json!({ "code": end.code() });
        if let Some(signal) = end.signal() {
            status["exit"]["signal"] = signal.into();
        }
    }
    status
}

/// The answer, once it is due.
pub(crate) fn answer(goal: Goal, supervisor: &Supervisor) -> Option<Value> {
    match goal {
        Goal::Stopped { unit } => supervisor.state(unit).is_ended().then(done),
        Goal::Started { unit, starts } => {
            let state = supervisor.state(unit);
            let ended = || match state.end {
                Some(end) => refuse(format_args!("it has ended: {end}")),
                None => refuse("it was not started: what it requires has failed"),
            };
            match state.phase {
                Phase::Up { .. } if state.starts > starts => Some(done()),
                Phase::Ended { .. } if state.is_good(supervisor.unit(unit).kind) && state.starts > starts => {
                    Some(done())
                }
                Phase::Ended { .. } | Phase::Pausing { .. } => Some(ended()),
                _ => None,
            }
        }
    }
}
