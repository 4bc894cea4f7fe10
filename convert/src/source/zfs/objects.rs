//! The objects of one snapshot: what a dataset is after a stream was applied. Copies share what they have in common.

use std::collections::BTreeMap;
use std::sync::Arc;

use aurora_formats::zfs::block::BlockCodec;
use aurora_formats::zfs::format::{SA_MAGIC, object_type};
use aurora_formats::zfs::record::Endian;

/// Objects of neighbouring numbers are shared by so many bits of them.
const CHUNK_BITS: u32 = 7;

/// A range of an input's kept payloads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Stored {
    /// Which input, and in which byte order: see [`source`].
    pub(super) source: u32,
    /// How it is packed.
    pub(super) codec: BlockCodec,
    /// Bytes there.
    pub(super) stored: u32,
    /// Bytes unpacked.
    pub(super) logical: u32,
    /// First byte.
    pub(super) at: u64,
}

/// The number of an input's streams of one byte order.
pub(super) fn source(input: u32, order: Endian) -> u32 {
    input * 2 + u32::from(order == Endian::Big)
}

impl Stored {
    /// Byte order of its integers.
    pub(super) fn order(&self) -> Endian {
        if self.source & 1 == 1 { Endian::Big } else { Endian::Little }
    }

    /// Number of its input.
    pub(super) fn input(&self) -> usize {
        self.source as usize / 2
    }
}

/// Data in an object. Ranges of holes are in none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Extent {
    /// First byte in the object.
    pub(super) offset: u64,
    /// Bytes.
    pub(super) len: u32,
    /// Bytes of the unpacked block before them.
    pub(super) skip: u32,
    /// The block.
    pub(super) data: Stored,
}

impl Extent {
    /// One past the last byte. The parser has seen that it does not overflow.
    pub(super) fn end(&self) -> u64 {
        self.offset.saturating_add(u64::from(self.len))
    }

    /// The part of it within `from..to`, which must overlap it.
    pub(super) fn cut(&self, from: u64, to: u64) -> Self {
        let (from, to) = (from.max(self.offset), to.min(self.end()));
        let skipped = from.saturating_sub(self.offset) as u32;
        let len = to.saturating_sub(from) as u32;
        Self { offset: from, len, skip: self.skip + skipped, data: self.data }
    }
}

/// One object.
#[derive(Debug, Clone)]
pub(super) struct Object {
    /// `object_type::*`.
    pub(super) kind: u32,
    /// Bytes of a block.
    pub(super) block_size: u32,
    /// 512-byte slots of its dnode.
    pub(super) slots: u8,
    /// Type of the bonus.
    pub(super) bonus_type: u32,
    /// Byte order of the bonus.
    pub(super) order: Endian,
    /// The bonus.
    pub(super) bonus: Box<[u8]>,
    /// The block of attributes that the bonus had no room for.
    pub(super) spill: Option<Stored>,
    /// The data, ascending, without overlap.
    pub(super) extents: Vec<Extent>,
}

impl Object {
    /// Whether there is data beyond the first block.
    pub(super) fn has_several_blocks(&self) -> bool {
        self.extents.last().is_some_and(|e| e.end() > u64::from(self.block_size))
    }

    /// Blocks up to the last one with data.
    pub(super) fn blocks(&self) -> u64 {
        self.extents.last().map_or(0, |e| e.end().div_ceil(u64::from(self.block_size.max(1))))
    }

    /// The generation, from where receivers take it: at a fixed place, whatever the layout says.
    pub(super) fn generation(&self) -> u64 {
        match self.bonus_type {
            object_type::SA => {
                let is_little = Endian::Little.u32(&self.bonus, 0) == SA_MAGIC;
                let order = if is_little { Endian::Little } else { Endian::Big };
                let header = usize::from(order.u16(&self.bonus, 4) >> 10) * 8;
                order.u64(&self.bonus, header + 16)
            }
            object_type::ZNODE => self.order.u64(&self.bonus, 64),
            _ => 0,
        }
    }

    /// Block pointers that a receiver gives the dnode.
    pub(super) fn block_pointers(&self) -> usize {
        match self.bonus_type {
            object_type::SA => 1,
            _ => (1 + (320 - self.bonus.len().min(320)) / 128).min(3),
        }
    }
}

type Chunk = BTreeMap<u64, Arc<Object>>;

/// All objects of a snapshot, by number.
#[derive(Debug, Clone, Default)]
pub(super) struct ObjectSet {
    chunks: BTreeMap<u64, Arc<Chunk>>,
}

impl ObjectSet {
    /// An object.
    pub(super) fn get(&self, number: u64) -> Option<&Arc<Object>> {
        self.chunks.get(&(number >> CHUNK_BITS))?.get(&number)
    }

    /// An object, to be changed, and how many extents had to be copied for that.
    pub(super) fn get_mut(&mut self, number: u64) -> Option<(&mut Object, usize)> {
        let chunk = self.chunks.get_mut(&(number >> CHUNK_BITS))?;
        if !chunk.contains_key(&number) {
            return None;
        }
        let object = Arc::make_mut(chunk).get_mut(&number)?;
        let copied = if Arc::get_mut(object).is_some() { 0 } else { object.extents.len() };
        Some((Arc::make_mut(object), copied))
    }

    /// Puts an object in the place of whatever had its number.
    pub(super) fn insert(&mut self, number: u64, object: Object) {
        let chunk = self.chunks.entry(number >> CHUNK_BITS).or_default();
        Arc::make_mut(chunk).insert(number, Arc::new(object));
    }

    /// Removes the objects `first..=last`, looking only at those that exist.
    pub(super) fn remove(&mut self, first: u64, last: u64) {
        if first > last {
            return;
        }
        let mut empty = Vec::new();
        for (id, chunk) in self.chunks.range_mut(first >> CHUNK_BITS..=last >> CHUNK_BITS) {
            let numbers: Vec<u64> = chunk.range(first..=last).map(|(number, _)| *number).collect();
            if numbers.is_empty() {
                continue;
            }
            let chunk = Arc::make_mut(chunk);
            for number in numbers {
                chunk.remove(&number);
            }
            if chunk.is_empty() {
                empty.push(*id);
            }
        }
        for id in empty {
            self.chunks.remove(&id);
        }
    }

    /// Entries that a copy of this set has of its own.
    pub(super) fn width(&self) -> usize {
        self.chunks.len()
    }
}

/// A change of an object's data: a range and what is there now; `None` is a hole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Change {
    /// First byte.
    pub(super) from: u64,
    /// One past the last.
    pub(super) to: u64,
    /// The data, of just that range.
    pub(super) data: Option<Extent>,
}

/// Lays changes, ascending and without overlap, over extents that are so too.
pub(super) fn overlay(base: Vec<Extent>, changes: &[Change]) -> Vec<Extent> {
    let simple = base.last().zip(changes.first()).is_none_or(|(last, first)| last.end() <= first.from);
    if simple {
        let mut out = base;
        if out.is_empty() {
            // Most files have one extent, and there are many of them.
            out.reserve_exact(changes.iter().filter(|c| c.data.is_some()).count());
        }
        out.extend(changes.iter().filter_map(|c| c.data));
        return out;
    }
    let mut out = Vec::with_capacity(base.len() + changes.len());
    let mut base = base.into_iter();
    let mut carry: Option<Extent> = None;
    for change in changes {
        while let Some(extent) = carry.take().or_else(|| base.next()) {
            if extent.end() <= change.from {
                out.push(extent);
                continue;
            }
            if extent.offset < change.from {
                out.push(extent.cut(extent.offset, change.from));
            }
            if extent.end() > change.to {
                carry = Some(extent.cut(change.to, extent.end()));
                break;
            }
        }
        out.extend(change.data);
    }
    out.extend(carry);
    out.extend(base);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn extent(offset: u64, len: u32, at: u64) -> Extent {
        let data = Stored { source: 0, codec: BlockCodec::Off, stored: len, logical: 0, at };
        Extent { offset, len, skip: 0, data }
    }

    #[test]
    fn changes_over_extents() {
        // Bytes of the result, as letters: where each comes from.
        let show = |extents: &[Extent]| {
            let mut out = [b'.'; 20];
            for e in extents {
                for i in 0..u64::from(e.len) {
                    out[(e.offset + i) as usize] = b'a' + (e.data.at + u64::from(e.skip) + i) as u8;
                }
            }
            String::from_utf8(out.to_vec()).unwrap()
        };
        let base = vec![extent(2, 4, 0), extent(6, 4, 4), extent(12, 4, 10)];
        let write =
            |from, len: u32| Change { from, to: from + u64::from(len), data: Some(extent(from, len, 23)) };
        let hole = |from, to| Change { from, to, data: None };
        let cases: &[(&[Change], &str)] = &[
            (&[], "..abcdefgh..klmn...."),
            (&[hole(4, 8)], "..ab....gh..klmn...."),
            (&[write(0, 2)], "xyabcdefgh..klmn...."),
            (&[write(3, 2)], "..axydefgh..klmn...."),
            (&[write(10, 2)], "..abcdefghxyklmn...."),
            (&[hole(0, 20)], "...................."),
            (&[hole(3, 13), write(14, 2)], "..a..........lxy...."),
            (&[write(16, 2)], "..abcdefgh..klmnxy.."),
            (&[hole(0, 3), hole(5, 6), write(12, 2)], "...bc.efgh..xymn...."),
        ];
        for (changes, want) in cases {
            assert_eq!(show(&overlay(base.clone(), changes)), *want, "{changes:?}");
        }
    }

    #[test]
    fn sets_share_and_remove() {
        let object = Object {
            kind: 19,
            block_size: 512,
            slots: 1,
            bonus_type: 0,
            order: Endian::Little,
            bonus: Box::default(),
            spill: None,
            extents: vec![extent(0, 512, 0)],
        };
        let mut set = ObjectSet::default();
        for number in [1, 127, 128, 1 << 40] {
            set.insert(number, object.clone());
        }
        let mut copy = set.clone();
        assert_eq!(copy.get_mut(127).unwrap().1, 1, "copied because it was shared");
        assert_eq!(copy.get_mut(127).unwrap().1, 0, "and only once");
        copy.remove(2, u64::MAX);
        let have = |set: &ObjectSet| [1, 127, 128, 1 << 40].map(|n| set.get(n).is_some());
        assert_eq!(have(&copy), [true, false, false, false]);
        assert_eq!(have(&set), [true; 4]);
        assert_eq!(copy.width(), 1);
    }
}
