//! The writing side, one type for all codecs.

use std::io::{self, Write};

use bzip2::write::BzEncoder;
use lzma_rust2::{XzOptions, XzWriter};

use super::parallel::BlockWriter;
use super::{Codec, CodecError, Compression, gzip, serial, zstd};

/// Packs what is written to it. Nothing is complete before [`Encoder::finish`].
pub struct Encoder<W: Write>(Kind<W>);

enum Kind<W: Write> {
    Plain(W),
    Blocks(BlockWriter<W>),
    Bzip2(BzEncoder<W>),
    Xz(Box<XzWriter<W>>),
}

/// A writer that packs for `inner`. The bytes depend on what is written and on `compression`, never on
/// `threads` or on how the input is cut into writes. With one thread all work is done in the caller's.
pub fn writer<W: Write>(inner: W, compression: Compression, threads: usize) -> io::Result<Encoder<W>> {
    let codec = compression.codec;
    let (default, lowest, highest) = match codec {
        Codec::None => return Ok(Encoder(Kind::Plain(inner))),
        Codec::Gzip => (gzip::DEFAULT_LEVEL, 0, gzip::MAX_LEVEL),
        Codec::Zstd => (zstd::DEFAULT_LEVEL, 1, zstd::MAX_LEVEL),
        Codec::Bzip2 => (serial::BZIP2_LEVEL, 1, serial::MAX_LEVEL),
        Codec::Xz => (serial::XZ_LEVEL, 0, serial::MAX_LEVEL),
    };
    let level = compression.level.unwrap_or(default);
    if !(lowest..=highest).contains(&level) {
        return Err(CodecError::Level { codec, level, highest }.into());
    }
    Ok(Encoder(match codec {
        Codec::Bzip2 => Kind::Bzip2(BzEncoder::new(inner, bzip2::Compression::new(level))),
        Codec::Xz => Kind::Xz(Box::new(XzWriter::new(inner, XzOptions::with_preset(level))?)),
        _ => Kind::Blocks(BlockWriter::new(inner, codec, level, threads)?),
    }))
}

impl<W: Write> Encoder<W> {
    /// Writes what is still held back and the end mark; gives the writer below back.
    pub fn finish(self) -> io::Result<W> {
        match self.0 {
            Kind::Plain(inner) => Ok(inner),
            Kind::Blocks(writer) => writer.finish(),
            Kind::Bzip2(writer) => writer.finish(),
            Kind::Xz(writer) => writer.finish(),
        }
    }
}

impl<W: Write> Write for Encoder<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.0 {
            Kind::Plain(inner) => inner.write(buf),
            Kind::Blocks(writer) => writer.write(buf),
            Kind::Bzip2(writer) => writer.write(buf),
            Kind::Xz(writer) => writer.write(buf),
        }
    }

    /// Passes to the writer below only where nothing is packed: a flush would change the bytes.
    fn flush(&mut self) -> io::Result<()> {
        match &mut self.0 {
            Kind::Plain(inner) => inner.flush(),
            _ => Ok(()),
        }
    }
}
