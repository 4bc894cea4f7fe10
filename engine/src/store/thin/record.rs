//! What is written about a thin blob.

use serde::{Deserialize, Serialize};

use super::Encoding;
use crate::byte_string;
use crate::digest::Digest;
use crate::store::record::Kind;
use crate::store::{Result, Store, StoreError};

/// Where contents are.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub enum BodyKind {
    /// In what a blob of the store unpacks to.
    #[serde(rename = "blob")]
    Blob,
    /// In a pack: contents and nothing else.
    #[serde(rename = "pack")]
    Pack,
}

/// A body that recipes take slices of.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct BodyRef {
    /// Of which kind.
    #[serde(rename = "k")]
    pub kind: BodyKind,
    /// Of the blob, or of the file of the pack.
    #[serde(rename = "d")]
    digest: String,
    /// Bytes that it unpacks to.
    #[serde(rename = "u")]
    pub len: u64,
}

impl BodyRef {
    pub(super) fn new(kind: BodyKind, digest: &Digest, len: u64) -> Self {
        Self { kind, digest: digest.to_string(), len }
    }

    #[cfg(test)]
    pub(super) fn named(kind: BodyKind, name: &str, len: u64) -> Self {
        Self { kind, digest: name.to_owned(), len }
    }

    pub(super) fn is(&self, digest: &str) -> bool {
        self.digest == digest
    }

    /// Its name.
    pub fn digest(&self) -> Result<Digest> {
        let bad = |_| StoreError::Thin { fault: format!("a body of no known kind: {:?}", self.digest) };
        self.digest.parse().map_err(bad)
    }
}

/// The record; its members are written in this order (`FORMAT.md`).
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(in crate::store) struct ThinRecord {
    /// Bytes of the blob.
    #[serde(rename = "n")]
    pub(in crate::store) size: u64,
    /// Version of the program that has made it: encoders are only promised to give the same bytes within one.
    #[serde(rename = "m")]
    pub(super) maker: String,
    /// Its first bytes: they tell how it is packed.
    #[serde(rename = "h", with = "byte_string")]
    pub(super) head: Vec<u8>,
    #[serde(rename = "e")]
    pub(super) encoding: Encoding,
    /// What the recipe takes slices of, in its order.
    #[serde(rename = "b")]
    pub(in crate::store) bodies: Vec<BodyRef>,
    #[serde(rename = "r", with = "byte_string")]
    pub(super) recipe: Vec<u8>,
}

impl Store {
    /// The record of a blob that is thin, or that could be made so at once.
    pub(in crate::store) fn thin_record(&self, digest: &Digest) -> Option<ThinRecord> {
        self.load(Kind::Thin, digest)
    }
}
