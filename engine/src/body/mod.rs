//! Uncompressed bytes kept for random access: files as they are, and spools that start in memory.

mod read_at;
mod spool;

pub use read_at::{Body, FileBody, MemBody, ReadAt};
pub use spool::{Spool, SpoolBudget};
