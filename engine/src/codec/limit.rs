//! The bound against decompression bombs.

use std::io::{self, Read};

use super::CodecError;

/// Passes at most `limit` bytes; the first one beyond is an error.
pub(super) struct Limited<R> {
    inner: R,
    limit: u64,
    left: u64,
}

impl<R: Read> Limited<R> {
    pub(super) fn new(inner: R, limit: u64) -> Self {
        Self { inner, limit, left: limit }
    }
}

impl<R: Read> Read for Limited<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.left = self.left.checked_sub(n as u64).ok_or(CodecError::TooLarge { limit: self.limit })?;
        Ok(n)
    }
}
