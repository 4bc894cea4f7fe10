//! A document of podinit's, and lines of requests and of what happens: no panic, and everything ends when it is to.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| aurora_podinit::fuzzing::requests(input));
