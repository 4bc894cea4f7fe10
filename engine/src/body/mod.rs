//! Bytes kept for random access: files as they are, files that still grow, and spools that start in memory.

mod arriving;
mod read_at;
mod spool;

pub use arriving::{Arriving, Reason};
pub use read_at::{Body, FileBody, MemBody, ReadAt, Sequential, address};
pub use spool::{Spool, SpoolBudget};
