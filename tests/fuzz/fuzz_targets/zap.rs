//! Any bytes as a ZAP object, of several block sizes and both byte orders: no panic, no end of entries.
#![no_main]

use aurora_formats::zfs::record::Endian;
use aurora_formats::zfs::zap;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    let Some((first, object)) = input.split_first() else { return };
    let order = if first & 1 == 0 { Endian::Little } else { Endian::Big };
    let block_size = 512 << ((first >> 1) & 7);
    if let Ok(entries) = zap::parse(order, block_size, object) {
        assert!(entries.len() <= object.len().max(block_size as usize) / 24, "more entries than there is room for");
    }
});
