//! What is written: version 3 without any feature, clusters of 64 KiB, reference counts of 16 bits. Data comes
//! first, each L2 table behind the data it maps, then the L1 table and the reference counts; only the header is
//! written last, at the start.

use super::cluster::COPIED;
use super::header::MAGIC;

/// Clusters of 64 KiB: QEMU's default.
pub const CLUSTER_BITS: u32 = 16;
const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Counts in a cluster of them, each of two bytes.
const COUNTS_PER_BLOCK: u64 = CLUSTER / 2;
/// Entries in a table of a cluster, each of eight bytes.
const ENTRIES_PER_TABLE: u64 = CLUSTER / 8;

/// What the header says besides the reference counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Layout {
    /// Bytes of the disk, a multiple of 512.
    pub size: u64,
    /// Where the L1 table stands.
    pub l1_offset: u64,
}

/// Where the reference counts stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counts {
    /// The table that points to the blocks of counts.
    pub table_offset: u64,
    /// Clusters of it.
    pub table_clusters: u32,
}

impl Layout {
    /// Entries of the L1 table.
    pub fn l1_entries(size: u64) -> u64 {
        size.div_ceil(CLUSTER * ENTRIES_PER_TABLE)
    }

    /// The first cluster.
    pub fn header(self, counts: Counts) -> Vec<u8> {
        let mut out = Vec::with_capacity(CLUSTER as usize);
        let l1_entries = u32::try_from(Self::l1_entries(self.size)).unwrap_or(u32::MAX);
        for field in [MAGIC, 3] {
            out.extend(field.to_be_bytes());
        }
        out.extend([0; 12]); // no backing file
        out.extend(CLUSTER_BITS.to_be_bytes());
        out.extend(self.size.to_be_bytes());
        out.extend([0; 4]); // not encrypted
        out.extend(l1_entries.to_be_bytes());
        out.extend(self.l1_offset.to_be_bytes());
        out.extend(counts.table_offset.to_be_bytes());
        out.extend(counts.table_clusters.to_be_bytes());
        out.extend([0; 12]); // no snapshots
        out.extend([0; 24]); // no features
        out.extend(4u32.to_be_bytes()); // counts of 2^4 bits
        out.extend(112u32.to_be_bytes()); // header_length
        out.extend([0; 8]); // deflate, padding
        out.extend([0; 8]); // end of header extensions
        out.resize(CLUSTER as usize, 0);
        out
    }

    /// An entry of either table for a cluster that only it points to.
    pub fn entry(offset: u64) -> [u8; 8] {
        (COPIED | offset).to_be_bytes()
    }
}

impl Counts {
    /// For a file of `used` clusters so far: the table's clusters and the blocks behind it, which count themselves.
    pub fn for_clusters(used: u64) -> (Self, u64) {
        let (mut table, mut blocks) = (1, 1);
        loop {
            let needed = (used + table + blocks).div_ceil(COUNTS_PER_BLOCK);
            let needed_table = needed.div_ceil(ENTRIES_PER_TABLE);
            if (needed_table, needed) == (table, blocks) {
                let table_clusters = u32::try_from(table).unwrap_or(u32::MAX);
                return (Self { table_offset: used * CLUSTER, table_clusters }, blocks);
            }
            (table, blocks) = (needed_table.max(table), needed.max(blocks));
        }
    }

    /// The table: one entry a block, whole clusters.
    pub fn table(self, blocks: u64) -> Vec<u8> {
        let first = self.table_offset + u64::from(self.table_clusters) * CLUSTER;
        let mut out: Vec<u8> = (0..blocks).flat_map(|n| (first + n * CLUSTER).to_be_bytes()).collect();
        out.resize(self.table_clusters as usize * CLUSTER as usize, 0);
        out
    }
}

/// The `index`th block of counts of a file of `total` clusters, each in use once.
pub fn refcount_block(index: u64, total: u64) -> Vec<u8> {
    let ones = total.saturating_sub(index * COUNTS_PER_BLOCK).min(COUNTS_PER_BLOCK);
    let mut out = [0, 1].repeat(ones as usize);
    out.resize(CLUSTER as usize, 0);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_count_themselves() {
        for used in
            [1, 2, COUNTS_PER_BLOCK - 2, COUNTS_PER_BLOCK - 1, COUNTS_PER_BLOCK, 40 * COUNTS_PER_BLOCK]
        {
            let (counts, blocks) = Counts::for_clusters(used);
            let total = used + u64::from(counts.table_clusters) + blocks;
            assert!(blocks * COUNTS_PER_BLOCK >= total, "{used}");
            assert!((blocks - 1) * COUNTS_PER_BLOCK < total, "{used}: a block too many");
            assert_eq!(counts.table(blocks).len() as u64, u64::from(counts.table_clusters) * CLUSTER);
            let ones: usize =
                (0..blocks).map(|n| refcount_block(n, total).iter().filter(|b| **b == 1).count()).sum();
            assert_eq!(ones as u64, total);
        }
    }
}
