//! Time: what waiting means, and what it is now.

use std::fmt;
use std::thread;
use std::time::{Duration, SystemTime};

/// The clock, so that what waits can be tested without waiting.
pub trait Pace: fmt::Debug + Send + Sync {
    /// Now.
    fn now(&self) -> SystemTime;
    /// Lets time pass, or comes back early once `stop` says so.
    fn wait(&self, time: Duration, stop: &dyn Fn() -> bool);
}

/// The system's clock.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemPace;

/// How often somebody who waits looks whether to stop.
const LOOK: Duration = Duration::from_millis(100);

impl Pace for SystemPace {
    fn now(&self) -> SystemTime {
        SystemTime::now()
    }

    fn wait(&self, time: Duration, stop: &dyn Fn() -> bool) {
        let mut left = time;
        while !left.is_zero() && !stop() {
            let piece = left.min(LOOK);
            thread::sleep(piece);
            left -= piece;
        }
    }
}
