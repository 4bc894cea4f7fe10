//! Streams cut off or with a flipped bit: each is an error that says so, and nothing panics.

use std::path::Path;

use aurora_convert::{ErrorKind, Layers};
use aurora_formats::zfs::record::{Header, RECORD_LEN};

use super::forge::pieces;

/// Streams beyond this are left to the smaller ones of their kind.
const MAX_STREAM: usize = 250_000;
/// Places of each stream that are damaged.
const SAMPLES: usize = 12;

/// Small streams that need no base, unpacked.
fn streams() -> Vec<(String, Vec<u8>)> {
    let vectors = super::vectors();
    let whole = vectors.iter().filter(|v| v.base.is_none() && v.expect == "ok");
    let found: Vec<_> = whole
        .map(|v| (v.name.clone(), super::unpacked(&v.path())))
        .filter(|(_, bytes)| bytes.len() <= MAX_STREAM)
        .collect();
    assert!(found.len() > 15, "{} streams", found.len());
    found
}

fn read(path: &Path, bytes: &[u8]) -> Result<(), aurora_convert::Error> {
    std::fs::write(path, bytes).unwrap();
    super::read(path, None, &[], Layers::Squash).map(|_| ())
}

#[test]
fn streams_cut_off_anywhere() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    for (name, bytes) in streams() {
        let pieces = pieces(&bytes);
        let ends = pieces.iter().skip(1).map(|p| p.offset);
        // Between records, within their heads, within their payloads.
        let step = (pieces.len() / SAMPLES).max(1);
        for end in ends.step_by(step).flat_map(|end| [end, end - 1, end + 7, end + RECORD_LEN - 1]) {
            let e = read(&path, &bytes[..end]).expect_err("a part is not the whole");
            assert!(matches!(e.kind(), ErrorKind::Zfs(_)), "{name} cut off at {end}: {e}");
            let text = e.to_string();
            let is_clear = ["cut off", "without an END"].iter().any(|t| text.contains(t));
            assert!(is_clear && e.hint().is_some(), "{name} cut off at {end}: {text}");
        }
    }
}

#[test]
fn streams_with_a_flipped_bit() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    for (name, mut bytes) in streams() {
        let pieces = pieces(&bytes);
        let mut random = 0x9e37_79b9_7f4a_7c15u64;
        for sample in 0..SAMPLES * 2 {
            random = random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            // Half of them anywhere, half of them in the head of a record.
            let piece = &pieces[(random >> 33) as usize % pieces.len()];
            let at = match sample % 2 {
                0 => (random >> 20) as usize % bytes.len(),
                _ => piece.offset + (random >> 10) as usize % RECORD_LEN,
            };
            // The ENDs of a package's frame are in no checksum.
            let within = |p: &&super::forge::Piece| (p.offset..p.offset + RECORD_LEN).contains(&at);
            if pieces.iter().find(within).is_some_and(|p| p.is_frame && matches!(p.header, Header::End(_))) {
                continue;
            }
            let bit = 1 << (random & 7);
            bytes[at] ^= bit;
            let e =
                read(&path, &bytes).map_or_else(|e| e, |()| panic!("{name}: bit {bit} at {at} unnoticed"));
            assert!(matches!(e.kind(), ErrorKind::Zfs(_)), "{name}, bit {bit} at {at}: {e}");
            bytes[at] ^= bit;
        }
    }
}

/// What is damaged below the checksums, as a hostile sender would: it fails by itself or reads as something, but
/// never panics.
#[test]
fn streams_damaged_and_sealed_again() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("stream");
    let (mut failed, mut total) = (0, 0);
    for (_, bytes) in streams() {
        let good = pieces(&bytes);
        if good.iter().any(|p| p.is_frame) {
            continue;
        }
        let mut random = 0x2545_f491_4f6c_dd1du64;
        for _ in 0..SAMPLES * 3 {
            let mut bad = good.clone();
            for _ in 0..3 {
                random =
                    random.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                let count = bad.len();
                // Not the payloads of files: they may hold anything.
                let piece = &mut bad[(random >> 33) as usize % count];
                let is_data = matches!(&piece.header, Header::Write(w) if w.object_type == 19);
                let (value, at) = ((random >> 8) as u8, (random >> 16) as usize);
                match piece.payload.len() {
                    len if len > 0 && !is_data && random & 1 == 0 => {
                        piece.payload[at % len.min(600)] = value;
                    }
                    _ => piece.head[at % 120] = value,
                }
            }
            total += 1;
            let sealed = super::forge::seal(&bad, aurora_formats::zfs::record::Endian::Little);
            failed += usize::from(read(&path, &sealed).is_err());
        }
    }
    assert!(failed > total / 10 && failed < total, "{failed} of {total} failed");
}
