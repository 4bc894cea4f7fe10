//! Codecs as a whole: tables of what is accepted and what is refused, and why.

use std::io::{Read, Write};

use super::*;

fn compression(codec: Codec) -> Compression {
    Compression { codec, level: None }
}

fn pack(bytes: &[u8], codec: Codec, threads: usize) -> Vec<u8> {
    let mut encoder = writer(Vec::new(), compression(codec), threads).unwrap();
    encoder.write_all(bytes).unwrap();
    encoder.finish().unwrap()
}

/// What one thread makes of it, and any other number of them as well; where gzip is damaged is told as exactly as is read.
fn unpack(bytes: &[u8], limit: u64) -> Result<Vec<u8>, CodecError> {
    let (alone, together) = (unpack_with(bytes, limit, 1), unpack_with(bytes, limit, 3));
    match (&alone, &together) {
        (Ok(a), Ok(b)) => assert!(a == b, "{} bytes and {} bytes", a.len(), b.len()),
        (Err(a), Err(b)) if detect(&bytes[..bytes.len().min(DETECT_LEN)]) == Codec::Gzip => {
            assert_eq!(std::mem::discriminant(a), std::mem::discriminant(b), "{a}; {b}");
        }
        (Err(a), Err(b)) => assert_eq!(a, b),
        (a, b) => panic!("{:?} and {:?}", a.as_ref().map(Vec::len), b.as_ref().map(Vec::len)),
    }
    alone
}

fn unpack_with(bytes: &[u8], limit: u64, threads: usize) -> Result<Vec<u8>, CodecError> {
    let (_, mut decoder) = reader(Box::new(io::Cursor::new(bytes.to_vec())), limit, threads).unwrap();
    let mut out = Vec::new();
    match decoder.read_to_end(&mut out) {
        Ok(_) => Ok(out),
        Err(e) => {
            assert_eq!(e.kind(), io::ErrorKind::InvalidData, "{e}");
            Err(e.downcast::<CodecError>().expect("codec errors are typed"))
        }
    }
}

/// Half of it repeats, half of it does not.
fn sample(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let mut next = move |i: usize| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        if (i / 1000).is_multiple_of(2) { (state >> 24) as u8 } else { (i % 7) as u8 }
    };
    (0..len).map(&mut next).collect()
}

const PACKED: [Codec; 4] = [Codec::Gzip, Codec::Zstd, Codec::Bzip2, Codec::Xz];

#[test]
fn everything_comes_back() {
    let sizes = [0, 1, 100_000, gzip::BLOCK - 1, gzip::BLOCK, gzip::BLOCK + 1, 2 * gzip::BLOCK];
    for codec in [Codec::None].into_iter().chain(PACKED) {
        let is_slow = matches!(codec, Codec::Bzip2 | Codec::Xz);
        for size in sizes.into_iter().take(if is_slow { 3 } else { sizes.len() }) {
            let bytes = sample(size);
            let packed = pack(&bytes, codec, 1);
            if !bytes.is_empty() {
                assert_eq!(detect(&packed[..packed.len().min(DETECT_LEN)]), codec, "{size}");
            }
            assert!(unpack(&packed, u64::MAX).unwrap() == bytes, "{codec}, {size}");
        }
    }
}

#[test]
fn bytes_do_not_depend_on_threads_or_writes() {
    let bytes = sample(9 << 20);
    for codec in [Codec::Gzip, Codec::Zstd] {
        let want = pack(&bytes, codec, 1);
        for threads in [2, 8] {
            let mut encoder = writer(Vec::new(), compression(codec), threads).unwrap();
            for piece in bytes.chunks(99_991) {
                encoder.write_all(piece).unwrap();
            }
            assert!(encoder.finish().unwrap() == want, "{codec}, {threads} threads");
        }
        assert!(unpack(&want, u64::MAX).unwrap() == bytes);
    }
}

#[test]
fn gzip_written_is_one_member_without_time_or_system() {
    let packed = pack(&sample(3 << 20), Codec::Gzip, 1);
    assert_eq!(packed[..10], [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, 0, 255]);
    let mut single = Vec::new();
    flate2::read::GzDecoder::new(&packed[..]).read_to_end(&mut single).unwrap();
    assert_eq!(single.len(), 3 << 20);
}

#[test]
fn several_members_frames_and_streams_are_one() {
    for codec in PACKED {
        let joined = [pack(b"one", codec, 1), pack(b"", codec, 1), pack(b"two", codec, 1)].concat();
        assert_eq!(unpack(&joined, 100).unwrap(), b"onetwo", "{codec}");
    }
    let skippable = [&b"\x50\x2a\x4d\x18\x03\x00\x00\x00abc"[..], &pack(b"data", Codec::Zstd, 1)].concat();
    let twice = [&skippable[..], &skippable[..]].concat();
    assert_eq!(unpack(&twice, 100).unwrap(), b"datadata");
}

/// A member with every optional field of a header, its checksum included.
fn full_header() -> Vec<u8> {
    let mut header = vec![0x1f, 0x8b, 8, 2 | 4 | 8 | 16, 1, 2, 3, 4, 0, 3];
    header.extend_from_slice(b"\x04\x00abcdname\0comment\0");
    let mut crc = flate2::Crc::new();
    crc.update(&header);
    header.extend_from_slice(&(crc.sum() as u16).to_le_bytes());
    header.extend_from_slice(&pack(b"text", Codec::Gzip, 1)[10..]);
    header
}

#[test]
fn gzip_headers_ends_and_padding() {
    let good = pack(b"hello, world", Codec::Gzip, 1);
    let flip = |at: usize, bits: u8| {
        let mut bytes = good.clone();
        bytes[at] ^= bits;
        bytes
    };
    let mut bad_header_sum = full_header();
    bad_header_sum[12] ^= 1;
    let end = good.len();
    let cases: &[(&str, Vec<u8>, &str)] = &[
        ("all header fields", full_header(), ""),
        ("header checksum", bad_header_sum, "checksum of the header"),
        ("reserved flag", flip(3, 0x20), "reserved flags"),
        ("zero padding", [&good[..], &[0; 1000]].concat(), ""),
        ("padding then bytes", [&good[..], &[0, 0, 7]].concat(), "followed by something else"),
        ("garbage", [&good[..], b"garbage"].concat(), "followed by something else"),
        ("half a magic number", [&good[..], b"\x1f\x8c"].concat(), "followed by something else"),
        ("second member cut off", [&good[..], b"\x1f\x8b\x08"].concat(), "cut off"),
        ("checksum", flip(end - 8, 1), "checksum of the member"),
        ("size", flip(end - 1, 1), "says it has"),
        ("magic only", b"\x1f\x8b".to_vec(), "cut off"),
        ("bad block type", [&good[..10], &[0x07], &good[11..]].concat(), "damaged"),
    ];
    for (name, bytes, want) in cases {
        match unpack(bytes, 1000) {
            Ok(_) => assert_eq!(*want, "", "{name}"),
            Err(e) => assert!(!want.is_empty() && e.to_string().contains(want), "{name}: {e}"),
        }
    }
}

#[test]
fn every_truncation_is_an_error_and_no_flip_goes_unseen() {
    let bytes = sample(3000);
    for codec in PACKED {
        let packed = pack(&bytes, codec, 1);
        // The tables of these two take long to set up.
        let step = if matches!(codec, Codec::Bzip2 | Codec::Xz) { 13 } else { 1 };
        for len in (DETECT_LEN..packed.len()).step_by(step) {
            let e = unpack(&packed[..len], 1 << 20).expect_err("a part is no whole");
            assert!(matches!(e, CodecError::Truncated { .. }), "{codec}, {len} bytes: {e:?}");
        }
        for at in (DETECT_LEN..packed.len()).step_by(step) {
            let mut broken = packed.clone();
            broken[at] ^= 1 << (at % 8);
            if let Ok(out) = unpack(&broken, 1 << 20) {
                // A bit that means nothing, such as a reserved one or one of a stored size that is not needed.
                assert!(out == bytes, "{codec}: wrong bytes after a flip at {at}");
            }
        }
    }
}

#[test]
fn bytes_behind_the_end_are_refused() {
    for codec in PACKED {
        let bytes = [&pack(b"data", codec, 1)[..], b"and more of it"].concat();
        assert!(unpack(&bytes, 1000).is_err(), "{codec}");
    }
    let zstd = [&pack(b"data", Codec::Zstd, 1)[..], b"and more of it"].concat();
    assert!(matches!(unpack(&zstd, 1000), Err(CodecError::TrailingGarbage { .. })));
}

#[test]
fn bombs_end_at_the_limit() {
    let zeros = vec![0; 8 << 20];
    for codec in PACKED {
        let packed = pack(&zeros, codec, 1);
        assert!(packed.len() < 100_000, "{codec}");
        assert_eq!(unpack(&packed, 1 << 20), Err(CodecError::TooLarge { limit: 1 << 20 }), "{codec}");
        assert!(unpack(&packed, 8 << 20).is_ok(), "{codec}: the limit itself is allowed");
    }
    assert_eq!(unpack(b"plain bytes", 5), Err(CodecError::TooLarge { limit: 5 }));
}

/// A frame with a window of 2^`log` bytes and no content size, holding one raw block.
fn frame_with_window(log: u8) -> Vec<u8> {
    let mut frame = vec![0x28, 0xb5, 0x2f, 0xfd, 0x00, (log - 10) << 3];
    frame.extend_from_slice(&[(4 << 3) | 1, 0, 0]);
    frame.extend_from_slice(b"data");
    frame
}

#[test]
fn windows_beyond_the_limit_are_refused() {
    assert_eq!(unpack(&frame_with_window(27), 100).unwrap(), b"data");
    for log in [28, 31] {
        let e = unpack(&frame_with_window(log), 100).expect_err("beyond 128 MiB");
        assert!(matches!(e, CodecError::Memory { limit: 0x0800_0000, .. }), "{log}: {e:?}");
    }
}

#[test]
fn levels_are_checked() {
    for (codec, level) in [(Codec::Gzip, 10), (Codec::Zstd, 0), (Codec::Bzip2, 0), (Codec::Xz, 10)] {
        let made = writer(Vec::new(), Compression { codec, level: Some(level) }, 1);
        assert_eq!(made.err().map(|e| e.kind()), Some(io::ErrorKind::InvalidInput), "{codec}");
    }
}

#[test]
fn errors_of_the_reader_below_pass_through() {
    struct Broken(Vec<u8>);
    impl Read for Broken {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.len().min(buf.len());
            buf[..n].copy_from_slice(&self.0[..n]);
            self.0.drain(..n);
            if n == 0 { Err(io::Error::from(io::ErrorKind::TimedOut)) } else { Ok(n) }
        }
    }
    for codec in PACKED {
        let mut half = pack(&sample(5000), codec, 1);
        half.truncate(100);
        for threads in [1, 3] {
            let (_, mut decoder) = reader(Box::new(Broken(half.clone())), 1 << 20, threads).unwrap();
            let e = decoder.read_to_end(&mut Vec::new()).unwrap_err();
            assert_eq!(e.kind(), io::ErrorKind::TimedOut, "{codec}");
        }
    }
}

/// Blocks as bgzip(1) makes members of them, with the empty one that ends such files.
fn bgzf(bytes: &[u8]) -> Vec<u8> {
    padded_bgzf(bytes, usize::MAX)
}

/// The same with seven zeros that are said to belong to one of the members.
fn padded_bgzf(bytes: &[u8], padded: usize) -> Vec<u8> {
    let blocks = bytes.chunks(0xff00).chain([&[][..]]);
    let mut out = Vec::new();
    for (number, block) in blocks.enumerate() {
        let padding = if number == padded { 7 } else { 0 };
        let deflated = gzip::deflate(block, 6, true).unwrap();
        out.extend_from_slice(&[0x1f, 0x8b, 8, 4, 0, 0, 0, 0, 0, 255, 6, 0, b'B', b'C', 2, 0]);
        out.extend_from_slice(&u16::try_from(deflated.bytes.len() + 25 + padding).unwrap().to_le_bytes());
        out.extend_from_slice(&deflated.bytes);
        out.extend_from_slice(&deflated.crc.sum().to_le_bytes());
        out.extend_from_slice(&deflated.crc.amount().to_le_bytes());
        out.resize(out.len() + padding, 0);
    }
    out
}

#[test]
fn runs_are_the_same_as_one_after_another() {
    let bytes = sample(9 << 20);
    let small = sample(100_000);
    let frames: Vec<u8> = bytes.chunks(70_000).flat_map(|piece| pack(piece, Codec::Zstd, 1)).collect();
    let skippable = b"\x5f\x2a\x4d\x18\x03\x00\x00\x00abc";
    let one_long = zstd::compress(&sample(40 << 20), 1).unwrap();
    let bomb = zstd::compress(&vec![0; 20 << 20], 1).unwrap();
    let cases = [
        ("our frames", pack(&bytes, Codec::Zstd, 1)),
        ("small frames", frames.clone()),
        ("skippable frames", [&frames[..], skippable, &frames[..], skippable].concat()),
        ("a long frame between others", [&frames[..], &one_long, &frames[..]].concat()),
        ("a frame that grows between others", [&frames[..], &bomb, &frames[..]].concat()),
        ("BGZF", bgzf(&bytes)),
        ("BGZF and other members", [bgzf(&bytes), pack(&small, Codec::Gzip, 1), bgzf(&small)].concat()),
        ("BGZF and padding", [bgzf(&bytes), vec![0; 700]].concat()),
    ];
    for (name, packed) in cases {
        assert!(unpack(&packed, u64::MAX).is_ok(), "{name}");
        // Damage and ends anywhere, with the same error at the same offset.
        for part in 1..8 {
            let at = packed.len() / 8 * part;
            let mut broken = packed.clone();
            broken[at] ^= 0x55;
            let _ = unpack(&broken, u64::MAX);
            let _ = unpack(&packed[..at], u64::MAX);
        }
    }
}

#[test]
fn zeros_within_runs_are_no_padding() {
    let mut state = 7_u32;
    let noise: Vec<u8> = (0..3 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    let members = noise.len().div_ceil(0xff00) + 1;
    for padded in 0..members {
        let last = padded == members - 1;
        assert_eq!(unpack(&padded_bgzf(&noise, padded), u64::MAX).is_ok(), last, "{padded} of {members}");
    }
}
