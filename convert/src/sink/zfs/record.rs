//! The stream of one snapshot, record by record.

use aurora_formats::zfs::build::Sealer;
use aurora_formats::zfs::build::attrs::Encoded;
use aurora_formats::zfs::build::zap::Zap;
use aurora_formats::zfs::format::{FEATURES_SHIFT, feature, object_flag, object_type};
use aurora_formats::zfs::record::{Begin, Free, FreeObjects, Header, Object, Spill, TO_END, Write};
use aurora_formats::zfs::resume::ResumePoint;

use super::output::Output;
use crate::Result;
use crate::content::{BlockCache, Content};

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

/// Writes the records of one snapshot.
pub(super) struct StreamWriter<'o, 'a> {
    sealer: Sealer,
    to_guid: u64,
    /// Where the receiver has come to, if a stream was cut.
    resume: Option<ResumePoint>,
    output: &'o mut Output<'a>,
}

impl<'o, 'a> StreamWriter<'o, 'a> {
    pub(super) fn begin(
        begin: &Begin,
        resume: Option<ResumePoint>,
        output: &'o mut Output<'a>,
    ) -> Result<Self> {
        let (mut begin, mut payload) = (begin.clone(), Vec::new());
        if let Some(point) = resume {
            payload = point.payload();
            begin.version_info |= feature::RESUMING << FEATURES_SHIFT;
            // Two numbers.
            begin.payload_len = payload.len() as u32;
        }
        let (sealer, bytes) = Sealer::begin(&begin, &payload);
        output.put(&bytes)?;
        output.put(&payload)?;
        Ok(Self { sealer, to_guid: begin.to_guid, resume, output })
    }

    /// Whether all of an object is there.
    fn is_past(&self, object: u64) -> bool {
        self.resume.is_some_and(|point| object < point.object)
    }

    fn put(&mut self, header: &Header, payload: &[u8]) -> Result<()> {
        if self.resume.is_some_and(|point| point.is_past(header)) {
            return Ok(());
        }
        let bytes = self.sealer.record(header, payload);
        self.output.put(&bytes)?;
        self.output.put(payload)
    }

    /// An object and that it ends after `blocks` blocks.
    pub(super) fn object(&mut self, shape: Shape, attrs: Option<&Encoded>, blocks: u64) -> Result<()> {
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
        self.put(&Header::Object(object), &bonus)?;
        self.free(shape.object, blocks * u64::from(shape.block_size), TO_END)
    }

    /// A spill block. It goes along with every change of its object: so it never depends on what a receiver keeps.
    pub(super) fn spill(&mut self, object: u64, attrs: Option<&Encoded>) -> Result<()> {
        let Some(block) = attrs.and_then(|a| a.spill.as_ref()) else { return Ok(()) };
        let header = Spill {
            object,
            length: block.len() as u64,
            to_guid: self.to_guid,
            flags: 0,
            compression: 0,
            compressed_size: 0,
        };
        self.put(&Header::Spill(header), block)
    }

    /// A hole.
    pub(super) fn free(&mut self, object: u64, offset: u64, length: u64) -> Result<()> {
        self.put(&Header::Free(Free { object, offset, length, to_guid: self.to_guid }), &[])
    }

    /// Objects `from..to` do not exist; beyond the dnode block of `from` nothing is said.
    pub(super) fn free_objects(&mut self, from: u64, to: u64) -> Result<()> {
        let to = to.min((from + 1).next_multiple_of(SLOTS_PER_BLOCK));
        if from >= to {
            return Ok(());
        }
        self.put(
            &Header::FreeObjects(FreeObjects { first: from, count: to - from, to_guid: self.to_guid }),
            &[],
        )
    }

    /// One whole block.
    pub(super) fn block(&mut self, shape: Shape, offset: u64, block: &[u8]) -> Result<()> {
        let header = Write {
            object: shape.object,
            object_type: shape.object_type,
            offset,
            logical_size: block.len() as u64,
            to_guid: self.to_guid,
            checksum_type: CHECKSUM_OFF,
            flags: 0,
            compression: 0,
            compressed_size: 0,
        };
        self.put(&Header::Write(header), block)
    }

    /// All blocks of a table.
    pub(super) fn table(&mut self, shape: Shape, zap: &Zap) -> Result<()> {
        (0..)
            .zip(&zap.blocks)
            .try_for_each(|(at, block)| self.block(shape, at * u64::from(zap.block_size), block))
    }

    /// A file's data without the blocks that are all zero.
    pub(super) fn content(&mut self, shape: Shape, content: &Content) -> Result<()> {
        if self.is_past(shape.object) {
            return Ok(());
        }
        data_blocks(content, shape.block_size, |offset, block| match block {
            Some(block) => self.block(shape, offset, block),
            None => Ok(()),
        })
    }

    pub(super) fn end(self) -> Result<()> {
        let bytes = self.sealer.end(self.to_guid);
        self.output.put(&bytes)
    }
}

/// Goes through the blocks that extents touch, in order; `None` for one that is all zero. The last is padded with
/// zeros. Holes cost nothing, however long.
pub(super) fn data_blocks(
    content: &Content,
    block_size: u32,
    mut visit: impl FnMut(u64, Option<&[u8]>) -> Result<()>,
) -> Result<()> {
    let size = u64::from(block_size);
    let mut buf = vec![0; block_size as usize];
    let mut cache = BlockCache::default();
    let mut next = 0;
    for segment in content.segments().iter().filter(|s| s.is_data) {
        let end = segment.offset + segment.len;
        next = next.max(segment.offset / size * size);
        while next < end {
            let in_file = (content.size - next).min(size) as usize;
            buf[in_file..].fill(0);
            content
                .read_at(&mut buf[..in_file], next, &mut cache)
                .map_err(|e| crate::Error::io("reading content", e))?;
            visit(next, (!is_zero(&buf)).then_some(&buf))?;
            next += size;
        }
    }
    Ok(())
}

/// Whether a block is all zero.
pub(super) fn is_zero(block: &[u8]) -> bool {
    let (words, rest) = block.as_chunks::<16>();
    words.iter().all(|word| u128::from_ne_bytes(*word) == 0) && rest.iter().all(|byte| *byte == 0)
}
