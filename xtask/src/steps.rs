//! Runs named steps one after another, all of them even when one fails, and sums up.

use std::time::Instant;

/// How a step ended.
pub(crate) enum Outcome {
    Passed,
    Failed,
    /// A tool is missing, and no one insists on it.
    Skipped(String),
}

impl From<bool> for Outcome {
    fn from(passed: bool) -> Self {
        if passed { Self::Passed } else { Self::Failed }
    }
}

impl Outcome {
    /// What it means that a tool is not there.
    pub(crate) fn missing(what: &str, must: bool) -> Self {
        if must {
            eprintln!("xtask: missing: {what}");
            Self::Failed
        } else {
            Self::Skipped(format!("missing: {what}"))
        }
    }
}

pub(crate) struct Steps<'a> {
    only: &'a [String],
    passed: usize,
    failed: Vec<&'static str>,
    known: Vec<&'static str>,
}

impl<'a> Steps<'a> {
    /// All steps, or those named.
    pub(crate) fn new(only: &'a [String]) -> Self {
        Self { only, passed: 0, failed: Vec::new(), known: Vec::new() }
    }

    pub(crate) fn step(&mut self, name: &'static str, work: impl FnOnce() -> Outcome) {
        self.known.push(name);
        if !self.only.is_empty() && !self.only.iter().any(|o| o == name) {
            return;
        }
        println!("==> {name}");
        let start = Instant::now();
        let outcome = work();
        let seconds = start.elapsed().as_secs_f32();
        match outcome {
            Outcome::Passed => {
                self.passed += 1;
                println!("==> {name}: passed, {seconds:.1} s");
            }
            Outcome::Failed => {
                self.failed.push(name);
                println!("==> {name}: FAILED, {seconds:.1} s");
            }
            Outcome::Skipped(why) => println!("==> {name}: left out, {why}"),
        }
    }

    pub(crate) fn finish(self) -> bool {
        let unknown: Vec<_> = self.only.iter().filter(|o| !self.known.contains(&o.as_str())).collect();
        for name in &unknown {
            eprintln!("xtask: no such step: {name} (there are {})", self.known.join(", "));
        }
        if !self.failed.is_empty() {
            println!("failed: {}", self.failed.join(", "));
        }
        println!("steps: {} passed, {} failed", self.passed, self.failed.len() + unknown.len());
        self.failed.is_empty() && unknown.is_empty()
    }
}
