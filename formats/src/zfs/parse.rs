//! Streams, record by record: structure, byte order and checksums, without input or output.
//!
//! The caller hands [`Parser::record`] 312 bytes, then [`Parser::payload`] as many as the record says, and so on,
//! and [`Parser::finish`] tells whether the end of the input is the end of a stream. What records mean for objects
//! is for the caller.

use super::block::BlockCodec;
use super::checksum::Fletcher4;
use super::error::ZfsError;
use super::format::{
    BLOCK_MIN, DNODE_SLOT, EMBEDDED_MAX, FEATURES_SHIFT, HEADER_COMPOUND, HEADER_SUBSTREAM, HEADER_TYPE_MASK,
    feature, objset,
};
use super::nvlist::MAX_PACKED;
use super::record::{Begin, Endian, Header, RECORD_LEN, TO_END, stored_sum};

/// Largest block of any pool.
pub const MAX_BLOCK: u64 = 16 << 20;
/// Largest bonus: that of a dnode of 32 slots.
pub const MAX_BONUS: u32 = 32 * DNODE_SLOT - 192;
/// Largest spill block: as the record size was when attributes got theirs. A block of 16 MiB is legal in a record.
pub const MAX_SPILL: u64 = MAX_BLOCK;
/// Object numbers have 48 bits.
pub const MAX_OBJECT: u64 = (1 << 48) - 1;

/// Every feature that means something here, with its name.
const FEATURES: [(u64, &str); 14] = [
    (feature::DEDUP, "dedup"),
    (feature::DEDUP_PROPS, "dedup-props"),
    (feature::SA_SPILL, "sa-spill"),
    (feature::EMBED_DATA, "embedded-data"),
    (feature::LZ4, "lz4"),
    (feature::LARGE_BLOCKS, "large-blocks"),
    (feature::RESUMING, "resuming"),
    (feature::REDACTED, "redacted"),
    (feature::COMPRESSED, "compressed"),
    (feature::LARGE_DNODE, "large-dnode"),
    (feature::RAW, "raw"),
    (feature::ZSTD, "zstd"),
    (feature::HOLDS, "holds"),
    (feature::SWITCH_TO_LARGE_BLOCKS, "switch-to-large-blocks"),
];
/// Those that change nothing for a reader.
const MORE_FEATURES: [(u64, &str); 2] =
    [(feature::LONG_NAME, "longname"), (feature::LARGE_MICROZAP, "large-microzap")];

/// The feature bits of a BEGIN record.
pub fn features(begin: &Begin) -> u64 {
    // The top bits are the version of old tools, always 0.
    begin.version_info >> FEATURES_SHIFT
}

/// The names of feature bits, for people.
pub fn feature_names(features: u64) -> Vec<&'static str> {
    let known = FEATURES.iter().chain(&MORE_FEATURES);
    known.filter(|(bit, _)| features & bit != 0).map(|(_, name)| *name).collect()
}

/// Why the files of this stream can't be read even if nothing is wrong with it.
pub fn refusal(begin: &Begin, offset: u64) -> Option<ZfsError> {
    let features = features(begin);
    if features & feature::RAW != 0 {
        Some(ZfsError::Encrypted { offset })
    } else if features & feature::RESUMING != 0 {
        Some(ZfsError::Resuming { offset })
    } else if features & feature::REDACTED != 0 {
        Some(ZfsError::Redacted { offset })
    } else {
        None
    }
}

/// A record as the parser hands it on.
#[derive(Debug, Clone)]
pub struct Record {
    /// What it says.
    pub header: Header,
    /// Where it begins in the stream.
    pub offset: u64,
    /// Bytes that follow it.
    pub payload: u64,
    /// It carries no checksum; some tools leave it out.
    pub is_unsummed: bool,
    /// It belongs to a package's frame and not to the stream of a snapshot.
    pub is_frame: bool,
}

/// Where in a stream the next record stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum State {
    /// Before a stream or a package, or after one.
    Outside,
    /// After a package's BEGIN.
    PackageHead,
    /// Between the streams of a package.
    Package,
    /// In the stream of a snapshot.
    Stream { in_package: bool },
}

/// Checks a stream, record by record.
pub struct Parser {
    state: State,
    endian: Endian,
    running: Fletcher4,
    /// Features of the stream or package that the records belong to.
    features: u64,
    offset: u64,
    payload_left: u64,
}

impl Default for Parser {
    fn default() -> Self {
        Self::new()
    }
}

impl Parser {
    /// At the start of an input.
    pub fn new() -> Self {
        let endian = Endian::Little;
        let running = Fletcher4::new(endian);
        Self { state: State::Outside, endian, running, features: 0, offset: 0, payload_left: 0 }
    }

    /// Byte order of the current stream.
    pub fn endian(&self) -> Endian {
        self.endian
    }

    /// Bytes consumed.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// The next record. All of the payload of the one before it must have been fed.
    pub fn record(&mut self, bytes: &[u8; RECORD_LEN]) -> Result<Record, ZfsError> {
        let offset = self.offset;
        debug_assert_eq!(self.payload_left, 0, "payloads are fed before the next record");
        if self.state == State::Outside {
            self.endian = Endian::detect(bytes).ok_or(match offset {
                0 => ZfsError::NotAStream { offset },
                offset => ZfsError::Trailing { offset },
            })?;
        }
        let header = Header::parse(bytes, self.endian);
        let name = header.as_ref().map_or("unknown", Header::name);
        let mut is_unsummed = false;
        let is_last = self.state == State::Package && matches!(header, Ok(Header::End(_)));
        if let Ok(Header::Begin(_)) = header {
            self.running = Fletcher4::new(self.endian);
            self.running.update(bytes);
        } else if !is_last {
            let before = self.running.sum();
            let (body, sum) = bytes.split_at(super::record::CHECKSUM_AT);
            self.running.update(body);
            let stored = stored_sum(bytes, self.endian);
            is_unsummed = stored.is_zero();
            let end_differs = matches!(&header, Ok(Header::End(end)) if end.sum != before);
            if end_differs || (!is_unsummed && stored != self.running.sum()) {
                return Err(ZfsError::Checksum { offset, record: name });
            }
            self.running.update(sum);
        }
        let header = header.map_err(|kind| ZfsError::UnknownRecord { offset, kind })?;
        let was = self.state;
        self.step(&header, offset)?;
        check(&header, offset, self.features)?;
        let payload = header.payload_len();
        self.payload_left = payload;
        self.offset += RECORD_LEN as u64;
        let is_frame = !matches!((was, self.state), (State::Stream { .. }, _) | (_, State::Stream { .. }));
        // The frame of a package never has sums in its ENDs.
        Ok(Record { header, offset, payload, is_unsummed: is_unsummed && !is_frame, is_frame })
    }

    /// Feeds a part of the payload.
    pub fn payload(&mut self, bytes: &[u8]) {
        debug_assert!(bytes.len() as u64 <= self.payload_left, "no more than the record says");
        self.running.update(bytes);
        self.payload_left = self.payload_left.saturating_sub(bytes.len() as u64);
        self.offset += bytes.len() as u64;
    }

    /// The end of the input: whether it is the end of a stream as well.
    pub fn finish(&self) -> Result<(), ZfsError> {
        match self.state {
            State::Outside if self.offset == 0 => Err(ZfsError::NotAStream { offset: 0 }),
            State::Outside => Ok(()),
            _ => Err(ZfsError::NoEnd { offset: self.offset }),
        }
    }

    fn step(&mut self, header: &Header, offset: u64) -> Result<(), ZfsError> {
        let unexpected = Err(ZfsError::UnexpectedRecord { offset, record: header.name() });
        self.state = match (self.state, header) {
            (State::Outside | State::Package, Header::Begin(begin)) => {
                self.begin(begin, offset)?;
                match (begin.version_info & HEADER_TYPE_MASK, self.state) {
                    (HEADER_SUBSTREAM, state) => State::Stream { in_package: state == State::Package },
                    (HEADER_COMPOUND, State::Outside) => State::PackageHead,
                    (HEADER_COMPOUND, _) => return unexpected,
                    (value, _) => {
                        return Err(ZfsError::Field { offset, record: "BEGIN", field: "header type", value });
                    }
                }
            }
            (State::PackageHead, Header::End(_)) => State::Package,
            (State::Package, Header::End(_)) => State::Outside,
            (State::Stream { in_package }, Header::End(_)) => {
                if in_package {
                    State::Package
                } else {
                    State::Outside
                }
            }
            (_, Header::Begin(_)) | (State::Outside | State::PackageHead | State::Package, _) => {
                return unexpected;
            }
            (state @ State::Stream { .. }, _) => state,
        };
        Ok(())
    }

    fn begin(&mut self, begin: &Begin, offset: u64) -> Result<(), ZfsError> {
        let field = |field, value| Err(ZfsError::Field { offset, record: "BEGIN", field, value });
        if begin.magic != super::format::MAGIC {
            return field("magic", begin.magic);
        }
        let features = features(begin);
        if features & feature::ORACLE != 0 {
            return Err(ZfsError::OracleSolaris { offset, features });
        }
        let known = FEATURES.iter().chain(&MORE_FEATURES).fold(0, |all, (bit, _)| all | bit);
        if features & !known != 0 {
            return Err(ZfsError::UnknownFeatures { offset, features: features & !known });
        }
        if begin.version_info & HEADER_TYPE_MASK == HEADER_SUBSTREAM {
            if !matches!(begin.objset_type, objset::ZFS | objset::ZVOL) {
                return field("objset type", begin.objset_type.into());
            }
            if begin.to_guid == 0 {
                return field("guid", 0);
            }
        }
        self.features = features;
        Ok(())
    }
}

/// Checks the fields of one record: no more than what no stream can have.
fn check(header: &Header, offset: u64, features: u64) -> Result<(), ZfsError> {
    let record = header.name();
    let is_raw = features & feature::RAW != 0;
    let deny = |field, value| Err(ZfsError::Field { offset, record, field, value });
    let payload = header.payload_len();
    let (limit, unit) = match header {
        Header::Begin(_) => (MAX_PACKED as u64, 4),
        Header::Object(_) => (u64::from(MAX_BONUS), 8),
        // Raw payloads may be of any length that is a multiple of 4, for old senders.
        _ if is_raw => (MAX_BLOCK, 4),
        _ => (MAX_BLOCK, 8),
    };
    if payload > limit || !payload.is_multiple_of(unit) {
        return deny("payload length", payload);
    }
    let object = match header {
        Header::Object(r) => Some(r.object),
        Header::Write(r) => Some(r.object),
        Header::Free(r) => Some(r.object),
        Header::WriteByRef(r) => Some(r.object),
        Header::Spill(r) => Some(r.object),
        Header::WriteEmbedded(r) => Some(r.object),
        _ => None,
    };
    if let Some(object) = object.filter(|n| *n == 0 || *n > MAX_OBJECT) {
        return deny("object", object);
    }
    let range = |at: u64, len: u64| if at.checked_add(len).is_none() { deny("length", len) } else { Ok(()) };
    match header {
        Header::Object(r) => {
            if r.object_type == 0 || r.object_type > 255 {
                return deny("type", r.object_type.into());
            }
            if u64::from(r.block_size) > MAX_BLOCK
                || r.block_size < BLOCK_MIN
                || r.block_size % BLOCK_MIN != 0
            {
                return deny("block size", r.block_size.into());
            }
            if r.dnode_slots > 32 {
                return deny("dnode slots", r.dnode_slots.into());
            }
            if r.raw_bonus_len != 0 && !is_raw {
                return deny("raw bonus length", r.raw_bonus_len.into());
            }
        }
        Header::FreeObjects(r) => range(r.first, r.count)?,
        Header::Write(r) => {
            range(r.offset, r.logical_size)?;
            if r.logical_size == 0 || r.logical_size > MAX_BLOCK {
                return deny("logical size", r.logical_size);
            }
            if BlockCodec::from_number(r.compression).is_none() {
                return deny("compression", r.compression.into());
            }
            if r.compressed_size > r.logical_size {
                return deny("compressed size", r.compressed_size);
            }
            if r.compression == 2 && r.compressed_size != r.logical_size {
                return deny("compressed size", r.compressed_size);
            }
        }
        Header::WriteByRef(r) => {
            range(r.offset, r.length)?;
            range(r.ref_offset, r.length)?;
        }
        Header::Free(r) if r.length != TO_END => range(r.offset, r.length)?,
        Header::Spill(r) => {
            if r.length == 0 || r.length > MAX_SPILL {
                return deny("length", r.length);
            }
            if (r.compressed_size != 0 || r.compression != 0) && !is_raw {
                return deny("compressed size", r.compressed_size);
            }
        }
        Header::WriteEmbedded(r) => {
            if r.packed_size > EMBEDDED_MAX {
                return deny("packed size", r.packed_size.into());
            }
            if r.embedded_type != 0 {
                return deny("type", r.embedded_type.into());
            }
            if u64::from(r.logical_size) > r.length || r.length > MAX_BLOCK || r.length == 0 {
                return deny("logical size", r.logical_size.into());
            }
            if BlockCodec::from_number(r.compression).is_none() {
                return deny("compression", r.compression.into());
            }
        }
        Header::ObjectRange(_) if !is_raw => {
            return Err(ZfsError::UnexpectedRecord { offset, record });
        }
        Header::Redact(_) if features & feature::REDACTED == 0 => {
            return Err(ZfsError::UnexpectedRecord { offset, record });
        }
        _ => {}
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::format::{HEADER_COMPOUND, MAGIC};
    use super::super::record::{End, FreeObjects, TONAME_LEN, Write, seal};
    use super::*;

    fn begin(version_info: u64) -> Header {
        let mut to_name = [0; TONAME_LEN];
        to_name[..4].copy_from_slice(b"p@s\0");
        Header::Begin(Begin {
            payload_len: 0,
            magic: MAGIC,
            version_info,
            creation_time: 1,
            objset_type: objset::ZFS,
            flags: 12,
            to_guid: 7,
            from_guid: 0,
            to_name,
        })
    }

    fn write(size: u64) -> Header {
        Header::Write(Write {
            object: 1,
            object_type: 19,
            offset: 0,
            logical_size: size,
            to_guid: 7,
            checksum_type: 2,
            flags: 0,
            compression: 0,
            compressed_size: 0,
        })
    }

    /// The bytes of a stream; payloads are zeros. `None` is an END with the right sum.
    fn stream(records: &[Option<Header>]) -> Vec<u8> {
        let mut out = Vec::new();
        let mut running = Fletcher4::new(Endian::Little);
        for record in records {
            let header = record.clone().unwrap_or(Header::End(End { sum: running.sum(), to_guid: 7 }));
            let mut bytes = header.to_bytes();
            if matches!(header, Header::Begin(_)) {
                running = Fletcher4::new(Endian::Little);
                running.update(&bytes);
            } else {
                seal(&mut bytes, &mut running);
            }
            let payload = vec![0; header.payload_len() as usize];
            running.update(&payload);
            out.extend(bytes);
            out.extend(payload);
        }
        out
    }

    fn read(mut bytes: &[u8]) -> Result<usize, ZfsError> {
        let mut parser = Parser::new();
        let mut count = 0;
        while let Some((head, rest)) = bytes.split_first_chunk() {
            let record = parser.record(head)?;
            let (payload, rest) = rest.split_at(record.payload as usize);
            parser.payload(payload);
            bytes = rest;
            count += 1;
        }
        parser.finish().map(|()| count)
    }

    #[test]
    fn streams_packages_and_what_is_neither() {
        let sub = [Some(begin(0x11)), Some(write(512)), None];
        let free = Some(Header::FreeObjects(FreeObjects { first: u64::MAX, count: 2, to_guid: 7 }));
        let mut package = stream(&[Some(begin(HEADER_COMPOUND)), None]);
        package.extend(stream(&sub));
        let unfinished = package.clone();
        let mut last = [0; RECORD_LEN];
        last[0] = 5;
        package.extend(last);
        let cases: Vec<(&str, Vec<u8>, Result<usize, &str>)> = vec![
            ("stream", stream(&sub), Ok(3)),
            ("two in a row", stream(&[&sub[..], &sub[..]].concat()), Ok(6)),
            ("package", package.clone(), Ok(6)),
            ("package and stream", [package.clone(), stream(&sub)].concat(), Ok(9)),
            ("package without end", unfinished, Err("without an END")),
            ("nothing", vec![], Err("not a ZFS send stream")),
            ("zeros", vec![0; 312], Err("not a ZFS send stream")),
            ("zeros after it", [stream(&sub), vec![0; 312]].concat(), Err("followed by other")),
            ("no end", stream(&sub[..2]), Err("without an END")),
            ("begin in it", stream(&[Some(begin(0x11)), Some(begin(0x11))]), Err("BEGIN record where none")),
            ("solaris", stream(&[Some(begin(1 | 24 << 2)), None]), Err("Oracle Solaris")),
            ("new feature", stream(&[Some(begin(1 | 1 << 42)), None]), Err("unknown features")),
            ("other header type", stream(&[Some(begin(3)), None]), Err("header type")),
            ("range overflow", stream(&[Some(begin(0x11)), free, None]), Err("impossible length")),
            ("huge block", stream(&[Some(begin(0x11)), Some(write(32 << 20)), None]), Err("payload length")),
            ("odd block", stream(&[Some(begin(0x11)), Some(write(515)), None]), Err("payload length")),
        ];
        for (name, bytes, want) in cases {
            match (read(&bytes), want) {
                (Ok(got), Ok(want)) => assert_eq!(got, want, "{name}"),
                (Err(e), Err(want)) => assert!(e.to_string().contains(want), "{name}: {e}"),
                (got, want) => panic!("{name}: got {got:?}, want {want:?}"),
            }
        }
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        let good = stream(&[Some(begin(0x11)), Some(write(512)), Some(write(512)), None]);
        assert_eq!(read(&good), Ok(4));
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 1 << (at % 8);
            let got = std::panic::catch_unwind(|| read(&bad));
            assert!(!matches!(got, Ok(Ok(_))), "byte {at}");
        }
        // Sums left out are taken, but that of END is needed.
        let mut unsummed = good.clone();
        unsummed[312 + 280..312 + 312].fill(0);
        assert!(matches!(read(&unsummed), Err(ZfsError::Checksum { .. })), "all later sums cover it");
    }

    #[test]
    fn hints_say_what_to_do() {
        for (error, want) in [
            (ZfsError::Encrypted { offset: 0 }, "without --raw"),
            (ZfsError::Redacted { offset: 0 }, "without --redact"),
            (ZfsError::Resuming { offset: 0 }, "without -t"),
            (ZfsError::MissingBase { offset: 0, guid: 1 }, "--origin"),
        ] {
            assert!(error.hint().is_some_and(|h| h.contains(want)), "{error}");
        }
    }
}
