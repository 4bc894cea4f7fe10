//! The store of a command, opened.

use std::io::Read;
use std::ops::Deref;
use std::path::{Path, PathBuf};

use aurora_engine::digest::{Digest, VerifyError};
use aurora_engine::fs::DirLock;
use aurora_engine::store::{Access, Store, StoreError};
use aurora_formats::oci::{Descriptor, Index, OciError, json, layout};

use super::refs::Refs;
use crate::image::select::Documents;
use crate::{Ctx, Error, ErrorKind, Result};

/// An opened store.
pub(crate) struct Local {
    blobs: Store,
    /// For what is made again.
    pub(super) threads: usize,
}

/// An opened store that nobody else uses.
pub(crate) struct Alone {
    local: Local,
    _writers: DirLock,
}

impl Deref for Alone {
    type Target = Local;

    fn deref(&self) -> &Local {
        &self.local
    }
}

impl Local {
    /// Opens the store that the options name, or makes it where something is to be written.
    pub(crate) fn open(access: Access, ctx: &Ctx<'_>) -> Result<Self> {
        let dir = dir(ctx)?;
        let files =
            [(layout::INDEX_FILE, Index::default().to_bytes()), (layout::LAYOUT_FILE, layout::content())];
        let blobs = Store::open(dir, access, &files, &ctx.spools)?;
        let local = Self { blobs, threads: ctx.options.threads };
        let mark = local.blobs.read(layout::LAYOUT_FILE, json::MAX_DOCUMENT)?;
        layout::check(&mark.ok_or_else(|| OciError::MissingFile { path: layout::LAYOUT_FILE.into() })?)?;
        Ok(local)
    }

    /// As [`Local::open`] for reading; `None` where there is no store yet.
    pub(crate) fn open_if_any(ctx: &Ctx<'_>) -> Result<Option<Self>> {
        match Self::open(Access::Read, ctx) {
            Err(e) if matches!(e.kind(), ErrorKind::Store(StoreError::Missing { .. })) => Ok(None),
            opened => opened.map(Some),
        }
    }

    /// The store as soon as nobody else uses it, be it as ours or as a plain layout.
    pub(crate) fn alone(ctx: &Ctx<'_>) -> Result<Alone> {
        ctx.progress.phase("waiting for others");
        let local = Self::open(Access::Alone, ctx)?;
        let dir = local.blobs.dir();
        // Whoever writes into it as a plain layout holds this one.
        let writers = DirLock::acquire(dir).map_err(|e| Error::io(dir.display().to_string(), e))?;
        Ok(Alone { local, _writers: writers })
    }

    /// The bytes.
    pub(crate) fn blobs(&self) -> &Store {
        &self.blobs
    }

    /// What the names mean now.
    pub(crate) fn refs(&self) -> Result<Refs> {
        let bytes = self.blobs.read(layout::INDEX_FILE, json::MAX_LISTING)?;
        let bytes = bytes.ok_or_else(|| OciError::MissingFile { path: layout::INDEX_FILE.into() })?;
        Refs::parse(&bytes)
    }

    /// Changes what the names mean; others who do so wait.
    pub(crate) fn edit<T>(&self, change: impl FnOnce(&mut Refs) -> Result<T>) -> Result<T> {
        let mut out = None;
        self.blobs.update::<Error>(layout::INDEX_FILE, json::MAX_LISTING, |old| {
            let old = old.ok_or_else(|| OciError::MissingFile { path: layout::INDEX_FILE.into() })?;
            let mut refs = Refs::parse(&old)?;
            out = Some(change(&mut refs)?);
            let new = refs.to_bytes();
            // What nobody could read any more must not be written.
            json::check_listing(layout::INDEX_FILE, new.len() as u64)?;
            Ok((new != old).then_some(new))
        })?;
        Ok(out.expect("`update` has called what sets it, or failed"))
    }
}

/// Where the store is.
pub(crate) fn dir<'a>(ctx: &'a Ctx<'_>) -> Result<&'a Path> {
    let dir: Option<&PathBuf> = ctx.options.store.as_ref();
    let dir = dir.map(PathBuf::as_path);
    dir.ok_or_else(|| Error::usage("there is no place for a store: set HOME, AURORA_STORE or --store DIR"))
}

impl Documents for Local {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        json::check_size(&descriptor.digest, descriptor.size)?;
        let digest: Digest = descriptor
            .digest
            .parse()
            .map_err(|_| OciError::DigestAlgorithm { text: descriptor.digest.clone() })?;
        let path = layout::blob_path(&descriptor.digest);
        let mut bytes = Vec::new();
        let read = match (self.blobs.size(&digest)?, &descriptor.data) {
            (None, Some(data)) if Digest::sha256(data) == digest => return Ok(data.clone()),
            (None, Some(_)) => {
                return Err(VerifyError::Mismatch { expected: digest.clone(), actual: digest }.into());
            }
            (None, None) => return Err(OciError::MissingFile { path }.into()),
            (Some(_), _) => self.blobs.reader(&digest, descriptor.size)?.read_to_end(&mut bytes),
        };
        read.map_err(|e| Error::io(path, e))?;
        Ok(bytes)
    }
}
