//! ZFS send streams: records, and the objects they carry (shared facts: `docs/zfs-send-stream.md`).

pub mod block;
pub mod checksum;
pub mod format;
pub mod record;

/// Why a stream can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZfsError {}

impl ZfsError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        None
    }
}
