//! The file of an image: how it is packed and by what it is known.

use std::fmt;
use std::str::FromStr;

use super::{Json, Object, SmartosError};

/// `files[].compression`: of the whole file. There is no other legal value; zstd in particular is none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum FileCompression {
    /// As it is.
    None,
    /// gzip.
    Gzip,
    /// bzip2.
    Bzip2,
    /// xz.
    Xz,
}

impl FileCompression {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::None, Self::Gzip, Self::Bzip2, Self::Xz];

    /// As manifests write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Gzip => "gzip",
            Self::Bzip2 => "bzip2",
            Self::Xz => "xz",
        }
    }

    /// What a file so packed ends in: `.gz`, or nothing.
    pub fn extension(self) -> &'static str {
        match self {
            Self::None => "",
            Self::Gzip => ".gz",
            Self::Bzip2 => ".bz2",
            Self::Xz => ".xz",
        }
    }
}

impl FromStr for FileCompression {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        Self::ALL.iter().copied().find(|c| c.name() == text).ok_or(())
    }
}

impl fmt::Display for FileCompression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// One element of `files`. What a manifest does not say, is `None`.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct ImageFile {
    /// SHA-1 of the file as transferred: 40 lower-case digits.
    pub sha1: Option<String>,
    /// Bytes of the file as transferred.
    pub size: Option<u64>,
    /// How it is packed.
    pub compression: Option<FileCompression>,
    /// Guid of the snapshot inside; an increment's `fromguid` must be that of its origin.
    pub dataset_guid: Option<u64>,
    /// Docker layers: digest of the blob.
    pub digest: Option<String>,
    /// Docker layers: digest of the blob, unpacked.
    pub uncompressed_digest: Option<String>,
}

impl ImageFile {
    /// Reads the element at `index`.
    pub(super) fn parse(json: &Json, index: usize) -> Result<Self, SmartosError> {
        let wrong = |name: &str, expected, value: &Json| SmartosError::Field {
            field: if name.is_empty() { format!("files[{index}]") } else { format!("files[{index}].{name}") },
            expected,
            actual: value.shortened(),
        };
        let object = json.as_object().ok_or_else(|| wrong("", "an object", json))?;
        let field = |name| object.get(name).filter(|v| **v != Json::Null);
        let text = |name: &str, value: &Json| {
            value.as_str().map(str::to_owned).ok_or_else(|| wrong(name, "a string", value))
        };
        let mut file = Self::default();
        if let Some(value) = field("sha1") {
            let is_sha1 = |s: &&str| s.len() == 40 && s.bytes().all(|b| b.is_ascii_hexdigit());
            let sha1 = value.as_str().filter(is_sha1).ok_or_else(|| wrong("sha1", "40 hex digits", value))?;
            file.sha1 = Some(sha1.to_ascii_lowercase());
        }
        if let Some(value) = field("size") {
            file.size = Some(value.as_count().ok_or_else(|| wrong("size", "a number of bytes", value))?);
        }
        if let Some(value) = field("compression") {
            let parsed = value.as_str().and_then(|c| c.parse().ok());
            file.compression =
                Some(parsed.ok_or_else(|| wrong("compression", "none, gzip, bzip2 or xz", value))?);
        }
        if let Some(value) = field("dataset_guid") {
            file.dataset_guid =
                Some(value.as_count().ok_or_else(|| wrong("dataset_guid", "a decimal number", value))?);
        }
        if let Some(value) = field("digest") {
            file.digest = Some(text("digest", value)?);
        }
        if let Some(value) = field("uncompressedDigest") {
            file.uncompressed_digest = Some(text("uncompressedDigest", value)?);
        }
        Ok(file)
    }

    /// As a manifest writes it; `dataset_guid` as a string, for it is beyond what JavaScript's numbers hold.
    pub fn to_json(&self) -> Json {
        let size = self.size.map(Json::from);
        let text = |value: &Option<String>| value.clone().map(Json::from);
        let members = [
            ("sha1", text(&self.sha1)),
            ("size", size),
            ("compression", self.compression.map(|c| c.name().into())),
            ("dataset_guid", self.dataset_guid.map(|g| g.to_string().into())),
            ("digest", text(&self.digest)),
            ("uncompressedDigest", text(&self.uncompressed_digest)),
        ];
        let object: Object = members.into_iter().filter_map(|(n, v)| Some((n, v?))).collect();
        Json::Object(object)
    }
}
