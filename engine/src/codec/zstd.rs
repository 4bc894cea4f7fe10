//! zstd, RFC 8878: every frame decoded, skippable ones passed over; encoded as independent frames of a fixed
//! size, so that they can be made in parallel and, one day, be sought.

use std::io::{self, BufRead, Read};

use zstd::bulk::Compressor;
use zstd::stream::raw::{CParameter, DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::input::Input;
use super::{Codec, CodecError};

/// Base-2 logarithm of the largest window that is accepted: 128 MiB, `--long=27`, libzstd's own default limit.
const MAX_WINDOW_LOG: u32 = 27;

/// Reads all frames.
pub(super) struct ZstdReader {
    input: Input,
    decoder: Decoder<'static>,
    /// Within a frame.
    is_inside: bool,
    /// The output was filled: there may be more in the decoder without any input.
    has_more: bool,
    frames: u64,
}

impl ZstdReader {
    pub(super) fn new(input: Input) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
        Ok(Self { input, decoder, is_inside: false, has_more: false, frames: 0 })
    }

    fn typed(&self, e: &io::Error) -> CodecError {
        let (codec, offset, detail) = (Codec::Zstd, self.input.offset(), e.to_string());
        // libzstd's errors reach us as texts only.
        if detail.contains("too much memory") {
            return CodecError::Memory { codec, offset, limit: 1 << MAX_WINDOW_LOG };
        }
        if detail.contains("Unknown frame") && self.frames > 0 && !self.is_inside {
            return CodecError::TrailingGarbage { codec, offset };
        }
        CodecError::Corrupt { codec, offset, detail }
    }
}

impl Read for ZstdReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            let from = self.input.fill_buf()?;
            if from.is_empty() && !self.has_more {
                if self.is_inside {
                    return Err(
                        CodecError::Truncated { codec: Codec::Zstd, offset: self.input.offset() }.into()
                    );
                }
                return Ok(0);
            }
            let mut source = InBuffer::around(from);
            let mut target = OutBuffer::around(&mut *buf);
            let ran = self.decoder.run(&mut source, &mut target);
            let (used, made) = (source.pos(), target.pos());
            let hint = ran.map_err(|e| self.typed(&e))?;
            self.input.consume(used);
            self.has_more = hint != 0 && made == buf.len();
            if hint == 0 {
                self.is_inside = false;
                self.frames += 1;
                self.decoder.reinit()?;
            } else if used > 0 {
                self.is_inside = true;
            }
            if made > 0 {
                return Ok(made);
            }
        }
    }
}

/// Bytes of input in one frame. Part of what decides the output's bytes.
pub(super) const BLOCK: usize = 4 << 20;
/// As zstd(1) has it.
pub(super) const DEFAULT_LEVEL: u32 = 3;
/// The highest, `--ultra` included: frames are small, so that their windows are too.
pub(super) const MAX_LEVEL: u32 = 22;

/// One frame with content size and checksum.
pub(super) fn compress(block: &[u8], level: u32) -> io::Result<Vec<u8>> {
    let mut compressor = Compressor::new(i32::try_from(level).unwrap_or(i32::MAX))?;
    compressor.set_parameter(CParameter::ChecksumFlag(true))?;
    compressor.compress(block)
}
