//! Whether a blob was packed here, and at which level.

use std::io::{self, Read};
use std::ops::RangeInclusive;

use super::{Codec, gzip, zstd};
use crate::body::{Body, Sequential};

/// Longest header of a zstd frame (RFC 8878, 3.1.1.1).
const ZSTD_HEADER: u64 = 18;

/// The level at which [`super::writer`] would have made the first block of a blob; `None` if it would not, at any level.
/// The codec is gzip or zstd, whose blocks do not depend on what follows them. Where several levels make the same block,
/// it is the likeliest.
pub fn probe(blob: &Body, codec: Codec) -> io::Result<Option<u32>> {
    let is_gzip = codec == Codec::Gzip;
    let block = if is_gzip { gzip::BLOCK } else { zstd::BLOCK };
    let mut plain = Vec::new();
    let packed = Sequential::new(blob.clone());
    // One more than a block tells whether it is the last. What can't be unpacked was not packed here.
    let unpacked =
        super::reader(Box::new(packed), u64::MAX, 1)?.1.take(block as u64 + 1).read_to_end(&mut plain);
    if unpacked.is_err() {
        return Ok(None);
    }
    let is_last = plain.len() <= block;
    plain.truncate(block);
    if is_gzip {
        for level in likely([gzip::DEFAULT_LEVEL, gzip::MAX_LEVEL], 0..=gzip::MAX_LEVEL) {
            let mut made = gzip::header(level).to_vec();
            if starts_with(blob, &made)? {
                made.extend(gzip::deflate(&plain, level, is_last)?.bytes);
                if starts_with(blob, &made)? {
                    return Ok(Some(level));
                }
            }
        }
        return Ok(None);
    }
    let mut header = vec![0; blob.len().min(ZSTD_HEADER) as usize];
    blob.read_exact_at(&mut header, 0)?;
    // Frames of others are told by their sizes, before 22 levels are tried.
    if content_size(&header) != Some(plain.len() as u64) {
        return Ok(None);
    }
    for level in likely([zstd::DEFAULT_LEVEL, 1], 1..=zstd::MAX_LEVEL) {
        if starts_with(blob, &zstd::compress(&plain, level)?)? {
            return Ok(Some(level));
        }
    }
    Ok(None)
}

/// These, then the others.
fn likely(first: [u32; 2], all: RangeInclusive<u32>) -> impl Iterator<Item = u32> {
    first.into_iter().chain(all.filter(move |level| !first.contains(level)))
}

/// What a zstd frame says that it unpacks to.
fn content_size(header: &[u8]) -> Option<u64> {
    let descriptor = *header.get(4)?;
    let (is_single, has_dictionary) = (descriptor & 0b10_0000 != 0, descriptor & 0b11 != 0);
    let at = if is_single { 5 } else { 6 };
    let bytes = |n: usize| -> Option<u64> {
        let mut size = [0; 8];
        size[..n].copy_from_slice(header.get(at..at + n)?);
        Some(u64::from_le_bytes(size))
    };
    match descriptor >> 6 {
        _ if has_dictionary => None,
        0 if is_single => bytes(1),
        0 => None,
        1 => Some(bytes(2)? + 256),
        2 => bytes(4),
        _ => bytes(8),
    }
}

fn starts_with(blob: &Body, bytes: &[u8]) -> io::Result<bool> {
    if (bytes.len() as u64) > blob.len() {
        return Ok(false);
    }
    let mut stored = vec![0; bytes.len()];
    blob.read_exact_at(&mut stored, 0)?;
    Ok(stored == bytes)
}
