//! Which contents are there, and where.

use std::collections::HashMap;

use serde::{Deserialize, Serialize};

use super::record::{BodyKind, BodyRef};
use crate::byte_string;
use crate::digest::{Algorithm, Digest, Hasher};
use crate::store::record::Kind;
use crate::store::{Result, Store};

/// Shorter contents stand in the recipe: naming them would take as much.
pub(super) const MIN: usize = 128;
/// Longer ones are cut here, counted from the start of a file. It is the length of the blocks that ZFS stores files in,
/// unless it was told otherwise, so the same file is cut in the same places in an archive and in a stream.
pub(super) const MAX: usize = 128 << 10;

/// First bytes of the SHA-256 of a content. Enough to find it: a blob whose recipe was led astray is not made thin, as
/// its bytes are compared first.
pub(super) fn key(content: &[u8]) -> u64 {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(content);
    let sum = hasher.finish_bytes();
    u64::from_le_bytes(sum[..8].try_into().expect("SHA-256 has 32 bytes"))
}

/// A content in a body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    /// Of [`Contents::bodies`].
    pub(super) body: u32,
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// All contents that a recipe may take.
#[derive(Debug, Default)]
pub struct Contents {
    pub(super) bodies: Vec<BodyRef>,
    places: HashMap<u64, Place>,
}

impl Contents {
    pub(super) fn find(&self, key: u64, len: usize) -> Option<Place> {
        self.places.get(&key).filter(|place| place.len as usize == len).copied()
    }

    pub(super) fn insert(&mut self, key: u64, place: Place) {
        self.places.entry(key).or_insert(place);
    }

    /// Adds a body. What is there already stays where it is.
    pub(super) fn add(&mut self, body: BodyRef, list: &[Listed]) {
        let number = self.bodies.len() as u32;
        for item in list {
            let place = Place { body: number, offset: item.offset, len: item.len };
            self.insert(item.key, place);
        }
        self.bodies.push(body);
    }

    /// Whether a body has been added.
    pub fn has(&self, kind: BodyKind, digest: &Digest) -> bool {
        let name = digest.to_string();
        self.bodies.iter().any(|body| body.kind == kind && body.is(&name))
    }

    /// How many there are.
    pub fn len(&self) -> usize {
        self.places.len()
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.places.is_empty()
    }
}

/// A content of one body.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Listed {
    pub(super) key: u64,
    pub(super) offset: u64,
    pub(super) len: u32,
}

/// The contents of a body as they are kept between runs; its members are written in this order (`FORMAT.md`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct ContentsRecord {
    /// Bytes that the body unpacks to.
    #[serde(rename = "u")]
    len: u64,
    /// Keys of eight bytes, one after the other.
    #[serde(rename = "h", with = "byte_string")]
    keys: Vec<u8>,
    /// For each, the distance from the end of the last one and the length, four bytes each; packed by zstd.
    #[serde(rename = "p", with = "byte_string")]
    places: Vec<u8>,
}

/// What packs numbers well enough.
const LEVEL: i32 = 3;

impl ContentsRecord {
    fn new(len: u64, list: &[Listed]) -> Option<Self> {
        let (mut keys, mut places, mut end) = (Vec::new(), Vec::new(), 0);
        for item in list {
            let gap = u32::try_from(item.offset.checked_sub(end)?).ok()?;
            end = item.offset + u64::from(item.len);
            keys.extend_from_slice(&item.key.to_le_bytes());
            places.extend_from_slice(&gap.to_le_bytes());
            places.extend_from_slice(&item.len.to_le_bytes());
        }
        Some(Self { len, keys, places: zstd::bulk::compress(&places, LEVEL).ok()? })
    }

    /// The list, if it is one.
    fn list(&self) -> Option<Vec<Listed>> {
        let count = self.keys.len() / 8;
        let places = zstd::bulk::decompress(&self.places, count * 8).ok()?;
        let mut at = 0_u64;
        let number = |bytes: &[u8]| u32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        let listed = self.keys.chunks_exact(8).zip(places.chunks_exact(8)).map(|(key, place)| {
            let (offset, len) = (at.checked_add(number(place).into())?, number(&place[4..]));
            at = offset.checked_add(len.into()).filter(|end| *end <= self.len)?;
            Some(Listed { key: u64::from_le_bytes(key.try_into().ok()?), offset, len })
        });
        listed.collect()
    }
}

impl Store {
    /// Writes down what is in a body; the bytes that takes. Where it can't be, it is found out again.
    pub(super) fn note_contents(&self, body: &BodyRef, list: &[Listed]) -> Result<u64> {
        match ContentsRecord::new(body.len, list) {
            Some(record) => Ok(self.save(Kind::Contents, &body.digest()?, &record)?.unwrap_or_default()),
            None => Ok(0),
        }
    }

    /// Adds what is known to be in a body; whether it is known.
    pub fn add_contents(&self, kind: BodyKind, digest: &Digest, contents: &mut Contents) -> bool {
        if contents.has(kind, digest) {
            return true;
        }
        let Some(record) = self.load::<ContentsRecord>(Kind::Contents, digest) else { return false };
        match record.list() {
            Some(list) => {
                contents.add(BodyRef::new(kind, digest, record.len), &list);
                true
            }
            None => false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_survive_and_lies_do_not() {
        let list: Vec<Listed> =
            (0..1000).map(|n| Listed { key: n * 77, offset: n * 200 + 7, len: 190 }).collect();
        let record = ContentsRecord::new(200_000, &list).unwrap();
        assert_eq!(record.list().unwrap(), list);
        assert!(ContentsRecord { len: 100_000, ..record.clone() }.list().is_none(), "beyond the body");
        assert!(ContentsRecord { places: b"x".to_vec(), ..record }.list().is_none());
    }
}
