//! A parallel map whose results leave in the order of its items.

use std::collections::VecDeque;
use std::io;
use std::sync::Arc;
use std::thread::{self, JoinHandle, Scope};

use crossbeam::channel::{Receiver, Sender, bounded};

/// Maps items by `work` on several threads. At most `window` items are under way or waiting to be taken; a
/// `push` beyond that waits for the oldest. With one thread there is no other: `push` does the work itself.
///
/// Dropping it lets the threads finish what they have begun, and waits for them.
pub struct Ordered<'w, T, R> {
    mode: Mode<'w, T, R>,
}

enum Mode<'w, T, R> {
    Inline(Box<dyn Fn(T) -> R + Send + 'w>),
    Threads(Threads<T, R>),
}

struct Threads<T, R> {
    jobs: Option<Sender<Job<T, R>>>,
    pending: VecDeque<Receiver<R>>,
    window: usize,
    /// But for those of a scope, which waits for them itself.
    workers: Vec<JoinHandle<()>>,
}

struct Job<T, R> {
    item: T,
    done: Sender<R>,
}

impl<T: Send + 'static, R: Send + 'static> Ordered<'static, T, R> {
    /// Starts `threads` threads of that name, or none if one is enough. Fewer do the same work where no more can be
    /// started.
    pub fn new(
        name: &str,
        threads: usize,
        window: usize,
        work: impl Fn(T) -> R + Send + Sync + 'static,
    ) -> Self {
        Self::start(threads, window, work, |number, run| {
            thread::Builder::new().name(format!("{name}-{number}")).spawn(run).map(Some)
        })
    }
}

impl<'w, T: Send + 'w, R: Send + 'w> Ordered<'w, T, R> {
    /// The same with threads that may borrow what outlives the scope, which waits for them.
    pub fn scoped(
        scope: &'w Scope<'w, '_>,
        name: &str,
        threads: usize,
        window: usize,
        work: impl Fn(T) -> R + Send + Sync + 'w,
    ) -> Self {
        Self::start(threads, window, work, |number, run| {
            thread::Builder::new().name(format!("{name}-{number}")).spawn_scoped(scope, run).map(|_| None)
        })
    }

    fn start(
        threads: usize,
        window: usize,
        work: impl Fn(T) -> R + Send + Sync + 'w,
        spawn: impl Fn(usize, Box<dyn FnOnce() + Send + 'w>) -> io::Result<Option<JoinHandle<()>>>,
    ) -> Self {
        if threads <= 1 {
            return Self { mode: Mode::Inline(Box::new(work)) };
        }
        let window = window.max(1);
        let work = Arc::new(work);
        let (jobs, queue) = bounded::<Job<T, R>>(window);
        let mut pool = Threads { jobs: Some(jobs), pending: VecDeque::new(), window, workers: Vec::new() };
        for number in 0..threads {
            let (queue, shared) = (queue.clone(), Arc::clone(&work));
            let run = move || {
                for job in queue {
                    // Nobody waits any more if the owner has been dropped.
                    let _ = job.done.send(shared(job.item));
                }
            };
            match spawn(number, Box::new(run)) {
                Ok(worker) => pool.workers.extend(worker),
                Err(_) if number > 0 => break,
                Err(_) => return Self { mode: Mode::Inline(Box::new(move |item| work(item))) },
            }
        }
        Self { mode: Mode::Threads(pool) }
    }
}

impl<T, R> Ordered<'_, T, R> {
    /// Gives an item to work on. Returns the oldest result if that had to be waited for.
    pub fn push(&mut self, item: T) -> Option<R> {
        let pool = match &mut self.mode {
            Mode::Inline(work) => return Some(work(item)),
            Mode::Threads(pool) => pool,
        };
        let oldest = if pool.pending.len() >= pool.window { pool.pop() } else { None };
        let (done, result) = bounded(1);
        pool.pending.push_back(result);
        let jobs = pool.jobs.as_ref().expect("the queue is closed only by drop");
        jobs.send(Job { item, done }).unwrap_or_else(|_| panic!("all workers have panicked"));
        oldest
    }

    /// Waits for the oldest result; `None` when all have been taken.
    pub fn pop(&mut self) -> Option<R> {
        match &mut self.mode {
            Mode::Inline(_) => None,
            Mode::Threads(pool) => pool.pop(),
        }
    }
}

impl<T, R> Threads<T, R> {
    fn pop(&mut self) -> Option<R> {
        let oldest = self.pending.pop_front()?;
        Some(oldest.recv().expect("a worker answers every job unless the work itself panics"))
    }
}

impl<T, R> Drop for Threads<T, R> {
    fn drop(&mut self) {
        self.jobs = None;
        for worker in self.workers.drain(..) {
            // A panic in a worker has shown itself to whoever waited for its result.
            let _ = worker.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_leave_in_order_at_any_number_of_threads() {
        for threads in [1, 2, 8] {
            let work = |n: u64| {
                // The early items take longest.
                thread::sleep(std::time::Duration::from_micros(500 - 5 * n));
                n * n
            };
            let mut map = Ordered::new("test", threads, 4, work);
            let mut out: Vec<u64> = (0..100).filter_map(|n| map.push(n)).collect();
            out.extend(std::iter::from_fn(|| map.pop()));
            assert_eq!(out, (0..100).map(|n| n * n).collect::<Vec<_>>(), "{threads} threads");
        }
    }

    #[test]
    fn threads_of_a_scope_may_borrow() {
        let words = ["a", "bc", "", "defg"];
        let lengths = thread::scope(|scope| {
            let mut map = Ordered::scoped(scope, "test", 2, 2, |at: usize| words[at].len());
            let mut out: Vec<usize> = (0..words.len()).filter_map(|at| map.push(at)).collect();
            out.extend(std::iter::from_fn(|| map.pop()));
            out
        });
        assert_eq!(lengths, [1, 2, 0, 4]);
    }

    #[test]
    fn a_window_is_not_exceeded_and_dropping_stops() {
        let mut map = Ordered::new("test", 2, 3, |n: u32| n);
        let early: Vec<_> = (0..3).map(|n| map.push(n)).collect();
        assert_eq!(early, [None, None, None]);
        assert_eq!(map.push(3), Some(0));
        drop(map);
    }
}
