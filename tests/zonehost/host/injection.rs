//! Failures on order: at the Nth call that matches, a stand-in fails, hangs, prints garbage, or is killed.

use std::fs;
use std::io;

use serde::{Deserialize, Serialize};

use super::failure::{Failure, Result};
use super::state::{Place, save};

/// What happens instead of, or after, what the call is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Kind {
    /// Nothing is done; status 1.
    Fail,
    /// It is done, and the status is 1 all the same.
    FailAfter,
    /// Nothing is done, for ever.
    Hang,
    /// It is done, and then for ever nothing.
    HangAfter,
    /// Nothing is done; lines that mean nothing, and status 0.
    Garbage,
    /// Nothing is done: killed.
    Kill,
    /// It is done; then killed.
    KillAfter,
}

impl Kind {
    pub(crate) fn parse(name: &str) -> Result<Self> {
        serde_json::from_value(name.into()).map_err(|_| Failure::usage(format!("no such failure: {name}")))
    }
}

/// One order.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Injection {
    pub(crate) kind: Kind,
    pub(crate) program: String,
    /// Words that have to be among the arguments, in this order.
    pub(crate) words: Vec<String>,
    /// Which of the calls that match; 1 is the next.
    pub(crate) at: u32,
    /// What `garbage` prints.
    pub(crate) output: String,
}

impl Injection {
    fn matches(&self, program: &str, args: &[String]) -> bool {
        let mut rest = args.iter();
        self.program == program && self.words.iter().all(|word| rest.any(|arg| arg == word))
    }
}

const FILE: &str = "injections.json";

fn load(place: &Place) -> Result<Vec<Injection>> {
    let path = place.file(FILE);
    let broken = |e: &io::Error| Failure::linux(&path.to_string_lossy(), e);
    match fs::read(&path) {
        Ok(text) => serde_json::from_slice(&text).map_err(|e| broken(&e.into())),
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        Err(e) => Err(broken(&e)),
    }
}

fn store(place: &Place, all: &Vec<Injection>) -> Result<()> {
    let path = place.file(FILE);
    save(&path, all).map_err(|e| Failure::linux(&path.to_string_lossy(), &e))
}

/// Orders one more.
pub(crate) fn order(place: &Place, injection: Injection) -> Result<()> {
    let _lock = place.lock("injections")?;
    let mut all = load(place)?;
    all.push(injection);
    store(place, &all)
}

/// Forgets all orders.
pub(crate) fn clear(place: &Place) -> Result<()> {
    let _lock = place.lock("injections")?;
    store(place, &Vec::new())
}

/// What is to happen to this call. It is counted by this, and an order is carried out once.
pub(crate) fn of_call(place: &Place, program: &str, args: &[String]) -> Result<Option<Injection>> {
    let _lock = place.lock("injections")?;
    let mut all = load(place)?;
    let Some(at) = all.iter().position(|one| one.matches(program, args)) else { return Ok(None) };
    let due = all[at].at <= 1;
    let found = if due {
        Some(all.remove(at))
    } else {
        all[at].at -= 1;
        None
    };
    store(place, &all)?;
    Ok(found)
}
