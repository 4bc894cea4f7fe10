//! Sizes, compressions and other small values of options.

pub(crate) use aurora_convert::ops::show_size;
use aurora_convert::sink::Compression;

/// A number of things: `1 layer`, `2 layers`.
pub(crate) fn counted(n: impl TryInto<u64>, one: &str, many: &str) -> String {
    let n = n.try_into().unwrap_or(u64::MAX);
    format!("{n} {}", if n == 1 { one } else { many })
}

/// `268435456`, `256MiB`, `256M`: whole numbers; letters alone and with `iB` are powers of 1024,
/// with `B` powers of 1000.
pub(crate) fn parse_size(text: &str) -> Result<u64, String> {
    let bad = || format!("a size is a whole number with K, M, G, T (or KiB …, or KB …) behind it: {text}");
    let digits = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(digits);
    if number.is_empty() {
        return Err(bad());
    }
    let too_large = || format!("a size is at most 2^64 - 1 bytes: {text}");
    let number: u64 = number.parse().map_err(|_| too_large())?;
    let mut letters = unit.chars();
    let power = match letters.next().map(|c| c.to_ascii_uppercase()) {
        None | Some('B') => 0,
        Some('K') => 1,
        Some('M') => 2,
        Some('G') => 3,
        Some('T') => 4,
        Some(_) => return Err(bad()),
    };
    let base: u64 = match (power, letters.as_str()) {
        (_, "") | (1.., "iB") => 1024,
        (1.., "B") => 1000,
        _ => return Err(bad()),
    };
    number.checked_mul(base.pow(power)).ok_or_else(too_large)
}

/// `CODEC[:LEVEL]`.
pub(crate) fn parse_compression(text: &str) -> Result<Compression, String> {
    text.parse()
}

#[cfg(test)]
mod tests {
    use aurora_convert::sink::Codec;

    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            ("0", Some(0)),
            ("4096", Some(4096)),
            ("256MiB", Some(256 << 20)),
            ("256M", Some(256 << 20)),
            ("1g", Some(1 << 30)),
            ("1GB", Some(1_000_000_000)),
            ("512B", Some(512)),
            ("2TiB", Some(2 << 40)),
            ("", None),
            ("M", None),
            ("-1", None),
            ("1.5G", None),
            ("1X", None),
            ("1MiBs", None),
            ("1BB", None),
            ("16777216T", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse_size(text).ok(), want, "{text}");
        }
        assert_eq!(show_size(1023), "1023 B");
        assert_eq!(show_size(1536), "1.5 KiB");
        assert_eq!(show_size(u64::MAX), "16.0 EiB");
    }

    #[test]
    fn compressions() {
        let cases = [
            ("none", Some((Codec::None, None))),
            ("gzip", Some((Codec::Gzip, None))),
            ("gzip:9", Some((Codec::Gzip, Some(9)))),
            ("zstd:22", Some((Codec::Zstd, Some(22)))),
            ("xz:0", Some((Codec::Xz, Some(0)))),
            ("bzip2:1", Some((Codec::Bzip2, Some(1)))),
            ("gzip:0", None),
            ("gzip:10", None),
            ("zstd:", None),
            ("none:1", None),
            ("lz4", None),
        ];
        for (text, want) in cases {
            assert_eq!(parse_compression(text).ok().map(|c| (c.codec, c.level)), want, "{text}");
        }
    }
}
