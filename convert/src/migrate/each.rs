//! The same for many things, several at once.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

/// What `work` says of each thing, in the order of the things.
pub(super) fn each<T: Sync, R: Send>(jobs: usize, things: &[T], work: impl Fn(&T) -> R + Sync) -> Vec<R> {
    let next = AtomicUsize::new(0);
    let results: Mutex<Vec<(usize, R)>> = Mutex::default();
    let run = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(thing) = things.get(at) else { break };
            let result = work(thing);
            results.lock().expect("no holder of this lock can panic").push((at, result));
        }
    };
    thread::scope(|scope| {
        for number in 1..jobs.clamp(1, things.len().max(1)) {
            // Fewer threads do it as well.
            let _ = thread::Builder::new().name(format!("look-{number}")).spawn_scoped(scope, run);
        }
        run();
    });
    let mut results = results.into_inner().expect("no holder of this lock can panic");
    results.sort_by_key(|(at, _)| *at);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn results_are_in_the_order_of_the_things() {
        for jobs in [1, 3, 100] {
            let things: Vec<u32> = (0..50).collect();
            assert_eq!(each(jobs, &things, |n| n * 2), (0..50).map(|n| n * 2).collect::<Vec<_>>());
        }
        assert!(each(4, &[], |n: &u8| *n).is_empty());
    }
}
