//! Records from a file or pipe, with their payloads kept where they can be read again.

use std::io::{Read, Seek};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aurora_engine::body::{Body, FileBody, Spool};
use aurora_engine::codec::{self, Codec};
use aurora_engine::flow::read_ahead;
use aurora_engine::fs;
use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::parse::{Parser, Record};
use aurora_formats::zfs::record::{Endian, Header, RECORD_LEN};

use crate::names::{FileName, ImageName};
use crate::source::counted::Counted;
use crate::{Counter, Ctx, Error, Result};

/// Payloads are read in pieces of this size.
const PIECE: usize = 256 << 10;
/// Progress is told once for so many bytes.
const REPORT: u64 = 1 << 20;

/// Where a stream comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Input {
    /// A file or a pipe.
    File(FileName),
    /// `zfs send` of this host: a snapshot, whole or upon another one.
    Sent {
        /// `POOL/NAME@SNAP`
        from: Option<String>,
        /// `POOL/NAME@SNAP`
        snapshot: String,
    },
}

impl Input {
    /// The streams of an image that others build on, base first; `None` where it is of another form.
    pub(super) fn of_origin(origin: &ImageName) -> Result<Option<Vec<Self>>> {
        Ok(match origin {
            ImageName::Zfs { file, .. } => Some(vec![Self::File(file.clone())]),
            ImageName::Dataset { name } => match name.snapshot() {
                None => {
                    let text = format!("an origin is a snapshot, not what is still changing: {origin}");
                    return Err(Error::usage(text));
                }
                Some(snapshot) => Some(Self::chain(name.dataset(), name.from(), snapshot)),
            },
            _ => None,
        })
    }

    /// A snapshot whole, and then what changed up to another one.
    pub(crate) fn chain(dataset: &str, from: Option<&str>, snapshot: &str) -> Vec<Self> {
        let full = |snapshot: &str| format!("{dataset}@{snapshot}");
        let base = from.map(|from| Self::Sent { from: None, snapshot: full(from) });
        base.into_iter().chain([Self::Sent { from: from.map(full), snapshot: full(snapshot) }]).collect()
    }

    fn name(&self) -> String {
        match self {
            Self::File(FileName::Pipe) => "standard input".to_owned(),
            Self::File(FileName::Path(path)) => path.display().to_string(),
            Self::Sent { snapshot, .. } => format!("zfs send {snapshot}"),
        }
    }
}

/// How far reading and unpacking may run ahead.
const AHEAD: usize = 2 << 20;

/// Where payloads stay.
enum Store {
    /// The input is a plain file: where they are.
    InPlace(Body),
    /// Copied.
    Spool(Spool),
}

/// The records of one input.
pub(super) struct Records<'a, 'c> {
    reader: Box<dyn Read + Send>,
    name: String,
    parser: Parser,
    store: Store,
    stored: Arc<AtomicU64>,
    reported: (u64, u64),
    buffer: Vec<u8>,
    ctx: &'a Ctx<'c>,
}

impl<'a, 'c> Records<'a, 'c> {
    /// Opens a stream, packed or not.
    pub(super) fn open(input: &Input, ctx: &'a Ctx<'c>) -> Result<Self> {
        let name = input.name();
        let fault = |e| Error::io(name.clone(), e);
        let mut again = None;
        let opened: Box<dyn Read + Send> = match input {
            Input::Sent { from, snapshot } => ctx.zfs().send(from.as_deref(), snapshot)?,
            Input::File(file) => {
                let opened = match file {
                    FileName::Pipe => fs::stdin(),
                    FileName::Path(path) => fs::open_input(path),
                };
                let mut opened = opened.map_err(fault)?;
                let is_whole =
                    fs::is_regular(&opened).map_err(fault)? && opened.stream_position().map_err(fault)? == 0;
                if is_whole {
                    again = Some(opened.try_clone().map_err(fault)?);
                }
                Box::new(fs::Stoppable::new(opened, ctx.cancel.flag()))
            }
        };
        let (counted, stored) = Counted::new(opened);
        let (codec, mut reader) =
            codec::reader(Box::new(counted), ctx.options.max_decoded, ctx.options.threads).map_err(fault)?;
        // Unpacking ahead is worth a thread, reading alone is not. What another program sends is not read ahead: it is stopped by
        // dropping the reader.
        if codec != Codec::None && ctx.options.threads > 1 && matches!(input, Input::File(_)) {
            reader = Box::new(read_ahead(reader, AHEAD).map_err(fault)?);
        }
        let body: Option<Body> = match again {
            Some(file) => Some(Arc::new(FileBody::new(file).map_err(fault)?)),
            None => None,
        };
        if let Some(body) = &body {
            ctx.progress.total(body.len());
        }
        let store = match body {
            Some(body) if codec == Codec::None => Store::InPlace(body),
            _ => Store::Spool(Spool::new(&ctx.spools)),
        };
        let (parser, buffer) = (Parser::new(), vec![0; PIECE]);
        Ok(Self { reader, name, parser, store, stored, reported: (0, 0), buffer, ctx })
    }

    /// Byte order of the current stream.
    pub(super) fn endian(&self) -> Endian {
        self.parser.endian()
    }

    /// The next record; `None` where the input ends as it should. The payload must be taken before the next one.
    pub(super) fn next(&mut self) -> Result<Option<Record>> {
        self.ctx.check()?;
        self.report(false);
        let mut head = [0; RECORD_LEN];
        let got = self.fill(&mut head)?;
        let offset = self.parser.offset();
        if got == 0 {
            self.parser.finish()?;
            self.report(true);
            return Ok(None);
        }
        if got < RECORD_LEN {
            return Err(self.cut_off(&head, got, offset).into());
        }
        Ok(Some(self.parser.record(&head)?))
    }

    /// What is wrong with fewer bytes than a record has.
    fn cut_off(&self, head: &[u8; RECORD_LEN], got: usize, offset: u64) -> ZfsError {
        if self.parser.finish().is_ok() {
            return ZfsError::Trailing { offset };
        }
        if offset == 0 && Endian::detect(&head[..got]).is_none() {
            return ZfsError::NotAStream { offset };
        }
        let record = Header::parse(head, self.parser.endian()).map_or("unknown", |h| h.name());
        ZfsError::Truncated { offset, record, expected: RECORD_LEN as u64, actual: got as u64 }
    }

    /// The payload, which the parser has found to be of a bearable length, in memory.
    pub(super) fn bytes(&mut self, record: &Record) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        self.pieces(record, |_, piece| {
            bytes.extend_from_slice(piece);
            Ok(())
        })?;
        Ok(bytes)
    }

    /// The payload's place, where it can be read later.
    pub(super) fn keep(&mut self, record: &Record) -> Result<u64> {
        if let Store::InPlace(_) = self.store {
            let at = self.parser.offset();
            self.skip(record)?;
            return Ok(at);
        }
        let mut place = None;
        self.pieces(record, |store, piece| match store {
            Store::Spool(spool) => {
                let at = spool.append(piece).map_err(|e| Error::io("temporary file", e))?;
                place.get_or_insert(at);
                Ok(())
            }
            Store::InPlace(_) => Ok(()),
        })?;
        Ok(place.unwrap_or(0))
    }

    /// Passes over the payload; it is checked all the same.
    pub(super) fn skip(&mut self, record: &Record) -> Result<()> {
        self.pieces(record, |_, _| Ok(()))
    }

    /// All payloads that were kept.
    pub(super) fn finish(self) -> Result<Body> {
        match self.store {
            Store::InPlace(body) => Ok(body),
            Store::Spool(spool) => spool.finish().map_err(|e| Error::io("temporary file", e)),
        }
    }

    fn pieces(
        &mut self,
        record: &Record,
        mut each: impl FnMut(&mut Store, &[u8]) -> Result<()>,
    ) -> Result<()> {
        let mut left = record.payload;
        while left > 0 {
            let want = usize::try_from(left).unwrap_or(PIECE).min(PIECE);
            let mut buffer = std::mem::take(&mut self.buffer);
            let got = self.fill(&mut buffer[..want])?;
            self.parser.payload(&buffer[..got]);
            if got < want {
                let expected = RECORD_LEN as u64 + record.payload;
                let actual = expected - left + got as u64;
                let (offset, record) = (record.offset, record.header.name());
                return Err(ZfsError::Truncated { offset, record, expected, actual }.into());
            }
            each(&mut self.store, &buffer[..got])?;
            self.buffer = buffer;
            left -= got as u64;
        }
        Ok(())
    }

    /// Reads until `buf` is full or the input ends.
    fn fill(&mut self, buf: &mut [u8]) -> Result<usize> {
        let mut got = 0;
        while got < buf.len() {
            match self.reader.read(&mut buf[got..]) {
                Ok(0) => break,
                Ok(n) => got += n,
                Err(e) if e.kind() == std::io::ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io(self.name.clone(), e)),
            }
        }
        Ok(got)
    }

    fn report(&mut self, is_last: bool) {
        let now = (self.stored.load(Ordering::Relaxed), self.parser.offset());
        if is_last || now.1 - self.reported.1 >= REPORT {
            self.ctx.progress.count(Counter::BytesRead, now.0 - self.reported.0);
            self.ctx.progress.count(Counter::BytesDecoded, now.1 - self.reported.1);
            self.reported = now;
        }
    }
}
