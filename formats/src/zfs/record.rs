//! The 312-byte records of a send stream, in both byte orders (`docs/zfs-send-stream.md` §1).
//!
//! [`Header`] is one record without its payload. Parsing takes any values: what they mean, and which are legal
//! where, is for the reader to say. Writing is always little-endian.

use super::checksum::{Fletcher4, Sum};
use super::format::{EMBEDDED_MAX, MAGIC};

/// Bytes of every record, payload not counted.
pub const RECORD_LEN: usize = 312;
/// Where the running checksum stands in every record but BEGIN.
pub const CHECKSUM_AT: usize = 280;
/// Bytes of a checksum.
pub const CHECKSUM_LEN: usize = 32;
/// Bytes of the name in BEGIN, its NUL included.
pub const TONAME_LEN: usize = 256;
/// `length` of FREE and `numobjs` of FREEOBJECTS that mean "to the end".
pub const TO_END: u64 = u64::MAX;

const _: () = assert!(CHECKSUM_AT + CHECKSUM_LEN == RECORD_LEN);
const _: () = assert!(56 + TONAME_LEN == RECORD_LEN);

/// Byte order of a stream, told by its first record.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Endian {
    /// x86, ARM and all current machines.
    Little,
    /// SPARC and the like.
    Big,
}

impl Endian {
    /// From the first bytes of a stream (at least 16), if they are those of a BEGIN record.
    pub fn detect(prefix: &[u8]) -> Option<Self> {
        let kind: [u8; 4] = prefix.get(..4)?.try_into().ok()?;
        let magic: [u8; 8] = prefix.get(8..16)?.try_into().ok()?;
        match kind {
            [0, 0, 0, 0] if magic == MAGIC.to_le_bytes() => Some(Self::Little),
            [0, 0, 0, 0] if magic == MAGIC.to_be_bytes() => Some(Self::Big),
            _ => None,
        }
    }

    /// 2 bytes at `at`; 0 beyond the end.
    pub fn u16(self, bytes: &[u8], at: usize) -> u16 {
        let raw = array(bytes, at);
        if self == Self::Little { u16::from_le_bytes(raw) } else { u16::from_be_bytes(raw) }
    }

    /// 4 bytes at `at`; 0 beyond the end.
    pub fn u32(self, bytes: &[u8], at: usize) -> u32 {
        let raw = array(bytes, at);
        if self == Self::Little { u32::from_le_bytes(raw) } else { u32::from_be_bytes(raw) }
    }

    /// 8 bytes at `at`; 0 beyond the end.
    pub fn u64(self, bytes: &[u8], at: usize) -> u64 {
        let raw = array(bytes, at);
        if self == Self::Little { u64::from_le_bytes(raw) } else { u64::from_be_bytes(raw) }
    }
}

/// `N` bytes at `at`; zeros where the input is too short, so that no offset can panic.
fn array<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let found = at.checked_add(N).and_then(|end| bytes.get(at..end));
    found.and_then(|b| b.try_into().ok()).unwrap_or([0; N])
}

/// A field of a record.
trait Field: Sized {
    const LEN: usize;
    fn get(bytes: &[u8; RECORD_LEN], at: usize, endian: Endian) -> Self;
    fn put(&self, bytes: &mut [u8; RECORD_LEN], at: usize);
}

macro_rules! integer_field {
    ($($int:ty),*) => {$(
        impl Field for $int {
            const LEN: usize = size_of::<$int>();
            fn get(bytes: &[u8; RECORD_LEN], at: usize, endian: Endian) -> Self {
                let raw = array(bytes, at);
                if endian == Endian::Little { Self::from_le_bytes(raw) } else { Self::from_be_bytes(raw) }
            }
            fn put(&self, bytes: &mut [u8; RECORD_LEN], at: usize) {
                bytes[at..at + Self::LEN].copy_from_slice(&self.to_le_bytes());
            }
        }
    )*};
}
integer_field!(u8, u32, u64);

impl<const N: usize> Field for [u8; N] {
    const LEN: usize = N;
    fn get(bytes: &[u8; RECORD_LEN], at: usize, _: Endian) -> Self {
        array(bytes, at)
    }
    fn put(&self, bytes: &mut [u8; RECORD_LEN], at: usize) {
        bytes[at..at + N].copy_from_slice(self);
    }
}

impl Field for Sum {
    const LEN: usize = CHECKSUM_LEN;
    fn get(bytes: &[u8; RECORD_LEN], at: usize, endian: Endian) -> Self {
        Self([0, 8, 16, 24].map(|word| endian.u64(bytes, at + word)))
    }
    fn put(&self, bytes: &mut [u8; RECORD_LEN], at: usize) {
        bytes[at..at + CHECKSUM_LEN].copy_from_slice(&self.to_le_bytes());
    }
}

/// Declares the fields of a record with their offsets; each must end before `$limit`.
macro_rules! record {
    ($(#[$doc:meta])* $name:ident until $limit:expr; $($(#[$fdoc:meta])* $field:ident: $ty:ty = $at:expr,)*) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub struct $name { $($(#[$fdoc])* pub $field: $ty,)* }

        const _: () = { $(assert!($at >= 4 && $at + <$ty as Field>::LEN <= $limit);)* };

        impl $name {
            fn parse(bytes: &[u8; RECORD_LEN], endian: Endian) -> Self {
                Self { $($field: Field::get(bytes, $at, endian),)* }
            }
            fn put(&self, bytes: &mut [u8; RECORD_LEN]) {
                $(self.$field.put(bytes, $at);)*
            }
        }
    };
}

record! {
    /// Opens a stream or a package (§1.4). The only record without a checksum.
    Begin until RECORD_LEN;
    /// Bytes of the payload, a packed nvlist.
    payload_len: u32 = 4,
    /// [`MAGIC`].
    magic: u64 = 8,
    /// Header type in bits 0–1, features above.
    version_info: u64 = 16,
    /// Seconds since 1970 of the snapshot.
    creation_time: u64 = 24,
    /// Kind of objset: `objset::*`.
    objset_type: u32 = 32,
    /// `begin_flag::*`.
    flags: u32 = 36,
    /// Guid of the snapshot.
    to_guid: u64 = 40,
    /// Guid of the incremental source; 0 in a full stream.
    from_guid: u64 = 48,
    /// `dataset@snapshot`, NUL-terminated.
    to_name: [u8; TONAME_LEN] = 56,
}

record! {
    /// An object comes into being or changes (§1.8). The bonus follows.
    Object until CHECKSUM_AT;
    /// Number.
    object: u64 = 8,
    /// `object_type::*`.
    object_type: u32 = 16,
    /// Type of the bonus.
    bonus_type: u32 = 20,
    /// Bytes of a data block.
    block_size: u32 = 24,
    /// Bytes of bonus in use.
    bonus_len: u32 = 28,
    /// The dnode's own checksum setting.
    checksum_type: u8 = 32,
    /// The dnode's own compression setting.
    compress: u8 = 33,
    /// 512-byte slots of the dnode; 0 means 1.
    dnode_slots: u8 = 34,
    /// `object_flag::*`.
    flags: u8 = 35,
    /// Raw streams: bytes of the bonus as stored.
    raw_bonus_len: u32 = 36,
    /// As in BEGIN.
    to_guid: u64 = 40,
    /// Raw streams only.
    indirect_block_shift: u8 = 48,
    /// Raw streams only.
    levels: u8 = 49,
    /// Raw streams only.
    block_pointers: u8 = 50,
    /// Raw streams only.
    max_block_id: u64 = 56,
}

record! {
    /// These objects do not exist (§1.9).
    FreeObjects until CHECKSUM_AT;
    /// First number.
    first: u64 = 8,
    /// How many.
    count: u64 = 16,
    /// As in BEGIN.
    to_guid: u64 = 24,
}

record! {
    /// Data of a block (§1.10). The block follows, perhaps compressed.
    Write until CHECKSUM_AT;
    /// Number.
    object: u64 = 8,
    /// Type of the object.
    object_type: u32 = 16,
    /// First byte in the object.
    offset: u64 = 24,
    /// Bytes unpacked.
    logical_size: u64 = 32,
    /// As in BEGIN.
    to_guid: u64 = 40,
    /// Checksum that the sender's pool had; informative.
    checksum_type: u8 = 48,
    /// Deduplication hints and raw flags.
    flags: u8 = 49,
    /// 0, or how the payload is packed.
    compression: u8 = 50,
    /// Bytes of the payload when packed, else 0.
    compressed_size: u64 = 96,
}

record! {
    /// A range becomes a hole (§1.11).
    Free until CHECKSUM_AT;
    /// Number.
    object: u64 = 8,
    /// First byte.
    offset: u64 = 16,
    /// Bytes, or [`TO_END`].
    length: u64 = 24,
    /// As in BEGIN.
    to_guid: u64 = 32,
}

record! {
    /// The last record (§1.7).
    End until CHECKSUM_AT;
    /// Running sum before this record.
    sum: Sum = 8,
    /// As in BEGIN.
    to_guid: u64 = 40,
}

record! {
    /// Data that another snapshot has (§1.14); old deduplicated streams.
    WriteByRef until CHECKSUM_AT;
    /// Number.
    object: u64 = 8,
    /// First byte.
    offset: u64 = 16,
    /// Bytes.
    length: u64 = 24,
    /// As in BEGIN.
    to_guid: u64 = 32,
    /// Snapshot that has the data.
    ref_guid: u64 = 40,
    /// Object there.
    ref_object: u64 = 48,
    /// First byte there.
    ref_offset: u64 = 56,
}

record! {
    /// The spill block of an object's attributes (§1.12). The block follows.
    Spill until CHECKSUM_AT;
    /// Number.
    object: u64 = 8,
    /// Bytes unpacked.
    length: u64 = 16,
    /// As in BEGIN.
    to_guid: u64 = 24,
    /// `object_flag::SPILL` here means: unchanged since the base.
    flags: u8 = 32,
    /// Raw streams only.
    compression: u8 = 33,
    /// Bytes of the payload when packed, else 0.
    compressed_size: u64 = 40,
}

record! {
    /// A small block packed into the record's payload (§1.13).
    WriteEmbedded until CHECKSUM_AT;
    /// Number.
    object: u64 = 8,
    /// First byte.
    offset: u64 = 16,
    /// Block size of the object.
    length: u64 = 24,
    /// As in BEGIN.
    to_guid: u64 = 32,
    /// How the payload is packed.
    compression: u8 = 40,
    /// Kind; 0 is data.
    embedded_type: u8 = 41,
    /// Bytes unpacked.
    logical_size: u32 = 48,
    /// Bytes of payload in use; padded to 8.
    packed_size: u32 = 52,
}

record! {
    /// Encryption parameters of a range of objects (§1.14); raw streams only.
    ObjectRange until CHECKSUM_AT;
    /// First number.
    first: u64 = 8,
    /// How many.
    count: u64 = 16,
    /// As in BEGIN.
    to_guid: u64 = 24,
}

record! {
    /// A range that was redacted (§1.14).
    Redact until CHECKSUM_AT;
    /// Number.
    object: u64 = 8,
    /// First byte.
    offset: u64 = 16,
    /// Bytes.
    length: u64 = 24,
    /// As in BEGIN.
    to_guid: u64 = 32,
}

/// One record without its payload and its checksum.
#[derive(Debug, Clone, PartialEq, Eq)]
#[allow(clippy::large_enum_variant)] // BEGIN holds a name; records are never kept in numbers.
#[allow(missing_docs)] // Each variant is documented on the structure of its name.
pub enum Header {
    Begin(Begin),
    Object(Object),
    FreeObjects(FreeObjects),
    Write(Write),
    Free(Free),
    End(End),
    WriteByRef(WriteByRef),
    Spill(Spill),
    WriteEmbedded(WriteEmbedded),
    ObjectRange(ObjectRange),
    Redact(Redact),
}

impl Header {
    /// The record in `bytes`, or its number when no record has that type.
    pub fn parse(bytes: &[u8; RECORD_LEN], endian: Endian) -> Result<Self, u32> {
        Ok(match endian.u32(bytes, 0) {
            0 => Self::Begin(Begin::parse(bytes, endian)),
            1 => Self::Object(Object::parse(bytes, endian)),
            2 => Self::FreeObjects(FreeObjects::parse(bytes, endian)),
            3 => Self::Write(Write::parse(bytes, endian)),
            4 => Self::Free(Free::parse(bytes, endian)),
            5 => Self::End(End::parse(bytes, endian)),
            6 => Self::WriteByRef(WriteByRef::parse(bytes, endian)),
            7 => Self::Spill(Spill::parse(bytes, endian)),
            8 => Self::WriteEmbedded(WriteEmbedded::parse(bytes, endian)),
            9 => Self::ObjectRange(ObjectRange::parse(bytes, endian)),
            10 => Self::Redact(Redact::parse(bytes, endian)),
            other => return Err(other),
        })
    }

    /// Little-endian bytes, the checksum zero.
    pub fn to_bytes(&self) -> [u8; RECORD_LEN] {
        let mut bytes = [0; RECORD_LEN];
        let kind: u32 = match self {
            Self::Begin(r) => (r.put(&mut bytes), 0).1,
            Self::Object(r) => (r.put(&mut bytes), 1).1,
            Self::FreeObjects(r) => (r.put(&mut bytes), 2).1,
            Self::Write(r) => (r.put(&mut bytes), 3).1,
            Self::Free(r) => (r.put(&mut bytes), 4).1,
            Self::End(r) => (r.put(&mut bytes), 5).1,
            Self::WriteByRef(r) => (r.put(&mut bytes), 6).1,
            Self::Spill(r) => (r.put(&mut bytes), 7).1,
            Self::WriteEmbedded(r) => (r.put(&mut bytes), 8).1,
            Self::ObjectRange(r) => (r.put(&mut bytes), 9).1,
            Self::Redact(r) => (r.put(&mut bytes), 10).1,
        };
        kind.put(&mut bytes, 0);
        bytes
    }

    /// Its name in upper case, as ZFS's own tools print it.
    pub fn name(&self) -> &'static str {
        match self {
            Self::Begin(_) => "BEGIN",
            Self::Object(_) => "OBJECT",
            Self::FreeObjects(_) => "FREEOBJECTS",
            Self::Write(_) => "WRITE",
            Self::Free(_) => "FREE",
            Self::End(_) => "END",
            Self::WriteByRef(_) => "WRITE_BYREF",
            Self::Spill(_) => "SPILL",
            Self::WriteEmbedded(_) => "WRITE_EMBEDDED",
            Self::ObjectRange(_) => "OBJECT_RANGE",
            Self::Redact(_) => "REDACT",
        }
    }

    /// Bytes that follow the record. Unchecked: a hostile stream may claim anything. `drr_payloadlen` counts in
    /// BEGIN only.
    pub fn payload_len(&self) -> u64 {
        match self {
            Self::Begin(r) => r.payload_len.into(),
            Self::Object(r) if r.raw_bonus_len != 0 => r.raw_bonus_len.into(),
            Self::Object(r) => u64::from(r.bonus_len).next_multiple_of(8),
            Self::Write(r) if r.compression != 0 => r.compressed_size,
            Self::Write(r) => r.logical_size,
            Self::Spill(r) if r.compressed_size != 0 => r.compressed_size,
            Self::Spill(r) => r.length,
            Self::WriteEmbedded(r) => u64::from(r.packed_size).next_multiple_of(8),
            _ => 0,
        }
    }
}

/// The checksum that a record (not BEGIN) carries in its last bytes.
pub fn stored_sum(bytes: &[u8; RECORD_LEN], endian: Endian) -> Sum {
    Field::get(bytes, CHECKSUM_AT, endian)
}

/// Stores the running sum in a record other than BEGIN and feeds the record (§1.6, rule 2).
pub fn seal(bytes: &mut [u8; RECORD_LEN], running: &mut Fletcher4) {
    running.update(&bytes[..CHECKSUM_AT]);
    running.sum().put(bytes, CHECKSUM_AT);
    running.update(&bytes[CHECKSUM_AT..]);
}

const _: () = assert!(EMBEDDED_MAX.is_multiple_of(8));

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_survive_a_round_trip_in_both_orders() {
        let mut raw = [0; RECORD_LEN];
        for kind in 0..=10u32 {
            for (at, byte) in raw.iter_mut().enumerate() {
                *byte = (at as u8).wrapping_mul(7).wrapping_add(kind as u8);
            }
            kind.put(&mut raw, 0);
            let parsed = Header::parse(&raw, Endian::Little).unwrap();
            let again = Header::parse(&parsed.to_bytes(), Endian::Little).unwrap();
            assert_eq!(parsed, again, "{}", parsed.name());
        }
        let write = Header::Write(Write {
            object: 0x0102_0304_0506_0708,
            object_type: 19,
            offset: 1 << 40,
            logical_size: 131_072,
            to_guid: 9,
            checksum_type: 2,
            flags: 0,
            compression: 0,
            compressed_size: 0,
        });
        let mut swapped = write.to_bytes();
        for (at, len) in [(0, 4), (8, 8), (16, 4), (24, 8), (32, 8), (40, 8), (96, 8)] {
            swapped[at..at + len].reverse();
        }
        assert_eq!(Header::parse(&swapped, Endian::Big).unwrap(), write);
        assert_eq!(Header::parse(&[0xff; RECORD_LEN], Endian::Big), Err(u32::MAX));
    }

    #[test]
    fn order_is_told_by_the_magic() {
        let mut begin = [0; 16];
        assert_eq!(Endian::detect(&begin), None);
        begin[8..].copy_from_slice(&MAGIC.to_le_bytes());
        assert_eq!(Endian::detect(&begin), Some(Endian::Little));
        begin[8..].reverse();
        assert_eq!(Endian::detect(&begin), Some(Endian::Big));
        assert_eq!(Endian::detect(&begin[..15]), None);
    }
}
