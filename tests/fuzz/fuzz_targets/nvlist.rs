//! Any bytes as a packed list: no panic; what was read can be packed and reads the same again.
#![no_main]

use aurora_formats::zfs::nvlist::{pack, unpack};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| {
    if let Ok(list) = unpack(input) {
        let packed = pack(&list);
        assert_eq!(unpack(&packed), Ok(list));
    }
});
