//! Reads images of image servers: manifests and files are fetched into a folder that is gone afterwards, and read there
//! as any SmartOS image.

use std::path::{Path, PathBuf};

use aurora_engine::fs::{ScratchDir, replace_file};
use aurora_formats::smartos::{Manifest, Uuid};

use super::{ReadOptions, smartos};
use crate::imgapi::{Catalog, Server, Url, fetch, with_client};
use crate::lineage::Loaded;
use crate::names::ImageName;
use crate::store::Originals;
use crate::{Ctx, Error, Result};

/// An image that was fetched; gone when dropped. What was read from its files stays readable.
pub(crate) struct Fetched {
    dir: ScratchDir,
    manifest: PathBuf,
}

impl Fetched {
    /// The manifest, with its file and its origins beside it.
    pub(crate) fn manifest(&self) -> &Path {
        &self.manifest
    }

    /// A message without the name of the folder, which tells nobody anything.
    pub(crate) fn plain(&self, text: &str) -> String {
        text.replace(&format!("{}/", self.dir.path().display()), "")
    }
}

/// Fetches an image and what it builds on, as far as `origins` does not name that.
pub(crate) fn open(url: &Url, uuid: Uuid, origins: &[ImageName], ctx: &Ctx<'_>) -> Result<Fetched> {
    let given = smartos::Shelves::open(origins)?;
    let kept = Originals::new(ctx);
    // A store that can't be read has nothing: the server has it.
    let is_there = |origin| given.hold(origin) || kept.find(origin).is_ok_and(|found| found.is_some());
    with_client(ctx, |client| {
        ctx.progress.phase("fetching");
        let catalog = Catalog::new(vec![Server::new(url.clone(), client)]);
        let mut missed = Vec::new();
        let top = catalog.find(uuid, &mut missed, ctx)?;
        let chain = catalog.chain(top, &is_there, &mut missed, ctx)?;
        let dir = &ctx.options.temp_dir;
        let dir = ScratchDir::create(dir).map_err(|e| Error::io("cannot make a temporary folder", e))?;
        let mut top = None;
        for image in &chain {
            let stem = image.manifest.uuid()?.to_string();
            fetch(image, &dir.path().join(format!("{stem}.file")), ctx)?;
            let path = dir.path().join(format!("{stem}.imgmanifest"));
            replace_file(&path, &image.manifest.to_bytes())
                .map_err(|e| Error::io(path.display().to_string(), e))?;
            top.get_or_insert(path);
        }
        let manifest = top.expect("a chain holds at least the image itself");
        Ok(Fetched { dir, manifest })
    })
}

/// Origins on servers as origins in folders, which are gone when the second value is dropped.
pub(super) fn fetch_origins(origins: &[ImageName], ctx: &Ctx<'_>) -> Result<(Vec<ImageName>, Vec<Fetched>)> {
    let (mut names, mut all) = (Vec::new(), Vec::new());
    for origin in origins {
        match origin {
            ImageName::Imgapi { url, uuid } => {
                let fetched = open(url, *uuid, &[], ctx).map_err(|e| e.in_image(origin.to_string()))?;
                names.push(ImageName::Smartos { path: fetched.manifest().to_owned() });
                all.push(fetched);
            }
            other => names.push(other.clone()),
        }
    }
    Ok((names, all))
}

/// Reads an image.
pub fn read(url: &Url, uuid: Uuid, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let fetched = open(url, uuid, &options.origins, ctx)?;
    ctx.progress.phase("reading");
    smartos::read(fetched.manifest(), options, ctx).map_err(Error::without_image)
}

/// The manifests of an image and of what it builds on, base first, with their URLs; no file is fetched.
pub fn survey(url: &Url, uuid: Uuid, ctx: &Ctx<'_>) -> Result<Vec<(String, Manifest)>> {
    with_client(ctx, |client| {
        let catalog = Catalog::new(vec![Server::new(url.clone(), client)]);
        let mut missed = Vec::new();
        let top = catalog.find(uuid, &mut missed, ctx)?;
        let mut chain = catalog.chain(top, &|_| false, &mut missed, ctx)?;
        chain.reverse();
        let row = |image: crate::imgapi::Ancestor<'_>| -> Result<(String, Manifest)> {
            let url = url.join(&["images", &image.manifest.uuid()?.to_string()], &[]);
            Ok((url.to_string(), image.manifest))
        };
        chain.into_iter().map(row).collect()
    })
}
