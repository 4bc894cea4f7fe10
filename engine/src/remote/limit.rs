//! How many bytes a second go over the wire, all connections together.

use std::sync::{Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use super::Pace;

/// More than this is never owed: then it is the clock that went back.
const MOST: Duration = Duration::from_secs(3600);

/// A rate that several connections share. Bytes are paid for after they have moved, by waiting.
#[derive(Debug)]
pub struct RateLimit {
    per_second: u64,
    /// When all that has moved is paid for.
    paid: Mutex<Option<SystemTime>>,
}

impl RateLimit {
    /// So many bytes a second, at least one.
    pub fn new(per_second: u64) -> Self {
        Self { per_second: per_second.max(1), paid: Mutex::default() }
    }

    /// Waits for as long as these bytes take at this rate, together with those of others.
    pub(super) fn pay(&self, bytes: u64, pace: &dyn Pace, stop: &dyn Fn() -> bool) {
        let wait = self.owe(bytes, pace.now());
        if !wait.is_zero() {
            pace.wait(wait, stop);
        }
    }

    fn owe(&self, bytes: u64, now: SystemTime) -> Duration {
        let cost = Duration::from_secs_f64(bytes as f64 / self.per_second as f64);
        let mut paid = self.paid.lock().unwrap_or_else(PoisonError::into_inner);
        // Time in which nothing moved is not saved up.
        let is_owed = |paid: &SystemTime| paid.duration_since(now).is_ok_and(|owed| owed < MOST);
        let from = paid.filter(is_owed).unwrap_or(now);
        let until = from.checked_add(cost).unwrap_or(from);
        *paid = Some(until);
        until.duration_since(now).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn all_together_keep_to_the_rate() {
        let limit = RateLimit::new(1000);
        let start = SystemTime::UNIX_EPOCH;
        let at = |millis| start + Duration::from_millis(millis);
        assert_eq!(limit.owe(500, at(0)), Duration::from_millis(500));
        assert_eq!(limit.owe(500, at(0)), Duration::from_millis(1000), "another connection");
        assert_eq!(limit.owe(0, at(1000)), Duration::ZERO);
        assert_eq!(limit.owe(100, at(5_000_000)), Duration::from_millis(100), "silence is not saved up");
        assert_eq!(limit.owe(1, SystemTime::UNIX_EPOCH), Duration::from_millis(1), "a clock that went back");
    }
}
