//! Reads OCI layouts, archives of them, and docker-archive.
//!
//! Nothing is believed: every document and layer is read through its digest and size, every layer's uncompressed
//! bytes are compared with the config's diffID, and how a layer is packed is told by its content, not by its label.

mod copy;
mod docker;
mod files;
mod layers;
mod remote;
mod snapshot;
mod store;
mod survey;
mod verify;

use std::io::Read;
use std::sync::Arc;

use aurora_engine::body::Sequential;
use aurora_engine::codec::Codec;
use aurora_engine::digest::{Digest, VerifyingReader};
use aurora_formats::oci::Annotations;
use aurora_formats::oci::chain::chain_text;

pub(crate) use copy::{copy, manifest_of};
pub(crate) use snapshot::to_annotations;
pub use snapshot::{SNAPSHOT_CREATION_TIME, SNAPSHOT_GUID, SNAPSHOT_NAME};
pub use survey::{ImageSurvey, LayerSurvey, Survey, survey, survey_one};
pub use verify::{Finding, Verification, verify};

use crate::image::{Image, Platform, oci, time};
use crate::lineage::{Base, Layers, Lineage, Loaded, Step};
use crate::names::ImageName;
use crate::source::ReadOptions;
use crate::source::ingest::Ingested;
use crate::tree::{self, Tree};
use crate::{Ctx, Error, Loss, LossKind, Result};
use store::{Layer, Picked};
pub(crate) use store::{Store, check_size, digest};

/// Reads an image.
pub fn read(name: &ImageName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    if !options.origins.is_empty() {
        return Err(Error::usage("an OCI image is whole: it has no origin"));
    }
    Ok(Loaded::Filesystem(read_lineage(name, options, ctx)?.0))
}

/// Reads an image that another is to be made upon: what it says of itself, and its layers as they are.
pub(crate) fn read_base(
    name: &ImageName,
    platform: Option<&Platform>,
    ctx: &Ctx<'_>,
) -> Result<(Image, Base)> {
    let options = ReadOptions { platform: platform.cloned(), ..ReadOptions::default() };
    let (lineage, layers) = read_lineage(name, &options, ctx)?;
    let tree = lineage.steps.last().expect("a lineage is never empty").tree.clone();
    Ok((lineage.image, Base { tree, layers }))
}

/// A layer that was read and goes into another image.
#[derive(Clone)]
pub(crate) struct BaseLayer {
    layer: Layer,
    decoded_size: u64,
}

impl BaseLayer {
    /// What errors call it.
    pub(crate) fn name(&self) -> &str {
        &self.layer.name
    }

    /// How it is packed, by its content.
    pub(crate) fn codec(&self) -> Result<Codec> {
        survey::content_of(&self.layer)
    }

    /// Its stored bytes, which are compared with what they were promised to be.
    pub(crate) fn open(&self) -> Box<dyn Read> {
        let body = Sequential::new(self.layer.body.clone());
        match &self.layer.promise {
            Some((digest, size)) => Box::new(VerifyingReader::new(body, digest.clone(), *size)),
            None => Box::new(body),
        }
    }

    /// Digest and size of what it unpacks to.
    pub(crate) fn decoded(&self) -> (&Digest, u64) {
        (&self.layer.diff_id, self.decoded_size)
    }

    /// What the descriptor says besides.
    pub(crate) fn annotations(&self) -> &Annotations {
        &self.layer.annotations
    }
}

fn read_lineage(name: &ImageName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<(Lineage, Vec<BaseLayer>)> {
    let store = Store::open(name, ctx)?;
    let picked = store.pick(reference(name), options)?;
    let layers = store.layers(&picked)?;
    ctx.progress.phase("layers");
    let ingested = match options.names_only {
        true => names_of(&store, &layers, ctx)?,
        false => contents_of(&store, &layers, &(0..layers.len()).collect::<Vec<_>>(), ctx)?,
    };
    ctx.progress.phase("tree");
    let decoded_sizes: Vec<u64> = ingested.iter().map(|taken| taken.bytes).collect();
    let mut changes = ingested.into_iter();
    let history = picked.config.layer_history();
    let (mut tree, mut chain) = (None, None);
    let mut steps = Vec::new();
    for (n, layer) in layers.iter().enumerate() {
        ctx.check()?;
        let changes = changes.next().expect("there are as many results as layers");
        let next = tree::apply(tree.as_deref(), &changes.changes)
            .map_err(|e: Error| e.in_layer(n + 1, layers.len(), layer.name.clone()))?;
        let next = Arc::new(next);
        let link = next_chain(chain.as_ref(), &layer.diff_id);
        if options.layers == Layers::Keep || n + 1 == layers.len() {
            let line = history.as_ref().map(|lines| lines[n]);
            // Of several layers in one, no single line of the history tells the story.
            let line = line.filter(|_| options.layers == Layers::Keep || layers.len() == 1);
            steps.push(Step {
                tree: next.clone(),
                chain_id: link.clone(),
                snapshot: snapshot_of(layer, ctx),
                created: line.and_then(|l| l.created.as_deref()).and_then(time::parse_rfc3339),
                created_by: line.and_then(|l| l.created_by.clone()),
            });
        }
        (tree, chain) = (Some(next), Some(link));
    }
    if steps.is_empty() {
        steps.push(empty_step());
    }
    let mut image = image(&picked, ctx);
    image.layers = layers.iter().map(|layer| layer.name.clone()).collect();
    let whole = |(layer, decoded_size)| BaseLayer { layer, decoded_size };
    Ok((Lineage { image, steps }, layers.into_iter().zip(decoded_sizes).map(whole).collect()))
}

/// Those layers that are wanted, with their contents.
fn contents_of(
    store: &Store,
    layers: &[Layer],
    wanted: &[usize],
    ctx: &Ctx<'_>,
) -> Result<Vec<Arc<Ingested>>> {
    let at_hand: Vec<Layer> = layers.iter().map(layers::at_hand).collect::<Result<_>>()?;
    ctx.progress.total(wanted.iter().map(|&n| at_hand[n].body.len()).sum());
    let ingested = layers::ingest_all(&at_hand, wanted, ctx)?;
    for (&n, taken) in wanted.iter().zip(&ingested) {
        store.note(&layers[n], taken.bytes);
    }
    Ok(ingested)
}

/// All layers without their contents: as they are known from before, or else read, and then known.
fn names_of(store: &Store, layers: &[Layer], ctx: &Ctx<'_>) -> Result<Vec<Arc<Ingested>>> {
    let mut known: Vec<Option<Arc<Ingested>>> =
        layers.iter().map(|layer| store.changes(layer, ctx).map(Arc::new)).collect();
    let missing: Vec<usize> = (0..layers.len()).filter(|&n| known[n].is_none()).collect();
    let lost = ctx.losses().len();
    let read = contents_of(store, layers, &missing, ctx)?;
    let is_whole = ctx.losses().len() == lost;
    for (&n, taken) in missing.iter().zip(read) {
        // What was lost has to be told each time, and so has to be read each time.
        if is_whole {
            store.note_changes(&layers[n], &taken);
        }
        known[n] = Some(taken);
    }
    Ok(known.into_iter().flatten().collect())
}

/// What the name says behind the file.
fn reference(name: &ImageName) -> Option<&str> {
    match name {
        ImageName::Oci { reference, .. }
        | ImageName::OciArchive { reference, .. }
        | ImageName::DockerArchive { reference, .. } => reference.as_deref(),
        _ => None,
    }
}

/// The chainID of a layer upon others (config.md, "Layer ChainID").
fn next_chain(below: Option<&Digest>, diff_id: &Digest) -> Digest {
    match chain_text(below.map(Digest::to_string).as_deref(), &diff_id.to_string()) {
        Some(text) => Digest::sha256(text.as_bytes()),
        None => diff_id.clone(),
    }
}

/// An image without layers is an empty root directory.
fn empty_step() -> Step {
    Step {
        tree: Arc::new(Tree::new(tree::default_directory())),
        chain_id: Digest::sha256(b""),
        snapshot: None,
        created: None,
        created_by: None,
    }
}

fn image(picked: &Picked, ctx: &Ctx<'_>) -> Image {
    let odd = |detail: String| ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    if let Some(text) = &picked.config.created
        && time::parse_rfc3339(text).is_none()
    {
        odd(format!("the config's `created` is no time: {}", text.escape_default()));
    }
    if !picked.config.history.is_empty() && picked.config.layer_history().is_none() {
        odd("the config's history has another number of layers than the image".into());
    }
    let none = Default::default();
    oci::from_config(&picked.config, picked.manifest.as_ref().map_or(&none, |(_, m)| &m.annotations))
}

fn snapshot_of(layer: &Layer, ctx: &Ctx<'_>) -> Option<crate::Snapshot> {
    match snapshot::from_annotations(&layer.annotations) {
        Ok(found) => found,
        Err(detail) => {
            let detail = format!("layer {}: {detail}", layer.name);
            ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chains_are_those_of_the_specification() {
        let (a, b) = (Digest::sha256(b"a"), Digest::sha256(b"b"));
        let one = next_chain(None, &a);
        assert_eq!(one, a);
        assert_eq!(next_chain(Some(&one), &b), Digest::sha256(format!("{a} {b}").as_bytes()));
    }
}
