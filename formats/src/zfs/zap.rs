//! ZAP objects: the maps that directories, registries and property lists are (`docs/zfs-send-stream.md` §4).

use std::collections::BTreeSet;

use super::format::{
    MZAP_ENTRY, ZAP_ARRAY_BYTES, ZAP_CHAIN_END, ZAP_CHUNK, ZAP_CHUNK_ARRAY, ZAP_CHUNK_ENTRY, ZAP_HEADER,
    ZAP_LEAF, ZAP_LEAF_MAGIC, ZAP_MAGIC, ZAP_MICRO,
};
use super::record::Endian;

/// Longest name read: 1023 bytes and a NUL, as the `longname` feature has it.
const MAX_NAME: usize = 1024;
/// Largest value, as ZFS itself limits it.
const MAX_VALUE: usize = 8192;
/// Blocks of a fat ZAP: 512 bytes to 16 MiB.
const BLOCK_SHIFTS: std::ops::RangeInclusive<u32> = 9..=24;
/// Largest pointer table: ZFS stops growing it far below, and it has a block for every 16 KiB of it.
const MAX_TABLE_SHIFT: u64 = 34;

/// Why an object is no ZAP. Offsets are those in the object.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZapError {
    /// The first word is that of no kind of ZAP.
    #[error("no ZAP begins with the word: {found:#x}")]
    Kind {
        /// The word.
        found: u64,
    },
    /// A block size that no ZAP of this kind has.
    #[error("ZAP has an impossible block size: {size}")]
    BlockSize {
        /// The size.
        size: u32,
    },
    /// A word that is fixed has another value.
    #[error("ZAP has a wrong {what} at {offset:#x}: {found:#x}")]
    Word {
        /// Which.
        what: &'static str,
        /// Where.
        offset: u64,
        /// What is there.
        found: u64,
    },
    /// A number of entries that is not what there are.
    #[error("ZAP counts {expected} {what} and has {actual}")]
    Count {
        /// Of what.
        what: &'static str,
        /// Number in the header.
        expected: u64,
        /// Number found.
        actual: u64,
    },
    /// A chain of chunks that leaves its block or goes round.
    #[error("ZAP leaf at {offset:#x} has a broken chain")]
    Chain {
        /// Where the leaf begins.
        offset: u64,
    },
    /// A name that is empty or too long, or has no end.
    #[error("ZAP has a malformed name at {offset:#x}")]
    Name {
        /// Where, or where its leaf begins.
        offset: u64,
    },
    /// A value too long, or of integers of an odd size.
    #[error("ZAP has a malformed value in the leaf at {offset:#x}")]
    Value {
        /// Where its leaf begins.
        offset: u64,
    },
}

/// One entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// The name, without its NUL. It may hold anything else: directories must check it.
    pub name: Vec<u8>,
    /// Bytes of each integer: 1, 2, 4 or 8.
    pub int_len: u8,
    /// The integers.
    pub values: Vec<u64>,
}

impl Entry {
    /// The value, when it is one integer.
    pub fn single(&self) -> Option<u64> {
        if let [value] = self.values[..] { Some(value) } else { None }
    }
}

/// Where a ZAP's blocks come from.
pub trait Blocks {
    /// How it fails.
    type Error: From<ZapError>;

    /// Fills `out`, one block long, with that block; zeros where nothing was written. Returns the byte order of the
    /// block: an increment may come from a host of another one than its base.
    fn read(&mut self, number: u64, out: &mut [u8]) -> Result<Endian, Self::Error>;
}

/// Reads all entries. `block_size` is that of the object, `blocks` the number that it has. `each` gets the entries in no order that means anything; a directory of any size needs two blocks of memory
/// and 8 bytes a leaf.
pub fn read<B: Blocks>(
    block_size: u32,
    blocks: u64,
    source: &mut B,
    each: &mut dyn FnMut(Entry) -> Result<(), B::Error>,
) -> Result<(), B::Error> {
    if block_size < 512 || block_size > 1 << BLOCK_SHIFTS.end() {
        return Err(ZapError::BlockSize { size: block_size }.into());
    }
    let mut first = vec![0; block_size as usize];
    let order = source.read(0, &mut first)?;
    match order.u64(&first, 0) {
        ZAP_MICRO => micro(order, &first, each),
        ZAP_HEADER => Fat::open(order, first, blocks)?.read(source, each),
        found => Err(ZapError::Kind { found }.into()),
    }
}

/// Reads all entries of an object at hand, its blocks one after another.
pub fn parse(order: Endian, block_size: u32, object: &[u8]) -> Result<Vec<Entry>, ZapError> {
    struct Memory<'a>(Endian, &'a [u8]);
    impl Blocks for Memory<'_> {
        type Error = ZapError;
        fn read(&mut self, number: u64, out: &mut [u8]) -> Result<Endian, ZapError> {
            let at = usize::try_from(number).ok().and_then(|n| n.checked_mul(out.len()));
            let block = at.and_then(|at| self.1.get(at..));
            out.fill(0);
            for (to, from) in out.iter_mut().zip(block.unwrap_or_default()) {
                *to = *from;
            }
            Ok(self.0)
        }
    }
    let mut entries = Vec::new();
    let blocks = (object.len() as u64).div_ceil(u64::from(block_size.max(1)));
    read(block_size, blocks, &mut Memory(order, object), &mut |entry| {
        entries.push(entry);
        Ok(())
    })?;
    Ok(entries)
}

fn micro<E: From<ZapError>>(
    order: Endian,
    block: &[u8],
    each: &mut dyn FnMut(Entry) -> Result<(), E>,
) -> Result<(), E> {
    let (slots, _) = block.as_chunks::<MZAP_ENTRY>();
    for (number, slot) in slots.iter().enumerate().skip(1) {
        let field = &slot[14..];
        if field[0] == 0 {
            continue;
        }
        let offset = (number * MZAP_ENTRY) as u64;
        let len = field.iter().position(|&b| b == 0).ok_or(ZapError::Name { offset })?;
        let name = field[..len].to_vec();
        each(Entry { name, int_len: 8, values: vec![order.u64(slot, 0)] })?;
    }
    Ok(())
}

/// A fat ZAP's header, checked.
struct Fat {
    order: Endian,
    shift: u32,
    head: Vec<u8>,
    table_block: u64,
    table_blocks: u64,
    table_shift: u32,
    blocks: u64,
}

/// What is wrong with a word, as an error.
fn word<T>(what: &'static str, offset: u64, found: u64) -> Result<T, ZapError> {
    Err(ZapError::Word { what, offset, found })
}

impl Fat {
    fn open(order: Endian, head: Vec<u8>, present: u64) -> Result<Self, ZapError> {
        let size = u32::try_from(head.len()).unwrap_or(u32::MAX);
        let shift = size.trailing_zeros();
        if !size.is_power_of_two() || !BLOCK_SHIFTS.contains(&shift) {
            return Err(ZapError::BlockSize { size });
        }
        let at = |offset: usize| order.u64(&head, offset);
        if at(8) != ZAP_MAGIC {
            return word("magic", 8, at(8));
        }
        let (table_block, table_blocks, table_shift, blocks) = (at(16), at(24), at(32), at(56));
        if blocks > present {
            return word("number of blocks", 56, blocks);
        }
        let want = match table_blocks {
            0 => u64::from(shift) - 4,
            n if n.is_power_of_two() && n <= blocks => u64::from(shift) - 3 + u64::from(n.trailing_zeros()),
            n => return word("size of its pointer table", 24, n),
        };
        if table_shift != want || table_shift > MAX_TABLE_SHIFT {
            return word("shift of its pointer table", 32, table_shift);
        }
        if table_blocks > 0 && (table_block == 0 || table_block > blocks - table_blocks) {
            return word("place of its pointer table", 16, table_block);
        }
        let table_shift = table_shift as u32;
        Ok(Self { order, shift, head, table_block, table_blocks, table_shift, blocks })
    }

    fn read<B: Blocks>(
        &self,
        source: &mut B,
        each: &mut dyn FnMut(Entry) -> Result<(), B::Error>,
    ) -> Result<(), B::Error> {
        // Leaves by number, each with the first table entry that names it: that tells its prefix.
        let mut leaves: BTreeSet<u64> = BTreeSet::new();
        let mut order_of_table: Vec<(u64, u64)> = Vec::new();
        let mut collect = |order: Endian, table: &[u8], first: u64| -> Result<(), ZapError> {
            for (i, entry) in table.as_chunks::<8>().0.iter().enumerate() {
                let leaf = order.u64(entry, 0);
                if order_of_table.last().is_some_and(|(last, _)| *last == leaf) {
                    continue;
                }
                // A leaf that comes again after another one has no prefix that both places share.
                if leaf == 0 || leaf >= self.blocks || !leaves.insert(leaf) {
                    return word("leaf number in its pointer table", (i * 8) as u64, leaf);
                }
                order_of_table.push((leaf, first + i as u64));
            }
            Ok(())
        };
        let size = 1usize << self.shift;
        let mut block = vec![0; size];
        if self.table_blocks == 0 {
            collect(self.order, &self.head[size / 2..], 0)?;
        }
        for number in 0..self.table_blocks {
            let order = source.read(self.table_block + number, &mut block)?;
            collect(order, &block, number * (size as u64 / 8))?;
        }
        let mut entries = 0;
        for (number, index) in &order_of_table {
            let order = source.read(*number, &mut block)?;
            entries += self.leaf(order, &block, *number, *index, each)?;
        }
        let count = |what, offset, actual| match self.order.u64(&self.head, offset) {
            expected if expected == actual => Ok(()),
            expected => Err(ZapError::Count { what, expected, actual }),
        };
        count("leaves", 64, order_of_table.len() as u64)?;
        count("entries", 72, entries)?;
        Ok(())
    }

    /// Reads one leaf; the number of its entries.
    fn leaf<E: From<ZapError>>(
        &self,
        order: Endian,
        block: &[u8],
        number: u64,
        index: u64,
        each: &mut dyn FnMut(Entry) -> Result<(), E>,
    ) -> Result<u64, E> {
        let offset = number << self.shift;
        let slots = 1usize << (self.shift - 5);
        let area = 48 + 2 * slots;
        let leaf = Leaf {
            order,
            chunks: block.get(area..).unwrap_or_default(),
            // Of the largest blocks only so many chunks can be named by 16 bits.
            count: (((block.len() - 2 * slots) / ZAP_CHUNK) - 2).min(usize::from(ZAP_CHAIN_END)),
            offset,
        };
        let checks = [
            ("leaf type", 0, order.u64(block, 0), ZAP_LEAF),
            ("leaf magic", 24, order.u32(block, 24).into(), ZAP_LEAF_MAGIC.into()),
        ];
        for (what, at, found, want) in checks {
            if found != want {
                word(what, offset + at, found)?;
            }
        }
        let (prefix, prefix_len) = (order.u64(block, 16), u32::from(order.u16(block, 32)));
        if prefix_len > self.table_shift {
            word("prefix length", offset + 32, prefix_len.into())?;
        }
        if index >> (self.table_shift - prefix_len) != prefix {
            word("prefix", offset + 16, prefix)?;
        }
        let mut found = 0u64;
        for slot in 0..slots {
            let mut chunk = order.u16(block, 48 + 2 * slot);
            while chunk != ZAP_CHAIN_END {
                // All chains together can't have more entries than there are chunks.
                if found > leaf.count as u64 {
                    Err(ZapError::Chain { offset })?;
                }
                let (entry, next) = leaf.entry(chunk)?;
                each(entry)?;
                found += 1;
                chunk = next;
            }
        }
        let expected = u64::from(order.u16(block, 30));
        if expected != found {
            Err(ZapError::Count { what: "entries in a leaf", expected, actual: found })?;
        }
        Ok(found)
    }
}

/// The chunks of a leaf.
struct Leaf<'a> {
    order: Endian,
    chunks: &'a [u8],
    count: usize,
    offset: u64,
}

impl Leaf<'_> {
    fn chunk(&self, number: u16, kind: u8) -> Result<&[u8], ZapError> {
        let at = usize::from(number) * ZAP_CHUNK;
        let chunk = self.chunks.get(at..at + ZAP_CHUNK).filter(|c| c[0] == kind);
        chunk.filter(|_| usize::from(number) < self.count).ok_or(ZapError::Chain { offset: self.offset })
    }

    /// An entry and the next one of its chain.
    fn entry(&self, number: u16) -> Result<(Entry, u16), ZapError> {
        let chunk = self.chunk(number, ZAP_CHUNK_ENTRY)?;
        let at = |offset| self.order.u16(chunk, offset);
        let (int_len, next) = (chunk[1], at(2));
        let bad_name = ZapError::Name { offset: self.offset };
        let bad_value = ZapError::Value { offset: self.offset };
        let name_len = usize::from(at(6));
        if name_len > MAX_NAME {
            return Err(bad_name);
        }
        let name = self.array(at(4), name_len)?;
        let name = name.split_last().filter(|(nul, name)| **nul == 0 && !name.is_empty()).ok_or(bad_name)?.1;
        let value_len = usize::from(at(10)) * usize::from(int_len);
        if !matches!(int_len, 1 | 2 | 4 | 8) || value_len > MAX_VALUE {
            return Err(bad_value);
        }
        let raw = if value_len == 0 { Vec::new() } else { self.array(at(8), value_len)? };
        let big_endian = |bytes: &[u8]| bytes.iter().fold(0, |n, &byte| n << 8 | u64::from(byte));
        let values = raw.chunks_exact(usize::from(int_len)).map(big_endian).collect();
        Ok((Entry { name: name.to_vec(), int_len, values }, next))
    }

    /// Bytes that are spread over a chain of array chunks. The chain can't go round: each chunk takes its part of
    /// `len`.
    fn array(&self, mut number: u16, len: usize) -> Result<Vec<u8>, ZapError> {
        let mut out = Vec::with_capacity(len);
        while out.len() < len {
            let chunk = self.chunk(number, ZAP_CHUNK_ARRAY)?;
            let n = (len - out.len()).min(ZAP_ARRAY_BYTES);
            out.extend_from_slice(&chunk[1..=n]);
            number = self.order.u16(chunk, 22);
        }
        Ok(out)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn micro_zap(order: Endian) -> Vec<u8> {
        let put = |n: u64| if order == Endian::Little { n.to_le_bytes() } else { n.to_be_bytes() };
        let mut block = vec![0; 512];
        block[..8].copy_from_slice(&put(ZAP_MICRO));
        for (slot, name, value) in [(1, &b"ROOT"[..], 34), (3, b"VERSION", 5)] {
            block[slot * 64..][..8].copy_from_slice(&put(value));
            block[slot * 64 + 14..][..name.len()].copy_from_slice(name);
        }
        block
    }

    #[test]
    fn micro_zaps_of_either_order() {
        for order in [Endian::Little, Endian::Big] {
            let got = parse(order, 512, &micro_zap(order)).unwrap();
            let got: Vec<_> = got.iter().map(|e| (&e.name[..], e.single())).collect();
            assert_eq!(got, [(&b"ROOT"[..], Some(34)), (b"VERSION", Some(5))]);
        }
        let mut endless = micro_zap(Endian::Little);
        endless[64 + 14..128].fill(b'x');
        assert_eq!(parse(Endian::Little, 512, &endless), Err(ZapError::Name { offset: 64 }));
    }

    /// A fat ZAP of 1 KiB blocks with one leaf: `2` to [5, 6, 0x102] in 16 bits, and a long name.
    fn fat_zap() -> Vec<u8> {
        let mut zap = vec![0; 2048];
        let mut put = |at: usize, bytes: &[u8]| zap[at..at + bytes.len()].copy_from_slice(bytes);
        for (at, n) in [(0, ZAP_HEADER), (8, ZAP_MAGIC), (32, 6), (56, 2), (64, 1), (72, 2), (80, 1)] {
            put(at, &n.to_le_bytes());
        }
        for i in 0..64 {
            put(512 + i * 8, &1u64.to_le_bytes());
        }
        put(1024, &ZAP_LEAF.to_le_bytes());
        put(1024 + 24, &ZAP_LEAF_MAGIC.to_le_bytes());
        put(1024 + 30, &2u16.to_le_bytes());
        put(1024 + 48, &[0xff; 64]);
        put(1024 + 48 + 6, &[0, 0]);
        let chunk = |n: usize| 1024 + 48 + 64 + 24 * n;
        // Entry 0 and 3 in one chain; names in 1 and 4-5, values in 2 and 6.
        let entry = |next: u16, name: u16, len: u16, int_len: u8, value: u16, count: u16| {
            let words = [next, name, len, value, count].map(u16::to_le_bytes).concat();
            [&[ZAP_CHUNK_ENTRY, int_len], &words[..], &[0; 12]].concat()
        };
        put(chunk(0), &entry(3, 1, 2, 2, 2, 3));
        put(chunk(1), b"\xfb2\0");
        put(chunk(2), b"\xfb\0\x05\0\x06\x01\x02");
        put(chunk(3), &entry(ZAP_CHAIN_END, 4, 31, 8, 6, 1));
        put(chunk(4), b"\xfbnnnnnnnnnnnnnnnnnnnnn\x05\0");
        put(chunk(5), b"\xfbnnnnnnnnn\0");
        put(chunk(6), b"\xfb\0\0\0\0\0\0\0\x2a");
        zap
    }

    #[test]
    fn fat_zaps_and_what_is_wrong_with_them() {
        let zap = fat_zap();
        let got = parse(Endian::Little, 1024, &zap).unwrap();
        assert_eq!(got[0], Entry { name: b"2".to_vec(), int_len: 2, values: vec![5, 6, 0x102] });
        assert_eq!(got[1], Entry { name: vec![b'n'; 30], int_len: 8, values: vec![42] });

        let damage: &[(usize, u8, &str)] = &[
            (0, 9, "begins with"),
            (8, 1, "wrong magic"),
            (32, 7, "shift of its pointer table"),
            (24, 3, "size of its pointer table"),
            (56, 3, "number of blocks"),
            (512, 2, "leaf number"),
            (512, 0, "leaf number"),
            (64, 2, "counts 2 leaves"),
            (72, 3, "counts 3 entries"),
            (1024, 1, "leaf type"),
            (1024 + 16, 1, "wrong prefix"),
            (1024 + 30, 3, "entries in a leaf"),
            (1024 + 32, 7, "prefix length"),
            (1136 + 3 * 24 + 2, 0, "broken chain"),
            (1136 + 22, 0, ""),
            (1136 + 1, 3, "malformed value"),
            (1136 + 6, 1, "malformed name"),
            (1136 + 4, 200, "broken chain"),
            (1136 + 4 * 24 + 22, 3, "broken chain"),
        ];
        for (at, byte, want) in damage {
            let mut bad = zap.clone();
            bad[*at] = *byte;
            if *at == 1136 + 3 * 24 + 2 {
                bad[*at + 1] = 0;
            }
            match parse(Endian::Little, 1024, &bad) {
                Ok(_) => assert_eq!(*want, "", "at {at}"),
                Err(e) => assert!(!want.is_empty() && e.to_string().contains(want), "at {at}: {e}"),
            }
        }
        assert!(parse(Endian::Little, 1000, &zap).is_err());
    }
}
