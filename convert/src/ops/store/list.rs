//! Which images there are.

use aurora_formats::oci::{Config, Descriptor, Manifest};
use rayon::prelude::*;
use serde::Serialize;

use crate::image::select::{self, Candidate, Documents};
use crate::image::{oci, time};
use crate::ops::rfc3339;
use crate::store::{Entry, Local};
use crate::{Ctx, Result};

/// An image of the store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct StoredImage {
    /// Its name; none if it has lost it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// Its tag; images of other programs may have a name alone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tag: Option<String>,
    /// Of its manifest or index.
    pub digest: String,
    /// Of that.
    pub media_type: String,
    /// What it runs on: one for each image of an index.
    pub platforms: Vec<String>,
    /// Stored bytes of all its documents and layers.
    pub size: u64,
    /// RFC 3339; of an index, that of its first image.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub created: Option<String>,
    /// Why there is no more to tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub problem: Option<String>,
}

/// All images, by name and tag. A store that is not there yet has none.
pub fn list(ctx: &Ctx<'_>) -> Result<Vec<StoredImage>> {
    let Some(local) = Local::open_if_any(ctx)? else { return Ok(Vec::new()) };
    let refs = local.refs()?;
    let mut out: Vec<StoredImage> = refs.entries().par_iter().map(|entry| image(entry, &local)).collect();
    ctx.check()?;
    // Those without a name last.
    out.sort_by(|a, b| {
        let key = |i: &StoredImage| (i.name.is_none(), i.name.clone(), i.tag.clone(), i.digest.clone());
        key(a).cmp(&key(b))
    });
    Ok(out)
}

fn image(entry: &Entry, local: &Local) -> StoredImage {
    let (name, tag) = entry.name();
    let descriptor = &entry.descriptor;
    let mut out = StoredImage {
        name,
        tag,
        digest: descriptor.digest.clone(),
        media_type: descriptor.media_type.clone(),
        size: descriptor.size,
        ..StoredImage::default()
    };
    if let Err(e) = look(descriptor, local, &mut out) {
        out.problem = Some(e.to_string());
    }
    out
}

fn look(top: &Descriptor, local: &Local, out: &mut StoredImage) -> Result<()> {
    for Candidate { descriptor, .. } in select::images_of(top, local)? {
        if descriptor.digest != top.digest {
            out.size = out.size.saturating_add(descriptor.size);
        }
        let bytes = local.document(&descriptor)?;
        let manifest = Manifest::parse(&descriptor.digest, Some(&descriptor.media_type), &bytes)?.value;
        for blob in manifest.layers.iter().chain([&manifest.config]) {
            out.size = out.size.saturating_add(blob.size);
        }
        if let Some(kind) = manifest.artifact() {
            out.platforms.push(kind.to_owned());
            continue;
        }
        let config = local.document(&manifest.config)?;
        let config = Config::parse(&manifest.config.digest, &config)?.value;
        out.platforms.extend(oci::platform(&config).map(|p| p.to_string()));
        if out.created.is_none() {
            out.created = config.created.as_deref().and_then(time::parse_rfc3339).map(rfc3339);
        }
    }
    Ok(())
}
