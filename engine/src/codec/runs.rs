//! Frames and members that say how long they are, unpacked by several threads: whole ones are cut off without being
//! unpacked, some at a time. What can't be cut, what is damaged and what grows beyond all measure is left to the
//! decoder that reads in order, so that results and errors are its own.

use std::io::{self, BufRead, Cursor, Read};
use std::sync::Arc;

use super::gzip::{self, GzipReader};
use super::input::Input;
use super::zstd::{self, ZstdReader};
use super::{Codec, limit::Limited};
use crate::flow::Ordered;

/// Packed bytes that are unpacked at a time, at least.
const RUN: usize = 1 << 20;
/// A longer frame is read in order.
const MAX_PACKED: usize = 5 << 20;
/// And so is a run that becomes longer than this.
const MAX_PLAIN: u64 = 8 << 20;
/// More threads than this are of no use: whoever reads hashes with one.
const MAX_THREADS: usize = 4;

/// How far a frame or member goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Reach {
    /// It is whole, and so long.
    Whole(usize),
    /// It can be told when so many bytes are there.
    More(usize),
    /// It does not tell.
    Unknown,
}

/// What finds the end of a frame or member that begins with the bytes. Called again with more of the same bytes, it
/// goes on from where it was; after `Whole` it begins anew.
pub(super) trait Measure: Send {
    fn reach(&mut self, bytes: &[u8]) -> Reach;
}

/// Some whole frames or members, and what is in them.
struct Run {
    packed: Arc<Vec<u8>>,
    /// `None`: to be read in order.
    plain: Option<Vec<u8>>,
}

/// Reads all frames or members.
pub(super) struct RunReader {
    codec: Codec,
    /// Taken when the rest is read in order.
    input: Option<Input>,
    measure: Box<dyn Measure>,
    /// Packed bytes from the start of a frame on.
    ahead: Vec<u8>,
    /// Why no more could be read.
    failed: Option<io::Error>,
    pool: Ordered<'static, Vec<u8>, Run>,
    plain: Cursor<Vec<u8>>,
    /// Packed bytes of all runs before.
    offset: u64,
    rest: Option<Box<dyn Read + Send>>,
}

impl RunReader {
    /// `codec` is gzip or zstd; `threads` at least two.
    pub(super) fn new(input: Input, codec: Codec, threads: usize) -> io::Result<Self> {
        let threads = threads.min(MAX_THREADS);
        let measure: Box<dyn Measure> = match codec {
            Codec::Gzip => Box::new(gzip::Bgzf),
            _ => Box::new(zstd::Frame::default()),
        };
        Ok(Self {
            codec,
            input: Some(input),
            measure,
            ahead: Vec::new(),
            failed: None,
            pool: Ordered::new("decode", threads, threads, move |packed| unpack(codec, packed)),
            plain: Cursor::default(),
            offset: 0,
            rest: None,
        })
    }

    /// The next whole frames; `None` where there are no more that can be cut off.
    fn cut(&mut self) -> Option<Vec<u8>> {
        let input = self.input.as_mut()?;
        let mut whole = 0;
        while whole < RUN {
            match self.measure.reach(&self.ahead[whole..]) {
                Reach::Whole(len) => whole += len,
                Reach::Unknown => break,
                Reach::More(len) if len > MAX_PACKED => break,
                Reach::More(len) => match fill(&mut self.ahead, whole + len, input) {
                    Ok(true) => {}
                    Ok(false) => break,
                    Err(e) => {
                        self.failed = Some(e);
                        break;
                    }
                },
            }
        }
        let ahead = self.ahead.split_off(whole);
        let run = std::mem::replace(&mut self.ahead, ahead);
        (!run.is_empty()).then_some(run)
    }

    /// The next run, in order. Cutting goes on for as long as no run has to be read in order.
    fn next(&mut self) -> Option<Run> {
        while self.failed.is_none() {
            let Some(packed) = self.cut() else { break };
            if let Some(run) = self.pool.push(packed) {
                return Some(run);
            }
        }
        self.pool.pop()
    }

    /// From `packed` on, all is read in order.
    fn read_in_order(&mut self, mut packed: Vec<u8>) -> io::Result<()> {
        while let Some(run) = self.pool.pop() {
            packed.extend_from_slice(&run.packed);
        }
        packed.append(&mut self.ahead);
        let behind: Box<dyn Read + Send> = match (self.failed.take(), self.input.take()) {
            (Some(e), _) => Box::new(Broken(Some(e))),
            (None, Some(input)) => Box::new(input),
            (None, None) => Box::new(io::empty()),
        };
        let input = Input::at(self.offset, Box::new(Cursor::new(packed).chain(behind)));
        self.rest = Some(in_order(self.codec, input)?);
        Ok(())
    }
}

impl Read for RunReader {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if let Some(rest) = &mut self.rest {
                return rest.read(buf);
            }
            let n = self.plain.read(buf)?;
            if n > 0 || buf.is_empty() {
                return Ok(n);
            }
            match self.next() {
                Some(Run { packed, plain: Some(plain) }) => {
                    self.offset += packed.len() as u64;
                    self.plain = Cursor::new(plain);
                }
                Some(Run { packed, plain: None }) => self.read_in_order(packed.to_vec())?,
                None => self.read_in_order(Vec::new())?,
            }
        }
    }
}

/// Appends to `ahead` until it has `want` bytes; whether it has.
fn fill(ahead: &mut Vec<u8>, want: usize, input: &mut Input) -> io::Result<bool> {
    while ahead.len() < want {
        let from = input.fill_buf()?;
        let n = from.len().min(want - ahead.len());
        if n == 0 {
            return Ok(false);
        }
        ahead.extend_from_slice(&from[..n]);
        input.consume(n);
    }
    Ok(true)
}

fn in_order(codec: Codec, input: Input) -> io::Result<Box<dyn Read + Send>> {
    Ok(match codec {
        Codec::Gzip => Box::new(GzipReader::new(input)),
        _ => Box::new(ZstdReader::new(input)?),
    })
}

fn unpack(codec: Codec, packed: Vec<u8>) -> Run {
    // Shared with the decoder, which wants to own what it reads.
    let packed = Arc::new(packed);
    let mut plain = Vec::new();
    let input = Input::at(0, Box::new(Shared { bytes: Arc::clone(&packed), at: 0 }));
    let decoder: io::Result<Box<dyn Read>> = match codec {
        Codec::Gzip => Ok(Box::new(GzipReader::within(input))),
        _ => ZstdReader::new(input).map(|decoder| Box::new(decoder) as _),
    };
    let read = decoder.and_then(|decoder| Limited::new(decoder, MAX_PLAIN).read_to_end(&mut plain));
    Run { packed, plain: read.is_ok().then_some(plain) }
}

/// Bytes of several owners.
struct Shared {
    bytes: Arc<Vec<u8>>,
    at: usize,
}

impl Read for Shared {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = (&self.bytes[self.at..]).read(buf)?;
        self.at += n;
        Ok(n)
    }
}

/// Where reading has ended.
struct Broken(Option<io::Error>);

impl Read for Broken {
    fn read(&mut self, _: &mut [u8]) -> io::Result<usize> {
        self.0.take().map_or(Ok(0), Err)
    }
}
