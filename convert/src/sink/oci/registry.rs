//! An image into a registry: built in a layout that is gone afterwards, then sent.

use aurora_engine::fs::ScratchDir;

use super::{Request, layout};
use crate::image::select::DEFAULT_NAME;
use crate::names::ImageName;
use crate::registry::RegistryName;
use crate::sink::Outcome;
use crate::source::oci::Store;
use crate::transfer::{LocalOrigin, Move, transfer};
use crate::{Ctx, Error, Result};

/// Writes an image, and gives it its tag.
pub(super) fn write(request: &Request<'_>, name: &RegistryName, ctx: &Ctx<'_>) -> Result<Outcome> {
    // Reached first: who may not write there should know before hours of work.
    let target = crate::ops::registry_target(name, &[], None, ctx)?;
    let scratch = ScratchDir::create(&ctx.options.temp_dir);
    let scratch = scratch.map_err(|e| Error::io("cannot make a temporary folder", e))?;
    let dir = scratch.path().join("layout");
    let mut outcome = layout::write(request, &dir, ctx)?;
    let store = Store::open(&ImageName::Oci { dir, reference: Some(DEFAULT_NAME.into()) }, ctx)?;
    let mut top = store.listed().first().cloned().expect("the layout has the image that was written into it");
    top.annotations.clear();
    let origin = LocalOrigin::new(store, Vec::new());
    let jobs = ctx.options.registries.jobs;
    let job = Move { origin: &origin, target: &target, top, with_referrers: false, jobs };
    let (moved, facts) = transfer(&job, ctx)?;
    outcome.facts.splice(0..0, facts);
    outcome.facts.push(("blobs sent".to_owned(), moved.copied.to_string()));
    Ok(outcome)
}
