//! Docker layers: images whose files are layer tars, each upon its origin.

use std::io;
use std::path::Path;
use std::sync::Arc;

use aurora_engine::codec;
use aurora_engine::digest::{Algorithm, Digest, Hasher};
use aurora_engine::fs;
use aurora_formats::smartos::{Json, Manifest};

use super::file;
use super::library::Entry;
use crate::image::smartos::from_manifest;
use crate::lineage::{Layers, Lineage, Loaded, Step};
use crate::source::ReadOptions;
use crate::source::ingest::{Ingested, ingest};
use crate::tree;
use crate::{Ctx, Error, ErrorKind, Result};

/// Reads the layers, base first. The rules are OCI's: what a whiteout removes is always below its own layer.
pub(super) fn read(layers: &[Entry], options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let mut chain: Option<Layered> = None;
    for (number, layer) in layers.iter().enumerate() {
        let located = |e: Error| e.in_layer(number + 1, layers.len(), layer.path.display().to_string());
        let path = file::verified(layer, ctx).map_err(located)?;
        chain = Some(Layered::upon(chain.as_ref(), &layer.manifest, &path, ctx).map_err(located)?);
    }
    let Some(chain) = chain else { return Err(ErrorKind::NoSuchImage("no layers".into()).into()) };
    let mut lineage = chain.lineage()?;
    if options.layers == Layers::Squash {
        lineage.steps.drain(..lineage.steps.len() - 1);
        lineage.steps.iter_mut().for_each(|step| step.created_by = None);
    }
    Ok(Loaded::Filesystem(lineage))
}

/// A layer and all below it; never changed.
pub(crate) struct Layered {
    manifest: Manifest,
    steps: Vec<Step>,
    /// What they were called.
    digests: Vec<String>,
}

impl Layered {
    /// Reads a layer, whose file has been found to be the right one, upon those below it.
    pub(super) fn upon(
        below: Option<&Self>,
        manifest: &Manifest,
        file: &Path,
        ctx: &Ctx<'_>,
    ) -> Result<Self> {
        let (taken, diff_id) = take(file, ctx)?;
        let last = below.and_then(|below| below.steps.last());
        let tree = Arc::new(tree::apply(last.map(|step| &*step.tree), &taken.changes)?);
        let chain_id = match last {
            Some(below) => Digest::sha256(format!("{} {diff_id}", below.chain_id).as_bytes()),
            None => diff_id,
        };
        let mut steps = below.map_or_else(Vec::new, |below| below.steps.clone());
        let mut digests = below.map_or_else(Vec::new, |below| below.digests.clone());
        digests.extend(manifest.tag("docker:id").and_then(Json::as_str).map(str::to_owned));
        steps.push(Step {
            tree,
            chain_id,
            snapshot: None,
            created: manifest.published_at()?,
            created_by: manifest.text("description")?.filter(|text| !text.is_empty()),
        });
        Ok(Self { manifest: manifest.clone(), steps, digests })
    }

    /// What was read, every layer of it.
    pub(super) fn lineage(&self) -> Result<Lineage> {
        let mut image = from_manifest(&self.manifest)?;
        image.layers.clone_from(&self.digests);
        Ok(Lineage { image, steps: self.steps.clone() })
    }
}

/// Takes in a layer, whatever it is packed with; and the digest of its uncompressed bytes.
fn take(path: &Path, ctx: &Ctx<'_>) -> Result<(Ingested, Digest)> {
    let failed = |e| Error::io(path.display().to_string(), e);
    let file = fs::open_input(path).map_err(failed)?;
    let (_, plain) =
        codec::reader(Box::new(file), ctx.options.max_decoded, ctx.options.threads).map_err(failed)?;
    let mut hashed = Hashed { inner: plain, hasher: Hasher::new(Algorithm::Sha256) };
    let taken = ingest(&mut hashed, None, ctx)?;
    io::copy(&mut hashed, &mut io::sink()).map_err(failed)?;
    Ok((taken, hashed.hasher.finish()))
}

struct Hashed {
    inner: Box<dyn io::Read + Send>,
    hasher: Hasher,
}

impl io::Read for Hashed {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        Ok(n)
    }
}
