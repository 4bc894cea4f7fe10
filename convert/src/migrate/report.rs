//! What a migration has come to, in figures.

use std::collections::BTreeMap;

use serde::Serialize;

use super::{Cause, History, Outcome, Plan, Planned};

/// A plan, and what became of it.
#[derive(Debug, Clone, Serialize)]
pub struct Report<'a> {
    /// Where the images come from.
    pub source: &'a str,
    /// Where they go.
    pub target: &'a str,
    /// Runs that were begun.
    pub runs: usize,
    /// When the first was begun.
    pub begun: Option<&'a str>,
    /// When something was last noted.
    pub last: Option<&'a str>,
    /// In all.
    pub totals: Totals,
    /// By reason.
    pub failures: Vec<Failures>,
    /// One by one, in the order of the plan.
    pub images: Vec<Line<'a>>,
}

/// Sums.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct Totals {
    /// Of the plan.
    pub images: usize,
    /// At the target.
    pub done: usize,
    /// Not there, with a reason.
    pub failed: usize,
    /// Not come to.
    pub left: usize,
    /// Bytes of the plan, as far as they are known.
    pub bytes: u64,
    /// Bytes of the files of those that are done.
    pub before: u64,
    /// Bytes of those at the target, each image by itself.
    pub after: u64,
    /// Bytes that were sent: without what images share.
    pub sent: u64,
    /// Seconds of work, all jobs together.
    pub seconds: f64,
    /// Images of which something was lost.
    pub lossy: usize,
}

/// Failures of one kind.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Failures {
    /// Of which.
    pub cause: Cause,
    /// How many.
    pub count: usize,
}

/// An image.
#[derive(Debug, Clone, Serialize)]
pub struct Line<'a> {
    /// As it was planned.
    pub id: &'a str,
    /// Name and version.
    pub name: String,
    /// What became of it; nothing where it was not come to.
    pub outcome: Option<&'a Outcome>,
}

impl<'a> Report<'a> {
    /// Of the last word that the journal has on each image.
    pub fn new(plan: &'a Plan, history: &'a History) -> Self {
        let line = |image: &'a Planned| Line {
            id: &image.id,
            name: image.shown(),
            outcome: history.outcomes.get(&image.id).filter(|outcome| outcome.to == image.to),
        };
        let images: Vec<Line<'a>> = plan.images.iter().map(line).collect();
        let mut totals = Totals { images: images.len(), bytes: plan.bytes(), ..Totals::default() };
        let mut causes: BTreeMap<Cause, usize> = BTreeMap::new();
        for outcome in images.iter().map(|line| line.outcome) {
            let Some(outcome) = outcome else {
                totals.left += 1;
                continue;
            };
            totals.seconds += outcome.seconds;
            if let Some(cause) = outcome.cause() {
                totals.failed += 1;
                *causes.entry(cause).or_default() += 1;
                continue;
            }
            totals.done += 1;
            totals.before = totals.before.saturating_add(outcome.before);
            totals.after = totals.after.saturating_add(outcome.after);
            totals.sent = totals.sent.saturating_add(outcome.sent);
            totals.lossy += usize::from(outcome.lost > 0);
        }
        let failures = causes.into_iter().map(|(cause, count)| Failures { cause, count }).collect();
        let span = history.span.as_ref();
        Self {
            source: &plan.source,
            target: &plan.target,
            runs: history.runs,
            begun: span.map(|(begun, _)| begun.as_str()),
            last: span.map(|(_, last)| last.as_str()),
            totals,
            failures,
            images,
        }
    }

    /// One JSON document.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always have a JSON form")
    }
}

impl Outcome {
    /// One line of JSON.
    pub fn to_json(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers always have a JSON form")
    }
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::planned;
    use super::super::{Ended, How};
    use super::*;

    #[test]
    fn figures_add_up() {
        let images =
            vec![planned("a", None), planned("b", Some("a")), planned("c", None), planned("d", None)];
        let plan = Plan::new("smartos:in", "oci:out", "{name}:{version}", images).unwrap();
        let outcome = |id: &str, result, before, after, sent| Outcome {
            id: id.to_owned(),
            name: id.to_owned(),
            to: format!("oci:out:{id}"),
            how: How::Layers,
            result,
            digest: None,
            of: None,
            before,
            after,
            sent,
            seconds: 1.5,
            losses: Vec::new(),
            lost: 1,
        };
        let failed = Ended::Failed { cause: Cause::Damaged, message: "x".into(), hint: None };
        let mut history = History { runs: 2, ..History::default() };
        for outcome in [
            outcome("a", Ended::Done, 10, 20, 20),
            outcome("b", Ended::There, 5, 30, 10),
            outcome("c", failed, 1, 0, 0),
            // Of an edited plan, in which it goes elsewhere now.
            Outcome { to: "oci:out:old".into(), ..outcome("d", Ended::Done, 9, 9, 9) },
        ] {
            history.outcomes.insert(outcome.id.clone(), outcome);
        }
        let report = Report::new(&plan, &history);
        let want = Totals {
            images: 4,
            done: 2,
            failed: 1,
            left: 1,
            bytes: 28,
            before: 15,
            after: 50,
            sent: 30,
            seconds: 4.5,
            lossy: 2,
        };
        assert_eq!(report.totals, want);
        assert_eq!(report.failures, [Failures { cause: Cause::Damaged, count: 1 }]);
        assert!(report.to_json().starts_with("{\"source\":\"smartos:in\""));
    }
}
