//! Keeps contents that many blobs have in common once: blobs become thin, and fat again.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::io::{self, Read};

use aurora_engine::digest::Digest;
use aurora_engine::store::thin::{BodyKind, BodyRef, Contents, Encoding, Outcome, Pieces};
use aurora_engine::store::{Access, StoreError};
use rayon::prelude::*;
use serde::Serialize;

use super::gc::needed;
use super::stored;
use crate::ctx::Counter;
use crate::names::ImageName;
use crate::store::{Entry, Local, Walk, split};
use crate::{Ctx, Error, ErrorKind, Result};

/// Smaller blobs are left alone: a recipe and a pack take two files, and a file takes a block at least.
const LEAST: u64 = 64 << 10;
/// A pack of which less than a half is still used is given up, and its users are made thin anew.
const HALF: u64 = 2;

/// What was done.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Deduplicated {
    /// Blobs that became thin, sorted by digest.
    pub thin: Vec<String>,
    /// Blobs that are files again, sorted by digest.
    pub fat: Vec<String>,
    /// Blobs that stay as they are, and why.
    pub kept: Vec<KeptBlob>,
    /// Bytes that the store takes before.
    pub before: u64,
    /// And after.
    pub after: u64,
}

/// A blob that stays as it is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct KeptBlob {
    /// Its name.
    pub digest: String,
    /// Its bytes.
    pub size: u64,
    /// Why.
    pub reason: KeptReason,
}

/// Why a blob is kept as it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum KeptReason {
    /// No encoder is known that makes its packed bytes.
    Encoder,
    /// It can't be unpacked, or is no whole archive, stream or disk.
    Unreadable,
    /// It would be hardly smaller.
    NoGain,
    /// Thin blobs take contents from it.
    Source,
    /// Others have changed the store meanwhile.
    Changed,
}

impl fmt::Display for KeptReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Encoder => "packed by an encoder that is not known",
            Self::Unreadable => {
                "it can't be unpacked as a whole archive, stream or disk, or not within --max-decoded"
            }
            Self::NoGain => "it would be hardly smaller",
            Self::Source => "thin blobs take contents from it",
            Self::Changed => "others have changed the store meanwhile; dedup may be run again",
        })
    }
}

/// Makes the blobs of these images thin, or those of all images. Everybody may use the store meanwhile, but for the
/// moment in which files are removed.
pub fn dedup(names: &[ImageName], ctx: &Ctx<'_>) -> Result<Deduplicated> {
    let mut out = Deduplicated::default();
    if !is_there(names, ctx)? {
        return Ok(out);
    }
    let made = {
        let local = Local::open(Access::Write, ctx)?;
        out.before = taken(&local)?;
        let mut work = Work::new(&local, names, &mut out, ctx)?;
        let candidates = work.candidates()?;
        work.make_thin(candidates)?
    };
    let local = Local::alone(ctx)?;
    let thin = local.blobs().slim(&made)?;
    for digest in made.iter().filter(|digest| !thin.contains(digest)) {
        let size = local.blobs().size(digest)?.unwrap_or(0);
        out.keep(digest, size, KeptReason::Changed);
    }
    out.thin = thin.iter().map(Digest::to_string).collect();
    out.thin.sort();
    out.kept.sort_by(|a, b| a.digest.cmp(&b.digest));
    out.after = swept(&local, ctx)?;
    Ok(out)
}

/// Makes the blobs of these images files again, or those of all images.
pub fn undo_dedup(names: &[ImageName], ctx: &Ctx<'_>) -> Result<Deduplicated> {
    let mut out = Deduplicated::default();
    if !is_there(names, ctx)? {
        return Ok(out);
    }
    {
        let local = Local::open(Access::Write, ctx)?;
        out.before = taken(&local)?;
        ctx.progress.phase("making blobs again");
        for digest in files_of(&local, names, ctx)?.keys() {
            ctx.check()?;
            if local.blobs().fatten(digest, ctx.options.threads)? {
                out.fat.push(digest.to_string());
            }
        }
    }
    let local = Local::alone(ctx)?;
    out.after = swept(&local, ctx)?;
    Ok(out)
}

/// Whether there is a store; without one there is none of the images named.
fn is_there(names: &[ImageName], ctx: &Ctx<'_>) -> Result<bool> {
    match (Local::open_if_any(ctx)?, names.first()) {
        (Some(_), _) => Ok(true),
        (None, Some(name)) => Err(ErrorKind::NoSuchImage(name.to_string()).into()),
        (None, None) => Ok(false),
    }
}

/// Removes recipes and packs that are of no use any more; the bytes that the store takes then.
fn swept(local: &Local, ctx: &Ctx<'_>) -> Result<u64> {
    let needed = needed(local, ctx)?;
    local.blobs().sweep_thin(&needed, false)?;
    taken(local)
}

/// Bytes of all blobs, and of what stands for thin ones.
pub(super) fn taken(local: &Local) -> Result<u64> {
    let blobs = local.blobs().blobs()?;
    let fat = blobs.iter().fold(0_u64, |sum, (_, size)| size.saturating_add(sum));
    Ok(fat.saturating_add(local.blobs().thin_room()?.sum()))
}

/// The blobs of images, or of all, that are no documents.
fn files_of(local: &Local, names: &[ImageName], ctx: &Ctx<'_>) -> Result<BTreeMap<Digest, u64>> {
    let refs = local.refs()?;
    let chosen: Vec<&Entry> = match names {
        [] => refs.entries().iter().collect(),
        names => {
            let found: Result<Vec<_>> = names.iter().map(|name| refs.find(stored(name)?)).collect();
            found?.into_iter().flatten().collect()
        }
    };
    let mut walk = Walk::new(local);
    let mut out = BTreeMap::new();
    for entry in chosen {
        let reach = walk.reach(&entry.descriptor, ctx)?;
        out.extend(reach.blobs.into_iter().filter(|(digest, _)| reach.files.contains(digest)));
    }
    Ok(out)
}

/// A blob that is to become thin.
struct Candidate {
    digest: Digest,
    size: u64,
    encoding: Encoding,
}

/// A run of [`dedup`].
struct Work<'a, 'c> {
    local: &'a Local,
    ctx: &'a Ctx<'c>,
    out: &'a mut Deduplicated,
    /// Large blobs of the images named.
    chosen: BTreeMap<Digest, u64>,
    /// Blobs that recipes take contents from: they stay, as a recipe must not need another one.
    sources: BTreeSet<Digest>,
    /// Where contents are that recipes may take.
    contents: Contents,
}

impl<'a, 'c> Work<'a, 'c> {
    fn new(
        local: &'a Local,
        names: &[ImageName],
        out: &'a mut Deduplicated,
        ctx: &'a Ctx<'c>,
    ) -> Result<Self> {
        ctx.progress.phase("looking for blobs");
        // Nothing is touched where it can't be told what images need.
        let needed = needed(local, ctx)?;
        let mut chosen = files_of(local, names, ctx)?;
        chosen.retain(|_, size| *size >= LEAST);
        let mut work =
            Self { local, ctx, out, chosen, sources: BTreeSet::new(), contents: Contents::default() };
        let poor = work.take_bodies(&needed)?;
        work.refatten(&needed, &poor)?;
        // Blobs that may become thin are no place to take contents from, least of all their own.
        for digest in &needed {
            let is_candidate = work.chosen.contains_key(digest) || work.sources.contains(digest);
            if !is_candidate && local.blobs().is_fat(digest)? {
                local.blobs().add_contents(BodyKind::Blob, digest, &mut work.contents);
            }
        }
        Ok(work)
    }

    /// Takes over what present recipes take contents from; those bodies that are not worth keeping.
    fn take_bodies(&mut self, needed: &BTreeSet<Digest>) -> Result<BTreeSet<BodyRef>> {
        let blobs = self.local.blobs();
        let mut poor = BTreeSet::new();
        for (body, used) in blobs.body_use(needed)? {
            let digest = body.digest()?;
            let is_poor = match body.kind {
                // Without recipes it could go.
                BodyKind::Blob => !needed.contains(&digest),
                BodyKind::Pack => used.saturating_mul(HALF) < body.len,
            };
            if is_poor {
                poor.insert(body);
                continue;
            }
            blobs.add_contents(body.kind, &digest, &mut self.contents);
            if body.kind == BodyKind::Blob {
                self.sources.insert(digest);
            }
        }
        Ok(poor)
    }

    /// Makes the users of poor bodies files again, so that they are looked at like all others.
    fn refatten(&mut self, needed: &BTreeSet<Digest>, poor: &BTreeSet<BodyRef>) -> Result<()> {
        let blobs = self.local.blobs();
        for digest in needed.iter().filter(|_| !poor.is_empty()) {
            self.ctx.check()?;
            if !blobs.bodies_of([digest])?.is_disjoint(poor) {
                blobs.fatten(digest, self.ctx.options.threads)?;
                if let Some(size) = blobs.size(digest)? {
                    self.chosen.insert(digest.clone(), size);
                }
            }
        }
        Ok(())
    }

    /// Blobs whose bytes can be made again. The others become sources.
    fn candidates(&mut self) -> Result<Vec<Candidate>> {
        self.ctx.progress.phase("looking for encoders");
        let blobs = self.local.blobs();
        let mut fat = Vec::new();
        for (digest, size) in &self.chosen {
            if !blobs.is_fat(digest)? {
                continue;
            }
            if self.sources.contains(digest) {
                self.out.keep(digest, *size, KeptReason::Source);
            } else {
                fat.push((digest.clone(), *size));
            }
        }
        let found: Vec<Result<Option<Encoding>>> = fat
            .par_iter()
            .map(|(digest, _)| {
                let Some(body) = blobs.body(digest)? else { return Ok(None) };
                self.ctx.check()?;
                let found = Encoding::find(&body);
                found.map_err(|e| Error::io(blobs.blob_path(digest).display().to_string(), e))
            })
            .collect();
        let mut out = Vec::new();
        self.ctx.progress.phase("reading contents");
        for ((digest, size), found) in fat.into_iter().zip(found) {
            match found? {
                Some(encoding) => out.push(Candidate { digest, size, encoding }),
                None => self.keep(&digest, size, KeptReason::Encoder)?,
            }
        }
        Ok(out)
    }

    /// Writes what makes the candidates again; those for which that is worth it.
    fn make_thin(&mut self, candidates: Vec<Candidate>) -> Result<Vec<Digest>> {
        self.ctx.progress.phase("making blobs thin");
        self.ctx.progress.total(candidates.iter().map(|c| c.size).sum());
        let options = &self.ctx.options;
        let mut out = Vec::new();
        for Candidate { digest, size, encoding } in candidates {
            self.ctx.check()?;
            let split = splitter(self.ctx);
            let (blobs, threads) = (self.local.blobs(), options.threads);
            let done =
                blobs.thin_out(&digest, encoding, options.max_decoded, &mut self.contents, threads, &split);
            match done {
                Ok(Outcome::Thin { .. }) => out.push(digest),
                Ok(Outcome::NoGain) => self.keep(&digest, size, KeptReason::NoGain)?,
                Ok(Outcome::NotTheSame) => self.keep(&digest, size, KeptReason::Encoder)?,
                Err(e) if is_of_the_blob(&e) => self.out.keep(&digest, size, KeptReason::Unreadable),
                Err(e) => return Err(e),
            }
            self.ctx.progress.count(Counter::BytesRead, size);
        }
        Ok(out)
    }

    /// A blob stays, and others may take contents from it.
    fn keep(&mut self, digest: &Digest, size: u64, reason: KeptReason) -> Result<()> {
        let blobs = self.local.blobs();
        let mut reason = reason;
        if !blobs.add_contents(BodyKind::Blob, digest, &mut self.contents) {
            let split = splitter(self.ctx);
            match blobs.list_contents(digest, self.ctx.options.max_decoded, &mut self.contents, &split) {
                Err(e) if is_of_the_blob(&e) => reason = KeptReason::Unreadable,
                listed => listed?,
            }
        }
        self.out.keep(digest, size, reason);
        Ok(())
    }
}

impl Deduplicated {
    fn keep(&mut self, digest: &Digest, size: u64, reason: KeptReason) {
        self.kept.push(KeptBlob { digest: digest.to_string(), size, reason });
    }
}

fn splitter<'a>(ctx: &'a Ctx<'_>) -> impl Fn(&mut dyn Read, &mut dyn Pieces) -> Result<()> + use<'a> {
    move |container, pieces| split(container, pieces, ctx)
}

/// Whether a blob can't be read as what it claims to be; anything else is a fault of the store or its file system.
fn is_of_the_blob(e: &Error) -> bool {
    match e.kind() {
        ErrorKind::Tar(_) | ErrorKind::Zfs(_) => true,
        ErrorKind::Io { source, .. } | ErrorKind::Store(StoreError::Io { source, .. }) => {
            matches!(source.kind(), io::ErrorKind::InvalidData | io::ErrorKind::UnexpectedEof)
        }
        _ => false,
    }
}
