//! Bytes ⇄ structures, without input or output.
//!
//! Parsers take `&[u8]` and report how much they consumed, so the same code serves a mapped file, a socket
//! and a fuzzer. They never panic, never allocate in proportion to an unchecked length, and carry the offset
//! in every error. Start reading at [`model`]: the vocabulary every format speaks.
#![forbid(unsafe_code)]

pub mod disk;
pub mod model;
pub mod oci;
pub mod smartos;
pub mod tar;
pub mod zfs;
