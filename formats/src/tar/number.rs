//! Numbers as archives write them: octal text, base-256, decimal text, times with a fraction.

use crate::model::Timestamp;

/// A number of a header: octal digits with spaces or NULs around them, or base-256 when the first bit is set
/// (two's complement, big endian). An empty field is 0.
pub(super) fn parse(field: &[u8]) -> Option<i128> {
    match field.first() {
        Some(&first) if first & 0x80 != 0 => {
            // 15 bytes are more than any field has and fit an i128.
            let rest = field.get(1..).filter(|rest| rest.len() < 15)?;
            let start = if first & 0x40 != 0 { i128::from(first as i8) } else { i128::from(first & 0x7f) };
            Some(rest.iter().fold(start, |value, &byte| (value << 8) | i128::from(byte)))
        }
        _ => octal(field),
    }
}

fn octal(field: &[u8]) -> Option<i128> {
    let blank = |b: &u8| matches!(b, b' ' | 0);
    let start = field.iter().position(|b| !blank(b)).unwrap_or(field.len());
    let digits = field.get(start..)?;
    let digits = &digits[..digits.iter().position(blank).unwrap_or(digits.len())];
    digits.iter().try_fold(0i128, |value, &digit| {
        matches!(digit, b'0'..=b'7').then(|| (value << 3) | i128::from(digit - b'0'))
    })
}

/// Decimal digits and nothing else.
pub(super) fn decimal(text: &[u8]) -> Option<u64> {
    if text.is_empty() {
        return None;
    }
    text.iter().try_fold(0u64, |value, &digit| {
        let digit = digit.is_ascii_digit().then(|| digit - b'0')?;
        value.checked_mul(10)?.checked_add(u64::from(digit))
    })
}

/// Seconds with an optional sign and fraction. Digits beyond nanoseconds round down, into the past.
pub(super) fn time(text: &[u8]) -> Option<Timestamp> {
    let (negative, text) = match text.strip_prefix(b"-") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let mut halves = text.splitn(2, |&b| b == b'.');
    let whole = i64::try_from(decimal(halves.next()?)?).ok()?;
    let fraction = halves.next().unwrap_or_default();
    if !fraction.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let mut nanos =
        (0..9).fold(0u32, |n, at| n * 10 + fraction.get(at).map_or(0, |&digit| u32::from(digit - b'0')));
    if !negative {
        return Some(Timestamp { secs: whole, nanos });
    }
    nanos += u32::from(fraction.iter().skip(9).any(|&digit| digit != b'0'));
    let total = -(i128::from(whole) * 1_000_000_000 + i128::from(nanos));
    let secs = i64::try_from(total.div_euclid(1_000_000_000)).ok()?;
    Some(Timestamp { secs, nanos: total.rem_euclid(1_000_000_000) as u32 })
}

/// A time as PAX writes it, as short as it can be.
pub(super) fn format_time(time: Timestamp) -> String {
    let nanos = time.as_nanos();
    let (sign, size) = (if nanos < 0 { "-" } else { "" }, nanos.unsigned_abs());
    let (whole, fraction) = (size / 1_000_000_000, size % 1_000_000_000);
    if fraction == 0 {
        return format!("{sign}{whole}");
    }
    let digits = format!("{fraction:09}");
    format!("{sign}{whole}.{}", digits.trim_end_matches('0'))
}

/// Writes octal digits and a NUL if they fit, and says whether they do.
pub(super) fn put_octal(field: &mut [u8], value: u64) -> bool {
    let Some((end, digits)) = field.split_last_mut() else { return false };
    if digits.len() < 22 && value >> (3 * digits.len()) != 0 {
        return false;
    }
    *end = 0;
    let mut left = value;
    for digit in digits.iter_mut().rev() {
        *digit = b'0' + (left & 7) as u8;
        left >>= 3;
    }
    true
}

/// Writes base-256: for device numbers, for which PAX has no key.
pub(super) fn put_base256(field: &mut [u8; 8], value: u32) {
    *field = u64::from(value).to_be_bytes();
    field[0] |= 0x80;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn header_numbers() {
        let cases: &[(&[u8], Option<i128>)] = &[
            (b"0000644\0", Some(0o644)),
            (b"   644 \0", Some(0o644)),
            (b"17\0\0\0\0\0\0", Some(15)),
            (b"17\0junk!", Some(15)),
            (b"     17\0", Some(15)),
            (b"77777777777 ", Some(0o77777777777)),
            (b"\0\0\0\0", Some(0)),
            (b"", Some(0)),
            (b"-1\0", None),
            (b"0008\0", None),
            (b"12x\0", None),
            (b"\x80\0\0\0\0\x2d\xc6\xc0", Some(3_000_000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xfc\x18", Some(-1000)),
            (b"\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", Some(-1)),
            (b"\x80\0\0\0\x7f\xff\xff\xff\xff\xff\xff\xff", Some(i64::MAX as i128)),
        ];
        for (field, want) in cases {
            assert_eq!(parse(field), *want, "{}", field.escape_ascii());
        }
    }

    #[test]
    fn times_there_and_back() {
        type Case = (&'static [u8], Option<(i64, u32)>, &'static str);
        let cases: &[Case] = &[
            (b"0", Some((0, 0)), "0"),
            (b"1700000000.123456789", Some((1_700_000_000, 123_456_789)), "1700000000.123456789"),
            (b"1.5", Some((1, 500_000_000)), "1.5"),
            (b"1.", Some((1, 0)), "1"),
            (b"1.1234567899", Some((1, 123_456_789)), "1.123456789"),
            (b"-1.25", Some((-2, 750_000_000)), "-1.25"),
            (b"-86400", Some((-86400, 0)), "-86400"),
            (b"-0.0000000001", Some((-1, 999_999_999)), "-0.000000001"),
            (b"", None, ""),
            (b".5", None, ""),
            (b"1.5e9", None, ""),
            (b"99999999999999999999", None, ""),
        ];
        for (text, want, back) in cases {
            let got = time(text);
            assert_eq!(got.map(|t| (t.secs, t.nanos)), *want, "{}", text.escape_ascii());
            if let Some(t) = got {
                assert_eq!(format_time(t), *back);
            }
        }
    }

    #[test]
    fn octal_fields_fit_or_do_not() {
        let mut field = [0xff; 8];
        assert!(put_octal(&mut field, 0o7_777_777));
        assert_eq!(&field, b"7777777\0");
        assert!(!put_octal(&mut field, 0o10_000_000));
        put_base256(&mut field, u32::MAX);
        assert_eq!(parse(&field), Some(u32::MAX.into()));
    }
}
