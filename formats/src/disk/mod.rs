//! Formats of block images.

pub mod qcow2;
