//! Reads streams without the reader under test: records, sums, and the rules of every receiver, the strictest
//! ("M" in `docs/zfs-send-stream.md` §6.3) included.

use std::collections::BTreeMap;

use aurora_formats::zfs::checksum::Fletcher4;
use aurora_formats::zfs::format::{begin_flag, object_flag};
use aurora_formats::zfs::record::{Begin, Endian, Header, RECORD_LEN, TO_END, stored_sum};

/// What is left after a chain: block size and data of each object.
#[derive(Default)]
pub(crate) struct Objects(pub BTreeMap<u64, Object>);

#[derive(Default, Clone)]
pub(crate) struct Object {
    pub(crate) block_size: u32,
    pub(crate) has_spill: bool,
    pub(crate) bonus: Vec<u8>,
    pub(crate) blocks: BTreeMap<u64, Vec<u8>>,
}

/// Applies every stream of a file; the BEGIN of each.
pub(crate) fn apply(bytes: &[u8], objects: &mut Objects) -> Vec<Begin> {
    let mut begins = Vec::new();
    let mut rest = bytes;
    let is_package = rest[16] & 3 == 2;
    if is_package {
        let payload = u32::from_le_bytes(rest[4..8].try_into().unwrap()) as usize;
        rest = &rest[RECORD_LEN + payload + RECORD_LEN..];
    }
    while rest.len() > RECORD_LEN {
        rest = stream(rest, objects, &mut begins);
    }
    assert_eq!(rest.len(), if is_package { RECORD_LEN } else { 0 });
    begins
}

fn stream<'a>(mut rest: &'a [u8], objects: &mut Objects, begins: &mut Vec<Begin>) -> &'a [u8] {
    let mut sum = Fletcher4::new(Endian::Little);
    // (object, offset) of the last record; spill blocks stand after an object's data.
    let mut last = (0, 0);
    let mut given: Option<u64> = None;
    loop {
        let (raw, after) = rest.split_first_chunk::<RECORD_LEN>().expect("a whole record");
        let header = Header::parse(raw, Endian::Little).unwrap();
        let (payload, after) = after.split_at(header.payload_len() as usize);
        rest = after;
        assert!(payload.len().is_multiple_of(8), "{header:?}");
        if let Header::Begin(begin) = header {
            sum.update(raw);
            assert!(begins.last().is_none_or(|b| b.to_guid == begin.from_guid), "each goes on from the last");
            assert_eq!(begin.flags, begin_flag::FREE_RECORDS | begin_flag::SPILL_BLOCK);
            assert_eq!(begin.from_guid == 0, begins.is_empty());
            begins.push(begin);
            continue;
        }
        let before = sum.sum();
        sum.update(&raw[..280]);
        assert_eq!(stored_sum(raw, Endian::Little), sum.sum(), "{header:?}");
        sum.update(&raw[280..]);
        sum.update(payload);
        let mut reach = |object: u64, offset: u64| {
            assert!((object, offset) >= last, "{object} {offset} after {last:?}");
            last = (object, offset);
        };
        match header {
            Header::End(end) => {
                assert_eq!(end.sum, before);
                return rest;
            }
            Header::FreeObjects(free) => {
                reach(free.first, 0);
                assert!(
                    free.count > 0
                        && free.count <= 32
                        && free.first / 32 == (free.first + free.count - 1) / 32
                );
                (free.first..free.first + free.count).for_each(|n| drop(objects.0.remove(&n)));
            }
            Header::Object(object) => {
                reach(object.object, 0);
                given = Some(object.object);
                assert!(
                    object.object > 0
                        && object.block_size.is_multiple_of(512)
                        && object.block_size <= 131_072
                );
                let has_spill = object.flags == object_flag::SPILL;
                assert!(has_spill || object.flags == 0);
                assert!(object.bonus_len <= if has_spill { 192 } else { 320 });
                assert_eq!(object.bonus_type == 0, object.bonus_len == 0);
                let old = objects.0.entry(object.object).or_default();
                if old.block_size != object.block_size {
                    // Only tables change their size: that of a kept file never shrinks, nor grows.
                    assert!(old.block_size == 0 || object.object_type == 20, "object {}", object.object);
                    old.blocks.clear();
                }
                old.block_size = object.block_size;
                old.has_spill = has_spill;
                old.bonus = payload.to_vec();
            }
            Header::Free(free) => {
                assert_eq!(given, Some(free.object), "after its OBJECT");
                let end = if free.length == TO_END { u64::MAX } else { free.offset + free.length };
                let object = objects.0.get_mut(&free.object).unwrap();
                assert!(free.offset.is_multiple_of(u64::from(object.block_size)));
                object.blocks.retain(|at, _| *at < free.offset || *at >= end);
            }
            Header::Write(write) => {
                reach(write.object, write.offset);
                assert_eq!(given, Some(write.object), "after its OBJECT");
                let object = objects.0.get_mut(&write.object).unwrap();
                assert_eq!(write.logical_size, u64::from(object.block_size));
                assert!(write.offset.is_multiple_of(write.logical_size));
                assert!(write.offset == 0 || object.block_size.is_power_of_two());
                object.blocks.insert(write.offset, payload.to_vec());
            }
            Header::Spill(spill) => {
                reach(spill.object, u64::MAX);
                assert!(objects.0[&spill.object].has_spill && spill.length.is_multiple_of(512));
            }
            other => panic!("never written: {other:?}"),
        }
    }
}
