//! The compressed side of a decoder: buffered, counted, and its own errors told from those of the codec.

use std::io::{self, BufRead, Read};

use super::{Codec, CodecError};

/// Bytes asked of the reader below at a time.
const BUFFER: usize = 128 << 10;

/// A counted, buffered reader.
pub(super) struct Input {
    inner: Box<dyn Read + Send>,
    buf: Box<[u8]>,
    at: usize,
    end: usize,
    offset: u64,
    failed: bool,
}

impl Input {
    pub(super) fn new(inner: Box<dyn Read + Send>) -> Self {
        Self::at(0, inner)
    }

    /// What goes on at `offset` of the compressed bytes.
    pub(super) fn at(offset: u64, inner: Box<dyn Read + Send>) -> Self {
        Self { inner, buf: vec![0; BUFFER].into(), at: 0, end: 0, offset, failed: false }
    }

    /// At least `want` bytes from the current place, fewer only at the end.
    pub(super) fn peek(&mut self, want: usize) -> io::Result<&[u8]> {
        debug_assert!(want <= BUFFER && self.at == 0, "only the start is looked at ahead");
        while self.end < want {
            match self.inner.read(&mut self.buf[self.end..]) {
                Ok(0) => break,
                Ok(n) => self.end += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => return Err(e),
            }
        }
        Ok(&self.buf[..self.end])
    }

    /// Compressed bytes used so far.
    pub(super) fn offset(&self) -> u64 {
        self.offset
    }

    /// The next byte, if there is one.
    pub(super) fn byte(&mut self) -> io::Result<Option<u8>> {
        let first = self.fill_buf()?.first().copied();
        if first.is_some() {
            self.consume(1);
        }
        Ok(first)
    }

    /// An error that came out of a codec library, typed: the reader's own errors pass through as they are.
    pub(super) fn blame(&self, codec: Codec, memory: u64, e: io::Error) -> io::Error {
        let offset = self.offset;
        if self.failed {
            return e;
        }
        match e.kind() {
            io::ErrorKind::UnexpectedEof => CodecError::Truncated { codec, offset },
            io::ErrorKind::OutOfMemory => CodecError::Memory { codec, offset, limit: memory },
            _ => CodecError::Corrupt { codec, offset, detail: e.to_string() },
        }
        .into()
    }
}

impl Read for Input {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.fill_buf()?.read(buf)?;
        self.consume(n);
        Ok(n)
    }
}

impl BufRead for Input {
    fn fill_buf(&mut self) -> io::Result<&[u8]> {
        while self.at == self.end {
            match self.inner.read(&mut self.buf) {
                Ok(n) => {
                    (self.at, self.end) = (0, n);
                    break;
                }
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => {
                    self.failed = true;
                    return Err(e);
                }
            }
        }
        Ok(&self.buf[self.at..self.end])
    }

    fn consume(&mut self, n: usize) {
        self.at += n;
        self.offset += n as u64;
    }
}
