//! Layers, config and manifest of an image.

use std::io::{self, BufWriter, Write};

use aurora_engine::codec::{self, Codec};
use aurora_engine::digest::{Algorithm, Digest, HashingWriter};
use aurora_engine::store::BlobFacts;
use aurora_formats::oci::descriptor::REF_NAME;
use aurora_formats::oci::{Descriptor, Manifest, PlatformSpec, media};

use super::Request;
use super::store::{Pending, Store};
use crate::ctx::Counter;
use crate::image::oci;
use crate::lineage::Step;
use crate::sink::{Outcome, tar};
use crate::source::oci::{BaseLayer, to_annotations};
use crate::tree::{self, Tree};
use crate::{Ctx, Error, ErrorKind, Result};

/// An image whose blobs are all stored.
pub(super) struct Built {
    /// Of the manifest, with platform and without a name.
    pub(super) manifest: Descriptor,
    /// Of the config.
    pub(super) config: Digest,
    /// Of the layers, base first.
    pub(super) layers: Vec<Digest>,
    /// For people.
    pub(super) outcome: Outcome,
}

/// Bytes gathered before they are hashed and packed: headers are small.
const BUFFER: usize = 256 << 10;

/// Writes all blobs of an image.
pub(super) fn build(request: &Request<'_>, store: &mut Store<'_>, ctx: &Ctx<'_>) -> Result<Built> {
    let steps = &request.lineage.steps;
    let base = request.options.upon.as_ref();
    let below = base.map_or(0, |base| base.layers.len());
    let count = below + steps.len();
    let (mut layers, mut diff_ids, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    for (n, layer) in base.iter().flat_map(|base| &base.layers).enumerate() {
        ctx.check()?;
        ctx.progress.phase("layers");
        let descriptor = base_layer(layer, store, ctx)
            .map_err(|e| ctx.check().err().unwrap_or(e))
            .map_err(|e| e.in_layer(n + 1, count, layer.name().to_owned()))?;
        tell(&mut facts, n, &descriptor, layer.decoded().0);
        layers.push(descriptor);
        diff_ids.push(layer.decoded().0.to_string());
    }
    for (n, step) in steps.iter().enumerate() {
        ctx.check()?;
        ctx.progress.phase("layers");
        if let Some(made) = request.options.made.get(n) {
            tell(&mut facts, below + n, &made.descriptor, &made.diff_id);
            layers.push(made.descriptor.clone());
            diff_ids.push(made.diff_id.to_string());
            continue;
        }
        let under = match n.checked_sub(1) {
            Some(n) => Some(&*steps[n].tree),
            None => base.map(|base| &*base.tree),
        };
        let (descriptor, diff_id) = layer(request, under, step, store, ctx)
            .map_err(|e| ctx.check().err().unwrap_or(e))
            .map_err(|e| e.in_layer(below + n + 1, count, step.chain_id.to_string()))?;
        tell(&mut facts, below + n, &descriptor, &diff_id);
        layers.push(descriptor);
        diff_ids.push(diff_id.to_string());
    }
    let platform = &request.platform;
    let config = oci::to_config(&request.lineage.image, platform, diff_ids, steps).to_bytes();
    let config_digest = store.put(&config, ctx)?;
    let manifest = Manifest {
        config: Descriptor::new(media::CONFIG, config_digest.to_string(), config.len() as u64),
        layers,
        annotations: request.lineage.image.annotations.clone(),
        artifact_type: None,
    };
    let bytes = manifest.to_bytes();
    let digest = store.put(&bytes, ctx)?;
    let mut descriptor = Descriptor::new(media::MANIFEST, digest.to_string(), bytes.len() as u64);
    descriptor.platform = Some(PlatformSpec {
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        ..PlatformSpec::default()
    });
    let mut head = vec![
        ("manifest".to_owned(), digest.to_string()),
        ("config".to_owned(), config_digest.to_string()),
        ("platform".to_owned(), platform.to_string()),
        ("layers".to_owned(), manifest.layers.len().to_string()),
    ];
    head.append(&mut facts);
    let layers = manifest.layers.iter().filter_map(|layer| layer.digest.parse().ok()).collect();
    Ok(Built { manifest: descriptor, config: config_digest, layers, outcome: Outcome { facts: head } })
}

/// For people, what a layer is, counted from 0.
fn tell(facts: &mut Vec<(String, String)>, n: usize, descriptor: &Descriptor, diff_id: &Digest) {
    let n = n + 1;
    facts.push((format!("layer {n} digest"), descriptor.digest.clone()));
    facts.push((format!("layer {n} size"), descriptor.size.to_string()));
    facts.push((format!("layer {n} diffID"), diff_id.to_string()));
}

/// Takes a layer over with the bytes it has; its descriptor.
fn base_layer(layer: &BaseLayer, store: &mut Store<'_>, ctx: &Ctx<'_>) -> Result<Descriptor> {
    let failed = |e| Error::io("layer", e);
    let codec = layer.codec()?;
    let media_type = match codec {
        Codec::None | Codec::Gzip | Codec::Zstd => media_type(codec),
        other => {
            let text =
                format!("a layer of the base is packed with {other}; OCI images have gzip, zstd or none");
            return Err(ErrorKind::Unsupported(text).into());
        }
    };
    let hashed = HashingWriter::new(Counted { inner: store.begin(ctx)?, ctx }, Algorithm::Sha256);
    let mut out = BufWriter::with_capacity(BUFFER, hashed);
    io::copy(&mut layer.open(), &mut out).map_err(failed)?;
    let (pending, digest, size) = out.into_inner().map_err(|e| failed(e.into_error()))?.finish();
    store.finish(pending.inner, &digest, size)?;
    let (decoded_digest, decoded_size) = layer.decoded();
    let facts = BlobFacts {
        size,
        codec: codec.name().to_owned(),
        decoded_digest: decoded_digest.to_string(),
        decoded_size,
    };
    store.note(&digest, &facts)?;
    let mut descriptor = Descriptor::new(media_type, digest.to_string(), size);
    descriptor.annotations = layer.annotations().clone();
    Ok(descriptor)
}

fn media_type(codec: Codec) -> &'static str {
    match codec {
        Codec::None => media::LAYER,
        Codec::Zstd => media::LAYER_ZSTD,
        _ => media::LAYER_GZIP,
    }
}

/// Writes one layer; its descriptor and diffID.
fn layer(
    request: &Request<'_>,
    below: Option<&Tree>,
    step: &Step,
    store: &mut Store<'_>,
    ctx: &Ctx<'_>,
) -> Result<(Descriptor, Digest)> {
    let failed = |e| Error::io("layer", e);
    let packed = HashingWriter::new(Counted { inner: store.begin(ctx)?, ctx }, Algorithm::Sha256);
    let encoder = codec::writer(packed, request.compression, ctx.options.threads).map_err(failed)?;
    let plain = HashingWriter::new(encoder, Algorithm::Sha256);
    let mut out = BufWriter::with_capacity(BUFFER, plain);
    match below {
        None => tar::write_layer(&step.tree, &mut out, ctx)?,
        Some(below) => {
            let diff = tree::diff(below, &step.tree).map_err(failed)?;
            tar::write_diff(&diff, &step.tree, &mut out, ctx)?;
        }
    }
    let plain = out.into_inner().map_err(|e| failed(e.into_error()))?;
    let (encoder, diff_id, plain_size) = plain.finish();
    let (pending, digest, size) = encoder.finish().map_err(failed)?.finish();
    store.finish(pending.inner, &digest, size)?;
    let facts = BlobFacts {
        size,
        codec: request.compression.codec.name().to_owned(),
        decoded_digest: diff_id.to_string(),
        decoded_size: plain_size,
    };
    store.note(&digest, &facts)?;
    let mut descriptor = Descriptor::new(media_type(request.compression.codec), digest.to_string(), size);
    if let Some(snapshot) = &step.snapshot {
        descriptor.annotations = to_annotations(snapshot);
    }
    Ok((descriptor, diff_id))
}

impl Built {
    /// The manifest's descriptor under a name.
    pub(super) fn named(&self, name: &str) -> Descriptor {
        let mut descriptor = self.manifest.clone();
        descriptor.annotations.insert(REF_NAME.into(), name.into());
        descriptor
    }
}

/// Tells progress, and stops when it is to.
struct Counted<'a> {
    inner: Pending,
    ctx: &'a Ctx<'a>,
}

impl Write for Counted<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        if self.ctx.cancel.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        let n = self.inner.write(buf)?;
        self.ctx.progress.count(Counter::BytesWritten, n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.inner.flush()
    }
}
