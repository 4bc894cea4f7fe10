//! What is known about blobs, and which steps are done: records that can be deleted and are made again.

use std::io::{Read, Write};
use std::path::PathBuf;

use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use super::thin::{ContentsRecord, ThinRecord};
use super::{Result, Store, StoreError};
use crate::cbor::ByteString;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::fs;

/// The version that is written and read. Records of other versions are made anew.
const VERSION: u64 = 1;
/// Far more than any record of facts: those with the longest lists of losses are cut before they are written.
const MAX_FACTS: u64 = 1 << 20;
/// What is said about layers with millions of files.
const MAX_LIST: u64 = 1 << 30;
/// What packs lists of names to a fifth without being waited for.
const LEVEL: i32 = 3;
/// What that level needs.
const MAX_WINDOW_LOG: u32 = 24;
/// Lists of names pack to a tenth, regular ones to a fiftieth.
const MAX_RATIO: u64 = 100;
/// Bytes of the SHA-256 behind every record.
const SUM: usize = 32;

/// What was found out by decoding a blob.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobFacts {
    /// Stored bytes.
    #[serde(rename = "n")]
    pub size: u64,
    /// How it is packed: a [`crate::codec::Codec::name`].
    #[serde(rename = "c")]
    pub codec: String,
    /// Digest of what it unpacks to: of a layer, its diffID.
    #[serde(rename = "d")]
    pub decoded_digest: String,
    /// Bytes that it unpacks to.
    #[serde(rename = "u")]
    pub decoded_size: u64,
}

/// What a finished step made.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Memo {
    /// Blobs made, each with its size: while one of them is not there, the step is not done.
    #[serde(rename = "o")]
    pub outputs: Vec<(String, u64)>,
    /// What else the caller needs to know of it, in a form of its own.
    #[serde(rename = "p")]
    pub payload: String,
}

/// Kinds of records, each in a directory of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    /// [`BlobFacts`] by the digest of the blob.
    Blob,
    /// [`Memo`] by the digest of what the step was given.
    Memo,
    /// What a layer says, by its digest, in a form of the caller's.
    Changes,
    /// What a thin blob is made of, by its digest.
    Thin,
    /// Which contents a body has, by the digest of blob or pack.
    Contents,
}

impl Kind {
    /// Those that can be made again whenever they are missed.
    pub(super) const DERIVED: [Self; 3] = [Self::Blob, Self::Memo, Self::Changes];

    pub(super) fn dir(self) -> &'static str {
        match self {
            Self::Blob => "index",
            Self::Memo => "memo",
            Self::Changes => "changes",
            Self::Thin => "thin",
            Self::Contents => "contents",
        }
    }

    fn max_size(self) -> u64 {
        match self {
            Self::Blob | Self::Memo => MAX_FACTS,
            Self::Changes | Self::Thin | Self::Contents => MAX_LIST,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Blob => "blob",
            Self::Memo => "memo",
            Self::Changes => "changes",
            Self::Thin => "thin",
            Self::Contents => "contents",
        }
    }
}

/// The record; its members are written in this order (`FORMAT.md`).
#[derive(Serialize, Deserialize)]
struct Record<'a, T> {
    v: u64,
    k: &'a str,
    /// What it is about: a record under a wrong name is none.
    i: String,
    r: T,
}

fn encode<T: Serialize>(kind: Kind, id: &Digest, value: &T) -> Vec<u8> {
    let record = Record { v: VERSION, k: kind.name(), i: id.to_string(), r: value };
    let mut bytes = serde_cbor::to_vec(&record).expect("numbers, text and lists always have a CBOR form");
    let sum = sha256(&bytes);
    bytes.extend_from_slice(&sum);
    bytes
}

/// `None` for whatever is not a whole record of this kind and name.
fn decode<T: DeserializeOwned>(kind: Kind, id: &Digest, bytes: &[u8]) -> Option<T> {
    let (bytes, sum) = bytes.split_at_checked(bytes.len().checked_sub(SUM)?)?;
    if sha256(bytes) != sum {
        return None;
    }
    let record: Record<'_, T> = serde_cbor::from_slice(bytes).ok()?;
    let is_it = record.v == VERSION && record.k == kind.name() && record.i == id.to_string();
    is_it.then_some(record.r)
}

fn sha256(bytes: &[u8]) -> [u8; SUM] {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(bytes);
    hasher.finish_bytes().try_into().expect("SHA-256 has 32 bytes")
}

impl Store {
    pub(super) fn record_path(&self, kind: Kind, id: &Digest) -> PathBuf {
        let dir = self.side().join(kind.dir()).join(id.algorithm().name());
        dir.join(&id.hex()[..2]).join(id.hex())
    }

    /// Whether a record is whole.
    pub(super) fn is_whole(&self, kind: Kind, id: &Digest) -> bool {
        match kind {
            Kind::Blob => self.load::<BlobFacts>(kind, id).is_some(),
            Kind::Memo => self.load::<Memo>(kind, id).is_some(),
            Kind::Changes => self.changes(id).is_some(),
            Kind::Thin => self.load::<ThinRecord>(kind, id).is_some(),
            Kind::Contents => self.load::<ContentsRecord>(kind, id).is_some(),
        }
    }

    pub(super) fn load<T: DeserializeOwned>(&self, kind: Kind, id: &Digest) -> Option<T> {
        // What can't be read is not known: nothing here is ever needed.
        let bytes = fs::read_limited(&self.record_path(kind, id), kind.max_size()).ok()?;
        decode(kind, id, &bytes)
    }

    /// As [`Store::load`], for a record that is all there is of something: one that can't be read, or not by this version,
    /// is an error.
    pub(super) fn load_needed<T: DeserializeOwned>(&self, kind: Kind, id: &Digest) -> Result<Option<T>> {
        let path = self.record_path(kind, id);
        let bytes = match fs::read_limited(&path, kind.max_size()) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            read => read.map_err(StoreError::io(&path))?,
        };
        match decode(kind, id, &bytes) {
            Some(value) => Ok(Some(value)),
            None => {
                let fault = "a record that is damaged, or of a later version".to_owned();
                Err(StoreError::Record { path, fault })
            }
        }
    }

    /// Writes a record; one that is too large to be read is left out, and its size is `None`.
    pub(super) fn save<T: Serialize>(&self, kind: Kind, id: &Digest, value: &T) -> Result<Option<u64>> {
        if !self.may_write {
            return Ok(None);
        }
        let bytes = encode(kind, id, value);
        if bytes.len() as u64 > kind.max_size() {
            return Ok(None);
        }
        let path = self.record_path(kind, id);
        let mut file = self.partial()?;
        file.write_all(&bytes).and_then(|()| file.commit(&path)).map_err(StoreError::io(&path))?;
        Ok(Some(bytes.len() as u64))
    }

    /// What is known about a blob; whatever is damaged is not.
    pub fn facts(&self, digest: &Digest) -> Option<BlobFacts> {
        self.load(Kind::Blob, digest)
    }

    /// Notes what is known about a blob.
    pub fn note_facts(&self, digest: &Digest, facts: &BlobFacts) -> Result<()> {
        self.save(Kind::Blob, digest, facts).map(drop)
    }

    /// What a step made, if it was done and all of that is still there.
    pub fn memo(&self, step: &Digest) -> Option<Memo> {
        let memo: Memo = self.load(Kind::Memo, step)?;
        let is_there = |(digest, size): &(String, u64)| {
            digest.parse().is_ok_and(|digest| matches!(self.size(&digest), Ok(Some(n)) if n == *size))
        };
        memo.outputs.iter().all(is_there).then_some(memo)
    }

    /// What was noted of a layer by [`Store::note_changes`].
    pub fn changes(&self, digest: &Digest) -> Option<Vec<u8>> {
        let packed: ByteString = self.load(Kind::Changes, digest)?;
        let mut decoder = zstd::stream::Decoder::new(&packed.0[..]).ok()?;
        decoder.window_log_max(MAX_WINDOW_LOG).ok()?;
        // Names do not pack better than this; what does is made to take memory.
        let most = (packed.0.len() as u64).saturating_mul(MAX_RATIO).saturating_add(MAX_FACTS);
        let mut out = Vec::new();
        decoder.take(most.saturating_add(1)).read_to_end(&mut out).ok()?;
        (out.len() as u64 <= most).then_some(out)
    }

    /// Notes what a layer says, without its contents: whatever the caller makes of it.
    pub fn note_changes(&self, digest: &Digest, changes: &[u8]) -> Result<()> {
        match zstd::bulk::compress(changes, LEVEL) {
            Ok(packed) => self.save(Kind::Changes, digest, &ByteString(packed)).map(drop),
            // No memory for it: then it is found out again.
            Err(_) => Ok(()),
        }
    }

    /// Notes that a step is done.
    pub fn note_memo(&self, step: &Digest, memo: &Memo) -> Result<()> {
        self.save(Kind::Memo, step, memo).map(drop)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_damage_makes_it_no_record() {
        let id = Digest::sha256(b"blob");
        let facts = BlobFacts {
            size: 5,
            codec: "gzip".into(),
            decoded_digest: Digest::sha256(b"x").to_string(),
            decoded_size: 1 << 40,
        };
        let good = encode(Kind::Blob, &id, &facts);
        assert_eq!(decode::<BlobFacts>(Kind::Blob, &id, &good), Some(facts));
        for n in 0..good.len() {
            let mut bad = good.clone();
            bad[n] ^= 1;
            assert_eq!(decode::<BlobFacts>(Kind::Blob, &id, &bad), None, "byte {n}");
            assert_eq!(decode::<BlobFacts>(Kind::Blob, &id, &good[..n]), None, "cut at {n}");
        }
        assert_eq!(decode::<BlobFacts>(Kind::Memo, &id, &good), None);
        assert_eq!(decode::<BlobFacts>(Kind::Blob, &Digest::sha256(b"other"), &good), None);
    }
}
