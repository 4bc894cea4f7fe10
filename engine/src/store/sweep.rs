//! Removes what nothing needs.

use std::collections::BTreeSet;

use super::record::Kind;
use super::{Memo, Result, Store, StoreError};
use crate::digest::Digest;
use crate::fs;

/// More finished steps than anybody repeats: beyond that all are forgotten, and done again when asked for.
const MAX_MEMOS: usize = 100_000;

/// What tunes a sweep.
#[derive(Debug, Clone, Copy, Default)]
pub struct SweepOptions {
    /// Only tell.
    pub dry_run: bool,
}

/// What was removed, or would be.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Swept {
    /// Blobs and their sizes, sorted by digest.
    pub blobs: Vec<(Digest, u64)>,
    /// Blobs that stay.
    pub kept: usize,
    /// Records about what is not there any more.
    pub records: usize,
    /// Bytes of recipes, packs and lists of contents that nothing needs any more.
    pub thin: u64,
}

impl Store {
    /// Removes the blobs that are not in `needed`, and records that are of no use. Its caller has opened the store
    /// for [`super::Access::Alone`], so that nobody has just written what nothing names yet.
    pub fn sweep(&self, needed: &BTreeSet<Digest>, options: SweepOptions) -> Result<Swept> {
        // Recipes first: what only they need may be a blob.
        let thin = self.sweep_thin(needed, options.dry_run)?;
        let mut out = Swept { thin, ..Swept::default() };
        let needed: BTreeSet<Digest> = self.sources_of(needed)?.union(needed).cloned().collect();
        out.kept += self.thin_blobs()?.iter().filter(|(digest, _)| needed.contains(digest)).count();
        for (digest, size) in self.blobs()? {
            match needed.contains(&digest) {
                true => out.kept += 1,
                false => out.blobs.push((digest, size)),
            }
        }
        let gone: BTreeSet<&Digest> = out.blobs.iter().map(|(digest, _)| digest).collect();
        let is_there = |digest: &Digest| !gone.contains(digest) && matches!(self.size(digest), Ok(Some(_)));
        for kind in Kind::DERIVED {
            let records = self.records(kind)?;
            let too_many = kind == Kind::Memo && records.len() > MAX_MEMOS;
            for (path, id) in records {
                let is_useful = !too_many
                    && id.is_some_and(|id| match kind {
                        Kind::Blob | Kind::Changes => is_there(&id) && self.is_whole(kind, &id),
                        // Not derived: looked at above.
                        Kind::Thin | Kind::Contents => true,
                        Kind::Memo => self.load::<Memo>(kind, &id).is_some_and(|memo| {
                            memo.outputs.iter().all(|(text, _)| text.parse().is_ok_and(|d| is_there(&d)))
                        }),
                    });
                if is_useful {
                    continue;
                }
                if !options.dry_run {
                    fs::remove_file(&path).map_err(StoreError::io(&path))?;
                }
                out.records += 1;
            }
        }
        // Last, so that whoever is killed meanwhile leaves no record about nothing.
        for (digest, _) in out.blobs.iter().filter(|_| !options.dry_run) {
            let path = self.blob_path(digest);
            fs::remove_file(&path).map_err(StoreError::io(&path))?;
        }
        Ok(out)
    }
}
