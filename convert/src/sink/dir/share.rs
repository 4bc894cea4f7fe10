//! Work that all threads take part in.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

use crate::{Ctx, Error, Result};

/// Items that a thread takes at a time: enough to stay in a directory, few enough to end together.
const BATCH: usize = 64;

/// Items that threads share out among themselves.
pub(super) struct Share<'a, T> {
    items: &'a [T],
    next: AtomicUsize,
    /// The place of the first item that is known to have failed, and why.
    failed: AtomicUsize,
    error: Mutex<Option<Error>>,
    ctx: &'a Ctx<'a>,
}

impl<'a, T: Sync> Share<'a, T> {
    /// Has every thread call `run`, which asks for items by [`Self::each`]; what they return. The error is that of the first
    /// item that fails, whatever the number of threads.
    pub(super) fn out<R: Send>(
        items: &'a [T],
        ctx: &'a Ctx<'a>,
        run: impl Fn(&Self) -> R + Sync,
    ) -> Result<Vec<R>> {
        let (next, failed) = (AtomicUsize::new(0), AtomicUsize::new(usize::MAX));
        let share = Self { items, next, failed, error: Mutex::new(None), ctx };
        let threads = ctx.options.threads.clamp(1, items.len().div_ceil(BATCH).max(1));
        let done = thread::scope(|scope| {
            let (share, run) = (&share, &run);
            let others: Vec<_> = (1..threads)
                // Fewer threads do the same work.
                .map_while(|n| {
                    let thread = thread::Builder::new().name(format!("files-{n}"));
                    thread.spawn_scoped(scope, move || run(share)).ok()
                })
                .collect();
            let mut done = vec![run(share)];
            done.extend(others.into_iter().map(|other| other.join().expect("work does not panic")));
            done
        });
        match share.error.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(e) => Err(e),
            None => Ok(done),
        }
    }

    /// Does `work` with this thread's part. Items behind one that has failed are left out.
    pub(super) fn each(&self, mut work: impl FnMut(&T) -> Result<()>) {
        loop {
            let begin = self.next.fetch_add(BATCH, Ordering::Relaxed);
            for place in begin..self.items.len().min(begin.saturating_add(BATCH)) {
                if place > self.failed.load(Ordering::Relaxed) {
                    return;
                }
                if let Err(e) = self.ctx.check().and_then(|()| work(&self.items[place])) {
                    self.fail(place, e);
                }
            }
            if begin >= self.items.len() {
                return;
            }
        }
    }

    /// Keeps an error, unless one further ahead is known.
    fn fail(&self, place: usize, e: Error) {
        let mut error = self.error.lock().unwrap_or_else(PoisonError::into_inner);
        if place < self.failed.load(Ordering::Relaxed) {
            self.failed.store(place, Ordering::Relaxed);
            *error = Some(e);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ctx::{Cancel, NoProgress, Options};
    use crate::{ErrorKind, ctx};

    #[test]
    fn each_item_is_done_once_and_the_first_failure_is_told() {
        let items: Vec<usize> = (0..1000).collect();
        for threads in [1, 2, 7] {
            let options = Options { threads, ..ctx::Options::new(std::env::temp_dir()) };
            let cancel = Cancel::default();
            let ctx = Ctx::new(options, &NoProgress, &cancel);
            let done = Share::out(&items, &ctx, |share| {
                let mut mine = Vec::new();
                share.each(|item| {
                    mine.push(*item);
                    Ok(())
                });
                mine
            });
            let mut all = done.unwrap().concat();
            all.sort_unstable();
            assert_eq!(all, items, "{threads} threads");
            let failed = Share::out(&items, &ctx, |share| {
                share.each(|item| match item {
                    400.. => Err(ErrorKind::Unsupported(item.to_string()).into()),
                    _ => Ok(()),
                });
            });
            assert!(failed.unwrap_err().to_string().contains("400"), "{threads} threads");
            let none: [usize; 0] = [];
            assert_eq!(Share::out(&none, &ctx, |share| share.each(|_| Ok(()))).unwrap(), [()]);
        }
    }
}
