//! Points in time as OCI documents write them: RFC 3339.

use std::time::SystemTime;

pub use aurora_formats::model::Timestamp;

/// A moment of a clock; one before 1970 is taken for that.
pub fn timestamp(time: SystemTime) -> Timestamp {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    Timestamp { secs: i64::try_from(since.as_secs()).unwrap_or(i64::MAX), nanos: since.subsec_nanos() }
}

/// Reads `2023-11-14T22:13:20.123456789+01:00`; `None` for anything else.
pub fn parse_rfc3339(text: &str) -> Option<Timestamp> {
    let bytes = text.as_bytes();
    let number = |from: usize, len: usize| -> Option<i64> {
        let digits = bytes.get(from..from + len)?;
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then(|| digits.iter().fold(0, |n, d| n * 10 + i64::from(d - b'0')))
    };
    let is = |at: usize, allowed: &[u8]| bytes.get(at).is_some_and(|b| allowed.contains(b));
    let marks = is(4, b"-") && is(7, b"-") && is(10, b"Tt ") && is(13, b":") && is(16, b":");
    let (year, month, day) = (number(0, 4)?, number(5, 2)?, number(8, 2)?);
    let (hour, minute, second) = (number(11, 2)?, number(14, 2)?, number(17, 2)?);
    let valid =
        (1..=12).contains(&month) && (1..=31).contains(&day) && hour < 24 && minute < 60 && second <= 60;
    if !marks || !valid {
        return None;
    }
    let mut at = 19;
    let mut nanos = 0;
    if is(at, b".,") {
        let digits = bytes[at + 1..].iter().take_while(|b| b.is_ascii_digit()).count();
        for n in 0..9 {
            let digit = if n < digits { u32::from(bytes[at + 1 + n] - b'0') } else { 0 };
            nanos = nanos * 10 + digit;
        }
        if digits == 0 {
            return None;
        }
        at += 1 + digits;
    }
    let offset = if is(at, b"Zz") && bytes.len() == at + 1 {
        0
    } else if is(at, b"+-") && is(at + 3, b":") && bytes.len() == at + 6 {
        let seconds = number(at + 1, 2)? * 3600 + number(at + 4, 2)? * 60;
        if bytes[at] == b'-' { -seconds } else { seconds }
    } else {
        return None;
    };
    let secs = days_from_civil(year, month, day) * 86_400 + hour * 3600 + minute * 60 + second - offset;
    Some(Timestamp { secs, nanos })
}

/// Writes `2023-11-14T22:13:20.5Z`; `None` for years that RFC 3339 cannot say.
pub fn to_rfc3339(time: Timestamp) -> Option<String> {
    let (days, rest) = (time.secs.div_euclid(86_400), time.secs.rem_euclid(86_400));
    let (year, month, day) = civil_from_days(days);
    if !(0..=9999).contains(&year) {
        return None;
    }
    let mut fraction = String::new();
    if time.nanos > 0 {
        fraction = format!(".{:09}", time.nanos);
        fraction.truncate(fraction.trim_end_matches('0').len());
    }
    let (hour, minute, second) = (rest / 3600, rest / 60 % 60, rest % 60);
    Some(format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z"))
}

/// Days since 1970 of a date of the Gregorian calendar; the year begins in March, so that the leap day ends it.
fn days_from_civil(year: i64, month: i64, day: i64) -> i64 {
    let year = if month <= 2 { year - 1 } else { year };
    let (era, of_era) = (year.div_euclid(400), year.rem_euclid(400));
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    era * 146_097 + of_era * 365 + of_era / 4 - of_era / 100 + of_year - 719_468
}

/// The inverse of [`days_from_civil`].
fn civil_from_days(days: i64) -> (i64, i64, i64) {
    let days = days.saturating_add(719_468);
    let (era, of_era) = (days.div_euclid(146_097), days.rem_euclid(146_097));
    let year = (of_era - of_era / 1460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year + year / 4 - year / 100);
    let shifted = (5 * of_year + 2) / 153;
    let day = of_year - (153 * shifted + 2) / 5 + 1;
    let month = if shifted < 10 { shifted + 3 } else { shifted - 9 };
    (era * 400 + year + i64::from(month <= 2), month, day)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn times_are_read_and_written() {
        let cases = [
            ("1970-01-01T00:00:00Z", Some((0, 0)), "1970-01-01T00:00:00Z"),
            ("2023-11-14T22:13:20Z", Some((1_700_000_000, 0)), "2023-11-14T22:13:20Z"),
            (
                "2023-11-14T23:13:20.123456789+01:00",
                Some((1_700_000_000, 123_456_789)),
                "2023-11-14T22:13:20.123456789Z",
            ),
            ("2024-02-29T00:00:00.5-00:30", Some((1_709_166_600, 500_000_000)), "2024-02-29T00:30:00.5Z"),
            ("1969-12-31T23:59:59Z", Some((-1, 0)), "1969-12-31T23:59:59Z"),
            ("0001-01-01T00:00:00Z", Some((-62_135_596_800, 0)), "0001-01-01T00:00:00Z"),
            ("2023-13-14T22:13:20Z", None, ""),
            ("2023-11-14T22:13:20", None, ""),
            ("2023-11-14T22:13:20.Z", None, ""),
            ("2023-11-14T22:13:20Zx", None, ""),
            ("", None, ""),
        ];
        for (text, want, back) in cases {
            let got = parse_rfc3339(text);
            assert_eq!(got.map(|t| (t.secs, t.nanos)), want, "{text}");
            if let Some(time) = got {
                assert_eq!(to_rfc3339(time).as_deref(), Some(back));
            }
        }
        assert_eq!(to_rfc3339(Timestamp::from_secs(i64::MAX)), None);
    }
}
