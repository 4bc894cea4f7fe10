//! The header.

use super::Qcow2Error;

/// `QFI\xfb`
pub(super) const MAGIC: u32 = 0x5146_49fb;
/// Bytes of the header of version 2.
const V2_LEN: usize = 72;
/// Bytes of the header of version 3 without what may follow.
const V3_LEN: usize = 104;
/// Bytes of a file that hold every header: it must fit the first cluster, whose least size this is no less than,
/// and the fields that are looked at end long before.
pub const HEADER_MAX: usize = 512;
/// Largest L1 table, in bytes: QEMU's own limit.
const MAX_L1_BYTES: u64 = 32 << 20;

/// Bits of `incompatible_features`.
const DIRTY: u64 = 1;
const CORRUPT: u64 = 2;
const EXTERNAL_DATA: u64 = 4;
const COMPRESSION_TYPE: u64 = 8;
const EXTENDED_L2: u64 = 16;

/// How compressed clusters are packed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum CompressionType {
    /// Raw deflate.
    Deflate,
    /// A zstd frame.
    Zstd,
}

/// What is needed of a header to find the disk's bytes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Header {
    /// 2 or 3.
    pub version: u32,
    /// A cluster has two to the power of this bytes: 9 to 21.
    pub cluster_bits: u32,
    /// Bytes of the disk.
    pub size: u64,
    /// Entries of the L1 table that are in use.
    pub l1_entries: u64,
    /// Where the L1 table stands.
    pub l1_offset: u64,
    /// How compressed clusters are packed.
    pub compression: CompressionType,
    /// Snapshots inside, which are not read.
    pub snapshots: u32,
}

/// Whether a file that begins so is such a disk.
pub fn is_qcow2(prefix: &[u8]) -> bool {
    prefix.get(..4) == Some(&MAGIC.to_be_bytes())
}

impl Header {
    /// Reads the header at the start of a file; [`HEADER_MAX`] bytes are enough.
    pub fn parse(bytes: &[u8]) -> Result<Self, Qcow2Error> {
        let u32_at = |at: usize| -> Result<u32, Qcow2Error> {
            let field = bytes.get(at..at + 4).and_then(|b| b.try_into().ok());
            field.map(u32::from_be_bytes).ok_or_else(|| truncated(at + 4, bytes.len()))
        };
        let u64_at = |at: usize| -> Result<u64, Qcow2Error> {
            let field = bytes.get(at..at + 8).and_then(|b| b.try_into().ok());
            field.map(u64::from_be_bytes).ok_or_else(|| truncated(at + 8, bytes.len()))
        };
        let magic = u32_at(0)?;
        if magic != MAGIC {
            return Err(Qcow2Error::Magic { actual: magic });
        }
        let version = u32_at(4)?;
        if !matches!(version, 2 | 3) {
            return Err(Qcow2Error::Version { actual: version });
        }
        let needed = if version == 2 { V2_LEN } else { V3_LEN };
        if bytes.len() < needed {
            return Err(truncated(needed, bytes.len()));
        }
        let wrong = |field, offset, actual| Qcow2Error::Field { field, offset, actual };
        if u64_at(8)? != 0 {
            return Err(unsupported("it has a backing file; flatten it first with `qemu-img convert`"));
        }
        let cluster_bits = u32_at(20)?;
        if !(9..=21).contains(&cluster_bits) {
            return Err(wrong("cluster_bits", 20, cluster_bits.into()));
        }
        let size = u64_at(24)?;
        if u32_at(32)? != 0 {
            return Err(unsupported("it is encrypted"));
        }
        let compression =
            if version == 3 { features(u64_at(72)?, bytes, u32_at(100)?)? } else { CompressionType::Deflate };
        // One L2 table is a cluster of 8-byte entries, so it maps cluster · cluster / 8 bytes.
        let l1_entries = size.div_ceil(1 << (2 * cluster_bits - 3));
        let (l1_size, l1_offset) = (u64::from(u32_at(36)?), u64_at(40)?);
        if l1_size < l1_entries || l1_entries * 8 > MAX_L1_BYTES {
            return Err(wrong("l1_size", 36, l1_size));
        }
        if l1_entries > 0 && (l1_offset == 0 || !l1_offset.is_multiple_of(1 << cluster_bits)) {
            return Err(wrong("l1_table_offset", 40, l1_offset));
        }
        Ok(Self { version, cluster_bits, size, l1_entries, l1_offset, compression, snapshots: u32_at(60)? })
    }

    /// Bytes of a cluster.
    pub fn cluster_size(&self) -> u64 {
        1 << self.cluster_bits
    }
}

fn features(bits: u64, bytes: &[u8], header_length: u32) -> Result<CompressionType, Qcow2Error> {
    let needs = [
        (CORRUPT, "it is marked as corrupt"),
        (EXTERNAL_DATA, "its data is in another file"),
        (EXTENDED_L2, "it has subclusters (extended L2 entries)"),
        (!(DIRTY | CORRUPT | EXTERNAL_DATA | COMPRESSION_TYPE | EXTENDED_L2), "it has features unknown here"),
    ];
    // A dirty disk has reference counts that are behind; they are not needed for reading.
    if let Some((_, what)) = needs.iter().find(|(bit, _)| bits & bit != 0) {
        return Err(unsupported(what));
    }
    if bits & COMPRESSION_TYPE == 0 {
        return Ok(CompressionType::Deflate);
    }
    match bytes.get(V3_LEN).filter(|_| header_length as usize > V3_LEN) {
        Some(0) => Ok(CompressionType::Deflate),
        Some(1) => Ok(CompressionType::Zstd),
        other => {
            let actual = other.map_or(0, |b| u64::from(*b));
            Err(Qcow2Error::Field { field: "compression_type", offset: V3_LEN as u64, actual })
        }
    }
}

fn truncated(needed: usize, actual: usize) -> Qcow2Error {
    Qcow2Error::Truncated { needed: needed as u64, actual: actual as u64 }
}

fn unsupported(what: &str) -> Qcow2Error {
    Qcow2Error::Unsupported { what: what.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::{CLUSTER_BITS, Counts, Layout};
    use super::*;

    fn header() -> Vec<u8> {
        let counts = Counts { table_offset: 3 << CLUSTER_BITS, table_clusters: 1 };
        Layout { size: 1 << 30, l1_offset: 2 << CLUSTER_BITS }.header(counts)
    }

    #[test]
    fn our_own_header_is_read() {
        let parsed = Header::parse(&header()).unwrap();
        let want = Header {
            version: 3,
            cluster_bits: 16,
            size: 1 << 30,
            l1_entries: 2,
            l1_offset: 0x2_0000,
            compression: CompressionType::Deflate,
            snapshots: 0,
        };
        assert_eq!(parsed, want);
    }

    #[test]
    fn bad_headers_name_the_field() {
        type Change = (usize, &'static [u8], &'static str);
        let cases: &[Change] = &[
            (0, b"X", "not a qcow2 disk: begins with 0x584649fb"),
            (4, &[0, 0, 0, 1], "qcow2 version is neither 2 nor 3: 1"),
            (
                8,
                &[1],
                "qcow2 disk can't be read by itself: it has a backing file; flatten it first with `qemu-img convert`",
            ),
            (20, &[0, 0, 0, 40], "qcow2 header field cluster_bits at 0x14 is out of range: 40"),
            (24, &[0xff], "qcow2 header field l1_size at 0x24 is out of range: 2"),
            (32, &[0, 0, 0, 1], "qcow2 disk can't be read by itself: it is encrypted"),
            (36, &[0, 0, 0, 1], "qcow2 header field l1_size at 0x24 is out of range: 1"),
            (46, &[0, 1], "qcow2 header field l1_table_offset at 0x28 is out of range: 131073"),
            (79, &[4], "qcow2 disk can't be read by itself: its data is in another file"),
            (72, &[1], "qcow2 disk can't be read by itself: it has features unknown here"),
        ];
        for (at, bytes, want) in cases {
            let mut header = header();
            header[*at..*at + bytes.len()].copy_from_slice(bytes);
            assert_eq!(Header::parse(&header).unwrap_err().to_string(), *want);
        }
        for cut in 0..V3_LEN {
            let Err(Qcow2Error::Truncated { needed, .. }) = Header::parse(&header()[..cut]) else {
                panic!("{cut}")
            };
            assert!(needed as usize > cut);
        }
    }
}
