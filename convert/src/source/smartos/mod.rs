//! Reads SmartOS images: a manifest with its file, a folder of them, a chain of docker layers.
//!
//! The file is the one the manifest means, or it is not read: its size and SHA-1 come first. Where in the dataset the
//! root file system lies is for the caller to find out.

mod check;
mod docker;
mod file;
mod library;
mod member;
mod shelf;

use std::path::{Path, PathBuf};

use aurora_engine::store::Access;
use aurora_formats::smartos::{ImageType, Manifest, SmartosError, Uuid};

pub(crate) use check::REFUSED;
pub use check::{Checked, Finding, check};
pub(crate) use file::hash;
pub(crate) use member::{Found, Member, all};
pub(crate) use shelf::{Shelf, Shelves};

use self::library::{Entry, Library};
use crate::image::smartos::from_manifest;
use crate::lineage::Loaded;
use crate::names::{FileName, ImageName};
use crate::source::imgapi::fetch_origins;
use crate::source::{ReadOptions, zfs};
use crate::store::{Local, Originals};
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// Longest chain of origins. Real ones have a handful of images, docker's about a hundred.
const MAX_ORIGINS: usize = 1000;

/// Reads an image.
pub fn read(path: &Path, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let library = Library::open(path)?;
    let top = library.pick(path)?;
    let manifest = &top.manifest;
    let (origins, _fetched) = fetch_origins(&options.origins, ctx)?;
    let kept = Originals::new(ctx);
    match manifest.image_type()? {
        ImageType::Docker => docker::read(&chain(top, &library, &origins, &kept)?.images, options, ctx),
        ImageType::Lxd => {
            let text = "an LXD image; its root file system can be read by itself: tar:FILE".to_owned();
            Err(ErrorKind::Unsupported(text).into())
        }
        _ => stream(&chain(top, &library, &origins, &kept)?, options, ctx),
    }
}

/// The manifests of an image and of what it builds on, base first, as far as they are there; nothing else is read.
pub fn survey(path: &Path, origins: &[ImageName], ctx: &Ctx<'_>) -> Result<Vec<(PathBuf, Manifest)>> {
    let library = Library::open(path)?;
    let top = library.pick(path)?;
    let kept = Originals::new(ctx);
    let images = match chain(top, &library, origins, &kept) {
        Ok(chain) => chain.images,
        Err(e) if matches!(e.kind(), ErrorKind::Usage(_)) => return Err(e),
        Err(_) => vec![top.clone()],
    };
    Ok(images.into_iter().map(|image| (image.path, image.manifest)).collect())
}

/// An image and all that it builds on.
struct Chain<'a> {
    /// Streams given as such, without a manifest; base first.
    streams: Vec<&'a ImageName>,
    /// Images, base first; the last one is what is read.
    images: Vec<Entry>,
}

/// Keeps an image and what it builds on in the local store, as they are, so that increments upon them find them there.
/// Their names; none for docker's layers, which no increment speaks about by numbers.
pub(crate) fn keep(path: &Path, origins: &[ImageName], ctx: &Ctx<'_>) -> Result<Vec<String>> {
    let library = Library::open(path)?;
    let top = library.pick(path)?;
    if top.manifest.image_type()? == ImageType::Docker {
        return Ok(Vec::new());
    }
    let (origins, _fetched) = fetch_origins(origins, ctx)?;
    let kept = Originals::new(ctx);
    let local = Local::open(Access::Write, ctx)?;
    let keep = |image: &Entry| {
        let file = file::locate(image)?;
        local.keep_original(&image.manifest, &file, &file::promised(image)?, ctx)
    };
    let named = |image: &Entry| keep(image).map_err(|e| e.in_image(image.path.display().to_string()));
    chain(top, &library, &origins, &kept)?.images.iter().map(named).collect()
}

/// Follows origins down: those the user gave, then what lies beside the manifest, then what the local store has kept.
fn chain<'a>(
    top: &Entry,
    library: &Library,
    origins: &'a [ImageName],
    kept: &Originals<'_>,
) -> Result<Chain<'a>> {
    let mut streams = Vec::new();
    let mut given = Vec::new();
    for origin in origins {
        match origin {
            ImageName::Smartos { path } => given.push(Library::open(path)?),
            // What is on a server is fetched before it is read; a survey reads nothing.
            ImageName::Zfs { .. } | ImageName::Dataset { .. } | ImageName::Imgapi { .. } => {
                streams.push(origin)
            }
            _ => {
                let text = format!("an origin of a SmartOS image is one as well, or a stream: {origin}");
                return Err(Error::usage(text));
            }
        }
    }
    let mut images = vec![top.clone()];
    while let Some(origin) = images.last().map(|image| image.manifest.origin()).transpose()?.flatten() {
        if images.len() > MAX_ORIGINS {
            return Err(ErrorKind::Limit { what: "origins of an image", limit: MAX_ORIGINS as u64 }.into());
        }
        let found = given.iter().chain([library]).find_map(|library| library.find(origin)).cloned();
        let found = match found {
            // The streams come next, where the user gave any.
            None if streams.is_empty() => kept.find(origin)?.map(Entry::from),
            found => found,
        };
        match found {
            Some(entry) if images.iter().any(|image| image.manifest.uuid() == Ok(origin)) => {
                let text = format!("origins lead in a circle: {}", entry.path.display());
                return Err(ErrorKind::Unsupported(text).into());
            }
            Some(entry) => images.push(entry),
            // The streams hold it.
            None if !streams.is_empty() => break,
            None => return Err(missing(origin, &images).into()),
        }
    }
    images.reverse();
    Ok(Chain { streams, images })
}

fn missing(origin: Uuid, images: &[Entry]) -> ErrorKind {
    let of = images.last().map_or_else(String::new, |image| image.path.display().to_string());
    ErrorKind::NoSuchImage(format!(
        "{origin}, the origin of {of}; put its manifest and file beside it, bring it into the local store, or name it with --origin smartos:PATH or imgapi:URL/UUID"
    ))
}

fn stream(chain: &Chain<'_>, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let mut origins: Vec<ImageName> = chain.streams.iter().map(|name| (*name).clone()).collect();
    let mut last = None;
    for image in &chain.images {
        ctx.progress.phase("verifying files");
        let file = file::verified(image, ctx).map_err(|e| e.in_image(image.path.display().to_string()))?;
        if let Some(below) = last.replace(file) {
            origins.push(ImageName::Zfs { file: FileName::Path(below), pick: None });
        }
    }
    let (Some(path), Some(top)) = (last, chain.images.last()) else {
        return Err(SmartosError::Missing { field: "uuid" }.into());
    };
    let pick = file::root_of_package(&path, ctx)?;
    if let Some(pick) = &pick {
        odd(format!("a package of several datasets, which imgadm refuses; read here: {pick}"), ctx);
    }
    let options = ReadOptions { platform: None, origins, ..options.clone() };
    let mut loaded = zfs::read(&FileName::Path(path), pick.as_deref(), &options, ctx)?;
    describe(&mut loaded, &top.manifest, ctx)?;
    Ok(loaded)
}

/// Puts the manifest to the image, and says where the stream is another than it tells.
fn describe(loaded: &mut Loaded, manifest: &Manifest, ctx: &Ctx<'_>) -> Result<()> {
    let mut image = from_manifest(manifest)?;
    let (guid, is_volume) = match &*loaded {
        Loaded::Filesystem(lineage) => (lineage.steps.last().and_then(|s| s.snapshot.as_ref()), false),
        Loaded::Volume(volume) => (volume.snapshot.as_ref(), true),
    };
    let said = manifest.files()?.first().and_then(|file| file.dataset_guid);
    if let (Some(said), Some(snapshot)) = (said, guid)
        && said != snapshot.guid
    {
        odd(format!("dataset_guid is {said}, but the snapshot's guid is {}", snapshot.guid), ctx);
    }
    let image_type = manifest.image_type()?;
    if is_volume != (image_type == ImageType::Zvol) && image_type != ImageType::Other {
        let holds = if is_volume { "a volume" } else { "a file system" };
        odd(format!("the type is {image_type}, but the stream is of {holds}"), ctx);
    }
    match loaded {
        Loaded::Filesystem(lineage) => {
            image.created = image.created.or(lineage.image.created);
            lineage.image = image;
        }
        Loaded::Volume(volume) => {
            image.created = image.created.or(volume.image.created);
            volume.image = image;
        }
    }
    Ok(())
}

/// Something that does no harm here.
fn odd(detail: String, ctx: &Ctx<'_>) {
    ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
}
