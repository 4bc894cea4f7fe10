//! Compression of blobs: told by content, undone with bounds, done in parallel with the same bytes each time.

/// How a blob is packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Codec {
    /// Not at all.
    None,
    /// RFC 1952, one member or many.
    Gzip,
    /// RFC 8878, one frame or many.
    Zstd,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

/// How to pack: a codec and, where it has them, a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// Its level; `None` is the codec's own default.
    pub level: Option<u32>,
}

/// Why compressed bytes can't be unpacked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {}
