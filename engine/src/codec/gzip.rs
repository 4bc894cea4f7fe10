//! gzip, RFC 1952: every member decoded with its header and trailer verified; encoded as one member of blocks
//! that were deflated apart from each other.

use std::io::{self, BufRead, Read};

use flate2::{Compress, Compression, Crc, Decompress, FlushCompress, FlushDecompress, Status};

use super::input::Input;
use super::runs::{Measure, Reach};
use super::{Codec, CodecError};

/// Longest name or comment in a header: nobody needs one, and without a bound a header never ends.
const MAX_TEXT: u64 = 1 << 20;

/// Reads all members.
pub(super) struct GzipReader {
    input: Input,
    inflate: Decompress,
    state: State,
    crc: Crc,
    size: u32,
    /// Whether zeros may follow the last member.
    may_be_padded: bool,
}

enum State {
    /// Before the first member.
    Start,
    /// In the deflated data of a member.
    Body,
    /// Behind a trailer.
    Between,
    /// Behind everything.
    End,
}

impl GzipReader {
    pub(super) fn new(input: Input) -> Self {
        let inflate = Decompress::new(false);
        // Further on there may be padding, or the end.
        let state = if input.offset() == 0 { State::Start } else { State::Between };
        Self { input, inflate, state, crc: Crc::new(), size: 0, may_be_padded: true }
    }

    /// Of members from the middle of others, whose end is not the end of all.
    pub(super) fn within(input: Input) -> Self {
        Self { may_be_padded: false, ..Self::new(input) }
    }

    fn truncated(&self) -> io::Error {
        CodecError::Truncated { codec: Codec::Gzip, offset: self.input.offset() }.into()
    }

    fn malformed(&self, what: &'static str) -> io::Error {
        CodecError::Header { codec: Codec::Gzip, offset: self.input.offset(), what }.into()
    }

    /// One byte that must be there, hashed.
    fn byte(&mut self, crc: &mut Crc) -> io::Result<u8> {
        let byte = self.input.byte()?.ok_or_else(|| self.truncated())?;
        crc.update(&[byte]);
        Ok(byte)
    }

    /// Four bytes that must be there.
    fn word(&mut self) -> io::Result<u32> {
        let mut bytes = [0; 4];
        for byte in &mut bytes {
            *byte = self.input.byte()?.ok_or_else(|| self.truncated())?;
        }
        Ok(u32::from_le_bytes(bytes))
    }

    /// The header from its second byte on; the first one has been taken.
    fn header(&mut self) -> io::Result<()> {
        let mut crc = Crc::new();
        crc.update(&[0x1f]);
        if self.byte(&mut crc)? != 0x8b {
            return Err(self.malformed("magic number"));
        }
        if self.byte(&mut crc)? != 8 {
            return Err(self.malformed("method"));
        }
        let flags = self.byte(&mut crc)?;
        if flags & 0b1110_0000 != 0 {
            return Err(self.malformed("reserved flags"));
        }
        for _ in 0..6 {
            self.byte(&mut crc)?; // time, extra flags, operating system
        }
        if flags & 4 != 0 {
            let length = u16::from_le_bytes([self.byte(&mut crc)?, self.byte(&mut crc)?]);
            for _ in 0..length {
                self.byte(&mut crc)?;
            }
        }
        for flag in [8, 16] {
            if flags & flag != 0 {
                let mut left = MAX_TEXT;
                while self.byte(&mut crc)? != 0 {
                    left =
                        left.checked_sub(1).ok_or_else(|| self.malformed("name or comment is too long"))?;
                }
            }
        }
        if flags & 2 != 0 {
            let actual = crc.sum() & 0xffff;
            let mut unhashed = Crc::new();
            let stored = [self.byte(&mut unhashed)?, self.byte(&mut unhashed)?];
            let expected = u32::from(u16::from_le_bytes(stored));
            if expected != actual {
                let (codec, offset) = (Codec::Gzip, self.input.offset());
                return Err(CodecError::Checksum { codec, offset, what: "header", expected, actual }.into());
            }
        }
        self.inflate.reset(false);
        self.crc = Crc::new();
        self.size = 0;
        Ok(())
    }

    fn trailer(&mut self) -> io::Result<()> {
        let (expected, actual) = (self.word()?, self.crc.sum());
        let (codec, offset) = (Codec::Gzip, self.input.offset());
        if expected != actual {
            return Err(CodecError::Checksum { codec, offset, what: "member", expected, actual }.into());
        }
        let (expected, actual) = (self.word()?, self.size);
        if expected != actual {
            return Err(CodecError::Size { offset: self.input.offset(), expected, actual }.into());
        }
        Ok(())
    }

    /// Behind a member: another one, zeros up to the end (tapes and block devices pad so), or the end.
    fn between(&mut self) -> io::Result<State> {
        let garbage = |offset| io::Error::from(CodecError::TrailingGarbage { codec: Codec::Gzip, offset });
        let start = self.input.offset();
        match self.input.byte()? {
            None => return Ok(State::End),
            Some(0x1f) => {
                if self.input.fill_buf()?.first().is_some_and(|&b| b != 0x8b) {
                    return Err(garbage(start));
                }
                self.header()?;
                return Ok(State::Body);
            }
            Some(0) if self.may_be_padded => {}
            Some(_) => return Err(garbage(start)),
        }
        loop {
            let padding = self.input.fill_buf()?;
            if padding.is_empty() {
                return Ok(State::End);
            }
            let zeros = padding.iter().take_while(|&&b| b == 0).count();
            let is_clean = zeros == padding.len();
            self.input.consume(zeros);
            if !is_clean {
                return Err(garbage(self.input.offset()));
            }
        }
    }

    /// Some bytes of the body, or its end.
    fn body(&mut self, buf: &mut [u8]) -> io::Result<(usize, bool)> {
        let from = self.input.fill_buf()?;
        let at_end = from.is_empty();
        let (before_in, before_out) = (self.inflate.total_in(), self.inflate.total_out());
        let flush = if at_end { FlushDecompress::Finish } else { FlushDecompress::None };
        let status = self.inflate.decompress(from, buf, flush);
        let used = (self.inflate.total_in() - before_in) as usize;
        let made = (self.inflate.total_out() - before_out) as usize;
        self.input.consume(used);
        let status = status.map_err(|e| {
            let (offset, detail) = (self.input.offset(), e.message().unwrap_or("invalid data").to_owned());
            CodecError::Corrupt { codec: Codec::Gzip, offset, detail }
        })?;
        self.crc.update(&buf[..made]);
        self.size = self.size.wrapping_add(made as u32);
        if status == Status::StreamEnd {
            return Ok((made, true));
        }
        if at_end && made == 0 {
            return Err(self.truncated());
        }
        if used == 0 && made == 0 && status == Status::BufError {
            let detail = "no progress".to_owned();
            let offset = self.input.offset();
            return Err(CodecError::Corrupt { codec: Codec::Gzip, offset, detail }.into());
        }
        Ok((made, false))
    }
}

impl Read for GzipReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if buf.is_empty() {
            return Ok(0);
        }
        loop {
            match self.state {
                State::Start => {
                    self.input.byte()?;
                    self.header()?;
                    self.state = State::Body;
                }
                State::Body => {
                    let (made, ended) = self.body(buf)?;
                    if ended {
                        self.trailer()?;
                        self.state = State::Between;
                    }
                    if made > 0 {
                        return Ok(made);
                    }
                }
                State::Between => self.state = self.between()?,
                State::End => return Ok(0),
            }
        }
    }
}

/// Members as bgzip(1) writes them (SAM specification, section 4.1): the only extra field, BC, has the length of the
/// member without one.
pub(super) struct Bgzf;

/// Bytes of a member up to the end of that field.
pub(super) const BGZF_HEADER: usize = 18;

impl Measure for Bgzf {
    fn reach(&mut self, bytes: &[u8]) -> Reach {
        let Some(header) = bytes.first_chunk::<BGZF_HEADER>() else { return Reach::More(BGZF_HEADER) };
        if header[..4] != [0x1f, 0x8b, 8, 4] || header[10..16] != [6, 0, b'B', b'C', 2, 0] {
            return Reach::Unknown;
        }
        match usize::from(u16::from_le_bytes([header[16], header[17]])) + 1 {
            len if len < BGZF_HEADER => Reach::Unknown,
            len if len <= bytes.len() => Reach::Whole(len),
            len => Reach::More(len),
        }
    }
}

/// Bytes of input deflated at a time. Part of what decides the output's bytes: never changed by the number of
/// threads. Large enough that starting without history costs less than one part in a hundred.
pub(super) const BLOCK: usize = 1 << 20;
/// As gzip(1) has it.
pub(super) const DEFAULT_LEVEL: u32 = 6;
/// Deflate's best.
pub(super) const MAX_LEVEL: u32 = 9;

/// Magic number, method, no flags, no time, and 255 for "unknown" as the system: nothing that differs by run.
pub(super) fn header(level: u32) -> [u8; 10] {
    let extra = match level {
        9 => 2,
        1 => 4,
        _ => 0,
    };
    [0x1f, 0x8b, 8, 0, 0, 0, 0, 0, extra, 255]
}

/// A deflated block and the checksum of what it holds.
pub(super) struct Deflated {
    /// Ends at a byte boundary.
    pub(super) bytes: Vec<u8>,
    /// Of the input; knows its length too.
    pub(super) crc: Crc,
}

/// Deflates one block without any history, ended by a sync flush, or as the last one.
pub(super) fn deflate(block: &[u8], level: u32, is_last: bool) -> io::Result<Deflated> {
    let mut crc = Crc::new();
    crc.update(block);
    let mut compress = Compress::new(Compression::new(level), false);
    let flush = if is_last { FlushCompress::Finish } else { FlushCompress::Sync };
    // Stored blocks cost 5 bytes each of at most 64 KiB; a flush is complete only if room is left.
    let mut bytes = Vec::with_capacity(block.len() + block.len() / 1000 + 1024);
    loop {
        let used = compress.total_in() as usize;
        let status = compress.compress_vec(&block[used..], &mut bytes, flush).map_err(io::Error::other)?;
        let is_done = match flush {
            FlushCompress::Finish => status == Status::StreamEnd,
            _ => compress.total_in() as usize == block.len() && bytes.len() < bytes.capacity(),
        };
        if is_done {
            return Ok(Deflated { bytes, crc });
        }
        bytes.reserve(64 << 10);
    }
}
