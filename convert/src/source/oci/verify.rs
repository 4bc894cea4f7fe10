//! Every digest, size, diffID and reference of a layout or archive: all that is wrong, not the first of it.

use std::collections::BTreeMap;
use std::sync::Arc;

use super::reference;
use super::store::{Picked, Store};
use super::survey::{Survey, images};
use crate::image::Platform;
use crate::image::select::Documents;
use crate::names::ImageName;
use crate::source::ingest::Ingested;
use crate::tree::FileChange;
use crate::{Ctx, Error, ErrorKind, Result, tree};

/// Something that is wrong with an image.
#[derive(Debug)]
pub struct Finding {
    /// The image's name or digest.
    pub image: String,
    /// What, and where.
    pub error: Error,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Default)]
pub struct Verification {
    /// Images and artifacts.
    pub images: usize,
    /// Layers, each once.
    pub layers: usize,
    /// Files in them.
    pub files: u64,
    /// Bytes of them, uncompressed.
    pub bytes: u64,
    /// All that is wrong.
    pub findings: Vec<Finding>,
}

/// Verifies all images, or those that the name's reference means; with a platform, the one that reading takes.
/// Artifacts are images of nothing: their documents and blobs are verified, too, but are no findings.
pub fn verify(name: &ImageName, platform: Option<&Platform>, ctx: &Ctx<'_>) -> Result<Verification> {
    let store = Store::open(name, ctx)?;
    let mut out = Verification::default();
    let mut known = BTreeMap::new();
    let found = match platform {
        Some(_) => vec![super::survey::chosen(&store, reference(name), platform)?],
        None => images(&store, reference(name), &mut Survey::default())?,
    };
    for (found, picked) in found {
        out.images += 1;
        ctx.check()?;
        let digest = found.manifest.as_ref().map(|d| d.digest.clone());
        let image = found.name.or(digest).unwrap_or_else(|| "without a name".to_owned());
        let errors = match picked {
            Ok(picked) => verify_image(&store, &picked, &mut known, ctx)?,
            Err(e) if matches!(e.kind(), ErrorKind::NotAFilesystem(_)) => {
                found.manifest.iter().flat_map(|d| verify_artifact(&store, d)).collect()
            }
            Err(e) => vec![e],
        };
        out.findings.extend(errors.into_iter().map(|error| Finding { image: image.clone(), error }));
    }
    out.layers = known.len();
    for taken in known.values().flatten() {
        let is_file = |c: &&FileChange| matches!(c, FileChange::Add { content: Some(_), .. });
        out.files += taken.changes.changes.iter().filter(is_file).count() as u64;
        out.bytes = out.bytes.saturating_add(taken.bytes);
    }
    Ok(out)
}

/// Layers read already, by digest and diffID: a base that many images share is read once.
type Known = BTreeMap<(String, String), Option<Arc<Ingested>>>;

fn verify_image(store: &Store, picked: &Picked, known: &mut Known, ctx: &Ctx<'_>) -> Result<Vec<Error>> {
    let count = picked.count();
    let mut errors = Vec::new();
    // What only the whole tells: how many layers there are, and of what kinds.
    if let Err(e) = store.layers(picked)
        && e.location().layer.is_none()
    {
        errors.push(e);
    }
    let mut whole = Some(None);
    for n in 0..count {
        ctx.check()?;
        let in_layer = |e: Error| e.in_layer(n + 1, count, picked.layer_name(n));
        let taken = match store.layer(picked, n) {
            Err(e) => Err(e),
            Ok(layer) => {
                let key = (layer.name.clone(), layer.diff_id.to_string());
                match known.get(&key) {
                    Some(Some(taken)) => Ok(taken.clone()),
                    // Told with another image already, and still a fault of this one.
                    Some(None) | None => {
                        let taken = super::layers::ingest_one(&layer, ctx.options.threads, ctx).map(Arc::new);
                        known.insert(key, taken.as_ref().ok().cloned());
                        taken
                    }
                }
            }
        };
        whole = match (taken, whole) {
            (Ok(taken), Some(below)) => match tree::apply(below.as_ref(), &taken.changes) {
                Ok(tree) => Some(Some(tree)),
                Err(e) => {
                    errors.push(in_layer(e));
                    None
                }
            },
            (Ok(_), None) => None,
            (Err(e), _) if matches!(e.kind(), ErrorKind::Interrupted) => return Err(e),
            (Err(e), _) => {
                errors.push(in_layer(e));
                None
            }
        };
    }
    Ok(errors)
}

/// The documents and blobs of what is no image.
fn verify_artifact(store: &Store, descriptor: &aurora_formats::oci::Descriptor) -> Vec<Error> {
    use aurora_formats::oci::Manifest;
    let manifest = store.document(descriptor).and_then(|bytes| {
        Ok(Manifest::parse(&descriptor.digest, Some(&descriptor.media_type), &bytes)?.value)
    });
    match manifest {
        Err(e) => vec![e],
        Ok(manifest) => manifest
            .layers
            .iter()
            .chain([&manifest.config])
            .filter_map(|blob| store.verify_blob(blob).err())
            .collect(),
    }
}
