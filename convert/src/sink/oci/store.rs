//! Where blobs go whose digest is known only when all of it is written.

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::sync::Arc;

use aurora_engine::body::{Body, MemBody, Spool};
use aurora_engine::digest::Digest;
use aurora_engine::fs::{self, AtomicFile, LockedFile};
use aurora_engine::store::{BlobFacts, Store as LocalBlobs};
use aurora_formats::oci::layout;

use crate::{Ctx, Error, Result};

/// The blobs of an image being written.
pub(super) enum Store<'a> {
    /// Blobs of the local store.
    Local(&'a LocalBlobs),
    /// Files of a layout: written under another name, synced and renamed.
    Dir(PathBuf),
    /// Bodies of an archive, by path in it: a tar says how long a member is before its first byte.
    Bodies(BTreeMap<String, Body>),
}

/// A blob being written.
pub(super) enum Pending {
    Partial(LockedFile),
    File(AtomicFile),
    Spool(Spool),
}

impl Write for Pending {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Partial(file) => file.write(buf),
            Self::File(file) => file.write(buf),
            Self::Spool(spool) => spool.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Store<'_> {
    /// Starts a blob.
    pub(super) fn begin(&self, ctx: &Ctx<'_>) -> Result<Pending> {
        match self {
            Self::Local(blobs) => Ok(Pending::Partial(blobs.partial()?)),
            Self::Bodies(_) => Ok(Pending::Spool(Spool::new(&ctx.spools))),
            Self::Dir(dir) => {
                let path = dir.join(layout::BLOBS).join("sha256").join("blob");
                let file = AtomicFile::create(&path).map_err(|e| Error::io(path.display().to_string(), e))?;
                Ok(Pending::File(file))
            }
        }
    }

    /// Names a blob that is complete. One that is there already stays: its name says that it is the same.
    pub(super) fn finish(&mut self, pending: Pending, digest: &Digest, size: u64) -> Result<()> {
        let path = layout::blob_path(&digest.to_string());
        let failed = |path: &str, e| Error::io(path.to_owned(), e);
        match (self, pending) {
            (Self::Local(blobs), Pending::Partial(file)) => blobs.name(file, digest, size)?,
            (Self::Bodies(bodies), Pending::Spool(spool)) => {
                bodies.insert(path.clone(), spool.finish().map_err(|e| failed(&path, e))?);
            }
            (Self::Dir(dir), Pending::File(file)) => {
                let full = dir.join(&path);
                if !fs::exists(&full).map_err(|e| failed(&path, e))? {
                    file.commit_as(&full).map_err(|e| failed(&path, e))?;
                }
            }
            (_, pending) => drop(pending),
        }
        Ok(())
    }

    /// Notes what a blob unpacks to, where that is kept.
    pub(super) fn note(&self, digest: &Digest, facts: &BlobFacts) -> Result<()> {
        match self {
            Self::Local(blobs) => Ok(blobs.note_facts(digest, facts)?),
            Self::Bodies(_) | Self::Dir(_) => Ok(()),
        }
    }

    /// A blob that is at hand; its digest.
    pub(super) fn put(&mut self, bytes: &[u8], ctx: &Ctx<'_>) -> Result<Digest> {
        let digest = Digest::sha256(bytes);
        if let Self::Bodies(_) = self {
            self.put_file(&layout::blob_path(&digest.to_string()), bytes)?;
            return Ok(digest);
        }
        let mut pending = self.begin(ctx)?;
        pending.write_all(bytes).map_err(|e| Error::io(digest.to_string(), e))?;
        self.finish(pending, &digest, bytes.len() as u64)?;
        Ok(digest)
    }

    /// A file that is no blob, replaced as a whole.
    pub(super) fn put_file(&mut self, path: &str, bytes: &[u8]) -> Result<()> {
        match self {
            // Its names are written as a whole, elsewhere.
            Self::Local(_) => Ok(()),
            Self::Bodies(bodies) => {
                bodies.insert(path.to_owned(), Arc::new(MemBody(bytes.to_vec())));
                Ok(())
            }
            Self::Dir(dir) => {
                let full = dir.join(path);
                fs::replace_file(&full, bytes).map_err(|e| Error::io(full.display().to_string(), e))
            }
        }
    }
}
