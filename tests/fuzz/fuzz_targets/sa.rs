//! Any bytes as the attributes of an object, in its bonus and its spill block, of both kinds: no panic.
#![no_main]

use aurora_formats::zfs::format::object_type;
use aurora_formats::zfs::record::Endian;
use aurora_formats::zfs::sa::Tables;
use aurora_formats::zfs::znode::Znode;
use libfuzzer_sys::fuzz_target;

/// The layouts that OpenZFS uses for most objects, and one with all that is variable.
const LAYOUTS: &[&[u16]] = &[
    &[5, 6, 4, 12, 13, 7, 11, 0, 1, 2, 3, 8, 21, 16, 19],
    &[5, 6, 4, 12, 13, 7, 11, 0, 1, 2, 3, 8, 16, 19],
    &[17],
    &[5, 6, 4, 12, 13, 7, 11, 0, 1, 2, 3, 8, 21, 16, 19, 20],
    &[20],
    &[5, 6, 4, 12, 13, 7, 11, 0, 1, 2, 3, 8, 10, 9, 16, 19, 17, 20],
];

fuzz_target!(|input: &[u8]| {
    let [choice, split, rest @ ..] = input else { return };
    let tables = Tables::usual(LAYOUTS);
    let order = if choice & 1 == 0 { Endian::Little } else { Endian::Big };
    let kind = if choice & 2 == 0 { object_type::SA } else { object_type::ZNODE };
    let (bonus, spill) = rest.split_at((usize::from(*split) * 8).min(rest.len()));
    let spill = (choice & 4 != 0).then_some(spill);
    if let Ok(znode) = Znode::parse(kind, bonus, spill, order, &tables) {
        if let Some(packed) = znode.dxattr {
            let _ = aurora_formats::zfs::nvlist::unpack(&packed);
        }
    }
});
