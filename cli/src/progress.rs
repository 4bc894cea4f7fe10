//! How far the work is: a bar on a terminal, lines with `-v`.

use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use aurora_convert::{Counter, Progress};
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};

use crate::errors::note;
use crate::units::show_size;

/// Counts for all, draws for terminals.
pub(crate) struct Watch {
    read: AtomicU64,
    decoded: AtomicU64,
    written: AtomicU64,
    entries: AtomicU64,
    total: AtomicU64,
    start: Instant,
    bar: Option<ProgressBar>,
    verbose: bool,
    phase: Mutex<String>,
}

/// How often the bar is drawn.
const PER_SECOND: u8 = 10;
/// With a known end.
const WITH_TOTAL: &str = "{prefix:12} {wide_bar} {bytes}/{total_bytes} {binary_bytes_per_sec} {eta}";
/// Without one.
const WITHOUT_TOTAL: &str = "{prefix:12} {spinner} {bytes} {binary_bytes_per_sec} {elapsed}";

impl Watch {
    /// Draws where `draw` is set and standard error is a terminal; tells phases where `verbose` is set.
    pub(crate) fn new(draw: bool, verbose: bool) -> Self {
        let bar = draw.then(|| {
            let bar = ProgressBar::with_draw_target(None, ProgressDrawTarget::stderr_with_hz(PER_SECOND));
            bar.set_style(style(WITHOUT_TOTAL));
            bar
        });
        let bar = bar.filter(|bar| !bar.is_hidden());
        if let Some(bar) = &bar {
            bar.enable_steady_tick(Duration::from_millis(200));
        }
        let zero = || AtomicU64::new(0);
        Self {
            read: zero(),
            decoded: zero(),
            written: zero(),
            entries: zero(),
            total: zero(),
            start: Instant::now(),
            bar,
            verbose,
            phase: Mutex::default(),
        }
    }

    /// Takes the bar away; with `-v` says what was done.
    pub(crate) fn finish(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
        if self.verbose {
            let [read, decoded, written, entries] = self.counts();
            let seconds = self.start.elapsed().as_secs_f64();
            note(&format!(
                "{} read, {} decoded, {} written, {entries} entries, {seconds:.1} s",
                show_size(read),
                show_size(decoded),
                show_size(written),
            ));
        }
    }

    /// Whether phases are told.
    pub(crate) fn is_verbose(&self) -> bool {
        self.verbose
    }

    /// Bytes read, decoded, written, and entries.
    pub(crate) fn counts(&self) -> [u64; 4] {
        [&self.read, &self.decoded, &self.written, &self.entries].map(|n| n.load(Ordering::Relaxed))
    }
}

fn style(template: &str) -> ProgressStyle {
    ProgressStyle::with_template(template)
        .expect("the template is a constant and tests read it")
        .progress_chars("=> ")
}

impl Progress for Watch {
    fn count(&self, counter: Counter, n: u64) {
        let (sum, is_drawn) = match counter {
            Counter::BytesRead => (&self.read, true),
            Counter::BytesDecoded => (&self.decoded, false),
            // Once the reading is over, the bar is about the writing.
            Counter::BytesWritten => (&self.written, self.total.load(Ordering::Relaxed) == 0),
            Counter::Entries => (&self.entries, false),
            _ => return,
        };
        sum.fetch_add(n, Ordering::Relaxed);
        if let (Some(bar), true) = (&self.bar, is_drawn) {
            bar.inc(n);
        }
    }

    fn total(&self, bytes: u64) {
        if bytes == 0 {
            return;
        }
        self.total.store(bytes, Ordering::Relaxed);
        if let Some(bar) = &self.bar {
            bar.set_length(bytes);
            bar.set_style(style(WITH_TOTAL));
        }
    }

    fn phase(&self, name: &str) {
        let mut phase = self.phase.lock().expect("no holder of this lock can panic");
        if *phase == name {
            return;
        }
        name.clone_into(&mut phase);
        if let Some(bar) = &self.bar {
            self.total.store(0, Ordering::Relaxed);
            bar.reset();
            bar.unset_length();
            bar.set_style(style(WITHOUT_TOTAL));
            bar.set_prefix(name.to_owned());
        }
        if self.verbose && self.bar.is_none() {
            note(name);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_add_up_whether_drawn_or_not() {
        let watch = Watch::new(false, false);
        watch.phase("reading");
        watch.total(10);
        watch.count(Counter::BytesRead, 4);
        watch.count(Counter::BytesRead, 6);
        watch.count(Counter::BytesWritten, 3);
        watch.count(Counter::Entries, 1);
        assert_eq!(watch.counts(), [10, 0, 3, 1]);
    }

    #[test]
    fn templates_can_be_read() {
        style(WITH_TOTAL);
        style(WITHOUT_TOTAL);
    }
}
