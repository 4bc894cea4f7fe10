//! Canonical listings as JSON values, and their differences in words.

use std::collections::BTreeMap;
use std::path::Path;

use aurora_convert::Loaded;
use aurora_convert::tree::{ListOptions, Row, rows, sha256};
use serde_json::{Map, Value, json};

use crate::Run;

/// Differences that a failure shows.
const MOST: usize = 8;

/// The listing of the last tree, or of a volume its one line.
pub fn list(loaded: &Loaded, run: &Run) -> Vec<Value> {
    match loaded {
        Loaded::Filesystem(lineage) => {
            let step = lineage.steps.last().expect("a lineage is never empty");
            list_tree(&step.tree, run)
        }
        Loaded::Volume(volume) => {
            let sha256 = run.with_ctx(|ctx| sha256(&volume.content, ctx)).unwrap();
            vec![json!({ "type": "volume", "size": volume.content.size, "sha256": sha256 })]
        }
    }
}

pub(crate) fn list_tree(tree: &aurora_convert::tree::Tree, run: &Run) -> Vec<Value> {
    let rows = run.with_ctx(|ctx| rows(tree, ListOptions::default(), ctx)).unwrap();
    rows.iter().map(to_value).collect()
}

fn to_value(row: &Row) -> Value {
    let mut out = Map::new();
    let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
    put("path", json!(row.path));
    put("type", json!(row.kind));
    put("mode", json!(row.mode));
    put("uid", json!(row.uid));
    put("gid", json!(row.gid));
    put("mtime_ns", number(row.mtime_ns));
    let texts =
        [("sha256", &row.sha256), ("target", &row.target), ("hardlink", &row.hardlink), ("rdev", &row.rdev)];
    for (key, text) in texts {
        if let Some(text) = text {
            put(key, json!(text));
        }
    }
    if let Some(size) = row.size {
        put("size", json!(size));
    }
    if !row.xattrs.is_empty() {
        put("xattrs", json!(row.xattrs));
    }
    Value::Object(out)
}

/// An integer of any size, as `serde_json` reads it back.
fn number(n: i128) -> Value {
    serde_json::from_str(&n.to_string()).expect("an integer is JSON")
}

/// A file of rows, plain or gzip.
pub fn read_rows(path: &Path) -> Vec<Value> {
    let text = if path.extension().is_some_and(|e| e == "gz") {
        crate::gunzip(path)
    } else {
        std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))
    };
    text.split(|&b| b == b'\n')
        .filter(|line| !line.is_empty())
        .map(|line| serde_json::from_slice(line).unwrap())
        .collect()
}

/// A row of the virtual machine's `manifest` in the words of the canonical listing. Attributes beyond 256 bytes
/// stay as they are there: `{size, sha256}`; POSIX ACLs are left out, as in the listing.
pub fn from_guest(row: &Value) -> Value {
    if row["type"] == "volume" {
        return row.clone();
    }
    let text = |key: &str| -> Option<Value> {
        let raw = match (row.get(format!("{key}_hex")), row.get(key)) {
            (Some(hex), _) => from_hex(hex.as_str().unwrap_or_default()),
            (None, Some(text)) => text.as_str().unwrap_or_default().as_bytes().to_vec(),
            (None, None) => return None,
        };
        Some(json!(aurora_formats::model::escape_listing(&raw)))
    };
    let mut out = Map::new();
    let kind = match row["type"].as_str().unwrap_or_default() {
        "chr" => "char",
        "blk" => "block",
        other => other,
    };
    let mode = u32::from_str_radix(row["mode"].as_str().unwrap_or_default(), 8).unwrap();
    out.insert("type".into(), json!(kind));
    out.insert("mode".into(), json!(if kind == "symlink" { "0777".into() } else { format!("0{mode:o}") }));
    for key in ["uid", "gid", "mtime_ns", "size", "sha256", "data"] {
        if let Some(value) = row.get(key) {
            out.insert(key.into(), value.clone());
        }
    }
    for (from, to) in [("path", "path"), ("target", "target"), ("link_of", "hardlink")] {
        if let Some(value) = text(from) {
            out.insert(to.into(), value);
        }
    }
    if let Some(device) = row.get("rdev") {
        out.insert("rdev".into(), json!(format!("{}:{}", device[0], device[1])));
    }
    let shown = row["xattrs"].as_object().into_iter().flatten();
    let shown = shown.filter(|(name, _)| !name.starts_with("system.posix_acl_"));
    let xattrs: Map<String, Value> = shown.map(|(n, v)| (n.clone(), v.clone())).collect();
    if !xattrs.is_empty() {
        out.insert("xattrs".into(), Value::Object(xattrs));
    }
    Value::Object(out)
}

fn from_hex(hex: &str) -> Vec<u8> {
    let digits: Vec<char> = hex.chars().collect();
    let byte = |pair: &[char]| u8::from_str_radix(&pair.iter().collect::<String>(), 16).unwrap();
    digits.chunks(2).map(byte).collect()
}

/// What is different, in words. `ignore`: fields; also `root`, the entry itself, and `dir_mtime_ns`.
pub fn differences(want: &[Value], got: &[Value], ignore: &[&str]) -> Vec<String> {
    let (left, right) = (by_path(want), by_path(got));
    let mut found = Vec::new();
    if left.len() != want.len() || right.len() != got.len() {
        found.push("a path is listed twice".to_owned());
    }
    let mut paths: Vec<&String> = left.keys().chain(right.keys()).collect();
    paths.sort();
    paths.dedup();
    for path in paths {
        if path == "." && ignore.contains(&"root") {
            continue;
        }
        let (Some(a), Some(b)) = (left.get(path), right.get(path)) else {
            let side = if left.contains_key(path) { "missing" } else { "too much" };
            found.push(format!("{path}: {side}"));
            continue;
        };
        let mut fields: Vec<&String> = a.keys().chain(b.keys()).collect();
        fields.sort();
        fields.dedup();
        for field in fields {
            let is_dir_time = field == "mtime_ns" && a.get("type") == Some(&json!("dir"));
            let skip = ignore.contains(&field.as_str()) || (is_dir_time && ignore.contains(&"dir_mtime_ns"));
            if !skip && a.get(field) != b.get(field) {
                let show = |v: Option<&Value>| v.map_or("nothing".to_owned(), Value::to_string);
                found.push(format!(
                    "{path}: {field}: {}, expected {}",
                    show(b.get(field)),
                    show(a.get(field))
                ));
            }
        }
    }
    found
}

fn by_path(rows: &[Value]) -> BTreeMap<String, &Map<String, Value>> {
    let object = |row: &'_ Value| row["path"].as_str().unwrap_or("volume").to_owned();
    rows.iter().filter_map(|row| Some((object(row), row.as_object()?))).collect()
}

/// Panics with the first differences, if there are any.
pub fn assert_same(what: &str, want: &[Value], got: &[Value], ignore: &[&str]) {
    let found = differences(want, got, ignore);
    let shown = &found[..found.len().min(MOST)];
    assert!(found.is_empty(), "{what}: {} differences:\n  {}", found.len(), shown.join("\n  "));
}
