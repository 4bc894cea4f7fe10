//! Why a stream can't be read.

use super::nvlist::NvError;
use super::zap::ZapError;
use super::znode::ZnodeError;

/// Why a stream can't be read. Offsets are those in the uncompressed stream.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZfsError {
    /// It does not begin as send streams do.
    #[error("not a ZFS send stream: no BEGIN record at {offset:#x}")]
    NotAStream {
        /// Where one was expected.
        offset: u64,
    },
    /// The input ends inside a record.
    #[error("stream is cut off in a {record} record at {offset:#x}: {actual} of {expected} bytes")]
    Truncated {
        /// Where the record begins.
        offset: u64,
        /// Its name.
        record: &'static str,
        /// Bytes of it, payload included.
        expected: u64,
        /// Bytes there are.
        actual: u64,
    },
    /// The input ends between records, and no END came: cut off just there, or the part that `zfs send --saved`
    /// makes of an interrupted receive.
    #[error("stream ends without an END record at {offset:#x}")]
    NoEnd {
        /// Where it ends.
        offset: u64,
    },
    /// Something that is no record follows the END.
    #[error("stream is followed by other bytes at {offset:#x}")]
    Trailing {
        /// Where they begin.
        offset: u64,
    },
    /// A record of a type that does not exist.
    #[error("unknown record type at {offset:#x}: {kind}")]
    UnknownRecord {
        /// Where.
        offset: u64,
        /// The type.
        kind: u32,
    },
    /// A record where it can't be.
    #[error("{record} record where none can be, at {offset:#x}")]
    UnexpectedRecord {
        /// Where.
        offset: u64,
        /// Its name.
        record: &'static str,
    },
    /// The running checksum differs: this record or anything before it was changed.
    #[error("checksum mismatch in the {record} record at {offset:#x} or before it")]
    Checksum {
        /// Where the record begins.
        offset: u64,
        /// Its name.
        record: &'static str,
    },
    /// A field with a value that it can't have.
    #[error("{record} record at {offset:#x} has an impossible {field}: {value:#x}")]
    Field {
        /// Where the record begins.
        offset: u64,
        /// Its name.
        record: &'static str,
        /// Which field.
        field: &'static str,
        /// What it says.
        value: u64,
    },
    /// Written by Oracle Solaris, whose format went its own way.
    #[error("stream of Oracle Solaris, with features {features:#x}, at {offset:#x}")]
    OracleSolaris {
        /// Where its BEGIN is.
        offset: u64,
        /// The feature bits.
        features: u64,
    },
    /// Feature bits that nobody here knows.
    #[error("stream with unknown features at {offset:#x}: {features:#x}")]
    UnknownFeatures {
        /// Where its BEGIN is.
        offset: u64,
        /// Only the unknown bits.
        features: u64,
    },
    /// Raw stream of an encrypted dataset.
    #[error("stream is encrypted (BEGIN record at {offset:#x})")]
    Encrypted {
        /// Where its BEGIN is.
        offset: u64,
    },
    /// Redacted stream.
    #[error("stream is redacted (BEGIN record at {offset:#x}): parts of its files are missing")]
    Redacted {
        /// Where its BEGIN is.
        offset: u64,
    },
    /// The rest of an interrupted stream.
    #[error("stream is the rest of an interrupted one (BEGIN record at {offset:#x})")]
    Resuming {
        /// Where its BEGIN is.
        offset: u64,
    },
    /// The list in a BEGIN record is damaged.
    #[error("list of the BEGIN record at {offset:#x}: {source}")]
    Header {
        /// Where its BEGIN is.
        offset: u64,
        /// Why.
        source: NvError,
    },
    /// An increment to a snapshot that is not at hand.
    #[error("stream at {offset:#x} is an increment to a snapshot that is not here: guid {guid}")]
    MissingBase {
        /// Where its BEGIN is.
        offset: u64,
        /// The snapshot's guid.
        guid: u64,
    },
    /// An increment of a file system to a volume, or the other way round.
    #[error("stream at {offset:#x} is an increment to a dataset of another type: guid {guid:#018x}")]
    WrongBase {
        /// Where its BEGIN is.
        offset: u64,
        /// The snapshot's guid.
        guid: u64,
    },
    /// What was picked is not there.
    #[error("no such snapshot in the stream: {wanted} (there are: {})", present.join(", "))]
    NoSuchSnapshot {
        /// What was asked for.
        wanted: String,
        /// What there is.
        present: Vec<String>,
    },
    /// The package holds no snapshot at all.
    #[error("package holds no snapshot")]
    EmptyPackage,
    /// Data that comes before what has come.
    #[error("{record} record at {offset:#x} is out of order: object {object}")]
    Disorder {
        /// Where the record begins.
        offset: u64,
        /// Its name.
        record: &'static str,
        /// The object.
        object: u64,
    },
    /// A record for an object that does not exist.
    #[error("{record} record at {offset:#x} for an object that does not exist: {object}")]
    NoObject {
        /// Where the record begins.
        offset: u64,
        /// Its name.
        record: &'static str,
        /// The object.
        object: u64,
    },
    /// Data by reference to what is not at hand.
    #[error(
        "WRITE_BYREF record at {offset:#x} refers to data that is not here: object {object} of guid {guid:#018x}"
    )]
    NoReference {
        /// Where the record begins.
        offset: u64,
        /// The snapshot referred to.
        guid: u64,
        /// The object there.
        object: u64,
    },
    /// An object that others name is missing, or of a type that it can't be.
    #[error("object {object} is no {expected}")]
    Object {
        /// The object.
        object: u64,
        /// What it should be.
        expected: &'static str,
    },
    /// A key that every dataset has.
    #[error("object {object} lacks a key: {key}")]
    MissingKey {
        /// The object.
        object: u64,
        /// The key.
        key: &'static str,
    },
    /// A map that can't be read.
    #[error("object {object}: {source}")]
    Zap {
        /// The object.
        object: u64,
        /// Why.
        source: ZapError,
    },
    /// Attributes that can't be read.
    #[error("object {object}: {source}")]
    Znode {
        /// The object.
        object: u64,
        /// Why.
        source: ZnodeError,
    },
    /// Extended attributes that can't be read.
    #[error("extended attributes of object {object}: {source}")]
    Xattrs {
        /// The object.
        object: u64,
        /// Why.
        source: NvError,
    },
    /// A value that no object of this kind can have.
    #[error("object {object} has an impossible {what}: {value:#x}")]
    Value {
        /// The object.
        object: u64,
        /// Of what.
        what: &'static str,
        /// The value.
        value: u64,
    },
    /// A name that no directory can hold.
    #[error("directory object {object} has an impossible name: {}", .name.escape_ascii())]
    Name {
        /// The directory.
        object: u64,
        /// The name.
        name: Vec<u8>,
    },
    /// A directory that is in two places, or in itself.
    #[error("directory object is in two places: {object}")]
    Loop {
        /// The directory.
        object: u64,
    },
}

impl ZfsError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        Some(match self {
            Self::NotAStream { .. } => {
                "it must be what `zfs send` writes: plain, or packed with gzip, bzip2, xz or zstd"
            }
            Self::Truncated { .. } => "the stream was cut off; get or send it again",
            Self::NoEnd { .. } => {
                "the stream was cut off, or made by `zfs send --saved` of a partly received dataset: send the whole snapshot"
            }
            Self::OracleSolaris { .. } => {
                "no other ZFS reads it; copy the files with tar on the Solaris host instead"
            }
            Self::UnknownFeatures { .. } => {
                "it was made by a newer ZFS; send it without the options -L, -e, -c and -w"
            }
            Self::Encrypted { .. } => "load the key on the sending host and send without --raw (-w)",
            Self::Redacted { .. } => "send the snapshot without --redact",
            Self::Resuming { .. } => {
                "it continues a receive that was broken off; send the whole snapshot without -t"
            }
            Self::MissingBase { .. } => {
                "give the streams below it with --origin, base first, or send the snapshot without -i"
            }
            Self::WrongBase { .. } => "give the streams of this same dataset with --origin",
            Self::NoSuchSnapshot { .. } => "pick one by #DATASET@SNAPSHOT",
            Self::EmptyPackage => "send at least one snapshot",
            Self::NoReference { .. } => "send without -D, or make it whole with `zstream redup`",
            _ => "the stream is damaged; `imageadm verify` lists what is wrong with it",
        })
    }
}
