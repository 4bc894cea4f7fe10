//! How far many images are: a bar for all of them and one for each job, on a terminal; a line each with `--jsonl`.

use std::io::{self, Write};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aurora_convert::migrate::{Ended, Observer, Outcome, Planned};
use aurora_convert::{Counter, Progress};
use indicatif::{MultiProgress, ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::errors::{message, note};
use crate::output::safe;
use crate::progress::Watch;

/// How often it is drawn.
const PER_SECOND: u8 = 10;
/// All images.
const ALL: &str = "{wide_bar} {pos}/{len} images {msg} {elapsed}, about {eta} left";
/// An image whose bytes are known.
const WITH_TOTAL: &str = "  {prefix:30!} {msg:12!} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec}";
/// Any other.
const WITHOUT_TOTAL: &str = "  {prefix:30!} {msg:12!} {spinner} {bytes}";

/// A job without one.
const IDLE: &str = "  -";

/// Watches a run.
pub(super) struct Board<'a> {
    slots: Vec<Slot>,
    drawn: Option<(MultiProgress, ProgressBar)>,
    watch: &'a Watch,
    prints_lines: bool,
    tells: bool,
    failed: AtomicU64,
    /// Why a line could not be printed. The work goes on all the same.
    broken: Mutex<Option<io::Error>>,
}

impl<'a> Board<'a> {
    /// Draws where `tells` is set and standard error is a terminal.
    pub(super) fn new(jobs: usize, prints_lines: bool, watch: &'a Watch, tells: bool) -> Self {
        let target = ProgressDrawTarget::stderr_with_hz(PER_SECOND);
        let is_drawn = tells && !target.is_hidden();
        let drawn = is_drawn.then(|| {
            let all = MultiProgress::with_draw_target(target);
            let bar = all.add(ProgressBar::no_length());
            bar.set_style(style(ALL));
            (all, bar)
        });
        let slot = |_| Slot { bar: drawn.as_ref().map(|(all, _)| all.add(idle())) };
        let slots = (0..jobs).map(slot).collect();
        Self { slots, drawn, watch, prints_lines, tells, failed: AtomicU64::new(0), broken: Mutex::default() }
    }

    /// Takes the bars away.
    pub(super) fn finish(&self) {
        for bar in self.slots.iter().filter_map(|slot| slot.bar.as_ref()) {
            bar.finish_and_clear();
        }
        if let Some((all, bar)) = &self.drawn {
            bar.finish_and_clear();
            // A terminal that is gone needs no clearing.
            let _ = all.clear();
        }
    }

    /// Whether all lines could be printed. A reader that has seen enough is no failure.
    pub(super) fn printed(&self) -> io::Result<()> {
        match self.broken.lock().expect("no holder of this lock can panic").take() {
            Some(e) if e.kind() != io::ErrorKind::BrokenPipe => Err(e),
            _ => Ok(()),
        }
    }

    fn print(&self, line: &str) {
        let mut broken = self.broken.lock().expect("no holder of this lock can panic");
        if broken.is_none() {
            let mut out = io::stdout().lock();
            *broken = writeln!(out, "{line}").and_then(|()| out.flush()).err();
        }
    }

    /// Says something without the bars in between.
    fn aside(&self, say: impl FnOnce()) {
        match &self.drawn {
            Some((all, _)) => all.suspend(say),
            None => say(),
        }
    }
}

impl Observer for Board<'_> {
    fn begins(&self, images: usize, _: u64) {
        self.watch.finish();
        if let Some((_, bar)) = &self.drawn {
            bar.set_length(images as u64);
            bar.enable_steady_tick(Duration::from_millis(200));
        }
    }

    fn job(&self, job: usize) -> &dyn Progress {
        &self.slots[job]
    }

    fn started(&self, job: usize, image: &Planned) {
        if let Some(bar) = &self.slots[job].bar {
            bar.reset();
            bar.set_style(style(WITHOUT_TOTAL));
            bar.set_prefix(safe(&image.shown()));
        }
    }

    fn ended(&self, job: Option<usize>, outcome: &Outcome) {
        if let Some(bar) = job.and_then(|job| self.slots[job].bar.as_ref()) {
            bar.set_message("");
            bar.set_style(style(IDLE));
        }
        let is_news = !matches!(outcome.result, Ended::There);
        if let (Ended::Failed { message: why, hint, .. }, true) = (&outcome.result, self.tells) {
            let failed = self.failed.fetch_add(1, Ordering::Relaxed) + 1;
            if let Some((_, bar)) = &self.drawn {
                bar.set_message(format!("({failed} failed)"));
            }
            self.aside(|| message("failed", &format!("{}: {why}", outcome.name), hint.as_deref()));
        }
        if let (Some((_, bar)), true) = (&self.drawn, is_news) {
            bar.inc(1);
        }
        if self.prints_lines {
            self.aside(|| self.print(&outcome.to_json()));
        } else if self.drawn.is_none() && self.watch.is_verbose() && is_news {
            note(&format!("{}: {}", outcome.name, outcome.to));
        }
    }
}

/// A job.
struct Slot {
    bar: Option<ProgressBar>,
}

impl Progress for Slot {
    fn count(&self, counter: Counter, n: u64) {
        // Reading and writing follow each other; what is unpacked meanwhile would be counted twice.
        if let (Some(bar), Counter::BytesRead | Counter::BytesWritten) = (&self.bar, counter) {
            bar.inc(n);
        }
    }

    fn total(&self, bytes: u64) {
        if let Some(bar) = self.bar.as_ref().filter(|_| bytes > 0) {
            bar.set_length(bytes);
            bar.set_style(style(WITH_TOTAL));
        }
    }

    fn phase(&self, name: &str) {
        if let Some(bar) = &self.bar {
            bar.reset();
            bar.unset_length();
            bar.set_style(style(WITHOUT_TOTAL));
            // Names of snapshots follow the word, and say nothing here.
            bar.set_message(name.split(' ').next().unwrap_or_default().to_owned());
        }
    }
}

fn idle() -> ProgressBar {
    let bar = ProgressBar::no_length();
    bar.set_style(style(IDLE));
    bar
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is a constant and tests read it")
        .progress_chars("=> ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn templates_can_be_read() {
        for template in [ALL, WITH_TOTAL, WITHOUT_TOTAL, IDLE] {
            style(template);
        }
    }

    #[test]
    fn jobs_count_whether_drawn_or_not() {
        let slot = Slot { bar: Some(ProgressBar::hidden()) };
        slot.phase("reading zones/x@final");
        slot.total(10);
        slot.count(Counter::BytesRead, 4);
        slot.count(Counter::BytesDecoded, 100);
        slot.count(Counter::BytesWritten, 1);
        let bar = slot.bar.as_ref().expect("it has one");
        assert_eq!((bar.position(), bar.length(), bar.message().as_str()), (5, Some(10), "reading"));
        Slot { bar: None }.count(Counter::BytesRead, 1);
    }
}
