//! Images from place to place with the bytes they have: documents and blobs are moved, not made.
//!
//! An [`Origin`] gives and a [`Target`] takes; what is there already is not moved again. Whatever names something is put
//! behind it, so that nobody ever finds an image that is not whole.

mod layout;
mod local;
mod registry;
mod stored;
mod walk;

use std::collections::BTreeMap;

use aurora_engine::body::Body;
use aurora_engine::digest::Digest;
use aurora_engine::remote::Destination;
use aurora_engine::store::Landing;
use aurora_formats::oci::{Descriptor, Index, media};

pub(crate) use layout::{LayoutTarget, begin_layout};
pub(crate) use local::LocalOrigin;
pub(crate) use registry::{RegistryOrigin, RegistryTarget};
pub(crate) use stored::StoredTarget;
pub(crate) use walk::{Move, transfer};

use crate::registry::{RegistryName, Sent};
use crate::{Ctx, Error, Result};

/// Where images come from.
pub(crate) trait Origin: Sync {
    /// A manifest, index or config, verified.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>>;

    /// Hands over a blob. Whether it is the right one, `to` finds out.
    fn send(&self, descriptor: &Descriptor, to: &mut dyn Destination, ctx: &Ctx<'_>) -> Result<()>;

    /// A blob to be read anywhere; verified.
    fn body(&self, descriptor: &Descriptor, ctx: &Ctx<'_>) -> Result<Body>;

    /// The manifests that hang on this digest.
    fn referrers(&self, digest: &str) -> Result<Vec<Descriptor>>;

    /// The repository, if it is one.
    fn repository(&self) -> Option<&RegistryName> {
        None
    }
}

/// Where images go.
pub(crate) trait Target: Sync {
    /// Whether a manifest or index is there, and so all that it names.
    fn has_whole(&self, descriptor: &Descriptor) -> Result<bool>;

    /// Takes a blob, unless it is there.
    fn take(&self, descriptor: &Descriptor, origin: &dyn Origin, ctx: &Ctx<'_>) -> Result<Sent>;

    /// Takes a manifest or index; whether what it hangs on is noted by that.
    fn put(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<bool>;

    /// All is there: notes what hangs on it, and gives it its name. What is to be told of that.
    fn finish(&self, top: &Descriptor, bytes: &[u8], attached: &Attached) -> Result<Vec<(String, String)>>;
}

/// What hangs on images and has to be noted: lists of manifests by the digest of their subject.
pub(crate) type Attached = BTreeMap<String, Vec<Descriptor>>;

/// Such a list as it is kept where nobody else keeps it (distribution-spec, "Referrers Tag Schema"): an index.
fn list_of(manifests: &[Descriptor]) -> (Descriptor, Vec<u8>) {
    let bytes = Index { manifests: manifests.to_vec(), ..Index::default() }.to_bytes();
    let digest = Digest::sha256(&bytes).to_string();
    (Descriptor::new(media::INDEX, digest, bytes.len() as u64), bytes)
}

/// Fetches a blob to where it lands; without a place for it, it is there.
fn take(
    landing: Option<Landing>,
    descriptor: &Descriptor,
    origin: &dyn Origin,
    ctx: &Ctx<'_>,
) -> Result<Sent> {
    let Some(mut landing) = landing else { return Ok(Sent::There) };
    origin.send(descriptor, &mut landing, ctx)?;
    landing.commit().map_err(|e| Error::io(descriptor.digest.clone(), e))?;
    Ok(Sent::Copied)
}

/// The same of a document at hand.
fn put(landing: Option<Landing>, descriptor: &Descriptor, bytes: &[u8]) -> Result<()> {
    let Some(mut landing) = landing else { return Ok(()) };
    landing.append(bytes).and_then(|()| landing.commit()).map_err(|e| Error::io(descriptor.digest.clone(), e))
}

/// What was moved, and what had not to be.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Moved {
    /// Blobs, byte by byte.
    pub copied: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Blobs that a registry took from another repository of its own.
    pub mounted: u64,
    /// Blobs that were there.
    pub there: u64,
    /// Manifests and indexes that were put.
    pub documents: u64,
}
