//! Packed pieces of which only the unpacked length is known: what follows them is of no interest. Disks have such.

use std::io;

use flate2::{Decompress, FlushDecompress, Status};
use zstd::stream::raw::{Decoder, InBuffer, Operation, OutBuffer};

use super::{Codec, CodecError};

/// Unpacks raw deflate from the front of `packed` until `out` is full; an end before that is damage.
pub fn inflate_prefix(packed: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
    let mut state = Decompress::new(false);
    loop {
        let (used, made) = (state.total_in() as usize, state.total_out() as usize);
        if made == out.len() {
            return Ok(());
        }
        let damaged =
            |detail: String| CodecError::Corrupt { codec: Codec::Gzip, offset: used as u64, detail };
        let status = state
            .decompress(&packed[used..], &mut out[made..], FlushDecompress::None)
            .map_err(|e| damaged(e.to_string()))?;
        let is_stuck = state.total_in() as usize == used && state.total_out() as usize == made;
        if (status == Status::StreamEnd || is_stuck) && (state.total_out() as usize) < out.len() {
            return Err(damaged("ends before its length".to_owned()));
        }
    }
}

/// Unpacks a zstd frame from the front of `packed` until `out` is full; an end before that is damage.
pub fn unzstd_prefix(packed: &[u8], out: &mut [u8]) -> Result<(), CodecError> {
    let damaged = |offset: usize, e: &io::Error| CodecError::Corrupt {
        codec: Codec::Zstd,
        offset: offset as u64,
        detail: e.to_string(),
    };
    let mut decoder = Decoder::new().map_err(|e| damaged(0, &e))?;
    let len = out.len();
    let (mut source, mut target) = (InBuffer::around(packed), OutBuffer::around(out));
    while target.pos() < len {
        let before = (source.pos(), target.pos());
        let hint = decoder.run(&mut source, &mut target).map_err(|e| damaged(before.0, &e))?;
        if target.pos() < len && (hint == 0 || (source.pos(), target.pos()) == before) {
            return Err(damaged(source.pos(), &io::Error::other("ends before its length")));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    #[test]
    fn the_front_is_unpacked_and_the_rest_left_alone() {
        let plain: Vec<u8> = (0..70_000u32).flat_map(|i| (i % 251).to_le_bytes()).collect();
        let mut deflated = flate2::write::DeflateEncoder::new(Vec::new(), flate2::Compression::fast());
        deflated.write_all(&plain).unwrap();
        type Unpack = fn(&[u8], &mut [u8]) -> Result<(), CodecError>;
        let cases: [(Vec<u8>, Unpack); 2] = [
            (deflated.finish().unwrap(), inflate_prefix),
            (zstd::bulk::compress(&plain, 1).unwrap(), unzstd_prefix),
        ];
        for (packed, unpack) in cases {
            let mut out = vec![0; plain.len()];
            let with_rest = [&packed[..], b"and something else"].concat();
            unpack(&with_rest, &mut out).unwrap();
            assert!(out == plain);
            unpack(&packed, &mut out[..1000]).unwrap();
            assert!(unpack(&packed[..packed.len() / 2], &mut out).is_err());
            let mut longer = vec![0; plain.len() + 1];
            assert!(unpack(&packed, &mut longer).is_err());
            assert!(unpack(&[], &mut out).is_err());
        }
    }
}
