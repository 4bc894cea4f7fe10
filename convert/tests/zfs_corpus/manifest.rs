//! Trees and volumes in the form of the corpus' manifests.

use std::collections::BTreeMap;
use std::io::Read;

use aurora_convert::Loaded;
use aurora_convert::content::Content;
use aurora_convert::tree::{InodeId, Kind, Tree};
use aurora_engine::digest::{Algorithm, Digest, Hasher, to_hex};
use serde_json::{Map, Value, json};

/// Files beyond this have their data told by extents.
const LARGE: u64 = 64 << 20;

pub fn rows(loaded: &Loaded) -> Vec<Value> {
    match loaded {
        Loaded::Volume(volume) => {
            let sha256 = hash(&volume.content, 0, volume.content.size);
            vec![json!({"type": "volume", "size": volume.content.size, "sha256": sha256})]
        }
        Loaded::Filesystem(lineage) => tree_rows(&lineage.steps.last().unwrap().tree),
    }
}

fn tree_rows(tree: &Tree) -> Vec<Value> {
    let names = tree.walk();
    let mut firsts: BTreeMap<InodeId, Vec<u8>> = BTreeMap::new();
    for (path, id) in &names {
        firsts.entry(*id).or_insert_with(|| path.as_bytes().to_vec());
    }
    // The oracle sorts "." as a name like others.
    let mut rows: Vec<(Vec<u8>, Value)> = Vec::new();
    for (path, id) in &names {
        let name = if path.is_root() { b".".to_vec() } else { path.as_bytes().to_vec() };
        let mut row = row(tree, *id);
        text(&mut row, "path", &name);
        if tree.inode(*id).names > 1 {
            text(&mut row, "link_of", &firsts[id]);
        }
        rows.push((name, Value::Object(row)));
    }
    rows.sort_by(|a, b| a.0.cmp(&b.0));
    rows.into_iter().map(|(_, row)| row).collect()
}

fn row(tree: &Tree, id: InodeId) -> Map<String, Value> {
    let inode = tree.inode(id);
    let meta = &inode.meta;
    let mut row = Map::new();
    let mut put = |key: &str, value: Value| row.insert(key.to_owned(), value);
    put("mode", json!(format!("{:04o}", meta.mode)));
    put("uid", json!(meta.owner.uid));
    put("gid", json!(meta.owner.gid));
    put("mtime_ns", json!(i64::try_from(meta.mtime.as_nanos()).unwrap()));
    put("nlink", json!(inode.names));
    let kind = match &inode.kind {
        Kind::Dir(_) => {
            put("nlink", json!(2 + tree.subdirectories(id)));
            "dir"
        }
        Kind::File(content) => {
            put("size", json!(content.size));
            if content.size > LARGE {
                let data = content.segments().into_iter().filter(|s| s.is_data);
                let data: Vec<_> =
                    data.map(|s| json!([s.offset, s.len, hash(content, s.offset, s.len)])).collect();
                put("data", Value::Array(data));
            } else {
                put("sha256", json!(hash(content, 0, content.size)));
            }
            "file"
        }
        Kind::Symlink(_) => "symlink",
        Kind::Char(device) => {
            put("rdev", json!([device.major, device.minor]));
            "chr"
        }
        Kind::Block(device) => {
            put("rdev", json!([device.major, device.minor]));
            "blk"
        }
        Kind::Fifo => "fifo",
        Kind::Socket => "socket",
    };
    put("type", json!(kind));
    if !meta.xattrs.is_empty() {
        let value = |raw: &[u8]| match raw.len() {
            0..=256 => json!(to_hex(raw)),
            len => json!({"size": len, "sha256": Digest::sha256(raw).hex()}),
        };
        let name = |raw: &[u8]| String::from_utf8(raw.to_vec()).unwrap();
        let xattrs: Map<String, Value> = meta.xattrs.iter().map(|(n, v)| (name(n), value(v))).collect();
        put("xattrs", Value::Object(xattrs));
    }
    if let Kind::Symlink(target) = &inode.kind {
        text(&mut row, "target", target);
    }
    row
}

fn text(row: &mut Map<String, Value>, key: &str, raw: &[u8]) {
    match std::str::from_utf8(raw) {
        Ok(text) => row.insert(key.to_owned(), json!(text)),
        Err(_) => row.insert(format!("{key}_hex"), json!(to_hex(raw))),
    };
}

fn hash(content: &Content, offset: u64, len: u64) -> String {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut reader = content.range(offset, len);
    let mut buffer = vec![0; 1 << 17];
    loop {
        match reader.read(&mut buffer).unwrap() {
            0 => return hasher.finish().hex().to_owned(),
            n => hasher.update(&buffer[..n]),
        }
    }
}
