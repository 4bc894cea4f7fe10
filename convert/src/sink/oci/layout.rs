//! Layouts: a new one appears whole, one that is there gets the image added.

use std::io;
use std::path::Path;

use aurora_engine::fs::{self, DirLock, StagedDir};
use aurora_formats::oci::{Descriptor, Index, OciError, layout};

use super::Request;
use super::build::build;
use super::store::Store;
use crate::image::select::DEFAULT_NAME;
use crate::sink::Outcome;
use crate::{Ctx, Error, ErrorKind, Result};

/// Writes an image into a layout.
pub(super) fn write(request: &Request<'_>, dir: &Path, ctx: &Ctx<'_>) -> Result<Outcome> {
    let failed = |e| Error::io(dir.display().to_string(), e);
    let is_layout = fs::exists(&dir.join(layout::LAYOUT_FILE)).map_err(failed)?;
    if is_layout { add(request, dir, ctx) } else { create(request, dir, ctx) }
}

/// A new layout, built beside its name; an empty directory of that name is filled.
fn create(request: &Request<'_>, dir: &Path, ctx: &Ctx<'_>) -> Result<Outcome> {
    let failed = |e: io::Error| match e.kind() {
        io::ErrorKind::AlreadyExists => {
            Error::from(ErrorKind::Exists(format!("{} is neither empty nor an OCI layout", dir.display())))
        }
        _ => Error::io(dir.display().to_string(), e),
    };
    let staged = StagedDir::create(dir).map_err(failed)?;
    let outcome = fill(request, staged.path(), Index::default(), ctx)?;
    if staged.path() != dir {
        // It was its owner's alone while it was incomplete.
        staged.root().set_mode(b"", 0o755).map_err(failed)?;
    }
    staged.commit().map_err(failed)?;
    Ok(outcome)
}

/// One more image in a layout. The lock keeps two writers from losing each other's name; readers need none, as
/// `index.json` is replaced last and whole.
fn add(request: &Request<'_>, dir: &Path, ctx: &Ctx<'_>) -> Result<Outcome> {
    let failed = |e| Error::io(dir.display().to_string(), e);
    let _lock = DirLock::acquire(dir).map_err(failed)?;
    let read = |name: &str| {
        let bytes = fs::read_limited(&dir.join(name), aurora_formats::oci::json::MAX_LISTING);
        bytes.map_err(|e| match e.kind() {
            io::ErrorKind::NotFound => OciError::MissingFile { path: name.to_owned() }.into(),
            _ => Error::io(dir.join(name).display().to_string(), e),
        })
    };
    layout::check(&read(layout::LAYOUT_FILE)?)?;
    let index = Index::parse_listing(layout::INDEX_FILE, &read(layout::INDEX_FILE)?)?.value;
    fill(request, dir, index, ctx)
}

fn fill(request: &Request<'_>, dir: &Path, mut index: Index, ctx: &Ctx<'_>) -> Result<Outcome> {
    let blobs = dir.join(layout::BLOBS).join("sha256");
    fs::create_dir_all(&blobs).map_err(|e| Error::io(blobs.display().to_string(), e))?;
    let mut store = Store::Dir(dir.to_owned());
    let built = build(request, &mut store, ctx)?;
    request.options.may_commit(ctx)?;
    let name = request.reference.unwrap_or(DEFAULT_NAME);
    let descriptor = built.named(name);
    let mut outcome = built.outcome;
    let has_name = |entry: &&Descriptor| entry.ref_name() == Some(name);
    // As other tools do, the name passes to the new image; which one had it is told.
    if let Some(old) = index.manifests.iter().find(has_name).filter(|old| old.digest != descriptor.digest) {
        outcome.facts.push(("replaced".to_owned(), old.digest.to_string()));
    }
    index.manifests.retain(|entry| entry.ref_name() != Some(name));
    index.manifests.push(descriptor);
    if !fs::exists(&dir.join(layout::LAYOUT_FILE)).map_err(|e| Error::io(dir.display().to_string(), e))? {
        store.put_file(layout::LAYOUT_FILE, &layout::content())?;
    }
    store.put_file(layout::INDEX_FILE, &index.to_bytes())?;
    Ok(outcome)
}
