//! Removes the blobs that no image needs.

use std::collections::BTreeSet;

use aurora_engine::digest::Digest;
use aurora_engine::store::SweepOptions;
use serde::Serialize;

use crate::store::{Local, RefFaultKind, Walk};
use crate::{Ctx, Error, ErrorKind, Result};

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Collected {
    /// Digests, sorted.
    pub blobs: Vec<String>,
    /// Bytes of them, and of recipes, packs and lists of thin blobs that nothing needs any more.
    pub bytes: u64,
    /// Blobs that stay.
    pub kept: usize,
    /// Records of the index that were about them.
    pub records: usize,
    /// Whether nothing was removed, as that was only asked about.
    pub dry_run: bool,
}

/// Removes them, or with `dry_run` only tells. Waits until nobody else uses the store, so that nothing is removed
/// that somebody has just written and not yet named. Removes nothing where it can't tell what an image needs.
pub fn gc(dry_run: bool, ctx: &Ctx<'_>) -> Result<Collected> {
    if Local::open_if_any(ctx)?.is_none() {
        return Ok(Collected { dry_run, ..Collected::default() });
    }
    let local = Local::alone(ctx)?;
    ctx.progress.phase("looking for garbage");
    let needed = needed(&local, ctx)?;
    let swept = local.blobs().sweep(&needed, SweepOptions { dry_run })?;
    Ok(Collected {
        bytes: swept.blobs.iter().fold(swept.thin, |sum, (_, size)| size.saturating_add(sum)),
        blobs: swept.blobs.into_iter().map(|(digest, _)| digest.to_string()).collect(),
        kept: swept.kept,
        records: swept.records,
        dry_run,
    })
}

pub(super) fn needed(local: &Local, ctx: &Ctx<'_>) -> Result<BTreeSet<Digest>> {
    let refs = local.refs()?;
    let mut walk = Walk::new(local);
    let mut out = BTreeSet::new();
    for entry in refs.entries() {
        let reach = walk.reach(&entry.descriptor, ctx)?;
        for fault in reach.faults {
            let why = match fault.kind {
                RefFaultKind::Damaged(e) => e.to_string(),
                // An index may list what was never brought here; an image that has a name was.
                RefFaultKind::Missing if fault.digest == entry.descriptor.digest => {
                    format!("no such blob: {}", fault.digest)
                }
                // What makes a thin blob may come back, as long as it is known how.
                _ => {
                    out.extend(fault.digest.parse::<Digest>());
                    continue;
                }
            };
            return Err(Error::from(ErrorKind::NotCollected(why)).in_image(entry.shown()));
        }
        out.extend(reach.blobs.into_keys());
    }
    Ok(out)
}
