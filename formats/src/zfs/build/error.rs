//! What a stream cannot hold.

/// Why something can't be put into a stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A name that no directory entry holds.
    #[error("name is longer than {limit} bytes: {length}")]
    NameTooLong {
        /// Its bytes.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// Names made to have the same hash: no table could tell them apart.
    #[error("too many names with the same hash in one directory of {entries} entries")]
    Collisions {
        /// Names in the directory.
        entries: usize,
    },
    /// An attribute beyond what its length field can say.
    #[error("attribute {name} is longer than {limit} bytes: {length}")]
    AttributeTooLong {
        /// As the registry has it.
        name: &'static str,
        /// Its bytes.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
    /// A snapshot name beyond the field in BEGIN, or without `@`.
    #[error("not a snapshot name of at most 255 bytes: {}", .0.escape_ascii())]
    SnapshotName(Vec<u8>),
}
