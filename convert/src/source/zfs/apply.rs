//! Records onto objects, by the rules of a receiver (`docs/zfs-send-stream.md` §6.4).

use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::block::BlockCodec;
use aurora_formats::zfs::format::{begin_flag, object_flag, object_type};
use aurora_formats::zfs::parse::Record;
use aurora_formats::zfs::record::{self, Begin, Endian, Header, TO_END};

use super::input::Records;
use super::objects::{Change, Extent, Object, ObjectSet, Stored, overlay, source};
use crate::{ErrorKind, Result};

/// Map entries and extents that snapshots may hold as copies of others': some 2 GiB. A hostile package of small
/// increments to one large snapshot would otherwise take any amount.
const MAX_COPIED: usize = 50_000_000;

/// The data of another object, for records that refer to it.
pub(super) trait Referred {
    /// An object of the snapshot with this guid.
    fn find(&self, guid: u64, object: u64) -> Option<&Object>;
}

/// Applies the records of one stream.
pub(super) struct Applier {
    set: ObjectSet,
    guid: u64,
    order: Endian,
    source: u32,
    /// The stream says which objects have spill blocks.
    knows_spills: bool,
    /// Changes of one object's data, ascending, not yet laid over what it has.
    pending: (u64, Vec<Change>),
    last_write: (u64, u64),
    /// Entries and extents that are copies of a base's.
    copied: usize,
    /// Records that carry no checksum.
    unsummed: u64,
}

impl Applier {
    /// Begins with the objects of the base. `copied` is what the copies of all streams before this one hold.
    pub(super) fn new(set: ObjectSet, begin: &Begin, order: Endian, input: u32, copied: usize) -> Self {
        Self {
            set,
            copied,
            guid: begin.to_guid,
            order,
            source: source(input, order),
            knows_spills: begin.flags & begin_flag::SPILL_BLOCK != 0,
            pending: (0, Vec::new()),
            last_write: (0, 0),
            unsummed: 0,
        }
    }

    /// The objects after all records; how many copies there are now; how many records carried no checksum.
    pub(super) fn finish(mut self) -> (ObjectSet, usize, u64) {
        self.flush();
        (self.set, self.copied, self.unsummed)
    }

    /// Applies one record and takes its payload.
    pub(super) fn apply(
        &mut self,
        record: &Record,
        records: &mut Records<'_, '_>,
        others: &dyn Referred,
    ) -> Result<()> {
        self.unsummed += u64::from(record.is_unsummed);
        match &record.header {
            Header::Object(r) => {
                let mut bonus = records.bytes(record)?;
                bonus.truncate(r.bonus_len as usize);
                self.object(r, bonus);
            }
            Header::FreeObjects(r) => {
                self.flush();
                if let Some(last) = r.count.checked_sub(1) {
                    self.set.remove(r.first, r.first.saturating_add(last));
                }
            }
            Header::Write(r) => {
                self.ordered(record, r.object, r.offset)?;
                let object = self.existing(record, r.object)?;
                let block = u64::from(object.block_size);
                if !object.block_size.is_power_of_two() && r.offset >= block {
                    let (offset, field, value) = (record.offset, "offset", r.offset);
                    return Err(ZfsError::Field { offset, record: "WRITE", field, value }.into());
                }
                let codec = BlockCodec::from_number(r.compression).unwrap_or(BlockCodec::Off);
                let data = self.keep(record, records, codec, r.logical_size as u32, record.payload as u32)?;
                self.change(r.object, r.offset, r.logical_size, data);
            }
            Header::Free(r) => {
                self.existing(record, r.object)?;
                self.free(r);
            }
            Header::Spill(r) => {
                self.existing(record, r.object)?;
                let len = r.length as u32;
                let data = self.keep(record, records, BlockCodec::Off, len, len)?;
                if let Some((object, copied)) = self.set.get_mut(r.object) {
                    object.spill = data;
                    self.copied += copied;
                }
            }
            Header::WriteEmbedded(r) => self.embedded(r, record, records)?,
            Header::WriteByRef(r) => self.by_reference(r, record, others)?,
            Header::End(_) => {}
            // The parser lets these through only in streams that are refused at their BEGIN.
            Header::Begin(_) | Header::ObjectRange(_) | Header::Redact(_) => records.skip(record)?,
        }
        if self.copied > MAX_COPIED {
            let what = "objects and extents held for several snapshots; pick one, or squash";
            return Err(ErrorKind::Limit { what, limit: MAX_COPIED as u64 }.into());
        }
        Ok(())
    }

    /// Keeps a payload; `None` for one that is all zeros by its codec.
    fn keep(
        &self,
        record: &Record,
        records: &mut Records<'_, '_>,
        codec: BlockCodec,
        logical: u32,
        stored: u32,
    ) -> Result<Option<Stored>> {
        if codec == BlockCodec::Empty {
            return records.skip(record).map(|()| None);
        }
        let at = records.keep(record)?;
        // A plain slice has no block around it.
        let logical = if codec == BlockCodec::Off { 0 } else { logical };
        Ok(Some(Stored { source: self.source, codec, stored, logical, at }))
    }

    fn existing(&self, record: &Record, object: u64) -> Result<&Object, ZfsError> {
        let (offset, name) = (record.offset, record.header.name());
        self.set.get(object).map(AsRef::as_ref).ok_or(ZfsError::NoObject { offset, record: name, object })
    }

    /// Receivers refuse data that does not ascend, and so do we: it bounds the work to be done.
    fn ordered(&mut self, record: &Record, object: u64, offset: u64) -> Result<(), ZfsError> {
        if (object, offset) < self.last_write {
            let (offset, name) = (record.offset, record.header.name());
            return Err(ZfsError::Disorder { offset, record: name, object });
        }
        self.last_write = (object, offset);
        Ok(())
    }

    fn object(&mut self, r: &record::Object, bonus: Vec<u8>) {
        self.flush();
        let slots = r.dnode_slots.max(1);
        let mut new = Object {
            kind: r.object_type,
            block_size: r.block_size,
            slots,
            bonus_type: r.bonus_type,
            order: self.order,
            bonus: bonus.into_boxed_slice(),
            spill: None,
            extents: Vec::new(),
        };
        if let Some((old, copied)) = self.set.get_mut(r.object) {
            self.copied += copied;
            if old.slots == slots {
                if keeps_data(old, &new) {
                    new.extents = std::mem::take(&mut old.extents);
                }
                if !self.knows_spills || r.flags & object_flag::SPILL != 0 {
                    new.spill = old.spill;
                }
            }
        }
        self.set.insert(r.object, new);
        // The numbers inside a large dnode are those of no object.
        self.set.remove(r.object.saturating_add(1), r.object.saturating_add(u64::from(slots) - 1));
    }

    fn free(&mut self, r: &record::Free) {
        if r.length != TO_END {
            self.change(r.object, r.offset, r.length, None);
            return;
        }
        self.flush();
        let is_hit = |o: &Object| o.extents.last().is_some_and(|e| e.end() > r.offset);
        if !self.set.get(r.object).is_some_and(|o| is_hit(o)) {
            return;
        }
        if let Some((object, copied)) = self.set.get_mut(r.object) {
            self.copied += copied;
            let first = object.extents.partition_point(|e| e.end() <= r.offset);
            object.extents.truncate(first + 1);
            if let Some(last) = object.extents.last_mut() {
                if last.offset >= r.offset {
                    object.extents.pop();
                } else {
                    *last = last.cut(0, r.offset);
                }
            }
        }
    }

    /// The block of a record; what it says beyond its own bytes is zeros.
    fn embedded(
        &mut self,
        r: &record::WriteEmbedded,
        record: &Record,
        records: &mut Records<'_, '_>,
    ) -> Result<()> {
        let codec = BlockCodec::from_number(r.compression).unwrap_or(BlockCodec::Off);
        let object = self.existing(record, r.object)?;
        // Senders since 2.3.0 write an embedded spill block so, at two blocks before the start of the object.
        let is_spill =
            object.bonus_type == object_type::SA && r.offset == 0u64.wrapping_sub(r.length.wrapping_mul(2));
        if !is_spill {
            if r.offset.checked_add(r.length).is_none() {
                let (offset, field, value) = (record.offset, "offset", r.offset);
                return Err(ZfsError::Field { offset, record: "WRITE_EMBEDDED", field, value }.into());
            }
            self.ordered(record, r.object, r.offset)?;
        }
        let data = self.keep(record, records, codec, r.logical_size, r.packed_size)?;
        if is_spill {
            if let Some((object, copied)) = self.set.get_mut(r.object) {
                object.spill = data;
                self.copied += copied;
            }
            return Ok(());
        }
        let used = u64::from(r.logical_size);
        self.change(r.object, r.offset, used, data);
        self.change(r.object, r.offset + used, r.length - used, None);
        Ok(())
    }

    fn by_reference(&mut self, r: &record::WriteByRef, record: &Record, others: &dyn Referred) -> Result<()> {
        self.ordered(record, r.object, r.offset)?;
        self.existing(record, r.object)?;
        self.flush();
        let object = match r.ref_guid {
            guid if guid == self.guid => self.set.get(r.ref_object).map(AsRef::as_ref),
            guid => others.find(guid, r.ref_object),
        };
        let (guid, number, offset) = (r.ref_guid, r.ref_object, record.offset);
        let object = object.ok_or(ZfsError::NoReference { offset, guid, object: number })?;
        let (from, to) = (r.ref_offset, r.ref_offset.saturating_add(r.length));
        let first = object.extents.partition_point(|e| e.end() <= from);
        let overlapping = object.extents[first..].iter().take_while(|e| e.offset < to);
        let moved: Vec<Extent> = overlapping
            .map(|e| e.cut(from, to))
            .map(|e| Extent { offset: e.offset - from + r.offset, ..e })
            .collect();
        self.copied += moved.len().saturating_sub(1);
        let mut at = r.offset;
        for extent in moved {
            self.hole(r.object, at, extent.offset);
            at = extent.end();
            self.push(r.object, Change { from: extent.offset, to: at, data: Some(extent) });
        }
        self.hole(r.object, at, r.offset.saturating_add(r.length));
        Ok(())
    }

    /// `len` bytes of an object become `data`, or a hole.
    fn change(&mut self, object: u64, from: u64, len: u64, data: Option<Stored>) {
        let to = from.saturating_add(len);
        match data {
            Some(data) if len > 0 => {
                let extent = Extent { offset: from, len: len as u32, skip: 0, data };
                self.push(object, Change { from, to, data: Some(extent) });
            }
            _ => self.hole(object, from, to),
        }
    }

    fn hole(&mut self, object: u64, from: u64, to: u64) {
        if from < to {
            self.push(object, Change { from, to, data: None });
        }
    }

    fn push(&mut self, object: u64, change: Change) {
        if self.pending.0 != object || self.pending.1.last().is_some_and(|last| last.to > change.from) {
            self.flush();
        }
        self.pending.0 = object;
        self.pending.1.push(change);
    }

    /// Lays the pending changes over their object.
    fn flush(&mut self) {
        let (number, changes) = (self.pending.0, std::mem::take(&mut self.pending.1));
        let Some(object) = self.set.get(number).filter(|_| !changes.is_empty()) else { return };
        let end = object.extents.last().map_or(0, Extent::end);
        if changes.iter().all(|c| c.data.is_none() && c.from >= end) {
            return;
        }
        if let Some((object, copied)) = self.set.get_mut(number) {
            self.copied += copied;
            object.extents = overlay(std::mem::take(&mut object.extents), &changes);
        }
        // The buffer serves the next object.
        let mut changes = changes;
        changes.clear();
        self.pending.1 = changes;
    }
}

/// Whether an object that comes again keeps its data.
fn keeps_data(old: &Object, new: &Object) -> bool {
    if new.block_pointers() < old.block_pointers() {
        return false;
    }
    if old.block_size == new.block_size {
        return true;
    }
    let is_file = |o: &Object| o.kind == object_type::PLAIN_FILE;
    is_file(old) && is_file(new) && old.has_several_blocks() && old.generation() == new.generation()
}
