//! Conversions into the local store that need no reading: images taken over as they are, and steps done before.

use std::sync::Arc;

use aurora_engine::digest::Digest;
use aurora_engine::store::{Access, Memo};
use aurora_formats::oci::{Descriptor, Index, Manifest};
use serde::{Deserialize, Serialize};

use super::{ConvertOptions, Converted, CopyOptions, Remains, get};
use crate::image::select::Documents;
use crate::lineage::Layers;
use crate::names::ImageName;
use crate::registry::RegistryName;
use crate::sink::Outcome;
use crate::source::oci;
use crate::store::{Local, StoredName};
use crate::{Ctx, Error, Result};

/// Changes whenever the bytes that a conversion makes do.
const STEP_VERSION: u32 = 1;

/// How layers are treated where nobody says: the store keeps them, every other form gets one tree.
pub fn default_layers(dst: &ImageName) -> Layers {
    match dst {
        ImageName::Stored(_) => Layers::Keep,
        _ => Layers::Squash,
    }
}

/// Whether an OCI image goes into the store with nothing about it to be changed.
fn is_verbatim(src: &ImageName, options: &ConvertOptions) -> bool {
    src.is_oci()
        && options.layers == Layers::Keep
        && options.compression.is_none()
        && options.placement.is_none()
}

/// The image taken over, or a step found done; `None` where there is work to do.
pub(super) fn shortcut(
    src: &ImageName,
    dst: &ImageName,
    step: Option<&Digest>,
    options: &ConvertOptions,
    ctx: &Ctx<'_>,
) -> Result<Option<Converted>> {
    let ImageName::Stored(name) = dst else { return Ok(None) };
    let full = full(name)?;
    let platform = options.selection.platform.as_ref();
    if is_verbatim(src, options) {
        if let ImageName::Docker { name: from } = src {
            return fetched(from, name, options, ctx).map(Some);
        }
        // Held until the name is there: nothing is swept away meanwhile.
        let local = Arc::new(Local::open(Access::Write, ctx)?);
        let copied = oci::copy(src, platform, &local, ctx).map_err(|e| e.in_image(src.to_string()))?;
        let Some(copied) = copied else { return Ok(None) };
        ctx.check()?;
        return named(&local, copied.manifest, &full, copied.facts, ctx).map(Some);
    }
    let Some(step) = step else { return Ok(None) };
    let local = Local::open(Access::Write, ctx)?;
    let Some(memo) = local.blobs().memo(step) else { return Ok(None) };
    let Ok(done) = serde_json::from_str::<Done>(&memo.payload) else { return Ok(None) };
    let Ok(index) = Index::parse("memo", None, done.index.as_bytes()) else { return Ok(None) };
    let Some(manifest) = index.value.manifests.into_iter().next() else { return Ok(None) };
    named(&local, manifest, &full, done.facts, ctx).map(Some)
}

/// An image of a registry as it is.
fn fetched(
    from: &RegistryName,
    to: &StoredName,
    options: &ConvertOptions,
    ctx: &Ctx<'_>,
) -> Result<Converted> {
    let options = CopyOptions { platform: options.selection.platform.clone(), all: false };
    let copied = get(from, Some(to), &options, ctx)?;
    let mut facts = copied.facts;
    facts.push(("manifest".to_owned(), copied.digest));
    facts.push(("blobs fetched".to_owned(), copied.moved.copied.to_string()));
    Ok(Converted { outcome: Outcome { facts }, losses: ctx.losses(), read: Remains::default() })
}

fn full(name: &StoredName) -> Result<String> {
    name.full().ok_or_else(|| Error::usage("an image is stored under NAME[:TAG], not by digest"))
}

fn named(
    local: &Local,
    manifest: Descriptor,
    full: &str,
    mut facts: Vec<(String, String)>,
    ctx: &Ctx<'_>,
) -> Result<Converted> {
    let old = local.edit(|refs| Ok(refs.set(manifest, full)))?;
    facts.insert(0, ("name".to_owned(), full.to_owned()));
    facts.extend(old.map(|digest| ("name was of".to_owned(), digest)));
    Ok(Converted { outcome: Outcome { facts }, losses: ctx.losses(), read: Remains::default() })
}

/// What a memo keeps for the next time.
#[derive(Serialize, Deserialize)]
struct Done {
    /// An index with the one manifest.
    index: String,
    facts: Vec<(String, String)>,
}

/// What a conversion is a function of; `None` where the source can't be told without reading it.
pub(super) fn step(
    src: &ImageName,
    dst: &ImageName,
    options: &ConvertOptions,
    ctx: &Ctx<'_>,
) -> Result<Option<Digest>> {
    let is_known = matches!(src, ImageName::Oci { .. } | ImageName::Docker { .. } | ImageName::Stored(_));
    if !is_known || !matches!(dst, ImageName::Stored(_)) || is_verbatim(src, options) {
        return Ok(None);
    }
    let ConvertOptions { selection, layers, compression, placement, target, strict: _, smartos: _ } = options;
    let platform = selection.platform.as_ref();
    let manifest = oci::manifest_of(src, platform, ctx).map_err(|e| e.in_image(src.to_string()))?;
    let Some(manifest) = manifest else { return Ok(None) };
    let packing = compression.map(|c| format!("{}:{:?}", c.codec, c.level)).unwrap_or_default();
    let text = format!(
        "convert {STEP_VERSION} {}\n{} {}\n{layers:?} {packing} {placement:?} {target:?}\n{}\n",
        env!("CARGO_PKG_VERSION"),
        manifest.digest,
        manifest.size,
        platform.map(ToString::to_string).unwrap_or_default(),
    );
    Ok(Some(Digest::sha256(text.as_bytes())))
}

/// Notes that a step is done. What was lost on the way has to be told each time, so such a step is done each time.
pub(super) fn note(
    dst: &ImageName,
    step: Option<&Digest>,
    converted: &Converted,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let (ImageName::Stored(name), Some(step)) = (dst, step) else { return Ok(()) };
    if !converted.losses.is_empty() {
        return Ok(());
    }
    let local = Local::open(Access::Write, ctx)?;
    let refs = local.refs()?;
    // Somebody else may have taken the name meanwhile: then there is nothing to note.
    let made = converted.outcome.facts.iter().find(|(key, _)| key == "manifest").map(|(_, digest)| digest);
    let entries = refs.find(name)?;
    let Some(entry) = entries.iter().find(|entry| Some(&entry.descriptor.digest) == made) else {
        return Ok(());
    };
    let mut descriptor = entry.descriptor.clone();
    descriptor.annotations.clear();
    let bytes = local.document(&descriptor)?;
    let manifest = Manifest::parse(&descriptor.digest, None, &bytes)?.value;
    let outputs = manifest.layers.iter().chain([&manifest.config, &descriptor]);
    let outputs = outputs.map(|blob| (blob.digest.clone(), blob.size)).collect();
    let facts = converted.outcome.facts.iter();
    let facts = facts.filter(|(key, _)| key != "name" && key != "name was of").cloned().collect();
    let index = Index { manifests: vec![descriptor], ..Index::default() }.to_bytes();
    let index = String::from_utf8(index).expect("the canonical writer makes text");
    let payload = serde_json::to_string(&Done { index, facts }).expect("texts always have a JSON form");
    Ok(local.blobs().note_memo(step, &Memo { outputs, payload })?)
}
