//! bzip2 and xz: read and written by one thread.

use std::io::{self, Read};

use bzip2::bufread::MultiBzDecoder;
use lzma_rust2::XzReader as XzDecoder;

use super::Codec;
use super::input::Input;

/// Memory an xz dictionary may take: `xz -9` needs 65 MiB, nothing in use needs more than this.
const XZ_MEMORY: u64 = 160 << 20;
/// What bzip2 itself takes at most.
const BZIP2_MEMORY: u64 = 4 << 20;

/// Levels of bzip2 are block sizes in units of 100 kB.
pub(super) const BZIP2_LEVEL: u32 = 9;
/// The default of xz(1).
pub(super) const XZ_LEVEL: u32 = 6;
/// The highest of both.
pub(super) const MAX_LEVEL: u32 = 9;

/// Reads all streams.
pub(super) struct Bzip2Reader(MultiBzDecoder<Input>);

impl Bzip2Reader {
    pub(super) fn new(input: Input) -> Self {
        Self(MultiBzDecoder::new(input))
    }
}

impl Read for Bzip2Reader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(|e| self.0.get_ref().blame(Codec::Bzip2, BZIP2_MEMORY, e))
    }
}

/// Reads all streams.
pub(super) struct XzReader(Box<XzDecoder<Input>>);

impl XzReader {
    pub(super) fn new(input: Input) -> Self {
        Self(Box::new(XzDecoder::new_mem_limit(input, true, (XZ_MEMORY >> 10) as u32)))
    }
}

impl Read for XzReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        self.0.read(buf).map_err(|e| self.0.inner().blame(Codec::Xz, XZ_MEMORY, e))
    }
}
