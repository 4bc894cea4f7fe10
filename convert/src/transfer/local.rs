//! Layouts, archives and the local store as origins.

use std::io::Read;

use aurora_engine::body::{Body, Sequential};
use aurora_engine::remote::Destination;
use aurora_formats::oci::{Descriptor, Index, media, reference};

use super::Origin;
use crate::image::select::Documents;
use crate::registry::fallback_tag;
use crate::source::oci::{Store, check_size, digest};
use crate::{Ctx, Error, Result};

/// Bytes moved at a time.
const CHUNK: usize = 256 << 10;

/// What lies on this machine.
pub(crate) struct LocalOrigin {
    store: Store,
    /// All that its index lists, to find what hangs on an image.
    listed: Vec<Descriptor>,
}

impl LocalOrigin {
    pub(crate) fn new(store: Store, listed: Vec<Descriptor>) -> Self {
        Self { store, listed }
    }

    fn checked(&self, descriptor: &Descriptor) -> Result<Body> {
        let (body, digest) = self.store.blob(descriptor)?;
        check_size(&digest, descriptor.size, body.len())?;
        Ok(body)
    }
}

impl Origin for LocalOrigin {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.store.document(descriptor)
    }

    fn send(&self, descriptor: &Descriptor, to: &mut dyn Destination, ctx: &Ctx<'_>) -> Result<()> {
        let mut reader = Sequential::new(self.checked(descriptor)?);
        let named = |e| Error::io(descriptor.digest.clone(), e);
        let mut buf = vec![0; CHUNK];
        loop {
            ctx.check()?;
            match reader.read(&mut buf).map_err(named)? {
                0 => return Ok(()),
                n => {
                    to.append(&buf[..n]).map_err(named)?;
                    ctx.progress.count(crate::Counter::BytesRead, n as u64);
                }
            }
        }
    }

    fn body(&self, descriptor: &Descriptor, _: &Ctx<'_>) -> Result<Body> {
        // Whoever takes it hashes it again; a registry refuses another one. Better told here, and before the wire.
        self.store.verify_blob(descriptor)?;
        self.checked(descriptor)
    }

    fn referrers(&self, of: &str) -> Result<Vec<Descriptor>> {
        let _ = digest(of)?;
        let tag = fallback_tag(of);
        let is_list = |d: &&Descriptor| {
            let name = d.ref_name().unwrap_or_default();
            name == tag || reference::tag_of(name) == Some(tag.as_str())
        };
        let Some(list) = self.listed.iter().find(is_list) else { return Ok(Vec::new()) };
        if media::kind(&list.media_type) != media::Kind::Index {
            return Ok(Vec::new());
        }
        let bytes = self.store.document(list)?;
        Ok(Index::parse(&list.digest, Some(&list.media_type), &bytes)?.value.manifests)
    }
}
