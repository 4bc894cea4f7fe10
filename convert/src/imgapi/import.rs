//! Images into a folder: manifests and files, base first.

use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use aurora_engine::fs;
use aurora_formats::smartos::{Manifest, Profile, Uuid, validate};

use super::fetch::{fetch, promised, promised_size, unusable};
use super::folder::{Place, place};
use super::{Ancestor, Catalog, Missed};
use crate::source::smartos::Shelf;
use crate::{Ctx, Error, ErrorKind, Result};

/// How to import.
#[derive(Debug, Clone)]
pub struct ImportOptions {
    /// Where to; made if it is not there.
    pub folder: PathBuf,
    /// Files that are fetched at once.
    pub jobs: usize,
}

/// An image that is in the folder now.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Imported {
    /// Which.
    pub uuid: Uuid,
    /// Its manifest.
    pub manifest: PathBuf,
    /// Its file.
    pub file: PathBuf,
    /// Bytes of the file, if the manifest says.
    pub size: Option<u64>,
    /// Whether it was there before.
    pub was_there: bool,
}

/// Brings an image and all that it builds on into a folder; base first. What is there with the right size and checksum
/// stays. Files are fetched side by side under `.partial` names, go on there after a break, and get their names in the
/// order of the chain, each before its manifest: what has a manifest is whole, and so is all below it.
pub fn import(
    catalog: &Catalog<'_>,
    uuid: Uuid,
    options: &ImportOptions,
    missed: &mut Vec<Missed>,
    ctx: &Ctx<'_>,
) -> Result<Vec<Imported>> {
    ctx.progress.phase("finding images");
    let top = catalog.find(uuid, missed, ctx)?;
    active(&top)?;
    let mut chain = catalog.chain(top, &|_| false, missed, ctx)?;
    chain.reverse();
    for image in &chain {
        acceptable(image)?;
    }
    let folder = options.folder.as_path();
    let named = |e| Error::io(folder.display().to_string(), e);
    fs::create_dir_all(folder).map_err(named)?;
    let _lock = fs::DirLock::acquire(folder).map_err(named)?;

    ctx.progress.phase("looking at what is there");
    let places = places(folder, &chain, ctx)?;
    let mut total = 0_u64;
    for (image, place) in chain.iter().zip(&places).filter(|(_, place)| !place.is_there) {
        let _ = place;
        total = total.saturating_add(promised_size(&promised(image)?).unwrap_or(0));
    }
    ctx.progress.phase("fetching");
    ctx.progress.total(total);
    let fetched = fetch_all(&chain, &places, options.jobs, ctx);

    let mut imported = Vec::new();
    for ((image, place), outcome) in chain.iter().zip(&places).zip(fetched) {
        outcome?;
        if !place.is_there {
            write_manifest(&image.manifest, place)?;
        }
        imported.push(Imported {
            uuid: image.manifest.uuid()?,
            manifest: place.manifest.clone(),
            file: place.file.clone(),
            size: promised_size(&promised(image)?),
            was_there: place.is_there,
        });
    }
    Ok(imported)
}

/// Only active images are meant to be used; what they build on may be anything.
fn active(image: &Ancestor<'_>) -> Result<()> {
    match image.manifest.text("state")? {
        Some(state) if state != "active" => {
            let text =
                format!("{} is not active but {state} at {}", image.manifest.uuid()?, image.server.url());
            Err(ErrorKind::NoSuchImage(text).into())
        }
        _ => Ok(()),
    }
}

/// imgadm would refuse it: better now than there. What `files` lacks is another matter: the server may make up for it.
fn acceptable(image: &Ancestor<'_>) -> Result<()> {
    let findings = validate(image.manifest.object(), Profile::Minimal);
    match findings.iter().find(|finding| finding.field != "files") {
        None => Ok(()),
        Some(first) => Err(unusable(image, format!("imgadm would refuse the manifest: {first}"))?.into()),
    }
}

fn places(folder: &Path, chain: &[Ancestor<'_>], ctx: &Ctx<'_>) -> Result<Vec<Place>> {
    let shelf = Shelf::open(folder)?;
    let mut places: Vec<Place> = Vec::new();
    for image in chain {
        let mut place = place(folder, &shelf, &image.manifest, &promised(image)?, ctx)?;
        // Two images of one chain may have the same name and version.
        if places.iter().any(|other| other.manifest == place.manifest || other.file == place.file) {
            let stem = place.manifest.file_stem().unwrap_or_default().to_string_lossy().into_owned();
            let uuid = image.manifest.uuid()?;
            let renamed = |path: &Path| {
                let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
                path.with_file_name(name.replacen(&stem, &format!("{stem}-{uuid}"), 1))
            };
            place = Place { manifest: renamed(&place.manifest), file: renamed(&place.file), is_there: false };
        }
        places.push(place);
    }
    Ok(places)
}

/// Fetches all files that are missing; what became of each. After a failure no further one is begun.
fn fetch_all(chain: &[Ancestor<'_>], places: &[Place], jobs: usize, ctx: &Ctx<'_>) -> Vec<Result<()>> {
    let next = AtomicUsize::new(0);
    let outcomes: Mutex<Vec<Option<Result<()>>>> = Mutex::new(chain.iter().map(|_| None).collect());
    let has_failed = AtomicUsize::new(usize::MAX);
    let work = || {
        loop {
            let at = next.fetch_add(1, Ordering::Relaxed);
            // An image above one that failed could not be used.
            if at >= chain.len() || at > has_failed.load(Ordering::Relaxed) {
                break;
            }
            let place = &places[at];
            let is_needed = !place.is_there && !fs::is_file(&place.file);
            let outcome = if is_needed { fetch(&chain[at], &place.file, ctx) } else { Ok(()) };
            if outcome.is_err() {
                has_failed.fetch_min(at, Ordering::Relaxed);
            }
            outcomes.lock().expect("no holder of this lock can panic")[at] = Some(outcome);
        }
    };
    thread::scope(|scope| {
        for number in 1..jobs.clamp(1, chain.len().max(1)) {
            // Fewer threads do it as well.
            let _ = thread::Builder::new().name(format!("fetch-{number}")).spawn_scoped(scope, work);
        }
        work();
    });
    let outcomes = outcomes.into_inner().expect("no holder of this lock can panic");
    // What was not begun stands behind what failed, and so is never asked for.
    outcomes
        .into_iter()
        .map(|outcome| outcome.unwrap_or_else(|| Err(ErrorKind::Interrupted.into())))
        .collect()
}

fn write_manifest(manifest: &Manifest, place: &Place) -> Result<()> {
    fs::replace_file(&place.manifest, &manifest.to_bytes())
        .map_err(|e| Error::io(place.manifest.display().to_string(), e))
}
