//! Reads ZFS send streams: records onto objects, objects to trees.
//!
//! `input` brings records, `apply` lays them over the `objects` of the snapshot below, `history` knows all
//! snapshots of all inputs, and `walk` makes a tree of one. File data stays where it is, compressed blocks
//! included: contents are slices of the input or of a spool.

mod apply;
mod attributes;
mod dataset;
mod history;
mod input;
mod objects;
mod pick;
mod sequel;
mod survey;
mod volume;
mod walk;
mod xattrs;

use std::sync::Arc;

use aurora_engine::digest::Digest;
use aurora_formats::model::Timestamp;
use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::format::objset;

pub use survey::{SubstreamInfo, survey};

pub(crate) use self::input::Input;
pub(crate) use self::sequel::Sequel;

use self::dataset::{Data, Filesystem};
use self::history::History;
use self::pick::Pick;
use self::walk::{Below, Walked};
use crate::image::Image;
use crate::lineage::{Layers, Lineage, Loaded, Snapshot, Step, Volume};
use crate::names::FileName;
use crate::source::ReadOptions;
use crate::{Ctx, Error, ErrorKind, Result};

/// Steps of a volume that are kept; they are held in one another.
const MAX_VOLUME_STEPS: usize = 1000;

/// Reads a snapshot. Which one of a package `pick` says, as `DATASET@SNAP`, `@SNAP` or `DATASET`; else it is the
/// last one of the first dataset. Increments build on `options.origins` and on what the input itself holds.
pub fn read(file: &FileName, pick: Option<&str>, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    read_inputs(&[Input::File(file.clone())], pick, options, ctx)
}

/// As [`read`], of streams that build on each other, base first; the last is the one that is picked from.
pub(crate) fn read_inputs(
    inputs: &[Input],
    pick: Option<&str>,
    options: &ReadOptions,
    ctx: &Ctx<'_>,
) -> Result<Loaded> {
    let keeps_all = options.layers == Layers::Keep;
    let mut history = History::new(keeps_all);
    for origin in &options.origins {
        let Some(below) = Input::of_origin(origin)? else {
            return Err(Error::usage(format!("an origin of a ZFS stream must be one as well: {origin}")));
        };
        for input in &below {
            history.load(input, &Pick::All, ctx).map_err(|e| e.in_image(origin.to_string()))?;
        }
    }
    let (top, below) = inputs.split_last().ok_or(ZfsError::EmptyPackage)?;
    for input in below {
        history.load(input, &Pick::All, ctx)?;
    }
    let top = history.load(top, &Pick::parse(pick), ctx)?;
    let mut chain = history.chain(top);
    if !keeps_all {
        chain.drain(..chain.len() - 1);
    }
    let last = chain.last().ok_or(ZfsError::EmptyPackage)?;
    history.lose_properties(last.guid, ctx);
    let created = timestamp(last.creation_time);
    let image = Image { created: Some(created), ..Image::default() };
    match last.kind {
        objset::ZVOL => volume(&history, &chain, image).map(Loaded::Volume),
        _ => filesystem(&history, &chain, image, ctx).map(Loaded::Filesystem),
    }
}

fn filesystem(
    history: &History,
    chain: &[&history::Snapshot],
    image: Image,
    ctx: &Ctx<'_>,
) -> Result<Lineage> {
    let (steps, _) = steps(history, chain, None, ctx)?;
    Ok(Lineage { image, steps })
}

/// The steps of a chain, and what was walked for the last of them. `known` are those at its bottom that were made before,
/// with what was walked for the last of these.
fn steps(
    history: &History,
    chain: &[&history::Snapshot],
    known: Option<(&[Step], Arc<Walked>)>,
    ctx: &Ctx<'_>,
) -> Result<(Vec<Step>, Option<Arc<Walked>>)> {
    let mut steps = Vec::with_capacity(chain.len());
    let mut below: Option<(Arc<Walked>, &history::Snapshot)> = None;
    if let Some((made, walked)) = known {
        steps.extend(made.iter().cloned());
        below = made.len().checked_sub(1).and_then(|at| chain.get(at)).map(|snapshot| (walked, *snapshot));
    }
    for (number, snapshot) in chain.iter().enumerate().skip(steps.len()) {
        let located =
            |e: Error| e.in_layer(number + 1, chain.len(), snapshot.name.escape_ascii().to_string());
        let fs = Filesystem::open(data(history, snapshot)?).map_err(located)?;
        let known = match &below {
            Some((walked, old)) => old.objects.as_ref().map(|objects| Below { walked, objects }),
            None => None,
        };
        let walked = Arc::new(walk::walk(fs, known, ctx).map_err(located)?);
        steps.push(Step {
            tree: Arc::new(walked.tree.clone()),
            chain_id: chain_id(snapshot.guid),
            snapshot: Some(identity(snapshot)),
            created: Some(timestamp(snapshot.creation_time)),
            created_by: None,
        });
        below = Some((walked, snapshot));
    }
    Ok((steps, below.map(|(walked, _)| walked)))
}

fn volume(history: &History, chain: &[&history::Snapshot], image: Image) -> Result<Volume> {
    if chain.len() > MAX_VOLUME_STEPS {
        let what = "steps of a volume";
        return Err(ErrorKind::Limit { what, limit: MAX_VOLUME_STEPS as u64 }.into());
    }
    let mut base: Option<Box<Volume>> = None;
    for snapshot in chain {
        let (content, block_size) = volume::open(data(history, snapshot)?)?;
        base = Some(Box::new(Volume {
            image: image.clone(),
            content,
            block_size: Some(block_size),
            snapshot: Some(identity(snapshot)),
            base,
        }));
    }
    let top = base.ok_or(ZfsError::EmptyPackage)?;
    Ok(*top)
}

fn data<'a>(history: &'a History, snapshot: &'a history::Snapshot) -> Result<Data<'a>> {
    let missing = ZfsError::MissingBase { offset: 0, guid: snapshot.guid };
    Ok(Data { objects: snapshot.objects.as_ref().ok_or(missing)?, bodies: &history.bodies })
}

fn identity(snapshot: &history::Snapshot) -> Snapshot {
    let history::Snapshot { name, guid, creation_time, .. } = snapshot;
    Snapshot { name: name.clone(), guid: *guid, creation_time: *creation_time }
}

fn timestamp(secs: u64) -> Timestamp {
    Timestamp::from_secs(i64::try_from(secs).unwrap_or(i64::MAX))
}

/// A snapshot was born without layers. Its guid names it as well as a chainID would: the digest of this text.
pub(crate) fn chain_id(guid: u64) -> Digest {
    Digest::sha256(format!("aurora: ZFS snapshot with guid {guid:016x}").as_bytes())
}
