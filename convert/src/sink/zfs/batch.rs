//! Records in a row that wait for their checksums: what any thread can make of objects without knowing what stands
//! before them.

use std::ops::Range;

use aurora_formats::zfs::build::Sealer;
use aurora_formats::zfs::build::attrs::Encoded;
use aurora_formats::zfs::build::zap::Zap;
use aurora_formats::zfs::checksum::{Fletcher4, Sum};
use aurora_formats::zfs::format::{object_flag, object_type};
use aurora_formats::zfs::record::{
    Endian, Free, FreeObjects, Header, Object, RECORD_LEN, Spill, TO_END, Write,
};
use aurora_formats::zfs::resume::ResumePoint;

use super::blocks::{Blocks, is_zero};
use crate::Result;
use crate::content::Content;

/// `drr_checksumtype` of blocks that carry no checksum of their own.
const CHECKSUM_OFF: u8 = 2;
/// Dnode slots share blocks of this many; ranges of free objects end there, as older receivers walk them one by one.
const SLOTS_PER_BLOCK: u64 = 32;

/// An object as a record describes it.
#[derive(Debug, Clone, Copy)]
pub(super) struct Shape {
    pub(super) object: u64,
    pub(super) object_type: u32,
    pub(super) block_size: u32,
}

/// Records of one stream.
pub(super) struct Batch {
    to_guid: u64,
    /// Where the receiver has come to, if a stream was cut.
    resume: Option<ResumePoint>,
    /// The records, and room that was used before: clearing it would take longer than anything else that is done with it.
    bytes: Vec<u8>,
    len: usize,
    payloads: Vec<Payload>,
}

/// What follows a record.
struct Payload {
    len: usize,
    sum: Sum,
}

impl Batch {
    /// An empty one of the stream that leads to `to_guid`.
    pub(super) fn new(to_guid: u64, resume: Option<ResumePoint>) -> Self {
        Self { to_guid, resume, bytes: Vec::new(), len: 0, payloads: Vec::new() }
    }

    /// Bytes of all records.
    pub(super) fn len(&self) -> usize {
        self.len
    }

    /// Forgets all records, and keeps the room.
    pub(super) fn clear(&mut self) {
        self.len = 0;
        self.payloads.clear();
    }

    /// Gives all records their checksums; the bytes as they are sent.
    pub(super) fn seal(&mut self, sealer: &mut Sealer) -> &[u8] {
        let mut at = 0;
        for payload in &self.payloads {
            let record = self.bytes[at..].first_chunk_mut().expect("a record stands before its payload");
            sealer.record(record, payload.sum, payload.len as u64);
            at += RECORD_LEN + payload.len;
        }
        &self.bytes[..self.len]
    }

    /// Room for a record and what follows it, with whatever was there.
    fn room(&mut self, payload: usize) -> (&mut [u8], &mut [u8]) {
        let begin = self.len;
        self.len += RECORD_LEN + payload;
        if self.bytes.len() < self.len {
            self.bytes.resize(self.len, 0);
        }
        self.bytes[begin..self.len].split_at_mut(RECORD_LEN)
    }

    /// Whether all of an object is there.
    fn is_past(&self, object: u64) -> bool {
        self.resume.is_some_and(|point| object < point.object)
    }

    fn put(&mut self, header: &Header, payload: &[u8]) {
        debug_assert_eq!(header.payload_len(), payload.len() as u64, "{}", header.name());
        if !self.resume.is_some_and(|point| point.is_past(header)) {
            let (record, room) = self.room(payload.len());
            record.copy_from_slice(&header.to_bytes());
            room.copy_from_slice(payload);
            self.payloads.push(Payload { len: payload.len(), sum: sum(payload) });
        }
    }

    /// An object and that it ends after `blocks` blocks.
    pub(super) fn object(&mut self, shape: Shape, attrs: Option<&Encoded>, blocks: u64) {
        let mut bonus = attrs.map(|a| a.bonus.clone()).unwrap_or_default();
        let bonus_len = bonus.len() as u32;
        bonus.resize(bonus.len().next_multiple_of(8), 0);
        let has_spill = attrs.is_some_and(|a| a.spill.is_some());
        let object = Object {
            object: shape.object,
            object_type: shape.object_type,
            bonus_type: if attrs.is_some() { object_type::SA } else { object_type::NONE },
            block_size: shape.block_size,
            bonus_len,
            checksum_type: 0,
            compress: 0,
            dnode_slots: 1,
            flags: if has_spill { object_flag::SPILL } else { 0 },
            raw_bonus_len: 0,
            to_guid: self.to_guid,
            indirect_block_shift: 0,
            levels: 0,
            block_pointers: 0,
            max_block_id: 0,
        };
        self.put(&Header::Object(object), &bonus);
        self.free(shape.object, blocks * u64::from(shape.block_size), TO_END);
    }

    /// A spill block. It goes along with every change of its object: so it never depends on what a receiver keeps.
    pub(super) fn spill(&mut self, object: u64, attrs: Option<&Encoded>) {
        let Some(block) = attrs.and_then(|a| a.spill.as_ref()) else { return };
        let header = Spill {
            object,
            length: block.len() as u64,
            to_guid: self.to_guid,
            flags: 0,
            compression: 0,
            compressed_size: 0,
        };
        self.put(&Header::Spill(header), block);
    }

    /// A hole.
    pub(super) fn free(&mut self, object: u64, offset: u64, length: u64) {
        self.put(&Header::Free(Free { object, offset, length, to_guid: self.to_guid }), &[]);
    }

    /// Objects `from..to` do not exist; beyond the dnode block of `from` nothing is said.
    pub(super) fn free_objects(&mut self, from: u64, to: u64) {
        let to = to.min((from + 1).next_multiple_of(SLOTS_PER_BLOCK));
        if from < to {
            let free = FreeObjects { first: from, count: to - from, to_guid: self.to_guid };
            self.put(&Header::FreeObjects(free), &[]);
        }
    }

    fn write(&self, shape: Shape, offset: u64, len: usize) -> Header {
        Header::Write(Write {
            object: shape.object,
            object_type: shape.object_type,
            offset,
            logical_size: len as u64,
            to_guid: self.to_guid,
            checksum_type: CHECKSUM_OFF,
            flags: 0,
            compression: 0,
            compressed_size: 0,
        })
    }

    /// One whole block.
    pub(super) fn block(&mut self, shape: Shape, offset: u64, block: &[u8]) {
        self.put(&self.write(shape, offset, block.len()), block);
    }

    /// All blocks of a table.
    pub(super) fn table(&mut self, shape: Shape, zap: &Zap) {
        for (at, block) in (0..).zip(&zap.blocks) {
            self.block(shape, at * u64::from(zap.block_size), block);
        }
    }

    /// The blocks of a file that begin within `range`, read into place; those that are all zero are left out.
    pub(super) fn content(&mut self, shape: Shape, content: &Content, range: Range<u64>) -> Result<()> {
        if self.is_past(shape.object) {
            return Ok(());
        }
        let len = shape.block_size as usize;
        let mut blocks = Blocks::of(content, shape.block_size);
        let mut offset = blocks.first_from(range.start);
        while offset < range.end {
            let header = self.write(shape, offset, len);
            let (begin, is_past) = (self.len, self.resume.is_some_and(|point| point.is_past(&header)));
            let (record, block) = self.room(len);
            record.copy_from_slice(&header.to_bytes());
            blocks.read(offset, block)?;
            if is_zero(block) || is_past {
                self.len = begin;
            } else {
                let sum = sum(block);
                self.payloads.push(Payload { len, sum });
            }
            offset = blocks.first_from(offset + len as u64);
        }
        Ok(())
    }
}

fn sum(payload: &[u8]) -> Sum {
    let mut running = Fletcher4::new(Endian::Little);
    running.update(payload);
    running.sum()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_engine::body::{Body, MemBody};

    use aurora_formats::zfs::build::begin;
    use aurora_formats::zfs::format::objset;

    use super::*;
    use crate::content::{Extent, Slice};

    #[test]
    fn room_that_was_used_before_makes_the_same_records() {
        let body: Body = Arc::new(MemBody(vec![0xa5; 9000]));
        let slice = |at, len| Slice::plain(body.clone(), at, len);
        let whole = Content::plain(&body, 0, 9000);
        // Within one block a hole, and less than a block at its end.
        let holed = Content {
            size: 5000,
            extents: vec![
                Extent { offset: 0, len: 10, data: slice(0, 10) },
                Extent { offset: 4990, len: 10, data: slice(10, 10) },
            ],
        };
        let shape = Shape { object: 128, object_type: object_type::PLAIN_FILE, block_size: 4096 };
        let sealed = |batch: &mut Batch, content: &Content| {
            batch.object(shape, None, 2);
            batch.content(shape, content, 0..u64::MAX).unwrap();
            let opening = begin(b"p/a@b", 7, objset::ZFS, 0, 0).unwrap();
            batch.seal(&mut Sealer::begin(&opening, &[]).0).to_vec()
        };
        let (mut used, mut fresh) = (Batch::new(7, None), Batch::new(7, None));
        sealed(&mut used, &whole);
        used.clear();
        assert!(sealed(&mut used, &holed) == sealed(&mut fresh, &holed));
    }
}
