//! An image into the local store.

use aurora_engine::store::Access;

use super::Request;
use super::build::build;
use super::store::Store;
use crate::sink::Outcome;
use crate::store::{Local, StoredName};
use crate::{Ctx, Error, Result};

/// Writes an image into the store. What had the name before loses it.
pub(super) fn write(request: &Request<'_>, name: &StoredName, ctx: &Ctx<'_>) -> Result<Outcome> {
    let full =
        name.full().ok_or_else(|| Error::usage("an image is stored under NAME[:TAG], not by digest"))?;
    // Held until the name is there: nothing is swept away meanwhile.
    let local = Local::open(Access::Write, ctx)?;
    let built = build(request, &mut Store::Local(local.blobs()), ctx)?;
    request.options.may_commit(ctx)?;
    let mut outcome = built.outcome;
    let old = local.edit(|refs| Ok(refs.set(built.manifest, &full)))?;
    outcome.facts.insert(0, ("name".to_owned(), full));
    outcome.facts.extend(old.map(|digest| ("name was of".to_owned(), digest)));
    Ok(outcome)
}
