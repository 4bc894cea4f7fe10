//! Why compressed bytes can't be unpacked, or can't be made.

use std::io;

use super::Codec;

/// Why compressed bytes can't be unpacked. Offsets count compressed bytes.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CodecError {
    /// The input ends within a member, frame or stream.
    #[error("{codec} data is cut off at byte {offset}")]
    Truncated {
        /// The codec.
        codec: Codec,
        /// Where the input ends.
        offset: u64,
    },
    /// A header that the format does not allow.
    #[error("{codec} header at byte {offset} is malformed: {what}")]
    Header {
        /// The codec.
        codec: Codec,
        /// Where it was noticed.
        offset: u64,
        /// Which part of it.
        what: &'static str,
    },
    /// Unpacked bytes, or a header, are not what their checksum says.
    #[error(
        "{codec} checksum of the {what} before byte {offset} is {expected:#010x}, but its bytes give: {actual:#010x}"
    )]
    Checksum {
        /// The codec.
        codec: Codec,
        /// End of the checksum.
        offset: u64,
        /// What it covers.
        what: &'static str,
        /// From the input.
        expected: u32,
        /// Of the bytes.
        actual: u32,
    },
    /// The size that a gzip member tells of itself (modulo 2^32) is wrong.
    #[error("gzip member that ends at byte {offset} says it has {expected} bytes, but it has: {actual}")]
    Size {
        /// End of the member.
        offset: u64,
        /// From its trailer.
        expected: u32,
        /// Found, modulo 2^32.
        actual: u32,
    },
    /// What only the codec understands.
    #[error("{codec} data is damaged near byte {offset}: {detail}")]
    Corrupt {
        /// The codec.
        codec: Codec,
        /// About where.
        offset: u64,
        /// The codec's own word.
        detail: String,
    },
    /// Bytes behind the end that are no further member, frame, stream or allowed padding.
    #[error("{codec} data is followed by something else at byte {offset}")]
    TrailingGarbage {
        /// The codec.
        codec: Codec,
        /// The first of them.
        offset: u64,
    },
    /// Decodes to more than the limit: a decompression bomb, or a limit set too low.
    #[error("decodes to more than the limit of {limit} bytes")]
    TooLarge {
        /// Bytes allowed.
        limit: u64,
    },
    /// Unpacking it needs a larger window or dictionary than is allowed.
    #[error("{codec} data at byte {offset} needs more memory to unpack than is allowed: {limit} bytes")]
    Memory {
        /// The codec.
        codec: Codec,
        /// About where.
        offset: u64,
        /// Bytes allowed.
        limit: u64,
    },
    /// A level that the codec does not have.
    #[error("{codec} has levels up to {highest}, but not: {level}")]
    Level {
        /// The codec.
        codec: Codec,
        /// What was asked for.
        level: u32,
        /// Its highest.
        highest: u32,
    },
}

impl From<CodecError> for io::Error {
    fn from(e: CodecError) -> Self {
        let kind = match e {
            CodecError::Level { .. } => io::ErrorKind::InvalidInput,
            _ => io::ErrorKind::InvalidData,
        };
        Self::new(kind, e)
    }
}
