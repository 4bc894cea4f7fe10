//! The neutral description of an image; each format maps to and from it in one file.

pub mod oci;
pub mod select;
pub mod smartos;
pub mod time;

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use aurora_formats::model::Timestamp;
use serde_json::{Map, Value};

/// Operating system and processor, in Go's words (`GOOS`, `GOARCH`), as OCI has them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Platform {
    /// `linux`, `illumos`, `solaris`, `freebsd` …
    pub os: String,
    /// `amd64`, `arm64` …
    pub architecture: String,
    /// `v8` …
    pub variant: Option<String>,
}

impl Default for Platform {
    fn default() -> Self {
        Self { os: "linux".into(), architecture: "amd64".into(), variant: None }
    }
}

impl FromStr for Platform {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split('/').map(str::to_owned);
        let word = |part: Option<String>| part.filter(|p| !p.is_empty());
        match (word(parts.next()), word(parts.next()), parts.next(), parts.next()) {
            (Some(os), Some(architecture), variant, None) => Ok(Self { os, architecture, variant }),
            _ => Err(format!("a platform is OS/ARCH or OS/ARCH/VARIANT: {text}")),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |v| write!(f, "/{v}"))
    }
}

/// What an image says of itself besides its files.
#[derive(Debug, Clone, Default)]
pub struct Image {
    /// What it runs on, where it says so.
    pub platform: Option<Platform>,
    /// When it was made.
    pub created: Option<Timestamp>,
    /// Who made it.
    pub author: Option<String>,
    /// The `config` object of an OCI config: process, environment, labels …; unknown members kept as they are.
    pub config: Map<String, Value>,
    /// Other members of an OCI config document that this structure has no place for.
    pub extra: Map<String, Value>,
    /// Annotations of the manifest.
    pub annotations: BTreeMap<String, String>,
    /// Digests of the layers as they were packed, base first, where the image came in layers: SmartOS names images
    /// by them.
    pub layers: Vec<String>,
}
