//! The pull parser.

use super::error::{TarError, excerpt};
use super::format::{
    BLOCK, GNU_SPARSE_BLOCK_MORE, GNU_SPARSE_BLOCK_REGIONS, GNU_SPARSE_MORE, GNU_SPARSE_REAL_SIZE,
    GNU_SPARSE_REGIONS, Header, padding, text,
};
use super::member::{self, Kind, MAX_SIZE, Member, Prelude};
use super::number;
use super::pax::Pax;
use super::sparse::{self, MapReader, Run};

/// Bounds on what one archive may ask for.
#[derive(Debug, Clone)]
pub struct Limits {
    /// Members: more than any image has, few enough to list.
    pub members: u64,
    /// Bytes of extended headers before one member, and of what global headers say: room for 64 KiB attributes.
    pub extension: u64,
    /// Extended headers before one member: writers need four at most.
    pub extensions: u32,
    /// Regions of one sparse file.
    pub regions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self { members: 16 << 20, extension: 1 << 20, extensions: 16, regions: MAX_REGIONS }
    }
}

/// Regions of one sparse file that are read; no more are written.
pub(super) const MAX_REGIONS: usize = 10_000;

/// One step of the parser.
#[derive(Debug)]
pub struct Step<'a> {
    /// Bytes of the input that are done with. The next call begins behind them.
    pub consumed: usize,
    /// What they were.
    pub event: Event<'a>,
}

/// What a step found.
#[derive(Debug)]
pub enum Event<'a> {
    /// Nothing yet: more bytes are needed behind those that were not consumed, never more than 512 in one piece.
    More,
    /// A member; `stored` bytes of data follow.
    Member(Box<Member>),
    /// Data of that member: exactly the bytes that were consumed.
    Data(&'a [u8]),
    /// The archive is over, and said so in this way. Once only; what follows is consumed and ignored.
    End(Ending),
}

/// How an archive ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ending {
    /// With two blocks of zeros.
    Marker,
    /// With one, or part of one.
    HalfMarker,
    /// Just so, after a member.
    Missing,
}

/// Reads an archive piece by piece. Give it bytes, take the step, drop the bytes consumed, and again; with
/// `is_last` once no more bytes will come behind the input. After an error it must not be asked again.
#[derive(Debug)]
pub struct Parser {
    limits: Limits,
    state: State,
    prelude: Prelude,
    /// The member whose sparse map is being read.
    mapped: Option<Box<Member>>,
    global: Pax,
    offset: u64,
    members: u64,
}

#[derive(Debug)]
enum State {
    Header,
    /// Of an extended header.
    Extension {
        kind: u8,
        left: u64,
        pad: u64,
        data: Vec<u8>,
        at: u64,
    },
    /// Blocks between an old GNU sparse header and its data.
    GnuMap {
        runs: Vec<Run>,
    },
    /// Blocks of a map that stands in the data, of which so much is left.
    DataMap {
        map: MapReader,
        left: u64,
    },
    Data {
        left: u64,
        pad: u64,
    },
    Padding {
        left: u64,
    },
    /// One block of zeros was here.
    HalfEnd {
        at: u64,
    },
    End,
}

impl Parser {
    /// At the start of an archive.
    pub fn new(limits: Limits) -> Self {
        let state = State::Header;
        let (prelude, global) = (Prelude::default(), Pax::default());
        Self { limits, state, prelude, mapped: None, global, offset: 0, members: 0 }
    }

    /// Bytes consumed so far.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Whether the end of the archive has been reported.
    pub fn is_at_end(&self) -> bool {
        matches!(self.state, State::End)
    }

    /// Leaves out the rest of the current member's data: so many bytes are not to be given to the parser. For those
    /// who can seek.
    pub fn skip_data(&mut self) -> u64 {
        let State::Data { left, pad } = self.state else { return 0 };
        self.offset = self.offset.saturating_add(left);
        self.state = State::Padding { left: pad };
        left
    }

    /// Goes on at the start of `input`.
    pub fn parse<'a>(&mut self, input: &'a [u8], is_last: bool) -> Result<Step<'a>, TarError> {
        let mut consumed = 0;
        loop {
            let rest = &input[consumed..];
            let (used, event) = self.step(rest, is_last)?;
            consumed += used;
            self.offset += used as u64;
            if let Some(event) = event {
                return Ok(Step { consumed, event });
            }
        }
    }

    /// One transition; `None` if there was one and nothing to tell. Data is told only as the first thing of a
    /// call, so that the bytes consumed are the data.
    fn step<'a>(&mut self, rest: &'a [u8], is_last: bool) -> Result<(usize, Option<Event<'a>>), TarError> {
        let offset = self.offset;
        let truncated = |inside, missing| {
            Err(TarError::Truncated { offset: offset + rest.len() as u64, inside, missing })
        };
        match &mut self.state {
            State::Header => {
                let Some(block) = rest.get(..BLOCK) else {
                    return self.partial_header(rest, is_last);
                };
                if block.iter().all(|&b| b == 0) {
                    self.forbid_dangling()?;
                    self.state = State::HalfEnd { at: offset };
                    return Ok((BLOCK, None));
                }
                let event = self.header(block)?;
                Ok((BLOCK, event))
            }
            State::Extension { kind, left, pad, data, at } => {
                let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                data.extend_from_slice(&rest[..used]);
                *left -= used as u64;
                if *left > 0 {
                    if is_last {
                        return truncated("an extended header", *left);
                    }
                    return Ok((used, Some(Event::More)));
                }
                let (kind, pad, data, at) = (*kind, *pad, std::mem::take(data), *at);
                self.state = State::Padding { left: pad };
                self.extension(kind, data, at)?;
                Ok((used, None))
            }
            State::GnuMap { runs } => {
                let Some(block) = rest.get(..BLOCK) else {
                    let missing = (BLOCK - rest.len()) as u64;
                    return if is_last {
                        truncated("a sparse map", missing)
                    } else {
                        Ok((0, Some(Event::More)))
                    };
                };
                sparse::read_gnu(&block[GNU_SPARSE_BLOCK_REGIONS], runs, self.limits.regions, offset)?;
                if block[GNU_SPARSE_BLOCK_MORE] != 0 {
                    return Ok((BLOCK, None));
                }
                let runs = std::mem::take(runs);
                Ok((BLOCK, Some(self.begin_mapped(runs, None)?)))
            }
            State::DataMap { map, left } => {
                let Some(after) = left.checked_sub(BLOCK as u64) else {
                    return Err(TarError::Sparse { offset, fault: "is longer than the member" });
                };
                let Some(block) = rest.get(..BLOCK) else {
                    let missing = (BLOCK - rest.len()) as u64;
                    return if is_last {
                        truncated("a sparse map", missing)
                    } else {
                        Ok((0, Some(Event::More)))
                    };
                };
                *left = after;
                let Some(runs) = map.block(block, self.limits.regions, offset)? else {
                    return Ok((BLOCK, None));
                };
                Ok((BLOCK, Some(self.begin_mapped(runs, Some(after))?)))
            }
            State::Data { left: 0, pad } => {
                self.state = State::Padding { left: *pad };
                Ok((0, None))
            }
            State::Data { left, .. } => {
                let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                if used == 0 {
                    return if is_last {
                        truncated("a file's data", *left)
                    } else {
                        Ok((0, Some(Event::More)))
                    };
                }
                *left -= used as u64;
                Ok((used, Some(Event::Data(&rest[..used]))))
            }
            State::Padding { left } => {
                let used = rest.len().min(usize::try_from(*left).unwrap_or(usize::MAX));
                *left -= used as u64;
                // Padding that is cut off with the end of the archive hurts nobody.
                if *left == 0 || is_last {
                    self.state = State::Header;
                    return Ok((used, None));
                }
                Ok((used, Some(Event::More)))
            }
            State::HalfEnd { at } => {
                let (at, block) = (*at, &rest[..rest.len().min(BLOCK)]);
                if block.iter().any(|&b| b != 0) {
                    return Err(TarError::LoneZeroBlock { offset: at });
                }
                if block.len() < BLOCK && !is_last {
                    return Ok((0, Some(Event::More)));
                }
                self.state = State::End;
                let ending = if block.len() == BLOCK { Ending::Marker } else { Ending::HalfMarker };
                Ok((block.len(), Some(Event::End(ending))))
            }
            State::End => Ok((rest.len(), Some(Event::More))),
        }
    }

    /// Less than a block where a header should be.
    fn partial_header<'a>(
        &mut self,
        rest: &'a [u8],
        is_last: bool,
    ) -> Result<(usize, Option<Event<'a>>), TarError> {
        if !is_last {
            return Ok((0, Some(Event::More)));
        }
        if rest.iter().any(|&b| b != 0) {
            let end = self.offset + rest.len() as u64;
            let missing = (BLOCK - rest.len()) as u64;
            return Err(TarError::Truncated { offset: end, inside: "a header", missing });
        }
        self.forbid_dangling()?;
        self.state = State::End;
        let ending = if rest.is_empty() { Ending::Missing } else { Ending::HalfMarker };
        Ok((rest.len(), Some(Event::End(ending))))
    }

    fn forbid_dangling(&self) -> Result<(), TarError> {
        match self.prelude.start {
            Some(_) => Err(TarError::DanglingExtension { offset: self.offset }),
            None => Ok(()),
        }
    }

    /// A block that is not all zeros.
    fn header<'a>(&mut self, block: &[u8]) -> Result<Option<Event<'a>>, TarError> {
        let offset = self.offset;
        // `block` has the length of a header, so there is one.
        let header = Header::of(block).expect("a block has the length of a header");
        let (unsigned, signed) = header.sums();
        let stored = number::parse(&header.checksum);
        if stored != Some(unsigned.into()) && stored != Some(signed.into()) {
            let (stored, computed) = (excerpt(&header.checksum), unsigned);
            return Err(match offset {
                0 => TarError::NotTar { offset, stored, computed },
                _ => TarError::Checksum { offset, stored, computed },
            });
        }
        match header.kind {
            // `X` is what Solaris wrote before POSIX said `x`; `V` is the label of a GNU volume.
            kind @ (b'x' | b'X' | b'g' | b'L' | b'K' | b'V') => self.begin_extension(header, kind),
            _ => self.begin_member(header, block),
        }
    }

    fn begin_extension<'a>(&mut self, header: &Header, kind: u8) -> Result<Option<Event<'a>>, TarError> {
        let offset = self.offset;
        let length = member::field(&header.size, "size", MAX_SIZE, offset)?;
        let Limits { extension: limit, extensions, .. } = self.limits;
        self.prelude.count += 1;
        self.prelude.bytes = self.prelude.bytes.saturating_add(length);
        if self.prelude.count > extensions {
            return Err(TarError::TooManyExtensions { offset, limit: extensions });
        }
        if self.prelude.bytes > limit {
            return Err(TarError::ExtensionTooLong { offset, limit, length: self.prelude.bytes });
        }
        if matches!(kind, b'x' | b'X' | b'L' | b'K') {
            self.prelude.start.get_or_insert(offset);
        }
        let (pad, at) = (padding(length), offset + BLOCK as u64);
        self.state = State::Extension { kind, left: length, pad, data: Vec::new(), at };
        Ok(None)
    }

    /// An extended header is complete; its data began at `at`.
    fn extension(&mut self, kind: u8, data: Vec<u8>, at: u64) -> Result<(), TarError> {
        match kind {
            b'L' => self.prelude.long_name = Some(text(&data).into()),
            b'K' => self.prelude.long_link = Some(text(&data).into()),
            b'g' => {
                self.global.read(&data, at, true)?;
                let (limit, length) = (self.limits.extension, self.global.weight() as u64);
                if length > limit {
                    return Err(TarError::ExtensionTooLong { offset: at, limit, length });
                }
            }
            b'V' => {}
            _ => {
                // Of several, the last holds.
                self.prelude.pax = Pax::default();
                self.prelude.pax.read(&data, at, false)?;
            }
        }
        Ok(())
    }

    fn begin_member<'a>(&mut self, header: &Header, block: &[u8]) -> Result<Option<Event<'a>>, TarError> {
        let offset = self.offset;
        self.members += 1;
        if self.members > self.limits.members {
            return Err(TarError::TooManyMembers { offset, limit: self.limits.members });
        }
        let prelude = std::mem::take(&mut self.prelude);
        let sparse = prelude.pax.sparse.clone();
        let mut member = Box::new(member::resolve(header, prelude, &self.global, offset)?);
        let offset = member.offset;
        if header.kind == b'S' {
            let mut runs = Vec::new();
            member.size = member::field(&block[GNU_SPARSE_REAL_SIZE], "real size", MAX_SIZE, offset)?;
            sparse::read_gnu(&block[GNU_SPARSE_REGIONS], &mut runs, self.limits.regions, offset)?;
            if block[GNU_SPARSE_MORE] != 0 {
                self.state = State::GnuMap { runs };
                self.mapped = Some(member);
                return Ok(None);
            }
            member.sparse = Some(sparse::check(runs, member.size, member.stored, offset)?);
        } else if member.kind == Kind::File && (sparse.is_in_data() || sparse.is_in_keys()) {
            let size = sparse.size.filter(|size| *size <= MAX_SIZE && sparse.is_known());
            member.size =
                size.ok_or(TarError::Sparse { offset, fault: "has no size or an unknown version" })?;
            if sparse.is_in_data() {
                let left = member.stored;
                self.state = State::DataMap { map: MapReader::default(), left };
                self.mapped = Some(member);
                return Ok(None);
            }
            let runs = sparse.runs(offset)?;
            if runs.len() > self.limits.regions {
                return Err(TarError::Sparse { offset, fault: "has more regions than the limit" });
            }
            member.sparse = Some(sparse::check(runs, member.size, member.stored, offset)?);
        }
        Ok(Some(self.begin(member)))
    }

    /// The map of a member that waited for it is complete; `stored` is what the map left of the data it stood in.
    fn begin_mapped<'a>(&mut self, runs: Vec<Run>, stored: Option<u64>) -> Result<Event<'a>, TarError> {
        let mut member = self.mapped.take().expect("maps are read for the member that waits");
        member.stored = stored.unwrap_or(member.stored);
        member.sparse = Some(sparse::check(runs, member.size, member.stored, member.offset)?);
        Ok(self.begin(member))
    }

    /// The member is complete, its data comes next.
    fn begin<'a>(&mut self, member: Box<Member>) -> Event<'a> {
        self.state = State::Data { left: member.stored, pad: padding(member.stored) };
        Event::Member(member)
    }
}
