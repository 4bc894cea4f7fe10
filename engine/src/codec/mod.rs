//! Compression of blobs: told by content, undone with bounds, done in parallel with the same bytes each time.

mod detect;
mod encoder;
mod error;
mod gzip;
mod input;
mod limit;
mod parallel;
mod prefix;
mod probe;
mod runs;
mod serial;
#[cfg(test)]
mod tests;
mod zstd;

use std::fmt;
use std::io::{self, Read};
use std::str::FromStr;

pub use detect::{DETECT_LEN, detect};
pub use encoder::{Encoder, writer};
pub use error::CodecError;
pub use prefix::{inflate_prefix, unzstd_prefix};
pub use probe::probe;
use runs::{Measure, Reach};

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

impl Codec {
    /// As it is written in options and messages.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Zstd => "zstd",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }
}

impl fmt::Display for Codec {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// How to pack: a codec and, where it has them, a level.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Compression {
    /// The codec.
    pub codec: Codec,
    /// Its level; `None` is the codec's own default.
    pub level: Option<u32>,
}

impl FromStr for Compression {
    type Err = String;

    /// Reads `CODEC[:LEVEL]`.
    fn from_str(text: &str) -> Result<Self, String> {
        let (name, level) = match text.split_once(':') {
            Some((name, level)) => (name, Some(level)),
            None => (text, None),
        };
        let (codec, levels) = match name {
            "none" => (Codec::None, None),
            "gzip" => (Codec::Gzip, Some(1..=9)),
            "zstd" => (Codec::Zstd, Some(1..=22)),
            "bzip2" => (Codec::Bzip2, Some(1..=9)),
            "xz" => (Codec::Xz, Some(0..=9)),
            _ => return Err(format!("compression is none, gzip, zstd, bzip2 or xz: {name}")),
        };
        let level = match (level, levels) {
            (None, _) => None,
            (Some(_), None) => return Err("none has no level".to_owned()),
            (Some(text), Some(levels)) => {
                let bad = || format!("a level of {name} is {} to {}: {text}", levels.start(), levels.end());
                Some(text.parse().ok().filter(|level| levels.contains(level)).ok_or_else(bad)?)
            }
        };
        Ok(Self { codec, level })
    }
}

impl fmt::Display for Compression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.level {
            Some(level) => write!(f, "{}:{level}", self.codec),
            None => self.codec.fmt(f),
        }
    }
}

/// Unpacks whatever `inner` holds: the codec is told by the first bytes, and all members, frames and streams
/// are read to the end of `inner`, which must be an end of one of them. At most `max_decoded` bytes come out.
///
/// Damage and limits are [`io::Error`]s of kind `InvalidData` with a [`CodecError`] inside; errors of `inner`
/// pass through.
///
/// With several `threads`, frames of zstd and members of gzip that say how long they are (as bgzip writes them) are
/// unpacked side by side by up to four threads, some frames ahead of the reader: 13 MiB for each thread, and as much twice
/// more, at most.
pub fn reader(
    inner: Box<dyn Read + Send>,
    max_decoded: u64,
    threads: usize,
) -> io::Result<(Codec, Box<dyn Read + Send>)> {
    let mut input = input::Input::new(inner);
    let codec = detect(input.peek(DETECT_LEN)?);
    let has_runs = match codec {
        Codec::Zstd => true,
        Codec::Gzip => gzip::Bgzf.reach(input.peek(gzip::BGZF_HEADER)?) != Reach::Unknown,
        _ => false,
    };
    let decoder: Box<dyn Read + Send> = match codec {
        _ if has_runs && threads > 1 => Box::new(runs::RunReader::new(input, codec, threads)?),
        Codec::None => Box::new(input),
        Codec::Gzip => Box::new(gzip::GzipReader::new(input)),
        Codec::Zstd => Box::new(zstd::ZstdReader::new(input)?),
        Codec::Bzip2 => Box::new(serial::Bzip2Reader::new(input)),
        Codec::Xz => Box::new(serial::XzReader::new(input)),
    };
    Ok((codec, Box::new(limit::Limited::new(decoder, max_decoded))))
}
