//! Makes a recipe while a container is being read.

use std::io::{self, Write};

use super::Recipe;
use super::ops::Op;

/// Inline bytes that wait for more of them.
const PENDING: usize = 64 << 10;
/// What packs headers of archives to a few percent without slowing down whoever reads them.
const LEVEL: i32 = 3;

/// A recipe in the making. Its instructions are packed as they come, so that it takes little memory.
pub struct Builder {
    out: zstd::stream::Encoder<'static, Vec<u8>>,
    inline: Vec<u8>,
    slice: Option<(u32, u64, u64)>,
    length: u64,
    bodies: u32,
}

impl Builder {
    /// For an empty container.
    pub fn new() -> io::Result<Self> {
        let out = zstd::stream::Encoder::new(Vec::new(), LEVEL)?;
        Ok(Self { out, inline: Vec::new(), slice: None, length: 0, bodies: 0 })
    }

    /// Bytes that are in the container only.
    pub fn inline(&mut self, bytes: &[u8]) -> io::Result<()> {
        if bytes.is_empty() {
            return Ok(());
        }
        self.flush_slice()?;
        self.length += bytes.len() as u64;
        for part in bytes.chunks(PENDING) {
            if self.inline.len() + part.len() > PENDING {
                self.flush_inline()?;
            }
            self.inline.extend_from_slice(part);
        }
        Ok(())
    }

    /// Bytes that are in a body.
    pub fn slice(&mut self, body: u32, offset: u64, len: u64) -> io::Result<()> {
        if len == 0 {
            return Ok(());
        }
        self.flush_inline()?;
        self.length += len;
        self.bodies = self.bodies.max(body.saturating_add(1));
        match &mut self.slice {
            Some((last, from, so_far)) if *last == body && *from + *so_far == offset => *so_far += len,
            _ => {
                self.flush_slice()?;
                self.slice = Some((body, offset, len));
            }
        }
        Ok(())
    }

    /// The recipe.
    pub fn finish(mut self) -> io::Result<Recipe> {
        self.flush_inline()?;
        self.flush_slice()?;
        let ops = self.out.finish()?;
        Ok(Recipe { length: self.length, bodies: self.bodies, ops })
    }

    fn flush_inline(&mut self) -> io::Result<()> {
        if !self.inline.is_empty() {
            Op::Inline(self.inline.len() as u64).write(&mut self.out)?;
            self.out.write_all(&self.inline)?;
            self.inline.clear();
        }
        Ok(())
    }

    fn flush_slice(&mut self) -> io::Result<()> {
        match self.slice.take() {
            Some((body, offset, len)) => Op::Slice { body, offset, len }.write(&mut self.out),
            None => Ok(()),
        }
    }
}
