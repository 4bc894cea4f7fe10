//! A report as one file that a browser opens: text, a table, and plots drawn in place.

use std::fmt::Write as _;

use super::report::Line;
use super::{Ended, Outcome, Report};
use crate::ops::show_size;

/// Width of a plot.
const WIDTH: f64 = 720.0;
/// Height of one.
const HEIGHT: f64 = 220.0;
/// Left of a plot, for its numbers.
const LEFT: f64 = 70.0;
/// Bars of a plot: more could not be told apart.
const MAX_BARS: usize = 240;
/// Columns of a histogram.
const COLUMNS: usize = 24;

const STYLE: &str = "\
body{font:15px/1.45 system-ui,sans-serif;margin:2em auto;max-width:60em;padding:0 1em;color:#222}\
h1{font-size:1.4em}h2{font-size:1.1em;margin-top:2em}table{border-collapse:collapse;width:100%}\
td,th{text-align:left;padding:.2em .6em;border-bottom:1px solid #ddd;vertical-align:top}\
td.n,th.n{text-align:right;font-variant-numeric:tabular-nums}.failed{color:#b00020}.left{color:#777}\
svg{max-width:100%;height:auto}svg text{font:11px system-ui,sans-serif;fill:#444}.a{fill:#9bb7d4}.b{fill:#2f6690}\
.c{fill:#b00020}code{overflow-wrap:anywhere}\
@media(prefers-color-scheme:dark){body{background:#181a1b;color:#ddd}td,th{border-color:#333}svg text{fill:#bbb}}";

/// The page. It needs nothing beside it, and holds no script.
pub fn html(report: &Report<'_>) -> String {
    let mut out = String::new();
    let title = format!("Migration from {} to {}", report.source, report.target);
    let _ = write!(
        out,
        "<!DOCTYPE html>\n<html lang=\"en\"><head><meta charset=\"utf-8\"><meta name=\"viewport\" \
         content=\"width=device-width\"><title>{0}</title><style>{STYLE}</style></head>\n<body><h1>{0}</h1>\n",
        text(&title)
    );
    summary(report, &mut out);
    let done: Vec<&Outcome> =
        report.images.iter().filter_map(|line| line.outcome).filter(|outcome| outcome.is_done()).collect();
    if !done.is_empty() {
        plot(
            "Sizes before and after",
            "bytes of each image at the source, light, and at the target with what it shares, dark; largest first",
            &sizes(&done),
            &mut out,
        );
        plot("What is shared", "bytes in all", &dedup(report), &mut out);
        plot("Rates", "images by bytes of the source a second of one job", &rates(&done), &mut out);
    }
    if !report.failures.is_empty() {
        plot("Failures by cause", "images", &failures(report), &mut out);
    }
    table(&report.images, &mut out);
    out.push_str("</body></html>\n");
    out
}

fn summary(report: &Report<'_>, out: &mut String) {
    let totals = &report.totals;
    let mut rows = vec![
        ("images", totals.images.to_string()),
        ("at the target", totals.done.to_string()),
        ("failed", totals.failed.to_string()),
        ("not come to", totals.left.to_string()),
        ("with losses", totals.lossy.to_string()),
        ("bytes at the source", show_size(totals.before)),
        ("bytes at the target, each by itself", show_size(totals.after)),
        ("bytes sent", show_size(totals.sent)),
        ("seconds of work, all jobs together", format!("{:.1}", totals.seconds)),
        ("runs", report.runs.to_string()),
    ];
    rows.extend(report.begun.map(|begun| ("first begun", begun.to_owned())));
    rows.extend(report.last.map(|last| ("last noted", last.to_owned())));
    out.push_str("<table>");
    for (name, value) in rows {
        let _ = write!(out, "<tr><th>{}</th><td class=\"n\">{}</td></tr>", text(name), text(&value));
    }
    out.push_str("</table>\n");
}

fn plot(title: &str, about: &str, bars: &Plot, out: &mut String) {
    let _ = writeln!(out, "<h2>{}</h2><p>{}</p>{}", text(title), text(about), bars.draw());
}

/// Groups of bars.
struct Plot {
    /// Label, and bars: class and value.
    groups: Vec<(String, Vec<(&'static str, f64)>)>,
    /// How a value is shown.
    show: fn(f64) -> String,
    has_labels: bool,
}

impl Plot {
    fn draw(&self) -> String {
        let most = self.groups.iter().flat_map(|(_, bars)| bars).map(|(_, value)| *value).fold(0.0, f64::max);
        let most = if most > 0.0 { most } else { 1.0 };
        let bottom = if self.has_labels { 20.0 } else { 6.0 };
        let (width, height) = (WIDTH - LEFT, HEIGHT - bottom - 8.0);
        let mut out = format!("<svg viewBox=\"0 0 {WIDTH} {HEIGHT}\" role=\"img\">");
        for part in 0..=2 {
            let value = most * f64::from(part) / 2.0;
            let y = 8.0 + height * (1.0 - f64::from(part) / 2.0);
            let _ = write!(
                out,
                "<line x1=\"{LEFT}\" x2=\"{WIDTH}\" y1=\"{y:.1}\" y2=\"{y:.1}\" stroke=\"#8884\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                LEFT - 6.0,
                y + 4.0,
                text(&(self.show)(value))
            );
        }
        let step = width / self.groups.len().max(1) as f64;
        for (at, (label, bars)) in self.groups.iter().enumerate() {
            let x = LEFT + step * at as f64;
            let bar = step * 0.8 / bars.len().max(1) as f64;
            for (number, (class, value)) in bars.iter().enumerate() {
                let high = height * value / most;
                let _ = write!(
                    out,
                    "<rect class=\"{class}\" x=\"{:.2}\" y=\"{:.2}\" width=\"{:.2}\" height=\"{high:.2}\"><title>{}: {}</title></rect>",
                    x + step * 0.1 + bar * number as f64,
                    8.0 + height - high,
                    bar.max(0.5),
                    text(label),
                    text(&(self.show)(*value))
                );
            }
            if self.has_labels {
                let _ = write!(
                    out,
                    "<text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{}</text>",
                    x + step / 2.0,
                    HEIGHT - 4.0,
                    text(label)
                );
            }
        }
        out.push_str("</svg>");
        out
    }
}

fn sizes(done: &[&Outcome]) -> Plot {
    let mut sorted = done.to_vec();
    sorted.sort_by(|a, b| (b.before, &b.id).cmp(&(a.before, &a.id)));
    let bar = |o: &&Outcome| (o.name.clone(), vec![("a", o.before as f64), ("b", o.after as f64)]);
    let groups = sorted.iter().take(MAX_BARS).map(bar).collect();
    Plot { groups, show: |value| show_size(value as u64), has_labels: false }
}

fn dedup(report: &Report<'_>) -> Plot {
    let totals = &report.totals;
    let group = |label: &str, class, bytes: u64| (label.to_owned(), vec![(class, bytes as f64)]);
    let groups = vec![
        group("at the source", "a", totals.before),
        group("at the target, each by itself", "b", totals.after),
        group("sent", "b", totals.sent),
    ];
    Plot { groups, show: |value| show_size(value as u64), has_labels: true }
}

fn rates(done: &[&Outcome]) -> Plot {
    let measured = done.iter().filter(|outcome| outcome.seconds > 0.0 && outcome.before > 0);
    let rates: Vec<f64> = measured.map(|outcome| outcome.before as f64 / outcome.seconds).collect();
    let most = rates.iter().copied().fold(1.0, f64::max);
    let mut counts = [0_u32; COLUMNS];
    for rate in rates {
        let column = (rate / most * COLUMNS as f64) as usize;
        counts[column.min(COLUMNS - 1)] += 1;
    }
    let label = |at: usize| {
        let from = most * at as f64 / COLUMNS as f64;
        // Every sixth has room for its label.
        if at.is_multiple_of(6) { format!("{}/s", show_size(from as u64)) } else { String::new() }
    };
    let groups = counts.iter().enumerate().map(|(at, n)| (label(at), vec![("b", f64::from(*n))])).collect();
    Plot { groups, show: |value| format!("{value:.0}"), has_labels: true }
}

fn failures(report: &Report<'_>) -> Plot {
    let group = |f: &super::Failures| (f.cause.name().to_owned(), vec![("c", f.count as f64)]);
    let groups = report.failures.iter().map(group).collect();
    Plot { groups, show: |value| format!("{value:.0}"), has_labels: true }
}

fn table(lines: &[Line<'_>], out: &mut String) {
    out.push_str(
        "<h2>Images</h2>\n<table><tr><th>image</th><th>how</th><th>result</th><th class=\"n\">before</th>\
         <th class=\"n\">after</th><th class=\"n\">sent</th><th class=\"n\">s</th></tr>\n",
    );
    for line in lines {
        let name = format!("{}<br><code>{}</code>", text(&line.name), text(line.id));
        let Some(outcome) = line.outcome else {
            let _ = writeln!(
                out,
                "<tr><td>{name}</td><td></td><td class=\"left\" colspan=\"5\">not come to</td></tr>"
            );
            continue;
        };
        let result = match &outcome.result {
            Ended::Done | Ended::There => {
                let losses: Vec<String> = outcome.losses.iter().map(|loss| text(loss)).collect();
                let more = outcome.lost.saturating_sub(losses.len());
                let more = if more > 0 { format!("<br>and {more} more") } else { String::new() };
                let lost = if losses.is_empty() {
                    String::new()
                } else {
                    format!("<br>lost: {}{more}", losses.join("<br>"))
                };
                format!("<td><code>{}</code>{lost}</td>", text(&outcome.to))
            }
            Ended::Failed { cause, message, hint } => {
                let hint = hint.as_ref().map(|hint| format!("<br>{}", text(hint))).unwrap_or_default();
                format!("<td class=\"failed\">{}: {}{hint}</td>", cause.name(), text(message))
            }
        };
        let _ = writeln!(
            out,
            "<tr><td>{name}</td><td>{}</td>{result}<td class=\"n\">{}</td><td class=\"n\">{}</td>\
             <td class=\"n\">{}</td><td class=\"n\">{:.2}</td></tr>",
            outcome.how.name(),
            show_size(outcome.before),
            show_size(outcome.after),
            show_size(outcome.sent),
            outcome.seconds
        );
    }
    out.push_str("</table>\n");
}

/// Text that is nothing but text, whatever an image is called.
fn text(raw: &str) -> String {
    let mut out = String::with_capacity(raw.len());
    for c in raw.chars() {
        match c {
            '&' => out.push_str("&amp;"),
            '<' => out.push_str("&lt;"),
            '>' => out.push_str("&gt;"),
            '"' => out.push_str("&quot;"),
            '\'' => out.push_str("&#39;"),
            // Besides control characters: those that turn the direction of what follows.
            c if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') => {
                out.extend(c.escape_default());
            }
            c => out.push(c),
        }
    }
    out
}

#[cfg(test)]
mod tests {
    use super::super::plan::tests::planned;
    use super::super::{Cause, History, How, Plan};
    use super::*;

    #[test]
    fn a_page_stands_alone_and_believes_nothing() {
        let mut image = planned("a", None);
        image.name = "<script>alert(1)</script>\u{202e}".to_owned();
        let plan = Plan::new(
            "smartos:in",
            "oci:out",
            "{name}:{version}",
            vec![image, planned("b", None), planned("c", None)],
        );
        let plan = plan.unwrap();
        let mut history = History::default();
        for (id, result) in [
            ("a", Ended::Done),
            ("b", Ended::Failed { cause: Cause::Damaged, message: "at 0x10: <x> & y".into(), hint: None }),
        ] {
            let outcome = Outcome {
                id: id.to_owned(),
                name: id.to_owned(),
                to: format!("oci:out:{id}"),
                how: How::Layers,
                result,
                digest: None,
                of: None,
                before: 2048,
                after: 4096,
                sent: 4096,
                seconds: 0.25,
                losses: vec!["a: xattr: \"x\"".to_owned()],
                lost: 3,
            };
            history.outcomes.insert(id.to_owned(), outcome);
        }
        let page = html(&Report::new(&plan, &history));
        assert!(!page.contains("<script") && !page.contains('\u{202e}') && !page.contains("http"), "{page}");
        for part in [
            "&lt;script&gt;alert(1)&lt;/script&gt;\\u{202e}",
            "damaged: at 0x10: &lt;x&gt; &amp; y",
            "lost: a: xattr: &quot;x&quot;<br>and 2 more",
            "not come to",
            "Failures by cause",
            "Sizes before and after",
            "2.0 KiB",
        ] {
            assert!(page.contains(part), "{part}\n{page}");
        }
        assert_eq!(page.matches("<svg").count(), 4);
        assert_eq!((page.matches("<table>").count(), page.matches("</table>").count()), (2, 2));
        assert_eq!(html(&Report::new(&plan, &history)), page);
    }
}
