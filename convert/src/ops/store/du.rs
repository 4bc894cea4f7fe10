//! The room that images take, each alone and together.

use std::collections::BTreeMap;

use aurora_engine::digest::Digest;
use serde::Serialize;

use super::dedup::taken;
use crate::store::{Local, Reach, Walk};
use crate::{Ctx, Result};

/// The room of one image.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct ImageUsage {
    /// All its names, or its digest where it has none.
    pub names: Vec<String>,
    /// Of its manifest or index.
    pub digest: String,
    /// Stored bytes of all that it needs.
    pub size: u64,
    /// Of these, bytes of blobs that other images need as well.
    pub shared: u64,
    /// Of these, bytes that no other image needs: what removing it would free, but for what thin blobs are made of.
    pub unique: u64,
    /// Bytes that its layers unpack to, where all of them have been unpacked before.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub unpacked: Option<u64>,
}

/// The room of a store.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Usage {
    /// By name.
    pub images: Vec<ImageUsage>,
    /// Bytes of all images, each counted alone.
    pub sum: u64,
    /// Bytes of the blobs that images need, each counted once.
    pub distinct: u64,
    /// Bytes of blobs that no image needs: what `gc` would free.
    pub garbage: u64,
    /// Bytes of blobs that no image needs but to make thin blobs of: `dedup` gives them up.
    pub lent: u64,
    /// Bytes that all of it takes, thin blobs as what stands for them.
    pub stored: u64,
    /// Bytes of blobs that are thin.
    pub thin: u64,
}

/// Counts. A store that is not there yet has nothing.
pub fn du(ctx: &Ctx<'_>) -> Result<Usage> {
    let Some(local) = Local::open_if_any(ctx)? else { return Ok(Usage::default()) };
    let refs = local.refs()?;
    let mut walk = Walk::new(&local);
    // One image under several names is one image.
    let mut images: BTreeMap<String, (Vec<String>, Reach)> = BTreeMap::new();
    for entry in refs.entries() {
        let digest = &entry.descriptor.digest;
        if let Some((names, _)) = images.get_mut(digest) {
            names.push(entry.shown());
            continue;
        }
        let reach = walk.reach(&entry.descriptor, ctx)?;
        images.insert(digest.clone(), (vec![entry.shown()], reach));
    }
    let mut users: BTreeMap<&Digest, u32> = BTreeMap::new();
    let mut out = Usage::default();
    for (_, reach) in images.values() {
        for (digest, size) in &reach.blobs {
            let count = users.entry(digest).or_default();
            if *count == 0 {
                out.distinct = out.distinct.saturating_add(*size);
            }
            *count += 1;
        }
    }
    for (digest, (names, reach)) in &images {
        let sum = |test: &dyn Fn(u32) -> bool| {
            let chosen = reach.blobs.iter().filter(|(digest, _)| test(users[digest]));
            chosen.fold(0_u64, |sum, (_, size)| size.saturating_add(sum))
        };
        let (shared, unique) = (sum(&|n| n > 1), sum(&|n| n == 1));
        let size = shared.saturating_add(unique);
        out.sum = out.sum.saturating_add(size);
        let mut names = names.clone();
        names.sort();
        let unpacked = |layer| local.blobs().facts(layer).map(|facts| facts.decoded_size);
        let unpacked =
            reach.layers.iter().try_fold(0_u64, |sum, layer| Some(unpacked(layer)?.saturating_add(sum)));
        out.images.push(ImageUsage { names, digest: digest.clone(), size, shared, unique, unpacked });
    }
    out.images.sort_by(|a, b| a.names.cmp(&b.names));
    out.stored = taken(&local)?;
    out.thin = local.blobs().thin_blobs()?.iter().fold(0, |sum, (_, size)| size.saturating_add(sum));
    let sources = local.blobs().sources_of(users.keys().copied())?;
    for (digest, size) in local.blobs().blobs()? {
        let sum = match (users.contains_key(&digest), sources.contains(&digest)) {
            (true, _) => continue,
            (false, true) => &mut out.lent,
            (false, false) => &mut out.garbage,
        };
        *sum = sum.saturating_add(size);
    }
    Ok(out)
}
