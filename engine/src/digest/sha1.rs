//! SHA-1, by which SmartOS manifests know their files. It names no content here ([`super::Digest`] does): it only
//! tells whether a file arrived as it was sent.

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use sha1::Digest as _;

use super::to_hex;

/// The SHA-1 of some bytes.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sha1([u8; 20]);

/// Why a text is no [`Sha1`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the 40 hex digits of a SHA-1: {0:?}")]
pub struct Sha1ParseError(String);

impl FromStr for Sha1 {
    type Err = Sha1ParseError;

    fn from_str(text: &str) -> Result<Self, Sha1ParseError> {
        let error = || Sha1ParseError(text.chars().take(80).collect());
        if text.len() != 40 || !text.bytes().all(|b| b.is_ascii_hexdigit()) {
            return Err(error());
        }
        let mut bytes = [0; 20];
        for (byte, at) in bytes.iter_mut().zip((0..40).step_by(2)) {
            *byte = u8::from_str_radix(&text[at..at + 2], 16).map_err(|_| error())?;
        }
        Ok(Self(bytes))
    }
}

impl fmt::Display for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&to_hex(&self.0))
    }
}

impl fmt::Debug for Sha1 {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// A file is not the one its SHA-1 and size promise.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Sha1Error {
    /// Fewer bytes than promised.
    #[error("file is shorter than its size says: {actual} of {expected} bytes")]
    TooShort {
        /// Promised.
        expected: u64,
        /// Found.
        actual: u64,
    },
    /// More bytes than promised; no more than one of them was read.
    #[error("file is longer than its size says: more than {expected} bytes")]
    TooLong {
        /// Promised.
        expected: u64,
    },
    /// Other bytes than promised.
    #[error("file does not match its sha1: expected {expected}, found {actual}")]
    Mismatch {
        /// Promised.
        expected: Sha1,
        /// Found.
        actual: Sha1,
    },
}

/// Reads a file that was promised by SHA-1 or size, or by neither: the last read fails (with a [`Sha1Error`]
/// inside) unless all was as promised. Only a reader that has returned `Ok(0)` has been verified.
pub struct Sha1Reader<R> {
    inner: R,
    expected: Option<Sha1>,
    size: Option<u64>,
    seen: u64,
    hasher: Option<sha1::Sha1>,
}

impl<R: Read> Sha1Reader<R> {
    /// Wraps a reader of what was promised so.
    pub fn new(inner: R, expected: Option<Sha1>, size: Option<u64>) -> Self {
        Self { inner, expected, size, seen: 0, hasher: expected.map(|_| sha1::Sha1::new()) }
    }
}

impl<R: Read> Read for Sha1Reader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let invalid = |e: Sha1Error| io::Error::new(io::ErrorKind::InvalidData, e);
        if buf.is_empty() {
            return Ok(0);
        }
        let left = self.size.map_or(u64::MAX, |size| size - self.seen);
        let want = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX).min(buf.len());
        let n = self.inner.read(&mut buf[..want])?;
        if n as u64 > left {
            return Err(invalid(Sha1Error::TooLong { expected: self.size.unwrap_or(u64::MAX) }));
        }
        self.seen += n as u64;
        if n > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buf[..n]);
            }
            return Ok(n);
        }
        if let Some(expected) = self.size.filter(|size| self.seen < *size) {
            return Err(invalid(Sha1Error::TooShort { expected, actual: self.seen }));
        }
        if let (Some(hasher), Some(expected)) = (self.hasher.take(), self.expected) {
            let actual = Sha1(hasher.finalize().into());
            if actual != expected {
                return Err(invalid(Sha1Error::Mismatch { expected, actual }));
            }
        }
        Ok(0)
    }
}

/// Hashes and counts what passes to the writer below.
pub struct Sha1Writer<W> {
    inner: W,
    hasher: sha1::Sha1,
    written: u64,
}

impl<W: Write> Sha1Writer<W> {
    /// Wraps a writer.
    pub fn new(inner: W) -> Self {
        Self { inner, hasher: sha1::Sha1::new(), written: 0 }
    }

    /// The writer, and the SHA-1 and number of the bytes that went to it.
    pub fn finish(self) -> (W, Sha1, u64) {
        (self.inner, Sha1(self.hasher.finalize().into()), self.written)
    }
}

impl<W: Write> Write for Sha1Writer<W> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.hasher.update(&buf[..n]);
        self.written += n as u64;
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 3174's first vector.
    const ABC: &str = "a9993e364706816aba3e25717850c26c9cd0d89d";

    #[test]
    fn files_are_what_was_promised_or_refused() {
        let abc: Sha1 = ABC.parse().unwrap();
        type Case = (&'static [u8], Option<Sha1>, Option<u64>, &'static str);
        let cases: &[Case] = &[
            (b"abc", Some(abc), Some(3), ""),
            (b"abc", Some(abc), None, ""),
            (b"xyz", None, Some(3), ""),
            (b"ab", Some(abc), Some(3), "shorter"),
            (b"abcd", Some(abc), Some(3), "longer"),
            (b"abd", Some(abc), Some(3), "does not match"),
            (b"", Some(abc), None, "does not match"),
        ];
        for (bytes, sha1, size, want) in cases {
            match Sha1Reader::new(*bytes, *sha1, *size).read_to_end(&mut Vec::new()) {
                Ok(_) => assert_eq!(*want, ""),
                Err(e) => assert!(!want.is_empty() && e.to_string().contains(want), "{e}"),
            }
        }
        let mut writer = Sha1Writer::new(Vec::new());
        writer.write_all(b"abc").unwrap();
        assert_eq!(writer.finish(), (b"abc".to_vec(), abc, 3));
        for bad in ["", &ABC[1..], "z9993e364706816aba3e25717850c26c9cd0d89d"] {
            assert!(bad.parse::<Sha1>().is_err());
        }
    }
}
