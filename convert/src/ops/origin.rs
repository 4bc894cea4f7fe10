//! The image that a dataset is a clone of.

use std::path::{Path, PathBuf};

use aurora_engine::fs;
use aurora_formats::smartos::{Json, MAX_DOCUMENT, Manifest, Record, Uuid};

use crate::names::{DatasetName, ImageName};
use crate::source::dataset::Dataset;
use crate::source::smartos;
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// Where `imgadm` keeps the manifests of what it has installed, as `POOL-UUID.json`.
const INSTALLED: &str = "/var/imgadm/images";
/// The one snapshot of an image.
const FINAL: &str = "final";
/// Clones of clones that are followed; real ones are a handful.
const MAX_CLONES: u64 = 1000;

/// An image to build upon.
pub(super) struct Origin {
    /// Its uuid.
    pub(super) uuid: Uuid,
    /// `POOL/NAME@SNAP`
    pub(super) snapshot: String,
    /// The snapshot's guid.
    pub(super) guid: u64,
    /// Its manifest, where it is known.
    pub(super) manifest: Option<Manifest>,
}

/// Finds what a dataset is an increment upon: the snapshot before the `..` in its name, or else `@final` of the image
/// that it was cloned from. `given` are the images that the user names.
pub(super) fn find(
    name: &DatasetName,
    dataset: &Dataset,
    given: &[ImageName],
    ctx: &Ctx<'_>,
) -> Result<Origin> {
    let given = match given {
        [] => None,
        [ImageName::Smartos { path }] => Some(manifest_at(path, ctx)?),
        _ => {
            return Err(Error::usage(
                "the origin of an incremental image is one image: --origin smartos:PATH",
            ));
        }
    };
    let (below, snapshot) = match (name.from(), &dataset.listed.origin) {
        (Some(from), _) => (None, dataset.snapshot(from)?.clone()),
        (None, Some(origin)) => {
            let below = origin.split_once('@').map_or(origin.as_str(), |(dataset, _)| dataset);
            let opened = Dataset::open(below, ctx)?;
            let found = opened.snapshot(FINAL).map_err(|_| no_final(below))?.clone();
            (Some(below.to_owned()), found)
        }
        (None, None) => {
            return Err(Error::usage(format!(
                "{} is no clone of an image; leave out --incremental, or say what it is to build upon with \
                 dataset:POOL/NAME@A..B and --origin smartos:PATH",
                name.dataset()
            )));
        }
    };
    let manifest = match (given, &below) {
        (Some(manifest), _) => Some(manifest),
        (None, Some(below)) => installed(below)?,
        (None, None) => None,
    };
    let by_name = || below.as_deref()?.rsplit('/').next()?.parse().ok();
    let uuid = match &manifest {
        Some(manifest) => manifest.uuid()?,
        None => by_name().ok_or_else(|| {
            let text =
                format!("which image {} is, is not known; say so with --origin smartos:PATH", snapshot.name);
            Error::usage(text)
        })?,
    };
    match &manifest {
        Some(manifest) => is_of(manifest, &snapshot.name, snapshot.guid)?,
        None => {
            let detail = format!("the manifest of {uuid} is not known, so nothing is taken from it");
            ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
        }
    }
    Ok(Origin { uuid, snapshot: snapshot.name, guid: snapshot.guid, manifest })
}

/// How many images are below: the one that is built upon, and what that is a clone of.
pub(super) fn depth(origin: &Origin, ctx: &Ctx<'_>) -> Result<u64> {
    let mut depth = 1;
    let mut at = origin.snapshot.clone();
    while let Some(below) = Dataset::open(at.split('@').next().unwrap_or_default(), ctx)?.listed.origin {
        depth += 1;
        if depth > MAX_CLONES {
            return Err(ErrorKind::Limit { what: "clones of clones", limit: MAX_CLONES }.into());
        }
        at = below;
    }
    Ok(depth)
}

/// What a receiver will look for must be what is there.
fn is_of(manifest: &Manifest, snapshot: &str, guid: u64) -> Result<()> {
    match manifest.files()?.first().and_then(|file| file.dataset_guid) {
        Some(said) if said != guid => Err(ErrorKind::Unsupported(format!(
            "an increment upon {snapshot}, whose guid is {guid}: image {} has the guid {said} by its manifest, and nothing \
             made for another can be received upon it",
            manifest.uuid()?
        ))
        .into()),
        _ => Ok(()),
    }
}

fn no_final(below: &str) -> Error {
    ErrorKind::NoSuchImage(format!("dataset:{below}@{FINAL}, which an incremental image is to build upon"))
        .into()
}

fn manifest_at(path: &Path, ctx: &Ctx<'_>) -> Result<Manifest> {
    let images = smartos::survey(path, &[], ctx)?;
    let (_, manifest) =
        images.into_iter().last().ok_or_else(|| ErrorKind::NoSuchImage(path.display().to_string()))?;
    Ok(manifest)
}

/// The manifest that `imgadm` keeps of an image.
fn installed(dataset: &str) -> Result<Option<Manifest>> {
    let Some((pool, uuid)) = dataset.split_once('/') else { return Ok(None) };
    if uuid.parse::<Uuid>().is_err() {
        return Ok(None);
    }
    let path: PathBuf = Path::new(INSTALLED).join(format!("{pool}-{uuid}.json"));
    let named = |e| Error::io(path.display().to_string(), e);
    if !fs::exists(&path).map_err(named)? {
        return Ok(None);
    }
    let bytes = fs::read_limited(&path, MAX_DOCUMENT as u64).map_err(named)?;
    let record = Json::parse(&bytes).map(|json| Record::from_json(&json));
    let record = record.map_err(|e| Error::from(e).in_image(path.display().to_string()))?;
    Ok(record.and_then(|record| Manifest::from_json(record.manifest.into()).ok()))
}
