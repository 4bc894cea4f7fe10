//! ZFS send streams: records, and the objects they carry (shared facts: `docs/zfs-send-stream.md`).

pub mod block;
pub mod build;
pub mod checksum;
mod error;
pub mod format;
pub mod nvlist;
pub mod parse;
pub mod record;
pub mod resume;
pub mod sa;
pub mod zap;
pub mod znode;

pub use error::ZfsError;
