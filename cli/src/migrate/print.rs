//! Tables and documents of a migration.

use std::io;

use aurora_convert::migrate::{Ended, Outcome, Plan, Report, Summary};
use aurora_convert::ops::json_string;

use crate::output::{Output, aligned, table};
use crate::units::{counted, show_size};

/// What a plan says, in short: it is in its file.
pub(super) fn plan(plan: &Plan, out: &mut Output) -> io::Result<()> {
    let mut rows = vec![["NAME", "VERSION", "TYPE", "SIZE", "HOW", "TO"].map(str::to_owned).to_vec()];
    for image in &plan.images {
        let size = image.bytes.map_or_else(|| "-".to_owned(), show_size);
        let how = if image.done.is_some() { "there already" } else { image.how.name() };
        rows.push(vec![
            image.name.clone(),
            image.version.clone(),
            image.image_type.clone(),
            size,
            how.to_owned(),
            image.to.clone(),
        ]);
    }
    for line in aligned(&rows) {
        out.line(&line)?;
    }
    let there = plan.images.iter().filter(|image| image.done.is_some()).count();
    let needed = plan.images.iter().filter(|image| image.needed_only).count();
    let mut facts =
        vec![("images", counted(plan.images.len(), "image", "images")), ("size", show_size(plan.bytes()))];
    if needed > 0 {
        facts.push(("only needed by others", needed.to_string()));
    }
    facts.push(("there already", there.to_string()));
    let hopeless =
        plan.images.iter().filter(|i| i.expect.iter().any(|text| text.starts_with("can't"))).count();
    if hopeless > 0 {
        facts.push(("can't be done", hopeless.to_string()));
    }
    lines(&facts, out)
}

/// What a run has done; or, of a dry one, what it would do.
pub(super) fn summary(plan: &Plan, summary: &Summary, dry_run: bool, out: &mut Output) -> io::Result<()> {
    let news: Vec<&Outcome> =
        summary.outcomes.iter().flatten().filter(|outcome| outcome.result != Ended::There).collect();
    if dry_run {
        let todo = plan.images.iter().zip(&summary.outcomes).filter(|(_, outcome)| outcome.is_none());
        let mut rows = vec![["NAME", "SIZE", "HOW", "TO"].map(str::to_owned).to_vec()];
        rows.extend(todo.map(|(image, _)| {
            let size = image.bytes.map_or_else(|| "-".to_owned(), show_size);
            vec![image.shown(), size, image.how.name().to_owned(), image.to.clone()]
        }));
        for line in aligned(&rows).iter().skip(usize::from(rows.len() == 1)) {
            out.line(line)?;
        }
    } else {
        outcomes(&news, out)?;
    }
    let sent = news.iter().map(|outcome| outcome.sent).fold(0, u64::saturating_add);
    let word = if dry_run { "to do" } else { "not come to" };
    let mut facts = Vec::new();
    if !dry_run {
        facts.push(("done", summary.done.to_string()));
    }
    facts.push(("there before", summary.there.to_string()));
    facts.push(("failed", summary.failed.to_string()));
    facts.push((word, summary.left.to_string()));
    if !dry_run {
        facts.push(("sent", show_size(sent)));
    }
    lines(&facts, out)
}

/// A line for each image.
fn outcomes(outcomes: &[&Outcome], out: &mut Output) -> io::Result<()> {
    if outcomes.is_empty() {
        return Ok(());
    }
    let headings = ["NAME", "RESULT", "BEFORE", "AFTER", "SENT", "SECONDS", "WHERE OR WHY"];
    let mut rows = vec![headings.map(str::to_owned).to_vec()];
    for outcome in outcomes {
        let (result, last) = match &outcome.result {
            Ended::Done if outcome.lost > 0 => ("done, with losses", outcome.to.clone()),
            Ended::Done => ("done", outcome.to.clone()),
            Ended::There => ("there before", outcome.to.clone()),
            Ended::Failed { cause, message, .. } => (cause.name(), message.clone()),
        };
        let size = |bytes: u64| if outcome.is_done() { show_size(bytes) } else { "-".to_owned() };
        rows.push(vec![
            outcome.name.clone(),
            result.to_owned(),
            show_size(outcome.before),
            size(outcome.after),
            size(outcome.sent),
            format!("{:.1}", outcome.seconds),
            last,
        ]);
    }
    aligned(&rows).iter().try_for_each(|line| out.line(line))
}

/// A run as one document.
pub(super) fn document(summary: &Summary, dry_run: bool) -> String {
    let outcomes: Vec<String> = summary.outcomes.iter().flatten().map(Outcome::to_json).collect();
    let stopped = summary.stopped.as_deref().map_or_else(|| "null".to_owned(), json_string);
    format!(
        "{{\"dry_run\":{dry_run},\"done\":{},\"there\":{},\"failed\":{},\"left\":{},\"stopped\":{stopped},\"images\":[{}]}}",
        summary.done,
        summary.there,
        summary.failed,
        summary.left,
        outcomes.join(",")
    )
}

/// How far a plan is.
pub(super) fn status(report: &Report<'_>, json: bool, out: &mut Output) -> io::Result<()> {
    let totals = &report.totals;
    if json {
        return out.line(&format!(
            "{{\"images\":{},\"done\":{},\"failed\":{},\"left\":{},\"bytes\":{},\"before\":{},\"runs\":{}}}",
            totals.images, totals.done, totals.failed, totals.left, totals.bytes, totals.before, report.runs
        ));
    }
    let mut facts = vec![
        ("images", totals.images.to_string()),
        ("done", format!("{} ({} of {})", totals.done, show_size(totals.before), show_size(totals.bytes))),
        ("failed", totals.failed.to_string()),
        ("left", totals.left.to_string()),
        ("runs", report.runs.to_string()),
    ];
    facts.extend(report.last.map(|last| ("last noted", last.to_owned())));
    lines(&facts, out)
}

/// What became of each image.
pub(super) fn report(report: &Report<'_>, out: &mut Output) -> io::Result<()> {
    let known: Vec<&Outcome> = report.images.iter().filter_map(|line| line.outcome).collect();
    outcomes(&known, out)?;
    let totals = &report.totals;
    let mut facts = vec![
        ("images", totals.images.to_string()),
        ("done", totals.done.to_string()),
        ("failed", totals.failed.to_string()),
        ("left", totals.left.to_string()),
        ("before", show_size(totals.before)),
        ("after", show_size(totals.after)),
        ("sent", show_size(totals.sent)),
    ];
    let causes: Vec<String> =
        report.failures.iter().map(|failure| format!("{} {}", failure.count, failure.cause.name())).collect();
    if !causes.is_empty() {
        facts.push(("causes", causes.join(", ")));
    }
    lines(&facts, out)
}

fn lines(facts: &[(&str, String)], out: &mut Output) -> io::Result<()> {
    let facts: Vec<(String, String)> =
        facts.iter().map(|(key, value)| ((*key).to_owned(), value.clone())).collect();
    table(&facts).iter().try_for_each(|line| out.line(line))
}
