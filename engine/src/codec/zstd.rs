//! zstd, RFC 8878: every frame decoded, skippable ones passed over; encoded as independent frames of a fixed
//! size, so that they can be made in parallel and, one day, be sought.

use std::io::{self, BufRead, Read};

use zstd::bulk::Compressor;
use zstd::stream::raw::{CParameter, DParameter, Decoder, InBuffer, Operation, OutBuffer};

use super::input::Input;
use super::runs::{Measure, Reach};
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
    /// Where the current one begins: what is wrong is told of it, as libzstd takes in more than it has looked at.
    frame: u64,
}

impl ZstdReader {
    pub(super) fn new(input: Input) -> io::Result<Self> {
        let mut decoder = Decoder::new()?;
        decoder.set_parameter(DParameter::WindowLogMax(MAX_WINDOW_LOG))?;
        // What has an offset stands behind frames.
        let frame = input.offset();
        let frames = u64::from(frame > 0);
        Ok(Self { input, decoder, is_inside: false, has_more: false, frames, frame })
    }

    fn typed(&self, e: &io::Error) -> CodecError {
        let (codec, offset, detail) = (Codec::Zstd, self.frame, e.to_string());
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
                self.frame = self.input.offset();
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

/// Finds the end of a frame by the headers of its blocks (RFC 8878, section 3.1).
#[derive(Debug, Default)]
pub(super) struct Frame {
    /// Where the next block begins, once the frame's header is there.
    block: Option<usize>,
    has_checksum: bool,
    /// The end, once the last block's header is there.
    end: Option<usize>,
}

impl Frame {
    /// Where the blocks begin, or the end of a skippable frame.
    fn header(&mut self, bytes: &[u8]) -> Option<Reach> {
        let Some(&magic) = bytes.first_chunk::<4>() else { return Some(Reach::More(4)) };
        let magic = u32::from_le_bytes(magic);
        if magic & !0xf == 0x184d_2a50 {
            let Some(head) = bytes.first_chunk::<8>() else { return Some(Reach::More(8)) };
            let size = u32::from_le_bytes([head[4], head[5], head[6], head[7]]);
            self.end = Some((size as usize).saturating_add(8));
            return None;
        }
        if magic != 0xfd2f_b528 {
            return Some(Reach::Unknown);
        }
        let Some(&flags) = bytes.get(4) else { return Some(Reach::More(5)) };
        let is_single = flags & 0x20 != 0;
        let dictionary = [0, 1, 2, 4][usize::from(flags & 3)];
        let content_size = match flags >> 6 {
            0 => usize::from(is_single),
            log => 1 << log,
        };
        self.has_checksum = flags & 4 != 0;
        self.block = Some(5 + usize::from(!is_single) + dictionary + content_size);
        None
    }
}

impl Measure for Frame {
    fn reach(&mut self, bytes: &[u8]) -> Reach {
        loop {
            if let Some(end) = self.end {
                if bytes.len() < end {
                    return Reach::More(end);
                }
                *self = Self::default();
                return Reach::Whole(end);
            }
            let Some(at) = self.block else {
                match self.header(bytes) {
                    Some(reach) => return reach,
                    None => continue,
                }
            };
            let Some(head) = bytes.get(at..).and_then(<[u8]>::first_chunk::<3>) else {
                return Reach::More(at + 3);
            };
            let head = u32::from_le_bytes([head[0], head[1], head[2], 0]);
            let size = match head >> 1 & 3 {
                0 | 2 => (head >> 3) as usize,
                1 => 1,
                _ => return Reach::Unknown,
            };
            let next = at + 3 + size;
            self.block = Some(next);
            if head & 1 == 1 {
                self.end = Some(next + if self.has_checksum { 4 } else { 0 });
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
