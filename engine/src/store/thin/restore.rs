//! Makes the bytes of thin blobs again.

use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

use super::FEATURE;
use super::record::{BodyKind, BodyRef, ThinRecord};
use crate::body::{Body, FileBody, ReadAt, Sequential, Spool};
use crate::codec::{self, Codec};
use crate::digest::{Digest, HashingWriter, VerifyError};
use crate::fs;
use crate::recipe::{self, RecipeError};
use crate::store::record::Kind;
use crate::store::{Result, Store, StoreError, meta};

/// Where packs are, below the side directory.
const PACKS: &str = "packs";

impl Store {
    pub(super) fn packs_dir(&self) -> PathBuf {
        self.side().join(PACKS)
    }

    pub(super) fn pack_path(&self, digest: &Digest) -> PathBuf {
        self.packs_dir().join(digest.hex())
    }

    /// Bytes of a thin blob; `None` if it is none, or if something that it is made of is gone.
    pub(in crate::store) fn thin_size(&self, digest: &Digest) -> Result<Option<u64>> {
        let Some(record) = self.thin_record(digest) else { return Ok(None) };
        for body in &record.bodies {
            if !self.has_body(body)? {
                return Ok(None);
            }
        }
        Ok(Some(record.size))
    }

    /// Whether a blob is there as a file of its own.
    pub fn is_fat(&self, digest: &Digest) -> Result<bool> {
        let path = self.blob_path(digest);
        Ok(fs::size_of(&path).map_err(StoreError::io(&path))?.is_some())
    }

    /// The bytes of a blob that is there as a file.
    pub(super) fn fat(&self, digest: &Digest) -> Result<Body> {
        self.fat_body(digest)?.ok_or_else(|| StoreError::NoBlob { digest: digest.clone() })
    }

    /// What a thin blob unpacks to, not verified, which spares packing and unpacking it. `None` if it is not thin.
    pub fn unpacked(&self, digest: &Digest) -> Result<Option<Body>> {
        match self.is_fat(digest)? {
            true => Ok(None),
            false => self.made_again(digest, Made::Unpacked),
        }
    }

    /// The bytes of a thin blob, not verified, made when they are first read. `None` if there is no record of it.
    pub(in crate::store) fn made_again(&self, digest: &Digest, what: Made) -> Result<Option<Body>> {
        let Some(record) = self.thin_record(digest) else { return Ok(None) };
        let len = match what {
            Made::Packed => record.size,
            Made::Unpacked => {
                let fault = |e: RecipeError| StoreError::Thin { fault: e.to_string() };
                recipe::decode(&record.recipe).map_err(fault).map_err(in_blob(digest))?.length()
            }
        };
        let (store, digest, body) = (self.clone(), digest.clone(), OnceLock::new());
        Ok(Some(Arc::new(ThinBody { store, digest, record, what, len, body, making: Mutex::new(()) })))
    }

    /// Makes a thin blob a file again, verified; whether there was anything to do. What it was made from stays: removing
    /// the file makes it thin again.
    pub fn fatten(&self, digest: &Digest, threads: usize) -> Result<bool> {
        if self.is_fat(digest)? {
            return Ok(false);
        }
        let record = self.thin_record(digest).ok_or_else(|| StoreError::NoBlob { digest: digest.clone() })?;
        let mut upload = self.begin(digest.algorithm())?;
        self.make(&record, threads, &mut upload).map_err(in_blob(digest))?;
        upload.commit_expected(digest, record.size)?;
        Ok(true)
    }

    /// Removes the files of blobs that can be made again: from now on they are thin. Its caller has opened the store for
    /// [`crate::store::Access::Alone`], and [`Store::thin_out`] has proved the records. Which blobs it was: others may have
    /// used the store since, so a file stays where something that it is made of is gone, and where a thin blob is made of
    /// it.
    pub fn slim(&self, blobs: &[Digest]) -> Result<Vec<Digest>> {
        let thin: Vec<Digest> = self.thin_blobs()?.into_iter().map(|(digest, _)| digest).collect();
        let mut sources = self.bodies_of(&thin)?;
        let mut out = Vec::new();
        for digest in blobs {
            let Some(record) = self.thin_record(digest) else { continue };
            let is_source = |body: &BodyRef| body.kind == BodyKind::Blob && body.is(&digest.to_string());
            let is_needed = sources.iter().chain(&record.bodies).any(is_source);
            if is_needed || !self.is_fat(digest)? || self.thin_size(digest)?.is_none() {
                continue;
            }
            meta::require(&self.meta_path(), FEATURE)?;
            self.remove_if_any(&self.blob_path(digest))?;
            sources.extend(record.bodies);
            out.push(digest.clone());
        }
        Ok(out)
    }

    /// Whether what a recipe takes slices of is there.
    pub(in crate::store) fn has_body(&self, body: &BodyRef) -> Result<bool> {
        let path = self.body_path(body)?;
        Ok(fs::size_of(&path).map_err(StoreError::io(&path))?.is_some())
    }

    pub(super) fn body_path(&self, body: &BodyRef) -> Result<PathBuf> {
        let digest = body.digest()?;
        Ok(match body.kind {
            BodyKind::Blob => self.blob_path(&digest),
            BodyKind::Pack => self.pack_path(&digest),
        })
    }

    /// Writes what a record makes.
    pub(in crate::store) fn make(
        &self,
        record: &ThinRecord,
        threads: usize,
        out: &mut dyn Write,
    ) -> Result<()> {
        let fault = |source: io::Error| match is_of_bytes(&source) {
            true => StoreError::Thin { fault: source.to_string() },
            false => StoreError::Io { path: self.packs_dir(), source },
        };
        let mut packer = record.encoding.writer(out, threads).map_err(fault)?;
        self.follow(record, &mut packer)?;
        packer.finish().map_err(fault)?;
        Ok(())
    }

    /// Writes the container that the recipe of a record makes.
    fn follow(&self, record: &ThinRecord, out: &mut dyn Write) -> Result<()> {
        let fault = |e: RecipeError| match e {
            // The machine's, and not the recipe's.
            RecipeError::Io(source) if !is_of_bytes(&source) => {
                StoreError::Io { path: self.packs_dir(), source }
            }
            e => StoreError::Thin { fault: e.to_string() },
        };
        let recipe = recipe::decode(&record.recipe).map_err(fault)?;
        let bodies: Vec<Body> =
            record.bodies.iter().map(|body| self.open_body(body)).collect::<Result<_>>()?;
        recipe::replay(&recipe, &bodies, out).map_err(fault)
    }

    /// A body as recipes see it: unpacked.
    fn open_body(&self, body: &BodyRef) -> Result<Body> {
        let path = self.body_path(body)?;
        let failed = StoreError::io(&path);
        let read = || -> io::Result<Body> {
            let stored: Body = Arc::new(FileBody::new(fs::open_regular(&path)?)?);
            let (codec, mut plain) = codec::reader(Box::new(Sequential::new(stored.clone())), body.len, 1)?;
            if codec == Codec::None && stored.len() == body.len {
                return Ok(stored);
            }
            let mut spool = Spool::new(&self.spools);
            io::copy(&mut plain, &mut spool)?;
            spool.finish()
        };
        read().map_err(failed)
    }

    /// What is wrong with a thin blob, and whether that will last; nothing if it can be made again.
    pub(in crate::store) fn check_thin(
        &self,
        digest: &Digest,
        record: &ThinRecord,
    ) -> Option<(String, bool)> {
        let mut out = HashingWriter::new(io::sink(), digest.algorithm());
        if let Err(e) = self.make(record, 1, &mut out) {
            return Some((e.to_string(), is_of_the_content(&e)));
        }
        let (_, actual, size) = out.finish();
        let expected = digest.clone();
        let fault = match (size == record.size, actual == expected) {
            (true, true) => return None,
            (true, false) => VerifyError::Mismatch { expected, actual }.to_string(),
            (false, _) => format!("made again it has {size} bytes, not {}", record.size),
        };
        Some((fault, true))
    }

    pub(super) fn remove_if_any(&self, path: &Path) -> Result<()> {
        match fs::remove_file(path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(()),
            removed => removed.map_err(StoreError::io(path)),
        }
    }

    /// Removes a pack, and what is written about it.
    pub(super) fn drop_body(&self, body: &BodyRef) -> Result<()> {
        let digest = body.digest()?;
        self.remove_if_any(&self.record_path(Kind::Contents, &digest))?;
        match body.kind {
            BodyKind::Pack => self.remove_if_any(&self.pack_path(&digest)),
            BodyKind::Blob => Ok(()),
        }
    }
}

/// Whether it is bytes that are wrong.
fn is_of_bytes(e: &io::Error) -> bool {
    matches!(
        e.kind(),
        io::ErrorKind::InvalidData | io::ErrorKind::InvalidInput | io::ErrorKind::UnexpectedEof
    )
}

/// Whether what stands for a blob is at fault, and not the machine that has to follow it.
pub(super) fn is_of_the_content(e: &StoreError) -> bool {
    use io::ErrorKind::{InvalidData, NotFound, UnexpectedEof};
    match e {
        StoreError::Io { source, .. } => matches!(source.kind(), InvalidData | NotFound | UnexpectedEof),
        StoreError::Thin { .. } | StoreError::NoBlob { .. } => true,
        _ => false,
    }
}

/// A form of a thin blob.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::store) enum Made {
    /// The blob.
    Packed,
    /// What it unpacks to.
    Unpacked,
}

/// A thin blob that is made when it is read. The store stays open, so that what it is made of stays there.
struct ThinBody {
    store: Store,
    digest: Digest,
    record: ThinRecord,
    what: Made,
    len: u64,
    body: OnceLock<Body>,
    /// Held by whoever makes it.
    making: Mutex<()>,
}

impl ThinBody {
    fn body(&self) -> Result<&Body> {
        let _making = self.making.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(body) = self.body.get() {
            return Ok(body);
        }
        let mut spool = Spool::new(&self.store.spools);
        let made = match self.what {
            Made::Packed => self.store.make(&self.record, 1, &mut spool),
            Made::Unpacked => self.store.follow(&self.record, &mut spool),
        };
        made.map_err(in_blob(&self.digest))?;
        let body = spool.finish().map_err(StoreError::io(&self.store.blob_path(&self.digest)))?;
        Ok(self.body.get_or_init(|| body))
    }
}

impl ReadAt for ThinBody {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        // Whoever only wants to know how it is packed need not wait.
        let head = usize::try_from(offset).ok().and_then(|at| self.record.head.get(at..)?.get(..buf.len()));
        match head {
            Some(head) if self.what == Made::Packed => {
                buf.copy_from_slice(head);
                Ok(())
            }
            _ => self.body().map_err(io::Error::other)?.read_exact_at(buf, offset),
        }
    }

    fn len(&self) -> u64 {
        self.len
    }

    fn copy_into(&self, offset: u64, len: u64, file: &File, at: u64) -> io::Result<u64> {
        self.body().map_err(io::Error::other)?.copy_into(offset, len, file, at)
    }
}

/// For `map_err`: which blob could not be made.
fn in_blob(digest: &Digest) -> impl FnOnce(StoreError) -> StoreError + use<> {
    let digest = digest.clone();
    move |e| StoreError::NotMade { digest, source: Box::new(e) }
}
