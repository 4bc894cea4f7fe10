//! What a target has of an image, told by its documents alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use aurora_engine::fs;
use aurora_formats::oci::{self, layout};
use aurora_formats::smartos::Manifest;

use super::{How, Planned};
use crate::image::smartos::MANIFEST;
use crate::names::{FileName, ImageName};
use crate::registry::{Endpoint, Purpose, Remote};
use crate::source::smartos::Found;
use crate::store::Refs;
use crate::{Ctx, Error, Result};

/// What is there under a name.
#[derive(Debug, Clone, Default, PartialEq)]
pub(super) struct There {
    /// Of the manifest, where there is one.
    pub(super) digest: Option<String>,
    /// The SmartOS image that it says it is: uuid, and SHA-1 of the file.
    identity: Option<(String, Option<String>)>,
}

impl There {
    /// Whether it is the image of a plan, by what it says of itself.
    fn is(&self, image: &Planned) -> bool {
        self.identity.as_ref().is_some_and(|(uuid, sha1)| *uuid == image.id && *sha1 == image.sha1)
    }

    fn of(manifest: &Manifest) -> Option<(String, Option<String>)> {
        let file = manifest.files().ok()?.into_iter().next().unwrap_or_default();
        Some((manifest.uuid().ok()?.to_string(), file.sha1))
    }
}

/// How an image stands at its target.
#[derive(Debug, Clone, PartialEq)]
pub(super) enum Standing {
    /// Nothing has its name.
    Absent,
    /// It is there.
    There(There),
    /// What has its name does not say whose it is.
    Silent(There),
    /// Something else has its name.
    Other(There),
}

/// Looks at targets. What is read once of a layout is not read again.
pub(super) struct Presence<'a> {
    ctx: &'a Ctx<'a>,
    layouts: Mutex<BTreeMap<PathBuf, BTreeMap<String, oci::Descriptor>>>,
    /// By host.
    remotes: Mutex<BTreeMap<String, Remote>>,
}

impl<'a> Presence<'a> {
    pub(super) fn new(ctx: &'a Ctx<'a>) -> Self {
        Self { ctx, layouts: Mutex::default(), remotes: Mutex::default() }
    }

    /// How an image stands.
    pub(super) fn standing(&self, image: &Planned) -> Result<Standing> {
        let to = image.to()?;
        let Some(there) = self.find(&to)? else { return Ok(Standing::Absent) };
        let is_it = match image.how {
            // The bytes that it has.
            How::Copy => self.find(&image.from()?)?.is_some_and(|from| from.digest == there.digest),
            _ => there.is(image),
        };
        Ok(match image.how {
            _ if is_it => Standing::There(there),
            How::Convert => Standing::Silent(there),
            _ => Standing::Other(there),
        })
    }

    /// What is there under this name.
    fn find(&self, name: &ImageName) -> Result<Option<There>> {
        self.look(name).map_err(|e| e.in_image(name.to_string()))
    }

    fn look(&self, name: &ImageName) -> Result<Option<There>> {
        match name {
            ImageName::Docker { name } => {
                let endpoints = Remote::endpoints(name, Purpose::Push, self.ctx)?;
                let endpoint = endpoints.last().expect("a registry is asked for at its own place at least");
                let found = self.remote(endpoint)?.manifest(&name.reference())?;
                Ok(found.map(|(descriptor, bytes)| of_document(&descriptor.digest, &bytes)))
            }
            ImageName::Oci { dir, reference } => {
                let reference = reference.as_deref().unwrap_or_default();
                let Some(descriptor) = self.listed(dir, reference)? else { return Ok(None) };
                let path = dir.join(layout::blob_path(&descriptor.digest));
                let Some(size) = fs::size_of(&path).map_err(|e| io(&path, e))? else { return Ok(None) };
                if size != descriptor.size || size > oci::json::MAX_DOCUMENT {
                    return Ok(None);
                }
                let bytes = fs::read_limited(&path, oci::json::MAX_DOCUMENT).map_err(|e| io(&path, e))?;
                Ok(Some(of_document(&descriptor.digest, &bytes)))
            }
            ImageName::Smartos { path } => {
                if !fs::is_file(path) {
                    return Ok(None);
                }
                // Whatever it is, it has the name.
                let Ok(found) = Found::open(path) else { return Ok(Some(There::default())) };
                let promised = found.promised()?;
                // A manifest is written behind its file; who took the file away meanwhile has to be told.
                let is_whole = match found.file() {
                    Ok(file) => {
                        let size = fs::size_of(&file).map_err(|e| io(&file, e))?;
                        promised.size.is_none_or(|promised| size == Some(promised))
                    }
                    Err(_) => false,
                };
                let identity = There::of(found.manifest());
                Ok(is_whole.then_some(There { digest: None, identity }))
            }
            ImageName::Zfs { file: FileName::Path(path), .. } => {
                let is_there = fs::exists(path).map_err(|e| io(path, e))?;
                Ok(is_there.then(There::default))
            }
            ImageName::Dataset { name } => {
                Ok(self.ctx.zfs().list(name.dataset()).is_ok().then(There::default))
            }
            _ => Ok(None),
        }
    }

    /// A repository. The connections are those to the first one of its registry.
    fn remote(&self, endpoint: &Endpoint) -> Result<Remote> {
        let mut remotes = self.remotes.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = remotes.get(&endpoint.name.host)
            && let Some(remote) = known.beside(endpoint, self.ctx)?
        {
            return Ok(remote);
        }
        let remote = Remote::open(endpoint, Purpose::Pull, None, self.ctx)?;
        if let Some(kept) = remote.beside(endpoint, self.ctx)? {
            remotes.insert(endpoint.name.host.clone(), kept);
        }
        Ok(remote)
    }

    fn listed(&self, dir: &Path, reference: &str) -> Result<Option<oci::Descriptor>> {
        let mut layouts = self.layouts.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(names) = layouts.get(dir) {
            return Ok(names.get(reference).cloned());
        }
        let index = dir.join(layout::INDEX_FILE);
        let names = match fs::read_limited(&index, oci::json::MAX_LISTING) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(e) => return Err(io(&index, e)),
            Ok(bytes) => {
                let refs = Refs::parse(&bytes)?;
                let descriptors = refs.entries().iter().map(|entry| entry.descriptor.clone());
                descriptors.filter_map(|d| Some((d.ref_name()?.to_owned(), d))).collect()
            }
        };
        let found = names.get(reference).cloned();
        layouts.insert(dir.to_owned(), names);
        Ok(found)
    }
}

fn of_document(digest: &str, bytes: &[u8]) -> There {
    let parsed = oci::Manifest::parse(digest, None, bytes).ok();
    let carried = parsed.and_then(|manifest| manifest.value.annotations.get(MANIFEST).cloned());
    let carried = carried.and_then(|text| Manifest::parse(text.as_bytes()).ok());
    There { digest: Some(digest.to_owned()), identity: carried.as_ref().and_then(There::of) }
}

fn io(path: &Path, e: std::io::Error) -> Error {
    Error::io(path.display().to_string(), e)
}
