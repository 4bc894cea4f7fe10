//! Entries of the two tables.

use super::{Header, Qcow2Error};

/// Bits of an entry that are an offset in the file.
const OFFSET: u64 = 0x00ff_ffff_ffff_fe00;
/// The cluster has a reference count of one.
pub(super) const COPIED: u64 = 1 << 63;
/// The cluster is compressed.
const COMPRESSED: u64 = 1 << 62;
/// The cluster reads as zeros, whatever is at its offset (version 3).
const ZERO: u64 = 1;

/// Where a cluster's bytes are.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Cluster {
    /// Nowhere: zeros.
    Hole,
    /// In the file, as they are.
    Data {
        /// Their first byte.
        offset: u64,
    },
    /// In the file, compressed.
    Compressed {
        /// The first byte.
        offset: u64,
        /// Bytes of which the compressed data is a prefix.
        len: u64,
    },
}

/// Reads the L1 entry that stands at `at`: the offset of an L2 table, if there is one.
pub fn l1_entry(header: &Header, entry: u64, at: u64) -> Result<Option<u64>, Qcow2Error> {
    let offset = entry & OFFSET;
    if !offset.is_multiple_of(header.cluster_size()) {
        return Err(Qcow2Error::Entry { table: "L1", offset: at, actual: entry });
    }
    Ok((offset != 0).then_some(offset))
}

/// Reads the L2 entry that stands at `at`.
pub fn l2_entry(header: &Header, entry: u64, at: u64) -> Result<Cluster, Qcow2Error> {
    let damaged = || Qcow2Error::Entry { table: "L2", offset: at, actual: entry };
    if entry & COMPRESSED != 0 {
        // The number of further 512-byte sectors takes the upper bits, one more for every doubling of clusters.
        let bits = 62 - (header.cluster_bits - 8);
        let offset = entry & ((1 << bits) - 1);
        let sectors = (entry & (COMPRESSED - 1)) >> bits;
        return Ok(Cluster::Compressed { offset, len: (sectors + 1) * 512 - offset % 512 });
    }
    if header.version >= 3 && entry & ZERO != 0 {
        return Ok(Cluster::Hole);
    }
    match entry & OFFSET {
        0 => Ok(Cluster::Hole),
        offset if offset.is_multiple_of(header.cluster_size()) => Ok(Cluster::Data { offset }),
        _ => Err(damaged()),
    }
}

#[cfg(test)]
mod tests {
    use super::super::CompressionType;
    use super::*;

    #[test]
    fn entries_are_told_apart() {
        let header = |version| Header {
            version,
            cluster_bits: 16,
            size: 1 << 30,
            l1_entries: 2,
            l1_offset: 1 << 16,
            compression: CompressionType::Deflate,
            snapshots: 0,
        };
        let cases = [
            (3, 0, Some(Cluster::Hole)),
            (3, COPIED | 0x5_0000, Some(Cluster::Data { offset: 0x5_0000 })),
            (3, 0x5_0001, Some(Cluster::Hole)),
            (2, 0x5_0001, Some(Cluster::Data { offset: 0x5_0000 })),
            (3, 0x5_0200, None),
            (
                3,
                COMPRESSED | 2 << 54 | 0x5_0010,
                Some(Cluster::Compressed { offset: 0x5_0010, len: 3 * 512 - 16 }),
            ),
        ];
        for (version, entry, want) in cases {
            assert_eq!(l2_entry(&header(version), entry, 0).ok(), want, "{entry:#x}");
        }
        assert_eq!(l1_entry(&header(3), COPIED | 0x3_0000, 0), Ok(Some(0x3_0000)));
        assert_eq!(l1_entry(&header(3), 0, 0), Ok(None));
        assert!(l1_entry(&header(3), 0x3_0200, 8).is_err());
    }
}
