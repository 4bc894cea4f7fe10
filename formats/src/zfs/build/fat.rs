//! Fat tables: a header with a table of pointers, and leaves of chunks (`docs/zfs-send-stream.md` §4.4–4.6).

use super::BuildError;
use super::zap::{Value, Zap};
use crate::zfs::format::{
    ZAP_ARRAY_BYTES, ZAP_CHAIN_END, ZAP_CHUNK, ZAP_CHUNK_ARRAY, ZAP_CHUNK_ENTRY, ZAP_CHUNK_FREE, ZAP_HEADER,
    ZAP_LEAF, ZAP_LEAF_MAGIC, ZAP_MAGIC, zap_hash,
};

/// log2 of a block's bytes: the size that every kernel makes.
const BLOCK_SHIFT: u32 = 14;
const BLOCK: usize = 1 << BLOCK_SHIFT;
/// log2 of a leaf's hash slots.
const SLOT_SHIFT: u32 = BLOCK_SHIFT - 5;
const SLOTS: usize = 1 << SLOT_SHIFT;
/// Where a leaf's chunks begin, and how many there are.
const CHUNKS_AT: usize = 48 + 2 * SLOTS;
const CHUNKS: usize = (BLOCK - CHUNKS_AT) / ZAP_CHUNK;
/// log2 of the pointers in the header, and in a block of an external table.
const EMBEDDED_SHIFT: u32 = BLOCK_SHIFT - 4;
const TABLE_SHIFT: u32 = BLOCK_SHIFT - 3;
/// Hash bits that there are; leaves can't be told apart by more.
const HASH_BITS: u32 = 28;
/// How much deeper than even filling a leaf may lie. Chance gives 2 or 3; beyond it the names were made to collide,
/// and the pointer table would grow without bound.
const MAX_SKEW: u32 = 8;

const _: () = assert!(CHUNKS == 638 && CHUNKS_AT == 1072);

struct Hashed<'a> {
    hash: u64,
    name: &'a [u8],
    value: &'a Value,
}

impl Value {
    /// Bytes of each number, how many there are.
    fn shape(&self) -> (usize, usize) {
        match self {
            Self::Word(_) => (8, 1),
            Self::Shorts(shorts) => (2, shorts.len()),
        }
    }

    /// Numbers in leaves are big-endian in every stream.
    fn bytes(&self) -> Vec<u8> {
        match self {
            Self::Word(word) => word.to_be_bytes().to_vec(),
            Self::Shorts(shorts) => shorts.iter().flat_map(|short| short.to_be_bytes()).collect(),
        }
    }
}

impl Hashed<'_> {
    fn chunks(&self) -> usize {
        let (len, count) = self.value.shape();
        1 + (self.name.len() + 1).div_ceil(ZAP_ARRAY_BYTES) + (len * count).div_ceil(ZAP_ARRAY_BYTES)
    }
}

/// Entries that share the first `prefix_len` bits of their hash.
struct Leaf<'a, 'b> {
    prefix: u64,
    prefix_len: u32,
    entries: &'b [Hashed<'a>],
}

pub(super) fn build(entries: &[(&[u8], Value)], salt: u64) -> Result<Zap, BuildError> {
    let mut hashed: Vec<Hashed<'_>> =
        entries.iter().map(|(name, value)| Hashed { hash: zap_hash(salt, name), name, value }).collect();
    hashed.sort_by(|a, b| (a.hash, a.name).cmp(&(b.hash, b.name)));

    let collisions = || BuildError::Collisions { entries: entries.len() };
    let even = hashed.iter().map(Hashed::chunks).sum::<usize>().div_ceil(CHUNKS).max(1);
    let limit = (even.next_power_of_two().ilog2() + MAX_SKEW).min(HASH_BITS);
    let mut leaves = Vec::new();
    // Halves are put off right before left, so leaves come out in the order of their hashes.
    let mut todo = vec![Leaf { prefix: 0, prefix_len: 0, entries: &hashed }];
    while let Some(leaf) = todo.pop() {
        if leaf.entries.iter().map(Hashed::chunks).sum::<usize>() <= CHUNKS {
            leaves.push(leaf);
            continue;
        }
        if leaf.prefix_len == limit {
            return Err(collisions());
        }
        let bit = 1 << (63 - leaf.prefix_len);
        let (left, right) = leaf.entries.split_at(leaf.entries.partition_point(|e| e.hash & bit == 0));
        let prefix_len = leaf.prefix_len + 1;
        todo.push(Leaf { prefix: leaf.prefix << 1 | 1, prefix_len, entries: right });
        todo.push(Leaf { prefix: leaf.prefix << 1, prefix_len, entries: left });
    }

    let deepest = leaves.iter().map(|leaf| leaf.prefix_len).max().unwrap_or(0);
    let is_embedded = deepest <= EMBEDDED_SHIFT;
    let shift = if is_embedded { EMBEDDED_SHIFT } else { deepest.max(TABLE_SHIFT) };
    let mut table = Vec::with_capacity(8 << shift);
    for (at, leaf) in leaves.iter().enumerate() {
        let pointer = (at as u64 + 1).to_le_bytes();
        for _ in 0..1u64 << (shift - leaf.prefix_len) {
            table.extend_from_slice(&pointer);
        }
    }

    let table_blocks = if is_embedded { 0 } else { table.len() / BLOCK };
    let used = 1 + leaves.len() + table_blocks;
    let mut header = Vec::with_capacity(BLOCK);
    for word in [
        ZAP_HEADER,
        ZAP_MAGIC,
        if is_embedded { 0 } else { 1 + leaves.len() as u64 },
        table_blocks as u64,
        shift.into(),
        0,
        0,
        used as u64,
        leaves.len() as u64,
        hashed.len() as u64,
        salt,
    ] {
        header.extend_from_slice(&word.to_le_bytes());
    }
    header.resize(BLOCK, 0);
    let mut blocks = Vec::with_capacity(used);
    if is_embedded {
        header[BLOCK / 2..].copy_from_slice(&table);
    }
    blocks.push(header);
    blocks.extend(leaves.iter().map(Leaf::block));
    if !is_embedded {
        blocks.extend(table.chunks_exact(BLOCK).map(<[u8]>::to_vec));
    }
    Ok(Zap { block_size: BLOCK as u32, blocks })
}

impl Leaf<'_, '_> {
    fn block(&self) -> Vec<u8> {
        let mut chunks = Chunks { block: vec![0; BLOCK], used: 0 };
        let mut tails = [ZAP_CHAIN_END; SLOTS];
        let mut heads = [ZAP_CHAIN_END; SLOTS];
        let mut differentiator = 0;
        for (at, entry) in self.entries.iter().enumerate() {
            let is_same = at > 0 && self.entries[at - 1].hash == entry.hash;
            differentiator = if is_same { differentiator + 1 } else { 0 };
            let chunk = chunks.take();
            let name = chunks.array(&[entry.name, &[0]].concat());
            let value = chunks.array(&entry.value.bytes());
            let (int_len, count) = entry.value.shape();
            let out = chunks.get(chunk);
            out[0] = ZAP_CHUNK_ENTRY;
            out[1] = int_len as u8;
            put(out, 2, &ZAP_CHAIN_END.to_le_bytes());
            put(out, 4, &name.to_le_bytes());
            put(out, 6, &(entry.name.len() as u16 + 1).to_le_bytes());
            put(out, 8, &value.to_le_bytes());
            put(out, 10, &(count as u16).to_le_bytes());
            put(out, 12, &u32::to_le_bytes(differentiator));
            put(out, 16, &entry.hash.to_le_bytes());
            let slot = (entry.hash >> (64 - SLOT_SHIFT - self.prefix_len)) as usize & (SLOTS - 1);
            // Entries come by hash and counter, so each goes to the end of its chain.
            match tails[slot] {
                ZAP_CHAIN_END => heads[slot] = chunk,
                last => put(chunks.get(last), 2, &chunk.to_le_bytes()),
            }
            tails[slot] = chunk;
        }
        let used = chunks.used;
        for free in used..CHUNKS as u16 {
            let next = if usize::from(free) + 1 < CHUNKS { free + 1 } else { ZAP_CHAIN_END };
            let out = chunks.get(free);
            out[0] = ZAP_CHUNK_FREE;
            put(out, 22, &next.to_le_bytes());
        }
        let mut block = chunks.block;
        let free = CHUNKS as u16 - used;
        put(&mut block, 0, &ZAP_LEAF.to_le_bytes());
        put(&mut block, 16, &self.prefix.to_le_bytes());
        put(&mut block, 24, &ZAP_LEAF_MAGIC.to_le_bytes());
        put(&mut block, 28, &free.to_le_bytes());
        put(&mut block, 30, &(self.entries.len() as u16).to_le_bytes());
        put(&mut block, 32, &(self.prefix_len as u16).to_le_bytes());
        put(&mut block, 34, &(if free > 0 { used } else { ZAP_CHAIN_END }).to_le_bytes());
        for (slot, head) in heads.iter().enumerate() {
            put(&mut block, 48 + 2 * slot, &head.to_le_bytes());
        }
        block
    }
}

fn put(out: &mut [u8], at: usize, bytes: &[u8]) {
    out[at..at + bytes.len()].copy_from_slice(bytes);
}

/// A leaf's chunks, taken in order. They were counted before, so they suffice.
struct Chunks {
    block: Vec<u8>,
    used: u16,
}

impl Chunks {
    fn take(&mut self) -> u16 {
        self.used += 1;
        self.used - 1
    }

    fn get(&mut self, chunk: u16) -> &mut [u8] {
        let at = CHUNKS_AT + ZAP_CHUNK * usize::from(chunk);
        &mut self.block[at..at + ZAP_CHUNK]
    }

    /// A chain that holds these bytes; its first chunk.
    fn array(&mut self, bytes: &[u8]) -> u16 {
        let first = self.used;
        let pieces = bytes.chunks(ZAP_ARRAY_BYTES);
        let count = pieces.len();
        for (at, piece) in pieces.enumerate() {
            let chunk = self.take();
            let next = if at + 1 < count { chunk + 1 } else { ZAP_CHAIN_END };
            let out = self.get(chunk);
            out[0] = ZAP_CHUNK_ARRAY;
            put(out, 1, piece);
            put(out, 22, &next.to_le_bytes());
        }
        if count == 0 { ZAP_CHAIN_END } else { first }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn word(block: &[u8], at: usize) -> u64 {
        u64::from_le_bytes(block[at..at + 8].try_into().unwrap())
    }

    fn short(block: &[u8], at: usize) -> u16 {
        u16::from_le_bytes(block[at..at + 2].try_into().unwrap())
    }

    /// Looks a name up as the kernel does: hash, table, leaf, chain.
    fn find(zap: &Zap, name: &[u8]) -> Option<u64> {
        let header = &zap.blocks[0];
        let hash = zap_hash(word(header, 80), name);
        let (at, shift) = (word(header, 16) as usize, word(header, 32));
        let index = (hash >> (64 - shift)) as usize;
        let pointer = match at {
            0 => word(header, BLOCK / 2 + 8 * index),
            at => word(&zap.blocks[at + index * 8 / BLOCK], index * 8 % BLOCK),
        };
        let leaf = &zap.blocks[pointer as usize];
        let prefix_len = u64::from(short(leaf, 32));
        assert_eq!(word(leaf, 16), if prefix_len == 0 { 0 } else { hash >> (64 - prefix_len) });
        let slot = (hash >> (64 - u64::from(SLOT_SHIFT) - prefix_len)) as usize & (SLOTS - 1);
        let chunk = |n: u16| &leaf[CHUNKS_AT + 24 * usize::from(n)..][..24];
        let array = |mut n: u16, len: usize| {
            let mut bytes = Vec::new();
            while n != ZAP_CHAIN_END {
                bytes.extend_from_slice(&chunk(n)[1..22]);
                n = short(chunk(n), 22);
            }
            bytes.truncate(len);
            bytes
        };
        let mut next = short(leaf, 48 + 2 * slot);
        while next != ZAP_CHAIN_END {
            let entry = chunk(next);
            if array(short(entry, 4), usize::from(short(entry, 6)) - 1) == name {
                return Some(u64::from_be_bytes(array(short(entry, 8), 8).try_into().unwrap()));
            }
            next = short(entry, 2);
        }
        None
    }

    #[test]
    fn every_name_is_found() {
        for (count, external) in [(0, false), (1, false), (5000, false), (300_000, true)] {
            let names: Vec<Vec<u8>> = (0..count).map(|i| format!("name-{i}").into_bytes()).collect();
            let entries: Vec<_> =
                names.iter().zip(0..).map(|(n, i)| (n.as_slice(), Value::Word(i))).collect();
            let zap = build(&entries, 0x1234_5677).unwrap();
            assert_eq!(word(&zap.blocks[0], 16) != 0, external, "{count} names");
            assert_eq!(word(&zap.blocks[0], 56) as usize, zap.blocks.len());
            for (at, name) in names.iter().enumerate().step_by(count as usize / 1000 + 1) {
                assert_eq!(find(&zap, name), Some(at as u64));
            }
            assert_eq!(find(&zap, b"absent"), None);
        }
    }

    #[test]
    fn names_made_to_collide_are_refused() {
        let entries = vec![(&b"same"[..], Value::Word(1)); 1000];
        assert_eq!(build(&entries, 1).unwrap_err(), BuildError::Collisions { entries: 1000 });
    }
}
