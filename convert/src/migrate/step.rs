//! One image on its way. Whatever is done here is done by the operations that single images go through; the same image
//! gives the same bytes, so that a step may be done again at any time.

use std::sync::Arc;

use aurora_engine::body::FileBody;
use aurora_engine::codec::Compression;
use aurora_engine::digest::{Algorithm, HashingWriter};
use aurora_engine::fs::{self, AtomicFile, ScratchDir};
use aurora_formats::oci::{Descriptor, media};

use super::deliver::{Blobs, Grown, deliver, made};
use super::workshop::Workshop;
use super::{How, Planned};
use crate::image::select::DEFAULT_NAME;
use crate::image::smartos::MANIFEST;
use crate::lineage::{Layers, Loaded};
use crate::names::ImageName;
use crate::ops::{self, ConvertOptions, CopyOptions};
use crate::sink::{self, Made, Target, WriteOptions};
use crate::source::oci::Store;
use crate::source::smartos::Found;
use crate::store::{NO_CONFIG, artifact};
use crate::transfer::{LocalOrigin, Origin as _};
use crate::tree::place::{self, Placement};
use crate::{Ctx, Error, ErrorKind, Result};

/// What an image has become.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct Delivered {
    /// Of its manifest, where it has one.
    pub(super) digest: Option<String>,
    /// Bytes of it at the target.
    pub(super) after: u64,
    /// Bytes that were sent.
    pub(super) sent: u64,
}

/// Brings an image to where it goes.
pub(super) fn step(image: &Planned, shop: &Workshop<'_>, ctx: &Ctx<'_>) -> Result<Delivered> {
    let done = match image.how {
        How::Layers => layers(image, shop, ctx),
        How::Artifact => as_artifact(image, shop, ctx),
        How::Files => as_files(image, shop, ctx),
        How::Convert => convert(image, shop, ctx),
        How::Copy => copy(image, ctx),
    };
    // The folder of a migration tells nobody which image it is.
    done.map_err(|e| ctx.check().err().unwrap_or(e).in_image(image.from.clone()))
}

fn compression(shop: &Workshop<'_>) -> Result<Option<Compression>> {
    let parse = |text: &String| text.parse().map_err(|e: String| Error::from(ErrorKind::Plan(e)));
    shop.plan().compress.as_ref().map(parse).transpose()
}

fn layers(image: &Planned, shop: &Workshop<'_>, ctx: &Ctx<'_>) -> Result<Delivered> {
    let (from, to) = (image.from()?, image.to()?);
    let member = shop.member(image, ctx)?;
    let Loaded::Filesystem(mut lineage) = member.loaded(ctx)? else {
        let text = "a disk has no layers; set how to artifact in the plan, or write it to smartos: or zfs:";
        return Err(ErrorKind::Unsupported(text.to_owned()).into());
    };
    drop(member);
    let steps = lineage.steps.len();
    let is_lifted = lineage.steps.last().is_some_and(|step| place::detect(&step.tree) == Placement::Root);
    let (known, below) = below(image, &lineage.steps[..steps.saturating_sub(1)], is_lifted, shop, ctx)?;
    ops::place(&mut lineage, &from, &to, None, ctx)?;
    let options = WriteOptions {
        made: known.to_vec(),
        compression: compression(shop)?,
        strict: shop.plan().strict,
        ..WriteOptions::default()
    };
    ctx.progress.phase("writing");
    let scratch = ScratchDir::create(&ctx.options.temp_dir);
    let scratch = scratch.map_err(|e| Error::io("cannot make a temporary folder", e))?;
    let layout = ImageName::Oci { dir: scratch.path().join("layout"), reference: Some(DEFAULT_NAME.into()) };
    sink::write(&Loaded::Filesystem(lineage), &layout, &options, ctx).map_err(Error::without_image)?;
    let store = Store::open(&layout, ctx)?;
    let mut top = store.listed().first().cloned().expect("the layout has the image that was written into it");
    top.annotations.clear();
    let origin = Grown::new(LocalOrigin::new(store, Vec::new()), &known, below);
    let moved = deliver(image, &origin, &top, origin.repository(), ctx)?;
    let all = super::deliver::layers(&origin, &top)?;
    let after = all.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.descriptor.size));
    shop.keep_made(&image.id, all, is_lifted);
    Ok(Delivered { digest: Some(top.digest), after, sent: moved.bytes })
}

/// Layers that were made before, and the image that has them with its digest.
type Below<'a> = (Arc<Vec<Made>>, Option<(&'a Planned, String)>);

/// The layers of the origin, which stand below those of the image, and the image that has them. None where the image does
/// not go on from it layer by layer.
fn below<'a>(
    image: &Planned,
    steps: &[crate::Step],
    is_lifted: bool,
    shop: &Workshop<'a>,
    ctx: &Ctx<'_>,
) -> Result<Below<'a>> {
    let none = || (Arc::default(), None);
    let Some(origin) = shop.origin(image).filter(|origin| origin.how == How::Layers) else {
        return Ok(none());
    };
    let Some(digest) = shop.digest(&origin.id) else { return Ok(none()) };
    let (known, was_lifted) = match shop.made(&origin.id) {
        Some(known) => known,
        // Made by an earlier run: what it was, the target tells.
        None => {
            let was_lifted = steps.last().is_some_and(|step| place::detect(&step.tree) == Placement::Root);
            (Arc::new(made(origin, &digest, ctx)?.0), was_lifted)
        }
    };
    // Another place of the root file system makes other layers of the same snapshots.
    if known.len() != steps.len() || was_lifted != is_lifted {
        return Ok(none());
    }
    Ok((known, Some((origin, digest))))
}

fn as_artifact(image: &Planned, shop: &Workshop<'_>, ctx: &Ctx<'_>) -> Result<Delivered> {
    // Read like any other: a stream that is damaged, or fits upon nothing, must not pass for an image.
    let _member = shop.member(image, ctx)?;
    let found = shop.found(image, ctx)?;
    let path = found.file()?;
    let failed = |e| Error::io(path.display().to_string(), e);
    ctx.progress.phase("hashing");
    let mut file = fs::open_regular(&path).map_err(failed)?;
    let mut hashed = HashingWriter::new(std::io::sink(), Algorithm::Sha256);
    std::io::copy(&mut file, &mut hashed).map_err(failed)?;
    let (_, digest, size) = hashed.finish();
    let mut blobs = Blobs::new();
    blobs.add(&digest, Arc::new(FileBody::new(file).map_err(failed)?));
    blobs.put(NO_CONFIG);
    let text = found.manifest().to_bytes();
    let manifest = blobs.put(&text);
    let mut document = artifact((&manifest, text.len() as u64), (&digest, size));
    // So that what it is can be told without a look at its blobs.
    if let Ok(text) = String::from_utf8(text) {
        document.annotations.insert(MANIFEST.to_owned(), text);
    }
    let bytes = document.to_bytes();
    let digest = blobs.put(&bytes).to_string();
    let top = Descriptor::new(media::MANIFEST, digest.clone(), bytes.len() as u64);
    let moved = deliver(image, &blobs, &top, None, ctx)?;
    Ok(Delivered { digest: Some(digest), after: size, sent: moved.bytes })
}

fn as_files(image: &Planned, shop: &Workshop<'_>, ctx: &Ctx<'_>) -> Result<Delivered> {
    let ImageName::Smartos { path } = image.to()? else {
        return Err(ErrorKind::Plan(format!("{}: files go to smartos:PATH", image.id)).into());
    };
    let found = shop.found(image, ctx)?;
    // Looked at when the run began; somebody else may have come meanwhile.
    if fs::exists(&path).map_err(|e| Error::io(path.display().to_string(), e))?
        && !Found::open(&path).is_ok_and(|there| there.manifest().uuid() == found.manifest().uuid())
    {
        return Err(ErrorKind::Exists(path.display().to_string()).into());
    }
    let source = found.file()?;
    let target = path.with_extension(found.extension()?);
    let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(std::path::Path::new("."));
    fs::create_dir_all(folder).map_err(|e| Error::io(folder.display().to_string(), e))?;
    let failed = |e| Error::io(target.display().to_string(), e);
    let promised = found.promised()?;
    if fs::exists(&target).map_err(failed)? {
        // What is there is used or left as it is, never replaced.
        crate::source::smartos::hash(&target, &promised, ctx).map_err(|e| match e.kind() {
            ErrorKind::ImageFile(_) => ErrorKind::Exists(target.display().to_string()).into(),
            _ => e,
        })?;
    } else {
        ctx.progress.phase("copying");
        let mut file = fs::open_regular(&source).map_err(|e| Error::io(source.display().to_string(), e))?;
        let mut out = AtomicFile::create(&target).map_err(failed)?;
        std::io::copy(&mut file, &mut out).map_err(failed)?;
        ctx.check()?;
        out.commit().map_err(failed)?;
    }
    fs::replace_file(&path, &found.manifest().to_bytes())
        .map_err(|e| Error::io(path.display().to_string(), e))?;
    let size = fs::size_of(&target).map_err(failed)?.unwrap_or(0);
    Ok(Delivered { digest: None, after: size, sent: size })
}

fn convert(image: &Planned, shop: &Workshop<'_>, ctx: &Ctx<'_>) -> Result<Delivered> {
    let (from, to) = (image.from()?, image.to()?);
    if let Some(parent) = to.path().and_then(|path| path.parent()).filter(|p| !p.as_os_str().is_empty()) {
        fs::create_dir_all(parent).map_err(|e| Error::io(parent.display().to_string(), e))?;
    }
    let layers = if to.is_dataset() || to.is_oci() { Layers::Keep } else { Layers::Squash };
    let options = ConvertOptions {
        layers,
        compression: compression(shop)?,
        strict: shop.plan().strict,
        ..Default::default()
    };
    let is_smartos = matches!(from, ImageName::Smartos { .. } | ImageName::Imgapi { .. });
    let facts = if is_smartos {
        let mut loaded = shop.member(image, ctx)?.loaded(ctx)?;
        match (&mut loaded, layers) {
            (Loaded::Filesystem(lineage), Layers::Squash) => {
                lineage.steps.drain(..lineage.steps.len().saturating_sub(1));
            }
            (Loaded::Volume(volume), Layers::Squash) => volume.base = None,
            _ => {}
        }
        if let Loaded::Filesystem(lineage) = &mut loaded {
            ops::place(lineage, &from, &to, None, ctx)?;
        }
        let write = WriteOptions {
            share_layers: layers == Layers::Keep,
            compression: options.compression,
            target: if to.is_dataset() { Target::HOST } else { Target::default() },
            strict: options.strict,
            ..WriteOptions::default()
        };
        ctx.progress.phase("writing");
        sink::write(&loaded, &to, &write, ctx)?.facts
    } else {
        ops::convert(&from, &to, &options, ctx)?.outcome.facts
    };
    let fact = |name: &str| facts.iter().find(|(key, _)| key == name).map(|(_, value)| value.clone());
    let after = match &to {
        ImageName::Zfs { file: crate::names::FileName::Path(path), .. } => fs::size_of(path).ok().flatten(),
        _ => None,
    };
    let sizes = facts.iter().filter(|(key, _)| key.starts_with("layer ") && key.ends_with(" size"));
    let sizes = sizes.filter_map(|(_, value)| value.parse::<u64>().ok()).sum();
    let after = after.unwrap_or(sizes);
    Ok(Delivered { digest: fact("manifest"), after, sent: after })
}

fn copy(image: &Planned, ctx: &Ctx<'_>) -> Result<Delivered> {
    let options = CopyOptions { all: true, platform: None };
    let copied = ops::copy(&image.from()?, &image.to()?, &options, ctx)?;
    let after = image.bytes.unwrap_or(copied.moved.bytes);
    Ok(Delivered { digest: Some(copied.digest), after, sent: copied.moved.bytes })
}
