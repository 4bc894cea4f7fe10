//! Names of images.

use aurora_engine::store::Access;
use serde::Serialize;

use super::stored;
use crate::names::ImageName;
use crate::store::{Entry, Local};
use crate::{Ctx, Error, ErrorKind, Result};

/// A name that has changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Renamed {
    /// The name.
    pub name: String,
    /// Of the image that has it now, or had it.
    pub digest: String,
    /// Of another image that had it before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub was: Option<String>,
}

/// Gives an image another name, besides those it has. An image that had this name loses it.
pub fn tag(src: &ImageName, dst: &ImageName, ctx: &Ctx<'_>) -> Result<Renamed> {
    let (from, to) = (stored(src)?, stored(dst)?);
    let full =
        to.full().ok_or_else(|| Error::usage("a digest can't be given: the new name is NAME[:TAG]"))?;
    existing(ctx, src)?.edit(|refs| {
        let entry = refs.find(from)?[0].clone();
        let was = refs.copy(&entry, &full);
        Ok(Renamed { name: full, digest: entry.descriptor.digest, was })
    })
}

/// Takes names away. An image that has no other stays, and is found by its digest.
pub fn untag(names: &[ImageName], ctx: &Ctx<'_>) -> Result<Vec<Renamed>> {
    change(names, ctx, |refs, entry| refs.unname(entry))
}

/// Takes images out of the store: `gc` then removes what only they needed. Other names of an image stay; by digest,
/// all go.
pub fn remove(names: &[ImageName], ctx: &Ctx<'_>) -> Result<Vec<Renamed>> {
    change(names, ctx, |refs, entry| refs.remove(entry))
}

/// All of them or none.
fn change(
    names: &[ImageName],
    ctx: &Ctx<'_>,
    mut each: impl FnMut(&mut crate::store::Refs, &Entry),
) -> Result<Vec<Renamed>> {
    let Some(first) = names.first() else { return Ok(Vec::new()) };
    for name in names {
        stored(name)?;
    }
    existing(ctx, first)?.edit(|refs| {
        let mut out = Vec::new();
        for name in names {
            let found: Vec<Entry> = refs.find(stored(name)?)?.into_iter().cloned().collect();
            for entry in found {
                each(refs, &entry);
                out.push(Renamed { name: entry.shown(), digest: entry.descriptor.digest, was: None });
            }
        }
        Ok(out)
    })
}

/// A store that is not there is not made to find nothing in it.
fn existing(ctx: &Ctx<'_>, name: &ImageName) -> Result<Local> {
    match Local::open_if_any(ctx)? {
        Some(_) => Local::open(Access::Write, ctx),
        None => Err(ErrorKind::NoSuchImage(name.to_string()).into()),
    }
}
