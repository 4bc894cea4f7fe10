//! What can be wrong with an archive.

use crate::model::PathError;

/// Why bytes are no tar. The messages leave out the offset, which [`TarError::offset`] tells: whoever shows the
/// error knows of which layer it is an offset.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TarError {
    /// The first block is no header.
    #[error("not a tar archive: header checksum is {stored}, its bytes sum up to {computed}")]
    NotTar {
        /// Of the block.
        offset: u64,
        /// The field, escaped.
        stored: String,
        /// The unsigned sum.
        computed: u32,
    },
    /// A later block that should be a header does not sum up.
    #[error("tar header checksum is {stored}, its bytes sum up to {computed}")]
    Checksum {
        /// Of the block.
        offset: u64,
        /// The field, escaped.
        stored: String,
        /// The unsigned sum.
        computed: u32,
    },
    /// A field that is neither octal nor base-256.
    #[error("tar header field {field} is no number: {value}")]
    Number {
        /// Of the header.
        offset: u64,
        /// Which.
        field: &'static str,
        /// The field, escaped.
        value: String,
    },
    /// A number that what it stands for can't be.
    #[error("tar header field {field} is out of range: {value}")]
    Range {
        /// Of the header.
        offset: u64,
        /// Which.
        field: &'static str,
        /// The number.
        value: i128,
    },
    /// A PAX record that does not have the form `LENGTH KEY=VALUE\n`.
    #[error("malformed PAX record, {fault}: {record}")]
    PaxRecord {
        /// Of the record.
        offset: u64,
        /// What is wrong.
        fault: &'static str,
        /// Its first bytes, escaped.
        record: String,
    },
    /// A PAX value that its key does not allow.
    #[error("PAX key {key} has an impossible value: {value}")]
    PaxValue {
        /// Of the extended header.
        offset: u64,
        /// The key, escaped.
        key: String,
        /// The first bytes of the value, escaped.
        value: String,
    },
    /// Extended headers beyond the limit.
    #[error("extended headers of one member are longer than {limit} bytes: {length}")]
    ExtensionTooLong {
        /// Of the header that is too much.
        offset: u64,
        /// Bytes allowed.
        limit: u64,
        /// Bytes announced.
        length: u64,
    },
    /// One member with too many extended headers.
    #[error("more extended headers before one member than {limit}")]
    TooManyExtensions {
        /// Of the header that is too much.
        offset: u64,
        /// How many are allowed.
        limit: u32,
    },
    /// An extended header with no member after it.
    #[error("extended header without a member after it")]
    DanglingExtension {
        /// Where the member should be.
        offset: u64,
    },
    /// More members than the limit.
    #[error("more members than {limit}")]
    TooManyMembers {
        /// Of the member that is too much.
        offset: u64,
        /// How many are allowed.
        limit: u64,
    },
    /// The input ends in the middle of something.
    #[error("archive is truncated in {inside}, bytes missing: {missing}")]
    Truncated {
        /// The end of the input.
        offset: u64,
        /// What is cut off.
        inside: &'static str,
        /// At least so much is missing.
        missing: u64,
    },
    /// A typeflag whose meaning is not known, or is known not to be a file.
    #[error("unknown member type: {}", .kind.escape_ascii())]
    UnknownType {
        /// Of the header.
        offset: u64,
        /// The typeflag.
        kind: u8,
    },
    /// A map of a sparse file that contradicts itself.
    #[error("sparse map {fault}")]
    Sparse {
        /// Of the header, or of the map's block.
        offset: u64,
        /// What is wrong.
        fault: &'static str,
    },
    /// One zero block and then something else: neither an end marker nor a header.
    #[error("a block of zeros in the middle of the archive")]
    LoneZeroBlock {
        /// Of the block.
        offset: u64,
    },
    /// A member's name can't be a path.
    #[error("{source}")]
    Path {
        /// Of the member.
        offset: u64,
        /// Why.
        source: PathError,
    },
}

impl TarError {
    /// Where in the uncompressed archive.
    pub fn offset(&self) -> u64 {
        match self {
            Self::NotTar { offset, .. }
            | Self::Checksum { offset, .. }
            | Self::Number { offset, .. }
            | Self::Range { offset, .. }
            | Self::PaxRecord { offset, .. }
            | Self::PaxValue { offset, .. }
            | Self::ExtensionTooLong { offset, .. }
            | Self::TooManyExtensions { offset, .. }
            | Self::DanglingExtension { offset }
            | Self::TooManyMembers { offset, .. }
            | Self::Truncated { offset, .. }
            | Self::UnknownType { offset, .. }
            | Self::Sparse { offset, .. }
            | Self::LoneZeroBlock { offset }
            | Self::Path { offset, .. } => *offset,
        }
    }
}

/// The first bytes of something hostile, for a message.
pub(super) fn excerpt(bytes: &[u8]) -> String {
    const SHOWN: usize = 60;
    let mut text = bytes[..bytes.len().min(SHOWN)].escape_ascii().to_string();
    if bytes.len() > SHOWN {
        text.push('…');
    }
    text
}
