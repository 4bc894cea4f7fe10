//! Which blobs an image needs: from its descriptor through indexes and manifests to layers, and through whatever else
//! names blobs by descriptors. Nothing is known here of artifacts, and nothing needs to be: every JSON document is
//! searched for descriptors, so that what hangs on an image is never taken for garbage.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use aurora_engine::digest::Digest;
use aurora_formats::oci::media::{self, Kind};
use aurora_formats::oci::{Descriptor, json};
use serde_json::Value;

use super::Local;
use crate::image::select::Documents;
use crate::{Ctx, Error, Result};

/// Descriptors remembered of documents read before; beyond that they are read again.
const MAX_KNOWN: usize = 1 << 20;

/// Descriptors in one document: its size bounds them.
type Children = Arc<Vec<Descriptor>>;

/// What is wrong with a reference.
#[derive(Debug)]
pub(crate) enum RefFaultKind {
    /// The blob is not there.
    Missing,
    /// It has another size than the descriptor says.
    Size {
        /// Said.
        expected: u64,
        /// Found.
        actual: u64,
    },
    /// An index or manifest can't be read, so what it needs is not known.
    Damaged(Error),
}

/// A reference that leads nowhere.
#[derive(Debug)]
pub(crate) struct RefFault {
    /// Of the blob.
    pub(crate) digest: String,
    /// What.
    pub(crate) kind: RefFaultKind,
}

/// What one image needs.
#[derive(Debug, Default)]
pub(crate) struct Reach {
    /// Blobs that are there, and their sizes.
    pub(crate) blobs: BTreeMap<Digest, u64>,
    /// Those of them that are layers.
    pub(crate) layers: BTreeSet<Digest>,
    /// Those of them that are no documents: layers, and files of artifacts.
    pub(crate) files: BTreeSet<Digest>,
    /// What is wrong.
    pub(crate) faults: Vec<RefFault>,
}

/// Whether a blob of this type may be JSON.
fn is_document(media_type: &str) -> bool {
    media_type.is_empty() || media_type.ends_with("json")
}

/// Walks through images; a document that many share is read once.
pub(crate) struct Walk<'a> {
    local: &'a Local,
    known: BTreeMap<Digest, Children>,
    /// Descriptors in `known`.
    count: usize,
}

impl<'a> Walk<'a> {
    pub(crate) fn new(local: &'a Local) -> Self {
        Self { local, known: BTreeMap::new(), count: 0 }
    }

    /// All blobs from this descriptor on.
    pub(crate) fn reach(&mut self, top: &Descriptor, ctx: &Ctx<'_>) -> Result<Reach> {
        let mut out = Reach::default();
        let mut seen = BTreeSet::new();
        let mut todo = vec![top.clone()];
        while let Some(next) = todo.pop() {
            ctx.check()?;
            // A digest of a kind that can't be checked names no blob that this store could hold.
            let Ok(digest) = next.digest.parse::<Digest>() else { continue };
            if !seen.insert(digest.clone()) {
                continue;
            }
            let fault = |kind| RefFault { digest: next.digest.clone(), kind };
            let Some(actual) = self.local.blobs().size(&digest)? else {
                // Layers that stay with their owner are not expected to be here.
                let is_foreign = media::layer(&next.media_type).is_some_and(|l| !l.distributable);
                if next.data.is_none() && !is_foreign {
                    out.faults.push(fault(RefFaultKind::Missing));
                }
                continue;
            };
            out.blobs.insert(digest.clone(), actual);
            if media::layer(&next.media_type).is_some() {
                out.layers.insert(digest.clone());
            }
            if !is_document(&next.media_type) {
                out.files.insert(digest.clone());
            }
            if actual != next.size && next.data.is_none() {
                out.faults.push(fault(RefFaultKind::Size { expected: next.size, actual }));
            }
            match self.children(&next, digest) {
                Ok(children) => {
                    let is_new = |child: &&Descriptor| child.digest.parse().is_ok_and(|d| !seen.contains(&d));
                    todo.extend(children.iter().filter(is_new).cloned());
                }
                Err(e) => out.faults.push(fault(RefFaultKind::Damaged(e))),
            }
        }
        Ok(out)
    }

    fn children(&mut self, descriptor: &Descriptor, digest: Digest) -> Result<Children> {
        if let Some(children) = self.known.get(&digest) {
            return Ok(Arc::clone(children));
        }
        let is_list = matches!(media::kind(&descriptor.media_type), Kind::Index | Kind::Manifest);
        let is_json = is_document(&descriptor.media_type);
        let mut children = Vec::new();
        if is_list || (is_json && descriptor.size <= json::MAX_DOCUMENT) {
            let read = self.local.document(descriptor);
            let parsed = read.and_then(|bytes| Ok(json::parse(&descriptor.digest, &bytes)?));
            match parsed {
                Ok(value) => descriptors(&value, &mut children),
                // What has to be a list and can't be read might name anything.
                Err(e) if is_list => return Err(e),
                Err(_) => {}
            }
        }
        self.count += children.len() + 1;
        if self.count > MAX_KNOWN {
            self.known.clear();
            self.count = children.len() + 1;
        }
        let children = Arc::new(children);
        self.known.insert(digest, Arc::clone(&children));
        Ok(children)
    }
}

/// Every object with a digest, at any depth: the parser has bounded it.
fn descriptors(value: &Value, out: &mut Vec<Descriptor>) {
    match value {
        Value::Object(members) => {
            let text = |key: &str| members.get(key).and_then(Value::as_str);
            if let Some(digest) = text("digest") {
                let size = members.get("size").and_then(Value::as_u64);
                let mut found = Descriptor::new(text("mediaType").unwrap_or_default(), digest.into(), 0);
                found.data = text("data").map(|_| Vec::new());
                // One without a size is no descriptor of the specification: it may keep a blob, and lacks nothing.
                match size {
                    Some(size) => found.size = size,
                    None => found.data = Some(Vec::new()),
                }
                out.push(found);
            }
            members.values().for_each(|member| descriptors(member, out));
        }
        Value::Array(elements) => elements.iter().for_each(|element| descriptors(element, out)),
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn descriptors_are_found_wherever_they_are() {
        let value = serde_json::json!({
            "config": {"digest": "sha256:a", "size": 1, "mediaType": "x"},
            "layers": [{"digest": "sha256:b", "size": 2}, {"digest": {"sha256": "c"}}],
            "deep": {"er": [{"digest": "sha256:d", "size": 3, "data": "QQ=="}]},
        });
        let mut found = Vec::new();
        descriptors(&value, &mut found);
        found.sort_by(|a, b| a.digest.cmp(&b.digest));
        let short: Vec<_> = found.iter().map(|d| (d.digest.as_str(), d.size, d.data.is_some())).collect();
        assert_eq!(short, [("sha256:a", 1, false), ("sha256:b", 2, false), ("sha256:d", 3, true)]);
    }
}
