//! Tables of names (`docs/zfs-send-stream.md` §4), written from scratch: the small form where it will do.

use std::collections::BTreeMap;

use super::{BuildError, fat};
use crate::zfs::format::{BLOCK_MAX, BLOCK_MIN, MAX_NAME, MZAP_ENTRY, MZAP_NAME, ZAP_MICRO, zap_hash};

/// A table as an object holds it: blocks of one size.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Zap {
    /// Bytes of each block.
    pub block_size: u32,
    /// All of them.
    pub blocks: Vec<Vec<u8>>,
}

/// What a name leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// One 64-bit number.
    Word(u64),
    /// 16-bit numbers: only a fat table holds them.
    Shorts(Vec<u16>),
}

/// Most entries of a small table, which is one block.
const MAX_MICRO: usize = BLOCK_MAX as usize / MZAP_ENTRY - 1;
/// Names of one hash in a small table. The kernel makes it a fat one sooner or later and then must hold them in
/// one leaf.
const MAX_SAME_HASH: u32 = 64;

/// A salt that is the object's own and the same each time; kernels use odd ones.
pub fn salt(object: u64) -> u64 {
    // Knuth's multiplicative hash spreads small numbers over all bits.
    object.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1
}

/// A table of 64-bit numbers: micro if possible, else fat. Names must be distinct.
pub fn build(entries: &[(&[u8], u64)], salt: u64) -> Result<Zap, BuildError> {
    if let Some((name, _)) = entries.iter().find(|(name, _)| name.len() > MAX_NAME) {
        return Err(BuildError::NameTooLong { length: name.len(), limit: MAX_NAME });
    }
    if entries.len() <= MAX_MICRO && entries.iter().all(|(name, _)| name.len() < MZAP_NAME) {
        return micro(entries, salt);
    }
    let entries: Vec<_> = entries.iter().map(|(name, value)| (*name, Value::Word(*value))).collect();
    fat::build(&entries, salt)
}

/// A fat table, which holds any value.
pub fn build_fat(entries: &[(&[u8], Value)], salt: u64) -> Result<Zap, BuildError> {
    fat::build(entries, salt)
}

fn micro(entries: &[(&[u8], u64)], salt: u64) -> Result<Zap, BuildError> {
    let size = (MZAP_ENTRY * (entries.len() + 1)).next_multiple_of(BLOCK_MIN as usize);
    let mut block = vec![0; size];
    block[..8].copy_from_slice(&ZAP_MICRO.to_le_bytes());
    block[8..16].copy_from_slice(&salt.to_le_bytes());
    // Entries of one hash are told apart by a counter; kernels drop one of two that have the same.
    let mut seen: BTreeMap<u64, u32> = BTreeMap::new();
    for ((name, value), slot) in entries.iter().zip(block[MZAP_ENTRY..].chunks_exact_mut(MZAP_ENTRY)) {
        let differentiator = seen.entry(zap_hash(salt, name)).or_default();
        slot[..8].copy_from_slice(&value.to_le_bytes());
        slot[8..12].copy_from_slice(&differentiator.to_le_bytes());
        slot[14..14 + name.len()].copy_from_slice(name);
        *differentiator += 1;
        if *differentiator > MAX_SAME_HASH {
            return Err(BuildError::Collisions { entries: entries.len() });
        }
    }
    Ok(Zap { block_size: size as u32, blocks: vec![block] })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn form_follows_the_names() {
        let long = [b'n'; MZAP_NAME];
        type Case<'a> = (&'a [(&'a [u8], u64)], usize, u32);
        let cases: &[Case<'_>] = &[
            (&[], 1, 512),
            (&[(&b"a"[..], 1); 7], 1, 512),
            (&[(&b"a"[..], 1); 8], 1, 1024),
            (&[(&long[1..], 1)], 1, 512),
            (&[(&long, 1)], 2, 16_384),
        ];
        for (entries, blocks, size) in cases {
            let zap = build(entries, 1).unwrap();
            assert_eq!((zap.blocks.len(), zap.block_size), (*blocks, *size), "{} entries", entries.len());
            assert!(zap.blocks.iter().all(|b| b.len() == *size as usize));
        }
        let error = build(&[(&[b'n'; 256], 1)], 1).unwrap_err();
        assert_eq!(error.to_string(), "name is longer than 255 bytes: 256");
    }

    #[test]
    fn equal_hashes_are_told_apart() {
        let zap = build(&[(b"same", 1), (b"same", 2)], 99).unwrap();
        assert_eq!((zap.blocks[0][64 + 8], zap.blocks[0][128 + 8]), (0, 1));
        assert!(build(&[(&b"same"[..], 1); 65], 99).is_err());
    }
}
