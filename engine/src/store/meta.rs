//! `aurora/meta.json`: the version of a store and the features it uses.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::{Result, StoreError};
use crate::fs;

/// The version that is written, and the last that is read.
const VERSION: u64 = 1;
/// Far more than any list of features.
const MAX_SIZE: u64 = 64 << 10;
/// Features that this version knows, of any class.
const KNOWN: [&str; 1] = [super::thin::FEATURE];

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

/// Says in the file that a feature must be known to read the store, if it does not say so already. Its caller is alone.
pub(super) fn require(path: &Path, feature: &str) -> Result<()> {
    change(path, |list| {
        let is_new = !list.iter().any(|f| f == feature);
        if is_new {
            list.push(feature.to_owned());
        }
        is_new
    })
}

/// Takes that back.
pub(super) fn release(path: &Path, feature: &str) -> Result<()> {
    change(path, |list| {
        let before = list.len();
        list.retain(|f| f != feature);
        list.len() != before
    })
}

/// Changes the list of features that must be known to read. Members that nobody here knows stay.
fn change(path: &Path, change: impl FnOnce(&mut Vec<String>) -> bool) -> Result<()> {
    let bytes = match fs::read_limited(path, MAX_SIZE) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => content(),
        read => read.map_err(StoreError::io(path))?,
    };
    let fault =
        |e: serde_json::Error| StoreError::Meta { path: path.to_owned(), fault: format!("malformed: {e}") };
    let mut document: serde_json::Map<String, serde_json::Value> =
        serde_json::from_slice(&bytes).map_err(fault)?;
    let list = document.get("incompatible").cloned().unwrap_or_else(|| serde_json::Value::Array(Vec::new()));
    let mut list: Vec<String> = serde_json::from_value(list).map_err(fault)?;
    if change(&mut list) {
        document.insert("incompatible".to_owned(), list.into());
        let bytes = serde_json::to_vec(&document).map_err(fault)?;
        fs::replace_file(path, &bytes).map_err(StoreError::io(path))?;
    }
    Ok(())
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
    fn features_come_and_go_and_the_rest_stays() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("meta.json");
        let text = || std::fs::read_to_string(&path).unwrap();
        require(&path, "a").unwrap();
        assert!(text().contains(r#""incompatible":["a"]"#) && text().contains(r#""version":1"#));
        std::fs::write(&path, r#"{"version":1,"compatible":["c"],"incompatible":["x"],"more":1}"#).unwrap();
        for _ in 0..2 {
            require(&path, "a").unwrap();
            assert!(text().contains(r#"["x","a"]"#) && text().contains(r#""more":1"#), "{}", text());
        }
        for _ in 0..2 {
            release(&path, "a").unwrap();
            assert!(text().contains(r#""incompatible":["x"]"#) && text().contains(r#"["c"]"#), "{}", text());
        }
    }

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
            (r#"{"version":1,"incompatible":["thin"]}"#, "", ""),
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
