//! Blocks of a fixed size, packed by any number of threads and written in order: the same bytes for any of them.

use std::io::{self, Write};

use flate2::Crc;

use super::{Codec, gzip, zstd};
use crate::flow::Ordered;

/// A block to be packed.
struct Block {
    bytes: Vec<u8>,
    is_last: bool,
}

/// A block, packed.
struct Packed {
    bytes: Vec<u8>,
    crc: Option<Crc>,
}

/// Writes gzip as one member, zstd as frames.
pub(super) struct BlockWriter<W> {
    inner: W,
    pool: Ordered<'static, Block, io::Result<Packed>>,
    block: Vec<u8>,
    size: usize,
    blocks: u64,
    crc: Option<Crc>,
}

impl<W: Write> BlockWriter<W> {
    /// `codec` is gzip or zstd.
    pub(super) fn new(mut inner: W, codec: Codec, level: u32, threads: usize) -> io::Result<Self> {
        let is_gzip = codec == Codec::Gzip;
        let size = if is_gzip { gzip::BLOCK } else { zstd::BLOCK };
        if is_gzip {
            inner.write_all(&gzip::header(level))?;
        }
        let work = move |block: Block| {
            if is_gzip {
                let made = gzip::deflate(&block.bytes, level, block.is_last)?;
                return Ok(Packed { bytes: made.bytes, crc: Some(made.crc) });
            }
            Ok(Packed { bytes: zstd::compress(&block.bytes, level)?, crc: None })
        };
        // Twice as many blocks as threads: one being packed, one waiting, for each.
        let pool = Ordered::new("encode", threads, threads.saturating_mul(2), work);
        let crc = is_gzip.then(Crc::new);
        Ok(Self { inner, pool, block: Vec::new(), size, blocks: 0, crc })
    }

    fn put(&mut self, packed: io::Result<Packed>) -> io::Result<()> {
        let packed = packed?;
        if let (Some(sum), Some(crc)) = (&mut self.crc, &packed.crc) {
            sum.combine(crc);
        }
        self.inner.write_all(&packed.bytes)
    }

    fn submit(&mut self, is_last: bool) -> io::Result<()> {
        let bytes = std::mem::take(&mut self.block);
        self.blocks += 1;
        match self.pool.push(Block { bytes, is_last }) {
            Some(packed) => self.put(packed),
            None => Ok(()),
        }
    }

    /// Writes what is left, and the trailer.
    pub(super) fn finish(mut self) -> io::Result<W> {
        // The last block of gzip carries the end mark even if it is empty; zstd needs a frame only if it has none.
        if self.crc.is_some() || !self.block.is_empty() || self.blocks == 0 {
            self.submit(true)?;
        }
        while let Some(packed) = self.pool.pop() {
            self.put(packed)?;
        }
        if let Some(crc) = &self.crc {
            self.inner.write_all(&crc.sum().to_le_bytes())?;
            self.inner.write_all(&crc.amount().to_le_bytes())?;
        }
        Ok(self.inner)
    }
}

impl<W: Write> Write for BlockWriter<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        // A full block leaves only when more comes, so that the last one is never empty without need.
        if self.block.len() == self.size {
            self.submit(false)?;
        }
        if self.block.capacity() == 0 {
            self.block.reserve_exact(self.size);
        }
        let n = buf.len().min(self.size - self.block.len());
        self.block.extend_from_slice(&buf[..n]);
        Ok(n)
    }

    /// Nothing: a flush in the middle would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
