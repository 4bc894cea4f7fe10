//! What a layer says, without the contents of its files: with it, the layer need not be unpacked to be listed.

use std::io;
use std::sync::Arc;

use aurora_engine::body::{Body, ReadAt};
use aurora_engine::cbor::{self, ByteString};
use aurora_engine::digest::Digest;
use aurora_formats::model::{Device, Entry, EntryPath, Metadata, Node, Owner, Timestamp};
use aurora_formats::tar;
use serde::{Deserialize, Serialize};

use crate::content::{Content, Extent, Slice};
use crate::source::ingest::Ingested;
use crate::tree::{Changeset, FileChange};

/// The version that is written, and the only one that is read.
const VERSION: u64 = 1;

/// The record; its members are written in this order (`FORMAT.md`).
#[derive(Serialize, Deserialize)]
struct Record {
    v: u64,
    /// Bytes of the layer, unpacked.
    n: u64,
    /// Their digest.
    d: String,
    c: Vec<Line>,
}

#[derive(Serialize, Deserialize)]
enum Line {
    #[serde(rename = "r")]
    Remove(ByteString),
    #[serde(rename = "o")]
    Opaque(ByteString),
    #[serde(rename = "a")]
    Add(Box<Added>),
}

#[derive(Serialize, Deserialize)]
struct Added {
    p: ByteString,
    k: Kind,
    m: u32,
    u: u32,
    g: u32,
    s: i64,
    t: u32,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    x: Vec<(ByteString, ByteString)>,
    /// Where it stands in the unpacked layer.
    o: u64,
}

#[derive(Serialize, Deserialize)]
enum Kind {
    #[serde(rename = "d")]
    Dir,
    /// Its size and its data: pairs of offset and length.
    #[serde(rename = "f")]
    File(u64, Vec<(u64, u64)>),
    #[serde(rename = "l")]
    Symlink(ByteString),
    #[serde(rename = "h")]
    Hardlink(ByteString),
    #[serde(rename = "c")]
    Char(u32, u32),
    #[serde(rename = "b")]
    Block(u32, u32),
    #[serde(rename = "p")]
    Fifo,
    #[serde(rename = "s")]
    Socket,
}

/// The record of a layer with that diffID.
pub(crate) fn encode(layer: &Ingested, diff_id: &Digest) -> Option<Vec<u8>> {
    let line = |change: &FileChange| match change {
        FileChange::Remove(path) => Line::Remove(bytes(path.as_bytes())),
        FileChange::Opaque(path) => Line::Opaque(bytes(path.as_bytes())),
        FileChange::Add { entry, content, offset } => {
            let Metadata { mode, owner, mtime, xattrs } = &entry.meta;
            Line::Add(Box::new(Added {
                p: bytes(entry.path.as_bytes()),
                k: kind(&entry.node, content.as_deref()),
                m: *mode,
                u: owner.uid,
                g: owner.gid,
                s: mtime.secs,
                t: mtime.nanos,
                x: xattrs.iter().map(|(name, value)| (bytes(name), bytes(value))).collect(),
                o: *offset,
            }))
        }
    };
    let c = layer.changes.changes.iter().map(line).collect();
    cbor::encode(&Record { v: VERSION, n: layer.bytes, d: diff_id.to_string(), c })
}

/// The layer of a record, if it is one and has that diffID and no more than so many bytes. Its files have no contents: to
/// read one is an error.
pub(crate) fn decode(record: &[u8], diff_id: &Digest, max_decoded: u64) -> Option<Ingested> {
    let record: Record = cbor::decode(record).filter(|record: &Record| record.v == VERSION)?;
    // A member of an archive takes a block of it at least.
    let is_possible = record.c.len() as u64 <= record.n / tar::BLOCK as u64;
    if record.d != diff_id.to_string() || record.n > max_decoded || !is_possible {
        return None;
    }
    let body: Body = Arc::new(Unread(record.n));
    let change = |line: Line| -> Option<FileChange> {
        Some(match line {
            Line::Remove(path) => FileChange::Remove(path_of(&path)?),
            Line::Opaque(path) => FileChange::Opaque(path_of(&path)?),
            Line::Add(added) => {
                let Added { p, k, m, u, g, s, t, x, o } = *added;
                let (node, content) = node(k, &body)?;
                let xattrs = x.into_iter().map(|(name, value)| (name.0.into(), value.0.into())).collect();
                let meta = Metadata {
                    mode: m,
                    owner: Owner { uid: u, gid: g },
                    mtime: Timestamp { secs: s, nanos: t },
                    xattrs,
                };
                FileChange::Add { entry: Entry { path: path_of(&p)?, node, meta }, content, offset: o }
            }
        })
    };
    let changes = record.c.into_iter().map(change).collect::<Option<_>>()?;
    Some(Ingested { changes: Changeset { changes }, bytes: record.n, body })
}

fn bytes(raw: &[u8]) -> ByteString {
    ByteString(raw.to_vec())
}

fn path_of(bytes: &ByteString) -> Option<EntryPath> {
    match bytes.0.is_empty() {
        true => Some(EntryPath::root()),
        false => EntryPath::parse(&bytes.0).ok(),
    }
}

fn kind(node: &Node, content: Option<&Content>) -> Kind {
    match node {
        Node::Dir => Kind::Dir,
        Node::File { size } => {
            let extents = content.map(|c| c.extents.as_slice()).unwrap_or_default();
            Kind::File(*size, extents.iter().map(|e| (e.offset, e.len)).collect())
        }
        Node::Symlink(target) => Kind::Symlink(bytes(target)),
        Node::Hardlink(path) => Kind::Hardlink(bytes(path.as_bytes())),
        Node::Char(device) => Kind::Char(device.major, device.minor),
        Node::Block(device) => Kind::Block(device.major, device.minor),
        Node::Fifo => Kind::Fifo,
        Node::Socket => Kind::Socket,
    }
}

fn node(kind: Kind, body: &Body) -> Option<(Node, Option<Arc<Content>>)> {
    let node = match kind {
        Kind::Dir => Node::Dir,
        Kind::File(size, data) => {
            let extent = |(offset, len)| Extent { offset, len, data: Slice::plain(body.clone(), 0, len) };
            let content = Content { size, extents: data.into_iter().map(extent).collect() };
            return content.is_sound().then(|| (Node::File { size }, Some(Arc::new(content))));
        }
        Kind::Symlink(target) => Node::Symlink(target.0.into()),
        Kind::Hardlink(path) => Node::Hardlink(path_of(&path)?),
        Kind::Char(major, minor) => Node::Char(Device { major, minor }),
        Kind::Block(major, minor) => Node::Block(Device { major, minor }),
        Kind::Fifo => Node::Fifo,
        Kind::Socket => Node::Socket,
    };
    Some((node, None))
}

/// Contents that were not asked for.
struct Unread(u64);

impl ReadAt for Unread {
    fn read_exact_at(&self, _: &mut [u8], _: u64) -> io::Result<()> {
        Err(io::Error::other("the contents of this layer were not asked for"))
    }

    fn len(&self) -> u64 {
        self.0
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use aurora_engine::{codec, fs};

    use super::*;
    use crate::Ctx;
    use crate::ctx::{Cancel, NoProgress, Options};
    use crate::source::ingest;

    /// What a layer says, without the places of contents.
    fn said(layer: &Ingested) -> String {
        let line = |change: &FileChange| match change {
            FileChange::Add { entry, content, offset } => {
                let data: Option<Vec<_>> =
                    content.as_ref().map(|c| c.extents.iter().map(|e| (e.offset, e.len)).collect());
                format!("{entry:?} {data:?} {:?} {offset}", content.as_ref().map(|c| c.size))
            }
            other => format!("{other:?}"),
        };
        let lines: Vec<String> = layer.changes.changes.iter().map(line).collect();
        format!("{} {}", layer.bytes, lines.join("\n"))
    }

    #[test]
    fn every_layer_of_the_corpus_says_the_same_again() {
        let (dir, cancel) = (tempfile::tempdir().unwrap(), Cancel::default());
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let blobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/oci/quirks/blobs/sha256");
        let mut layers = 0;
        for blob in fs::read_dir(&blobs).unwrap() {
            let stored = fs::read_limited(&blob, 1 << 26).unwrap();
            let (_, mut plain) = codec::reader(Box::new(io::Cursor::new(stored)), 1 << 26, 1).unwrap();
            let Ok(layer) = ingest::ingest(&mut plain, None, &ctx) else { continue };
            let id = Digest::sha256(b"layer");
            let record = encode(&layer, &id).unwrap();
            let again = decode(&record, &id, layer.bytes).unwrap();
            assert_eq!(said(&again), said(&layer), "{}", blob.display());
            let content = again.changes.changes.iter().find_map(|change| match change {
                FileChange::Add { content: Some(content), .. } if content.size > 0 => Some(content),
                _ => None,
            });
            assert!(content.is_none_or(|c| io::copy(&mut c.reader(), &mut io::sink()).is_err()));
            // Cut short it is none.
            assert!(decode(&record[..record.len() - 1], &id, layer.bytes).is_none());
            assert!(decode(&record, &Digest::sha256(b"other"), layer.bytes).is_none());
            assert!(layer.bytes == 0 || decode(&record, &id, layer.bytes - 1).is_none());
            layers += 1;
        }
        assert!(layers > 100, "few layers: {layers}");
    }

    #[test]
    fn what_can_not_be_is_no_record() {
        let id = Digest::sha256(b"layer");
        let decode = |record: &[u8]| decode(record, &id, 1 << 20);
        let record = |v, c| cbor::encode(&Record { v, n: 512, d: id.to_string(), c }).unwrap();
        let add = |k: Kind, p: &[u8]| {
            let added = Added { p: bytes(p), k, m: 0, u: 0, g: 0, s: 0, t: 0, x: Vec::new(), o: 0 };
            record(1, vec![Line::Add(Box::new(added))])
        };
        assert!(decode(&add(Kind::Fifo, b"a/b")).is_some());
        assert!(decode(&add(Kind::Fifo, b"../b")).is_none());
        assert!(decode(&add(Kind::Hardlink(bytes(b"../y")), b"a")).is_none());
        assert!(decode(&add(Kind::File(10, vec![(0, 3), (5, 5)]), b"a")).is_some());
        assert!(decode(&add(Kind::File(10, vec![(0, 3), (5, 6)]), b"a")).is_none(), "beyond its size");
        assert!(decode(&add(Kind::File(10, vec![(5, 3), (0, 1)]), b"a")).is_none(), "backwards");
        assert!(decode(&record(1, Vec::new())).is_some() && decode(&record(2, Vec::new())).is_none());
        let many = (0..2).map(|_| Line::Remove(bytes(b"a"))).collect();
        assert!(decode(&record(1, many)).is_none(), "more than the layer has room for");
    }
}
