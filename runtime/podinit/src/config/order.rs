//! Which unit comes after which.

use std::collections::BTreeMap;

use super::Unit;
use super::document::{Problem, problem};

/// Numbers for the names in one of a unit's lists.
pub(super) fn numbers(
    at: &str,
    own: &str,
    names: &[String],
    known: &BTreeMap<String, usize>,
) -> Result<Vec<usize>, Problem> {
    let number = |name: &String| match known.get(name) {
        Some(_) if name == own => Err(problem(at, format!("a unit can't come after itself: {name:?}"))),
        Some(number) => Ok(*number),
        None => Err(problem(at, format!("no such unit: {name:?}"))),
    };
    names.iter().map(number).collect()
}

/// An error that names a circle, where there is one. Units are peeled off as they could be started; what
/// remains waits for itself.
pub(super) fn check(units: &[Unit]) -> Result<(), Problem> {
    let mut started = vec![false; units.len()];
    loop {
        let next = (0..units.len()).find(|&n| !started[n] && units[n].comes_after().all(|m| started[m]));
        match next {
            Some(n) => started[n] = true,
            None if started.iter().all(|s| *s) => return Ok(()),
            None => break,
        }
    }
    // From any that remains, always to one it waits for that remains: sooner or later one comes again.
    let mut way = Vec::new();
    let mut at = started.iter().position(|s| !s).expect("some remain");
    while !way.contains(&at) {
        way.push(at);
        at = units[at].comes_after().find(|&m| !started[m]).expect("it waits for one that remains");
    }
    let from = way.iter().position(|&n| n == at).expect("it came again");
    let names: Vec<&str> = way[from..].iter().chain([&at]).map(|&n| units[n].name.as_str()).collect();
    Err(problem("aurora.units", format!("units that wait for one another: {}", names.join(" after "))))
}
