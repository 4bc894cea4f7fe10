//! `aurora/meta.json`: the version of a store and the features it uses.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Result, StoreError};
use crate::fs;

/// The version that is written, and the last that is read.
const VERSION: u64 = 1;
/// Far more than any list of features.
const MAX_SIZE: u64 = 64 << 10;
/// Features that this version knows, of any class. None so far.
const KNOWN: [&str; 0] = [];

/// The document. Members that nobody here knows are ignored: what must not be, is a feature.
#[derive(Debug, Serialize, Deserialize)]
struct Meta {
    version: u64,
    /// May be ignored.
    #[serde(default)]
    compatible: Vec<String>,
    /// Must be known to write.
    #[serde(default)]
    read_only_compatible: Vec<String>,
    /// Must be known to read.
    #[serde(default)]
    incompatible: Vec<String>,
}

/// What a new store says.
pub(super) fn content() -> Vec<u8> {
    let none = Vec::new;
    let meta =
        Meta { version: VERSION, compatible: none(), read_only_compatible: none(), incompatible: none() };
    serde_json::to_vec(&meta).expect("a number and lists of text always have a JSON form")
}

/// Whether a store may be read, or written as well. One that says nothing may be.
pub(super) fn check(path: &Path, to_write: bool) -> Result<()> {
    let bytes = match fs::read_limited(path, MAX_SIZE) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        read => read.map_err(StoreError::io(path))?,
    };
    let own = || path.to_owned();
    let meta: Meta = serde_json::from_slice(&bytes)
        .map_err(|e| StoreError::Meta { path: own(), fault: format!("malformed: {e}") })?;
    if meta.version == 0 {
        return Err(StoreError::Meta { path: own(), fault: "malformed: there is no version 0".into() });
    }
    if meta.version > VERSION {
        return Err(StoreError::Version { path: own(), version: meta.version, known: VERSION });
    }
    let unknown = |list: &[String]| list.iter().find(|f| !KNOWN.contains(&f.as_str())).cloned();
    if let Some(feature) = unknown(&meta.incompatible) {
        return Err(StoreError::Feature { path: own(), access: "read", feature });
    }
    match unknown(&meta.read_only_compatible) {
        Some(feature) if to_write => Err(StoreError::Feature { path: own(), access: "write", feature }),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn features_say_who_may_do_what() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.json");
        assert!(check(&path, true).is_ok(), "one that says nothing");
        let own = String::from_utf8(content()).unwrap();
        let cases = [
            (own.as_str(), "", ""),
            (r#"{"version":1,"compatible":["x"],"more":1}"#, "", ""),
            (r#"{"version":1,"read_only_compatible":["x"]}"#, "", "known to write it: \"x\""),
            (r#"{"version":1,"incompatible":["x"]}"#, "known to read it: \"x\"", "known to read it: \"x\""),
            (r#"{"version":2}"#, "later than 1: 2", "later than 1: 2"),
            (r#"{"version":0}"#, "no version 0", "no version 0"),
            ("{", "malformed", "malformed"),
            ("", "malformed", "malformed"),
        ];
        for (text, read, write) in cases {
            std::fs::write(&path, text).unwrap();
            for (to_write, want) in [(false, read), (true, write)] {
                let got = check(&path, to_write).err().map(|e| e.to_string()).unwrap_or_default();
                assert!(got.contains(want) && got.is_empty() == want.is_empty(), "{text}: {got}");
            }
        }
    }
}
