//! When to try again, and when to give up.

use std::time::{Duration, SystemTime};

/// How patient a client is. Waits double from `first` to at most `most`; without chance in them, as one client alone
/// makes no herd.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetryPolicy {
    /// How often something is tried in all, at least once.
    pub attempts: u32,
    /// The first wait.
    pub first: Duration,
    /// The longest wait of its own.
    pub most: Duration,
    /// The longest wait that a server may ask for.
    pub most_asked: Duration,
}

impl Default for RetryPolicy {
    fn default() -> Self {
        Self {
            attempts: 6,
            first: Duration::from_millis(500),
            most: Duration::from_secs(15),
            // Servers that count requests do so by the minute.
            most_asked: Duration::from_secs(120),
        }
    }
}

impl RetryPolicy {
    /// The wait after the `failed`-th failure, counted from 1; `None` when it is time to give up.
    pub(super) fn wait_after(&self, failed: u32) -> Option<Duration> {
        if failed >= self.attempts.max(1) {
            return None;
        }
        let factor = 1_u32.checked_shl(failed.saturating_sub(1)).unwrap_or(u32::MAX);
        Some(self.first.saturating_mul(factor).min(self.most))
    }
}

/// `Retry-After`: seconds, or a date.
pub(super) fn retry_after(value: &str, now: SystemTime) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|b| b.is_ascii_digit()) {
        return Some(Duration::from_secs(value.parse().unwrap_or(u64::MAX)));
    }
    let date = httpdate::parse_http_date(value).ok()?;
    // A date that has passed means now.
    Some(date.duration_since(now).unwrap_or_default())
}

/// Answers that may be other ones the next time.
pub(super) fn may_pass(status: u16) -> bool {
    matches!(status, 408 | 429 | 500 | 502 | 503 | 504)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_and_end() {
        let policy = RetryPolicy { attempts: 5, most: Duration::from_secs(2), ..RetryPolicy::default() };
        let waits: Vec<_> = (1..=5).map(|n| policy.wait_after(n).map(|w| w.as_millis())).collect();
        assert_eq!(waits, [Some(500), Some(1000), Some(2000), Some(2000), None]);
        let endless = RetryPolicy { attempts: u32::MAX, ..policy };
        assert_eq!(endless.wait_after(1000), Some(policy.most));
        assert_eq!(RetryPolicy { attempts: 0, ..policy }.wait_after(1), None);
    }

    #[test]
    fn servers_say_seconds_or_a_date() {
        let now = SystemTime::UNIX_EPOCH + Duration::from_secs(784_111_777);
        let cases = [
            ("120", Some(120)),
            (" 0 ", Some(0)),
            ("99999999999999999999999", Some(u64::MAX)),
            ("Sun, 06 Nov 1994 08:49:47 GMT", Some(10)),
            ("Sun, 06 Nov 1994 08:49:27 GMT", Some(0)),
            ("-1", None),
            ("soon", None),
            ("", None),
        ];
        for (text, want) in cases {
            assert_eq!(retry_after(text, now), want.map(Duration::from_secs), "{text:?}");
        }
    }
}
