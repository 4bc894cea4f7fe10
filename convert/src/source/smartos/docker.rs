//! Docker layers: images whose files are layer tars, each upon its origin.

use std::io;
use std::path::Path;
use std::sync::Arc;

use aurora_engine::codec;
use aurora_engine::digest::{Algorithm, Digest, Hasher};
use aurora_engine::fs;
use aurora_formats::smartos::Json;

use super::file;
use super::library::Entry;
use crate::image::smartos::from_manifest;
use crate::lineage::{Layers, Lineage, Loaded, Step};
use crate::source::ReadOptions;
use crate::source::ingest::{Ingested, ingest};
use crate::tree::{self, Tree};
use crate::{Ctx, Error, ErrorKind, Result};

/// Reads the layers, base first. The rules are OCI's: what a whiteout removes is always below its own layer.
pub(super) fn read(layers: &[Entry], options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let Some(top) = layers.last() else { return Err(ErrorKind::NoSuchImage("no layers".into()).into()) };
    let mut image = from_manifest(&top.manifest)?;
    let (mut tree, mut chain): (Option<Arc<Tree>>, Option<Digest>) = (None, None);
    let mut steps = Vec::new();
    for (number, layer) in layers.iter().enumerate() {
        let located = |e: Error| e.in_layer(number + 1, layers.len(), layer.path.display().to_string());
        let path = file::verified(layer, ctx).map_err(located)?;
        let (taken, diff_id) = take(&path, ctx).map_err(located)?;
        let next = Arc::new(tree::apply(tree.as_deref(), &taken.changes).map_err(located)?);
        let link = match &chain {
            Some(below) => Digest::sha256(format!("{below} {diff_id}").as_bytes()),
            None => diff_id,
        };
        let id = layer.manifest.tag("docker:id").and_then(Json::as_str);
        image.layers.extend(id.map(str::to_owned));
        if options.layers == Layers::Keep || number + 1 == layers.len() {
            let line = layer.manifest.text("description")?.filter(|text| !text.is_empty());
            steps.push(Step {
                tree: next.clone(),
                chain_id: link.clone(),
                snapshot: None,
                created: layer.manifest.published_at()?,
                created_by: line.filter(|_| options.layers == Layers::Keep),
            });
        }
        (tree, chain) = (Some(next), Some(link));
    }
    Ok(Loaded::Filesystem(Lineage { image, steps }))
}

/// Takes in a layer, whatever it is packed with; and the digest of its uncompressed bytes.
fn take(path: &Path, ctx: &Ctx<'_>) -> Result<(Ingested, Digest)> {
    let failed = |e| Error::io(path.display().to_string(), e);
    let file = fs::open_input(path).map_err(failed)?;
    let (_, plain) = codec::reader(Box::new(file), ctx.options.max_decoded).map_err(failed)?;
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
