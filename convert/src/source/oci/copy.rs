//! Takes an image over into the local store as it is: every document and layer with the bytes it has.

use std::io::{self, Read, Write};
use std::sync::Arc;

use aurora_engine::body::Sequential;
use aurora_formats::oci::{Descriptor, layout};

use super::reference;
use super::store::{Picked, Store, digest};
use crate::ctx::Counter;
use crate::image::{Platform, oci};
use crate::names::ImageName;
use crate::source::ReadOptions;
use crate::store::Local;
use crate::{Ctx, Error, Result};

/// Bytes moved at a time.
const CHUNK: usize = 256 << 10;

/// What was taken over.
pub(crate) struct Copied {
    /// Of the manifest, as its index has it.
    pub(crate) manifest: Descriptor,
    /// For people.
    pub(crate) facts: Vec<(String, String)>,
}

/// Copies the image that reading takes; `None` if it has no manifest, as in a docker-archive. Blobs that the store
/// has are not read; every other one is compared with its digest and size.
pub(crate) fn copy(
    name: &ImageName,
    platform: Option<&Platform>,
    to: &Arc<Local>,
    ctx: &Ctx<'_>,
) -> Result<Option<Copied>> {
    let store = match name {
        // Within the store there is nothing to copy. Its lock must not be waited for by who holds it.
        ImageName::Stored(name) => Store::stored_in(Arc::clone(to), name)?,
        _ => Store::open(name, ctx)?,
    };
    let options = ReadOptions { platform: platform.cloned(), ..ReadOptions::default() };
    let picked = store.pick(reference(name), &options)?;
    let Some((manifest, document)) = &picked.manifest else { return Ok(None) };
    // What could not be read as an image later is refused now.
    let layers = store.layers(&picked)?;
    let mut blobs: Vec<&Descriptor> = document.layers.iter().collect();
    blobs.push(&document.config);
    // Last, so that whoever finds it finds all of it.
    blobs.push(manifest);
    ctx.progress.total(blobs.iter().fold(0, |sum, blob| blob.size.saturating_add(sum)));
    ctx.progress.phase("blobs");
    for (n, blob) in blobs.iter().enumerate() {
        take(&store, blob, to, ctx).map_err(|e| match layers.get(n) {
            Some(layer) => e.in_layer(n + 1, layers.len(), layer.name.clone()),
            None => e,
        })?;
    }
    Ok(Some(Copied { manifest: manifest.clone(), facts: facts(&picked, manifest, &document.layers) }))
}

/// The manifest that reading takes, of what has one.
pub(crate) fn manifest_of(
    name: &ImageName,
    platform: Option<&Platform>,
    ctx: &Ctx<'_>,
) -> Result<Option<Descriptor>> {
    let options = ReadOptions { platform: platform.cloned(), ..ReadOptions::default() };
    let picked = Store::open(name, ctx)?.pick(reference(name), &options)?;
    Ok(picked.manifest.map(|(descriptor, _)| descriptor))
}

fn take(from: &Store, blob: &Descriptor, to: &Local, ctx: &Ctx<'_>) -> Result<()> {
    let path = layout::blob_path(&blob.digest);
    let digest = digest(&blob.digest)?;
    if to.blobs().size(&digest)? == Some(blob.size) {
        return Ok(());
    }
    let (body, _) = from.blob(blob)?;
    let mut reader = Sequential::new(body).take(blob.size.saturating_add(1));
    let mut upload = to.blobs().begin(digest.algorithm())?;
    let mut buf = vec![0; CHUNK];
    loop {
        ctx.check()?;
        let n = match reader.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => continue,
            Err(e) => return Err(Error::io(path, e)),
        };
        upload.write_all(&buf[..n]).map_err(|e| Error::io(path.clone(), e))?;
        ctx.progress.count(Counter::BytesRead, n as u64);
        ctx.progress.count(Counter::BytesWritten, n as u64);
    }
    Ok(upload.commit_expected(&digest, blob.size)?)
}

fn facts(picked: &Picked, manifest: &Descriptor, layers: &[Descriptor]) -> Vec<(String, String)> {
    let mut out = vec![
        ("manifest".to_owned(), manifest.digest.clone()),
        ("config".to_owned(), picked.config_digest.to_string()),
    ];
    out.extend(oci::platform(&picked.config).map(|p| ("platform".to_owned(), p.to_string())));
    out.push(("layers".to_owned(), layers.len().to_string()));
    for (n, layer) in layers.iter().enumerate() {
        let n_th = n + 1;
        out.push((format!("layer {n_th} digest"), layer.digest.clone()));
        out.push((format!("layer {n_th} size"), layer.size.to_string()));
        out.extend(picked.config.diff_ids.get(n).map(|id| (format!("layer {n_th} diffID"), id.clone())));
    }
    out
}
