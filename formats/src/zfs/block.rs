//! Compressed blocks as WRITE records carry them.

/// How a block is packed (`enum zio_compress`, the numbers a stream carries).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockCodec {
    /// Plain.
    Off,
    /// Nothing stored: all zeros.
    Empty,
    /// LZJB.
    Lzjb,
    /// gzip-1 to gzip-9: a zlib stream.
    Gzip,
    /// Runs of zeros.
    Zle,
    /// LZ4 block with a length before it.
    Lz4,
    /// zstd frame without its magic, with a length and a level before it.
    Zstd,
}

/// Why a block can't be unpacked.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BlockError {
    /// The packed bytes are damaged.
    #[error("{codec:?} block is damaged")]
    Damaged {
        /// How it claims to be packed.
        codec: BlockCodec,
    },
}

impl BlockCodec {
    /// From the number that records carry; `None` for numbers that no ZFS has given a meaning.
    pub fn from_number(number: u8) -> Option<Self> {
        Some(match number {
            0 | 2 => Self::Off,
            3 => Self::Lzjb,
            4 => Self::Empty,
            5..=13 => Self::Gzip,
            14 => Self::Zle,
            15 => Self::Lz4,
            16 => Self::Zstd,
            _ => return None,
        })
    }
}

/// Unpacks `stored` into the whole of `out`, whose length is the block's logical size. Stored bytes may end in
/// padding.
pub fn decompress(codec: BlockCodec, stored: &[u8], out: &mut [u8]) -> Result<(), BlockError> {
    let done = match codec {
        BlockCodec::Off => stored.get(..out.len()).map(|plain| out.copy_from_slice(plain)),
        BlockCodec::Empty => {
            out.fill(0);
            Some(())
        }
        BlockCodec::Lzjb => lzjb(stored, out),
        BlockCodec::Gzip => gzip(stored, out),
        BlockCodec::Zle => zle(stored, out),
        BlockCodec::Lz4 => lz4(stored, out),
        BlockCodec::Zstd => zstd(stored, out),
    };
    done.ok_or(BlockError::Damaged { codec })
}

/// The bytes after a big-endian length of `N` bytes of header in all.
fn prefixed<const HEADER: usize>(stored: &[u8]) -> Option<&[u8]> {
    let len = u32::from_be_bytes(*stored.first_chunk()?);
    stored.get(HEADER..)?.get(..usize::try_from(len).ok()?)
}

fn lz4(stored: &[u8], out: &mut [u8]) -> Option<()> {
    let block = prefixed::<4>(stored)?;
    let n = lz4_flex::block::decompress_into(block, out).ok()?;
    (n == out.len()).then_some(())
}

/// The second word of the header (version and level) is ignored: big-endian writers have it in another order.
fn zstd(stored: &[u8], out: &mut [u8]) -> Option<()> {
    const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
    let frame = [&MAGIC, prefixed::<8>(stored)?].concat();
    let n = zstd::zstd_safe::decompress(out, &frame).ok()?;
    (n == out.len()).then_some(())
}

fn gzip(stored: &[u8], out: &mut [u8]) -> Option<()> {
    use flate2::{Decompress, FlushDecompress, Status};
    let mut inflate = Decompress::new(true);
    let mut status = inflate.decompress(stored, out, FlushDecompress::Finish).ok()?;
    if status != Status::StreamEnd {
        // The output is full; only the end mark and the checksum may be left.
        let rest = stored.get(usize::try_from(inflate.total_in()).ok()?..)?;
        status = inflate.decompress(rest, &mut [0; 1], FlushDecompress::Finish).ok()?;
    }
    (status == Status::StreamEnd && inflate.total_out() == out.len() as u64).then_some(())
}

/// A control byte says of each of the next eight items, lowest bit first, whether it is a literal byte (0) or a
/// copy (1): six bits of length less three, ten bits of distance.
fn lzjb(stored: &[u8], out: &mut [u8]) -> Option<()> {
    let (mut from, mut to, mut control, mut left) = (stored.iter(), 0, 0, 0);
    while to < out.len() {
        if left == 0 {
            control = *from.next()?;
            left = 8;
        }
        let is_copy = control & 1 == 1;
        control >>= 1;
        left -= 1;
        let first = *from.next()?;
        if !is_copy {
            out[to] = first;
            to += 1;
            continue;
        }
        let second = *from.next()?;
        let distance = usize::from(first & 3) << 8 | usize::from(second);
        let start = to.checked_sub(distance).filter(|_| distance > 0)?;
        // The last copy may say more than the block holds.
        let len = (usize::from(first >> 2) + 3).min(out.len() - to);
        for i in 0..len {
            out[to + i] = out[start + i];
        }
        to += len;
    }
    Some(())
}

/// A byte below 64 comes before that many and one more literal bytes, another one stands for that many less 63
/// zeros.
fn zle(stored: &[u8], out: &mut [u8]) -> Option<()> {
    let (mut from, mut to) = (stored, 0);
    while to < out.len() {
        let (&n, rest) = from.split_first()?;
        let len = if n < 64 { usize::from(n) + 1 } else { usize::from(n) - 63 };
        let part = out.get_mut(to..to.checked_add(len)?)?;
        from = rest;
        if n < 64 {
            let (literal, rest) = from.split_at_checked(len)?;
            part.copy_from_slice(literal);
            from = rest;
        } else {
            part.fill(0);
        }
        to += len;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn sample() -> Vec<u8> {
        (0..4096u32).flat_map(|i| [(i / 7) as u8, 0, 0, (i % 5) as u8]).collect()
    }

    fn packed(codec: BlockCodec) -> Vec<u8> {
        let plain = sample();
        let with_prefix = |header: usize, block: Vec<u8>| {
            let mut out = (block.len() as u32).to_be_bytes().to_vec();
            out.resize(header, 0);
            [out, block, vec![0; 100]].concat()
        };
        match codec {
            BlockCodec::Lz4 => with_prefix(4, lz4_flex::block::compress(&plain)),
            BlockCodec::Zstd => {
                let mut frame = vec![0; 1 << 16];
                let n = ::zstd::zstd_safe::compress(&mut frame[..], &plain, 3).unwrap();
                with_prefix(8, frame[4..n].to_vec())
            }
            BlockCodec::Gzip => {
                use std::io::Write;
                let mut writer = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
                writer.write_all(&plain).unwrap();
                [writer.finish().unwrap(), vec![0; 100]].concat()
            }
            _ => [plain, vec![0; 100]].concat(),
        }
    }

    #[test]
    fn unpacks_what_was_packed_and_only_all_of_it() {
        for codec in [BlockCodec::Off, BlockCodec::Lz4, BlockCodec::Zstd, BlockCodec::Gzip] {
            let (plain, stored) = (sample(), packed(codec));
            let mut out = vec![1; plain.len()];
            decompress(codec, &stored, &mut out).unwrap();
            assert!(out == plain, "{codec:?}");
            assert!(
                decompress(codec, &stored[..stored.len() - 2000], &mut out).is_err(),
                "{codec:?} cut off"
            );
            assert!(decompress(codec, &[], &mut out).is_err(), "{codec:?} of nothing");
            if codec != BlockCodec::Off {
                for len in [plain.len() - 1, plain.len() + 1] {
                    assert!(decompress(codec, &stored, &mut vec![0; len]).is_err(), "{codec:?} into {len}");
                }
            }
        }
    }

    #[test]
    fn own_codecs_by_hand() {
        type Case = (BlockCodec, &'static [u8], Option<&'static [u8]>);
        let cases: &[Case] = &[
            (BlockCodec::Zle, b"\x01ab\x42\x00c", Some(b"ab\0\0\0c")),
            (BlockCodec::Zle, b"\x03ab", None),
            (BlockCodec::Zle, b"\xff", None),
            // a, b, then five bytes from two back.
            (BlockCodec::Lzjb, b"\x04ab\x08\x02", Some(b"abababa")),
            (BlockCodec::Lzjb, b"\x04ab\x08\x03", None),
            (BlockCodec::Lzjb, b"\x04ab\x08\x00", None),
            (BlockCodec::Lzjb, b"\x04ab\x08", None),
            (BlockCodec::Empty, b"", Some(b"\0\0\0")),
        ];
        for (codec, stored, want) in cases {
            let mut out = vec![7; want.map_or(7, <[u8]>::len)];
            let got = decompress(*codec, stored, &mut out).ok().map(|()| &out[..]);
            assert_eq!(got, *want, "{codec:?} {}", stored.escape_ascii());
        }
    }
}
