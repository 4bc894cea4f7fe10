//! What thin blobs need, and the room that takes.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use super::FEATURE;
use super::record::{BodyKind, BodyRef, ThinRecord};
use crate::digest::{Algorithm, Digest};
use crate::fs;
use crate::recipe;
use crate::store::record::Kind;
use crate::store::{Result, Store, StoreError, meta};

/// Files of the side directory that stand for blobs.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct ThinRoom {
    /// Recipes and what they note of encoders.
    pub recipes: u64,
    /// Packs.
    pub packs: u64,
    /// Lists of contents.
    pub contents: u64,
}

impl ThinRoom {
    /// All of it.
    pub fn sum(&self) -> u64 {
        self.recipes.saturating_add(self.packs).saturating_add(self.contents)
    }
}

impl Store {
    /// Thin blobs and their sizes, sorted by digest; records that are not whole stand for none.
    pub fn thin_blobs(&self) -> Result<Vec<(Digest, u64)>> {
        let mut out = Vec::new();
        for (_, id) in self.records(Kind::Thin)? {
            if let Some(id) = id
                && !self.is_fat(&id)?
                && let Some(record) = self.thin_record(&id)
            {
                out.push((id, record.size));
            }
        }
        out.sort();
        Ok(out)
    }

    /// The room of what stands for thin blobs.
    pub fn thin_room(&self) -> Result<ThinRoom> {
        let sum = |paths: Vec<PathBuf>| {
            paths.iter().try_fold(0_u64, |sum, path| {
                let size = fs::size_of(path).map_err(StoreError::io(path))?;
                Ok::<_, StoreError>(sum.saturating_add(size.unwrap_or(0)))
            })
        };
        let records =
            |kind| -> Result<Vec<_>> { Ok(self.records(kind)?.into_iter().map(|(path, _)| path).collect()) };
        Ok(ThinRoom {
            recipes: sum(records(Kind::Thin)?)?,
            packs: sum(self.files_in(&self.packs_dir())?)?,
            contents: sum(records(Kind::Contents)?)?,
        })
    }

    /// What the thin ones of these blobs are made from.
    pub fn bodies_of<'a>(&self, blobs: impl IntoIterator<Item = &'a Digest>) -> Result<BTreeSet<BodyRef>> {
        let mut out = BTreeSet::new();
        for digest in blobs {
            if !self.is_fat(digest)? {
                out.extend(self.thin_record(digest).into_iter().flat_map(|record| record.bodies));
            }
        }
        Ok(out)
    }

    /// Those of them that are blobs.
    pub fn sources_of<'a>(&self, blobs: impl IntoIterator<Item = &'a Digest>) -> Result<BTreeSet<Digest>> {
        of_kind(BodyKind::Blob, &self.bodies_of(blobs)?)
    }

    /// Bytes of each body that recipes of these thin blobs take, each slice counted as often as it is taken.
    pub fn body_use<'a>(
        &self,
        blobs: impl IntoIterator<Item = &'a Digest>,
    ) -> Result<BTreeMap<BodyRef, u64>> {
        let mut out = BTreeMap::new();
        for digest in blobs {
            if self.is_fat(digest)? {
                continue;
            }
            let Some(record) = self.thin_record(digest) else { continue };
            let Ok(used) =
                recipe::decode(&record.recipe).and_then(|recipe| recipe.taken(record.bodies.len()))
            else {
                continue;
            };
            for (body, bytes) in record.bodies.into_iter().zip(used) {
                let sum: &mut u64 = out.entry(body).or_default();
                *sum = sum.saturating_add(bytes);
            }
        }
        Ok(out)
    }

    /// Removes recipes of blobs that are not needed or that are there as files, packs that no recipe needs, and lists of
    /// what is gone; the bytes of that. Its caller has opened the store for [`crate::store::Access::Alone`].
    pub fn sweep_thin(&self, needed: &BTreeSet<Digest>, dry_run: bool) -> Result<u64> {
        let (mut bodies, mut useless) = (BTreeSet::new(), Vec::new());
        let mut is_any_thin = false;
        for (path, id) in self.records(Kind::Thin)? {
            let Some(id) = id else {
                useless.push(path);
                continue;
            };
            if self.is_fat(&id)? {
                useless.push(path);
                continue;
            }
            // What can't be read is all that is left of a blob, and what it is made of is not known: before anything goes.
            let record = self.load_needed::<ThinRecord>(Kind::Thin, &id)?;
            match needed.contains(&id) {
                true => {
                    is_any_thin = true;
                    bodies.extend(record.into_iter().flat_map(|record| record.bodies));
                }
                false => useless.push(path),
            }
        }
        let mut freed = 0_u64;
        let mut remove = |path: &Path| -> Result<()> {
            freed += fs::size_of(path).map_err(StoreError::io(path))?.unwrap_or(0);
            match dry_run {
                true => Ok(()),
                false => self.remove_if_any(path),
            }
        };
        for path in useless {
            remove(&path)?;
        }
        let (packs, sources) = (of_kind(BodyKind::Pack, &bodies)?, of_kind(BodyKind::Blob, &bodies)?);
        for path in self.files_in(&self.packs_dir())? {
            let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
            let digest = format!("{}:{name}", Algorithm::Sha256.name()).parse::<Digest>();
            if digest.is_ok_and(|digest| !packs.contains(&digest)) {
                remove(&path)?;
            }
        }
        for (path, id) in self.records(Kind::Contents)? {
            let is_of_something = id.is_some_and(|id| {
                let is_blob = needed.contains(&id) || sources.contains(&id);
                packs.contains(&id) || (is_blob && self.is_fat(&id).unwrap_or(true))
            });
            if !is_of_something {
                remove(&path)?;
            }
        }
        match is_any_thin {
            _ if dry_run => {}
            true => meta::require(&self.meta_path(), FEATURE)?,
            false => meta::release(&self.meta_path(), FEATURE)?,
        }
        Ok(freed)
    }
}

/// The names of the bodies of a kind.
fn of_kind(kind: BodyKind, bodies: &BTreeSet<BodyRef>) -> Result<BTreeSet<Digest>> {
    bodies.iter().filter(|body| body.kind == kind).map(BodyRef::digest).collect()
}
