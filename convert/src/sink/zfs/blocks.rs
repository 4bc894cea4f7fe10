//! A file or volume block by block.

use crate::content::{BlockCache, Content};
use crate::{Error, Result};

/// The blocks of a content that extents touch. Holes cost nothing, however long.
pub(super) struct Blocks<'c> {
    content: &'c Content,
    size: u64,
    cache: BlockCache,
}

impl<'c> Blocks<'c> {
    pub(super) fn of(content: &'c Content, block_size: u32) -> Self {
        Self { content, size: block_size.into(), cache: BlockCache::default() }
    }

    /// End of the last block.
    pub(super) fn end(&self) -> u64 {
        self.content.size.saturating_add(self.size - 1) / self.size * self.size
    }

    /// Start of the first block from `offset` (a block's start) on that an extent touches; `u64::MAX` if none.
    pub(super) fn first_from(&self, offset: u64) -> u64 {
        let extents = &self.content.extents;
        let at = extents.partition_point(|e| e.offset + e.len <= offset);
        extents.get(at).map_or(u64::MAX, |e| (e.offset / self.size * self.size).max(offset))
    }

    /// Fills `block`, which is of the block size, with zeros beyond the end.
    pub(super) fn read(&mut self, offset: u64, block: &mut [u8]) -> Result<()> {
        let in_content = self.content.size.saturating_sub(offset).min(self.size) as usize;
        block[in_content..].fill(0);
        self.content
            .read_at(&mut block[..in_content], offset, &mut self.cache)
            .map_err(|e| Error::io("reading content", e))
    }
}

/// Whether a block is all zero.
pub(super) fn is_zero(block: &[u8]) -> bool {
    let (words, rest) = block.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
