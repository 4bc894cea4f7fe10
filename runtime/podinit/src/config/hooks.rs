//! Hooks `startContainer` of the runtime specification: they run within the container, one after another, before anything
//! else. As units that run once, that everything requires, and whose failure is the end.

use std::ffi::OsString;
use std::ops::Range;
use std::time::Duration;

use serde::Deserialize;
use serde_json::{Map, Value};

use super::document::{Problem, problem};
use super::{Program, Unit, process};

const AT: &str = "hooks.startContainer";

/// One hook. The specification's members.
#[derive(Deserialize)]
pub(super) struct HookDocument {
    path: String,
    args: Option<Vec<String>>,
    #[serde(default)]
    env: Vec<String>,
    /// In seconds.
    timeout: Option<u32>,
}

/// Units of the hooks, which read the container's state.
pub(super) fn units(
    hooks: Vec<HookDocument>,
    state: Option<Map<String, Value>>,
) -> Result<Vec<Unit>, Problem> {
    if hooks.is_empty() {
        return Ok(Vec::new());
    }
    let Some(mut state) = state else {
        return Err(problem("aurora.state", "hooks read it, and it is missing"));
    };
    // What it is by the specification when these run.
    state.insert("status".to_owned(), "created".into());
    let state = Value::Object(state).to_string().into_bytes();
    let unit = |(number, hook): (usize, HookDocument)| {
        if !hook.path.starts_with('/') {
            return Err(problem(AT, format!("not an absolute path: {:?}", hook.path)));
        }
        if hook.timeout == Some(0) {
            return Err(problem(AT, "a timeout of no seconds"));
        }
        let path = OsString::from(process::no_nul(AT, &hook.path)?);
        let args = match &hook.args {
            Some(args) if !args.is_empty() => process::args(AT, args)?,
            _ => vec![path.clone()],
        };
        let env = Some(process::env(AT, &hook.env)?);
        let program =
            Program { executable: Some(path), env, terminal: Some(false), ..Program::of_command(args) };
        let timeout = hook.timeout.map(|seconds| Duration::from_secs(seconds.into()));
        Ok(Unit::hook(format!("hook-{number}"), program, timeout, state.clone()))
    };
    hooks.into_iter().enumerate().map(unit).collect()
}

/// Each hook comes after the one before it, all else after the last.
pub(super) fn come_first(units: &mut [Unit], hooks: Range<usize>) {
    let Some(last) = hooks.clone().last() else { return };
    for (number, unit) in units.iter_mut().enumerate() {
        match number {
            hook if hooks.contains(&hook) => {
                unit.requires.extend(hook.checked_sub(1).filter(|n| hooks.contains(n)))
            }
            _ => unit.requires.push(last),
        }
    }
}
