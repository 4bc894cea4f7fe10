//! Which codec, by the first bytes. Labels and file names are not asked: they lie too often.

use super::Codec;

/// As many bytes as [`detect`] ever looks at.
pub const DETECT_LEN: usize = 10;

/// The first bytes of a bzip2 block, and of an end without any block, behind `BZh1` to `BZh9`.
const BZIP2_STARTS: [&[u8]; 2] =
    [&[0x31, 0x41, 0x59, 0x26, 0x53, 0x59], &[0x17, 0x72, 0x45, 0x38, 0x50, 0x90]];

/// Tells the codec from the first [`DETECT_LEN`] bytes (fewer if there are no more); what has no known magic
/// number is not compressed. A beginning that is cut off counts as what it begins, so that it fails as such.
pub fn detect(prefix: &[u8]) -> Codec {
    match prefix {
        [0x1f, 0x8b] | [0x1f, 0x8b, 8, ..] => Codec::Gzip,
        [0x28, 0xb5, 0x2f, 0xfd, ..] | [0x50..=0x5f, 0x2a, 0x4d, 0x18, ..] => Codec::Zstd,
        [0xfd, b'7', b'z', b'X', b'Z', 0, ..] => Codec::Xz,
        [b'B', b'Z', b'h', b'1'..=b'9', rest @ ..] => {
            let begins = |start: &[u8]| start.iter().zip(rest).all(|(a, b)| a == b);
            if BZIP2_STARTS.into_iter().any(begins) { Codec::Bzip2 } else { Codec::None }
        }
        _ => Codec::None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tells_codecs_by_content() {
        let cases: &[(&[u8], Codec)] = &[
            (b"", Codec::None),
            (b"\x1f\x8b", Codec::Gzip),
            (b"\x1f\x8b\x08\x00", Codec::Gzip),
            (b"\x1f\x8b\x07\x00", Codec::None),
            (b"\x28\xb5\x2f\xfd\x00", Codec::Zstd),
            (b"\x53\x2a\x4d\x18", Codec::Zstd),
            (b"BZh91AY&SY", Codec::Bzip2),
            (b"BZh1\x17\x72\x45\x38\x50\x90", Codec::Bzip2),
            (b"BZh9/file", Codec::None),
            (b"\xfd7zXZ\x00\x00", Codec::Xz),
            (b"etc/passwd", Codec::None),
        ];
        for (bytes, want) in cases {
            assert_eq!(detect(bytes), *want, "{}", bytes.escape_ascii());
        }
    }
}
