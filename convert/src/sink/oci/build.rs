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
use crate::source::oci::to_annotations;
use crate::{Ctx, Error, Result, tree};

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
    let (mut layers, mut diff_ids, mut facts) = (Vec::new(), Vec::new(), Vec::new());
    for (n, step) in steps.iter().enumerate() {
        ctx.check()?;
        ctx.progress.phase("layers");
        let below = n.checked_sub(1).and_then(|n| steps.get(n));
        let (descriptor, diff_id) = layer(request, below, step, store, ctx)
            .map_err(|e| ctx.check().err().unwrap_or(e))
            .map_err(|e| e.in_layer(n + 1, steps.len(), step.chain_id.to_string()))?;
        facts.push((format!("layer {} digest", n + 1), descriptor.digest.clone()));
        facts.push((format!("layer {} size", n + 1), descriptor.size.to_string()));
        facts.push((format!("layer {} diffID", n + 1), diff_id.to_string()));
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

/// Writes one layer; its descriptor and diffID.
fn layer(
    request: &Request<'_>,
    below: Option<&Step>,
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
            let diff = tree::diff(&below.tree, &step.tree).map_err(failed)?;
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
    let media_type = match request.compression.codec {
        Codec::None => media::LAYER,
        Codec::Zstd => media::LAYER_ZSTD,
        _ => media::LAYER_GZIP,
    };
    let mut descriptor = Descriptor::new(media_type, digest.to_string(), size);
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
