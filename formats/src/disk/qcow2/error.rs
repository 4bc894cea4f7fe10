//! Why a disk can't be read.

/// Damage, or a kind of disk that stands not for itself.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum Qcow2Error {
    /// Not the magic number.
    #[error("not a qcow2 disk: begins with {actual:#010x}")]
    Magic {
        /// The first four bytes.
        actual: u32,
    },
    /// Shorter than its header.
    #[error("qcow2 header needs {needed} bytes: the file has {actual}")]
    Truncated {
        /// Bytes needed.
        needed: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// Neither 2 nor 3.
    #[error("qcow2 version is neither 2 nor 3: {actual}")]
    Version {
        /// The version.
        actual: u32,
    },
    /// A field of the header is beyond its range.
    #[error("qcow2 header field {field} at {offset:#x} is out of range: {actual}")]
    Field {
        /// Its name in the specification.
        field: &'static str,
        /// Where it stands.
        offset: u64,
        /// Its value.
        actual: u64,
    },
    /// An entry points where it can't.
    #[error("qcow2 {table} entry at {offset:#x} is damaged: {actual:#018x}")]
    Entry {
        /// `L1` or `L2`.
        table: &'static str,
        /// Where it stands in the file.
        offset: u64,
        /// The entry.
        actual: u64,
    },
    /// Something that this disk needs and that is not in it, or not read here.
    #[error("qcow2 disk can't be read by itself: {what}")]
    Unsupported {
        /// What it needs.
        what: String,
    },
    /// A compressed cluster holds other than a cluster of bytes.
    #[error("qcow2 compressed cluster at {offset:#x} is damaged: {reason}")]
    Compressed {
        /// Where it stands in the file.
        offset: u64,
        /// The decoder's word.
        reason: String,
    },
}
