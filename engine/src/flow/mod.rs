//! Bytes and work between threads: bounded, in order, and stopped by dropping either end.

mod ordered;
mod read_ahead;

pub use ordered::Ordered;
pub use read_ahead::{ReadAhead, read_ahead};
