//! Names of bytes: `algorithm:hex` (OCI image-spec, descriptor.md, "Digests").

mod sha1;

use std::fmt;
use std::io::{self, Read, Write};
use std::str::FromStr;

use sha2::{Digest as _, Sha256, Sha512};

pub use sha1::{Sha1, Sha1Error, Sha1ParseError, Sha1Reader, Sha1Writer};

/// A hash that content may be named by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Algorithm {
    /// SHA-256: required of every implementation.
    Sha256,
    /// SHA-512: optional in the specification, read and verified here.
    Sha512,
}

impl Algorithm {
    /// As it stands before the colon.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sha256 => "sha256",
            Self::Sha512 => "sha512",
        }
    }

    /// Digits of the hex part.
    fn hex_len(self) -> usize {
        match self {
            Self::Sha256 => 64,
            Self::Sha512 => 128,
        }
    }
}

/// The digest of some bytes.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest {
    algorithm: Algorithm,
    hex: Box<str>,
}

/// Why a text is no [`Digest`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a sha256 or sha512 digest: {0:?}")]
pub struct DigestError(String);

impl Digest {
    /// SHA-256 of bytes at hand.
    pub fn sha256(bytes: &[u8]) -> Self {
        Self::of(Algorithm::Sha256, bytes)
    }

    /// Of bytes at hand.
    pub fn of(algorithm: Algorithm, bytes: &[u8]) -> Self {
        let mut hasher = Hasher::new(algorithm);
        hasher.update(bytes);
        hasher.finish()
    }

    /// The hash that made it.
    pub fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The part behind the colon, lower case.
    pub fn hex(&self) -> &str {
        &self.hex
    }
}

impl FromStr for Digest {
    type Err = DigestError;

    fn from_str(text: &str) -> Result<Self, DigestError> {
        let parsed = text.split_once(':').and_then(|(name, hex)| {
            let algorithm = [Algorithm::Sha256, Algorithm::Sha512].into_iter().find(|a| a.name() == name)?;
            let digits = hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
            (digits && hex.len() == algorithm.hex_len()).then(|| Self { algorithm, hex: hex.into() })
        });
        parsed.ok_or_else(|| DigestError(text.chars().take(160).collect()))
    }
}

impl fmt::Display for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.algorithm.name(), self.hex)
    }
}

impl fmt::Debug for Digest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Hashes what is fed to it.
#[derive(Clone)]
pub struct Hasher(State);

#[derive(Clone)]
enum State {
    Sha256(Sha256),
    Sha512(Box<Sha512>),
}

impl Hasher {
    /// Starts anew.
    pub fn new(algorithm: Algorithm) -> Self {
        Self(match algorithm {
            Algorithm::Sha256 => State::Sha256(Sha256::new()),
            Algorithm::Sha512 => State::Sha512(Box::default()),
        })
    }

    /// One of the same kind that was fed nothing.
    #[must_use]
    pub fn anew(&self) -> Self {
        Self::new(match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        })
    }

    /// Feeds bytes.
    pub fn update(&mut self, bytes: &[u8]) {
        match &mut self.0 {
            State::Sha256(h) => h.update(bytes),
            State::Sha512(h) => h.update(bytes),
        }
    }

    /// The digest of all that was fed.
    pub fn finish(self) -> Digest {
        let algorithm = match self.0 {
            State::Sha256(_) => Algorithm::Sha256,
            State::Sha512(_) => Algorithm::Sha512,
        };
        Digest { algorithm, hex: to_hex(&self.finish_bytes()).into_boxed_str() }
    }

    /// The same as bytes.
    pub fn finish_bytes(self) -> Vec<u8> {
        match self.0 {
            State::Sha256(h) => h.finalize().to_vec(),
            State::Sha512(h) => h.finalize().to_vec(),
        }
    }
}

/// Lower-case hex digits.
pub fn to_hex(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    bytes.iter().flat_map(|b| [b >> 4, b & 15]).map(|n| char::from(DIGITS[usize::from(n)])).collect()
}

/// Hashes and counts what passes to the writer below.
pub struct HashingWriter<W> {
    inner: W,
    hasher: Hasher,
    written: u64,
}

impl<W: Write> HashingWriter<W> {
    /// Wraps a writer.
    pub fn new(inner: W, algorithm: Algorithm) -> Self {
        Self { inner, hasher: Hasher::new(algorithm), written: 0 }
    }

    /// The writer, and the digest and number of the bytes that went to it.
    pub fn finish(self) -> (W, Digest, u64) {
        (self.inner, self.hasher.finish(), self.written)
    }
}

impl<W: Write> Write for HashingWriter<W> {
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

/// What was promised of some bytes and what they turned out to be.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum VerifyError {
    /// Fewer bytes than promised.
    #[error("{digest} is shorter than its size says: {actual} of {expected} bytes")]
    TooShort {
        /// The name.
        digest: Digest,
        /// Promised.
        expected: u64,
        /// Found.
        actual: u64,
    },
    /// More bytes than promised; no more than one of them was read.
    #[error("{digest} is longer than its size says: more than {expected} bytes")]
    TooLong {
        /// The name.
        digest: Digest,
        /// Promised.
        expected: u64,
    },
    /// Other bytes than promised.
    #[error("content does not match its digest: expected {expected}, found {actual}")]
    Mismatch {
        /// The name.
        expected: Digest,
        /// What the bytes hash to.
        actual: Digest,
    },
}

/// Reads bytes that were promised by digest and size: never more than one byte beyond the size, and the last
/// read fails (with a [`VerifyError`] inside) unless all was as promised. Only a reader that has returned
/// `Ok(0)` has been verified.
pub struct VerifyingReader<R> {
    inner: R,
    expected: Digest,
    size: u64,
    seen: u64,
    hasher: Option<Hasher>,
}

impl<R: Read> VerifyingReader<R> {
    /// Wraps a reader of what is to be `size` bytes named `expected`.
    pub fn new(inner: R, expected: Digest, size: u64) -> Self {
        let hasher = Some(Hasher::new(expected.algorithm()));
        Self { inner, expected, size, seen: 0, hasher }
    }
}

impl<R: Read> Read for VerifyingReader<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        let left = self.size - self.seen;
        let want = usize::try_from(left.saturating_add(1)).unwrap_or(usize::MAX).min(buf.len());
        let n = self.inner.read(&mut buf[..want])?;
        let invalid = |e: VerifyError| io::Error::new(io::ErrorKind::InvalidData, e);
        if n as u64 > left {
            let digest = self.expected.clone();
            return Err(invalid(VerifyError::TooLong { digest, expected: self.size }));
        }
        self.seen += n as u64;
        if n > 0 {
            if let Some(hasher) = &mut self.hasher {
                hasher.update(&buf[..n]);
            }
            return Ok(n);
        }
        if left > 0 {
            let digest = self.expected.clone();
            return Err(invalid(VerifyError::TooShort { digest, expected: self.size, actual: self.seen }));
        }
        if let Some(hasher) = self.hasher.take() {
            let actual = hasher.finish();
            if actual != self.expected {
                return Err(invalid(VerifyError::Mismatch { expected: self.expected.clone(), actual }));
            }
        }
        Ok(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_what_the_specification_allows() {
        let empty = "sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";
        assert_eq!(Digest::sha256(b"").to_string(), empty);
        assert_eq!(empty.parse::<Digest>().unwrap(), Digest::sha256(b""));
        let bad =
            ["", "sha256", "sha256:", "sha256:E3B0", "md5:00", &empty[..70], "sha256:../../../../etc/passwd"];
        for text in bad {
            assert!(text.parse::<Digest>().is_err(), "{text}");
        }
    }

    #[test]
    fn verified_reads_end_in_the_right_error() {
        let good = Digest::sha256(b"hello");
        let cases: &[(&[u8], u64, &str)] = &[
            (b"hello", 5, ""),
            (b"hell", 5, "shorter"),
            (b"hello!", 5, "longer"),
            (b"hellO", 5, "does not match"),
        ];
        for (bytes, size, want) in cases {
            let mut out = Vec::new();
            let got = VerifyingReader::new(*bytes, good.clone(), *size).read_to_end(&mut out);
            match got {
                Ok(_) => assert_eq!(*want, ""),
                Err(e) => assert!(!want.is_empty() && e.to_string().contains(want), "{e}"),
            }
        }
    }
}
