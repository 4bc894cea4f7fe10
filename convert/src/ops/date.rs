//! Times for people: UTC, in the proleptic Gregorian calendar.

use aurora_formats::model::Timestamp;

/// Days from 0000-03-01 to 1970-01-01.
const DAYS_TO_1970: i128 = 719_468;
/// Days in 400 years.
const DAYS_IN_ERA: i128 = 146_097;

/// Year, month, day, hour, minute, second of seconds since 1970.
pub fn civil(secs: i64) -> (i128, u32, u32, u32, u32, u32) {
    let (days, rest) = (i128::from(secs).div_euclid(86_400), secs.rem_euclid(86_400) as u32);
    // Years begin in March here, so that the leap day is the last of its year.
    let days = days + DAYS_TO_1970;
    let (era, day) = (days.div_euclid(DAYS_IN_ERA), days.rem_euclid(DAYS_IN_ERA));
    let year = (day - day / 1460 + day / 36_524 - day / 146_096) / 365;
    let day = day - (365 * year + year / 4 - year / 100);
    let month = (5 * day + 2) / 153;
    let day = (day - (153 * month + 2) / 5 + 1) as u32;
    let month = if month < 10 { month + 3 } else { month - 9 };
    let year = era * 400 + year + i128::from(month <= 2);
    (year, month as u32, day, rest / 3600, rest / 60 % 60, rest % 60)
}

/// As RFC 3339 has it; the fraction only where there is one.
pub fn rfc3339(time: Timestamp) -> String {
    let (year, month, day, hour, minute, second) = civil(time.secs);
    let fraction = match time.nanos {
        0 => String::new(),
        nanos => format!(".{nanos:09}").trim_end_matches('0').to_owned(),
    };
    format!("{year:04}-{month:02}-{day:02}T{hour:02}:{minute:02}:{second:02}{fraction}Z")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_those_of_the_calendar() {
        let cases = [
            (0, "1970-01-01T00:00:00Z"),
            (-1, "1969-12-31T23:59:59Z"),
            (951_782_400, "2000-02-29T00:00:00Z"),
            (951_868_800, "2000-03-01T00:00:00Z"),
            (4_107_542_399, "2100-02-28T23:59:59Z"),
            (4_107_542_400, "2100-03-01T00:00:00Z"),
            (-62_135_596_800, "0001-01-01T00:00:00Z"),
            (1_700_000_000, "2023-11-14T22:13:20Z"),
        ];
        for (secs, want) in cases {
            assert_eq!(rfc3339(Timestamp::from_secs(secs)), want);
        }
        assert_eq!(rfc3339(Timestamp { secs: 0, nanos: 120_000_000 }), "1970-01-01T00:00:00.12Z");
        // Any time is some date.
        assert!(rfc3339(Timestamp::from_secs(i64::MAX)).starts_with("292277026596-12-04"));
        assert!(rfc3339(Timestamp::from_secs(i64::MIN)).starts_with("-292277022657-01-27"));
    }
}
