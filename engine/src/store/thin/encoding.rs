//! How a blob is made of what it unpacks to, byte for byte.

use std::io::{self, Write};

use serde::{Deserialize, Serialize};

use crate::body::Body;
use crate::codec::{self, Codec, Compression, DETECT_LEN};

/// An encoder of this program that has been seen to make the bytes of a blob. What others have packed is made again by
/// none of them: deflate leaves so much to the encoder that each has its own bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub enum Encoding {
    /// There is nothing to pack.
    #[serde(rename = "none")]
    Plain,
    /// [`codec::writer`], at this level.
    #[serde(rename = "gzip")]
    Gzip(u32),
    /// The same.
    #[serde(rename = "zstd")]
    Zstd(u32),
    /// The same; bzip2(1) makes the same bytes.
    #[serde(rename = "bzip2")]
    Bzip2(u32),
}

impl Encoding {
    /// Looks for the encoding of a blob; `None` where none is known that makes its bytes. What is found may still turn
    /// out wrong further on in the blob.
    pub fn find(blob: &Body) -> io::Result<Option<Self>> {
        let mut head = vec![0; blob.len().min(DETECT_LEN as u64) as usize];
        blob.read_exact_at(&mut head, 0)?;
        Ok(match codec::detect(&head) {
            Codec::None => Some(Self::Plain),
            Codec::Gzip => codec::probe(blob, Codec::Gzip)?.map(Self::Gzip),
            Codec::Zstd => codec::probe(blob, Codec::Zstd)?.map(Self::Zstd),
            // `BZh` and the level as a digit, which decides everything.
            Codec::Bzip2 => {
                let level = head.get(3).filter(|b| (b'1'..=b'9').contains(b));
                level.map(|digit| Self::Bzip2(u32::from(digit - b'0')))
            }
            Codec::Xz => None,
        })
    }

    /// A writer that packs as the blob was packed.
    pub(super) fn writer<W: Write>(self, out: W, threads: usize) -> io::Result<codec::Encoder<W>> {
        let (codec, level) = match self {
            Self::Plain => (Codec::None, None),
            Self::Gzip(level) => (Codec::Gzip, Some(level)),
            Self::Zstd(level) => (Codec::Zstd, Some(level)),
            Self::Bzip2(level) => (Codec::Bzip2, Some(level)),
        };
        codec::writer(out, Compression { codec, level }, threads)
    }
}
