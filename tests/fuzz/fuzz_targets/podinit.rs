//! Any bytes as podinit's document: no panic, and config maps that are rendered or refused.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|input: &[u8]| aurora_podinit::fuzzing::document(input));
