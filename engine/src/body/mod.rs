//! Bytes kept for random access: files as they are, files that still grow, files that wait for their name, and spools that
//! start in memory.

mod arriving;
mod nursery;
mod read_at;
mod spool;

pub use arriving::{Arriving, Reason};
pub use nursery::{Nursery, NurseryFile};
pub use read_at::{Body, FileBody, MemBody, ReadAt, Sequential};
pub use spool::{Spool, SpoolBudget};
