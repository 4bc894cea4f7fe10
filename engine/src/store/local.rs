//! An opened store.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::record::Kind;
use super::thin::{self, Made};
use super::{Result, StoreError, meta};
use crate::body::{Body, FileBody, Sequential, SpoolBudget};
use crate::digest::{Algorithm, Digest, VerifyingReader};
use crate::fs::{self, DirLock, FileLock};

/// The side directory: all that is aurora's own.
pub(super) const SIDE: &str = "aurora";
const META: &str = "meta.json";
const LOCK: &str = "lock";
const PARTIAL: &str = "partial";
const BLOBS: &str = "blobs";
/// Smaller blobs are read at once, and a mapping costs more than that.
const MAP_FROM: u64 = 1 << 20;

/// What is to be done with a store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Access {
    /// Nothing is changed, nor made: any OCI layout will do.
    Read,
    /// Blobs and names are added, together with others who do so. Makes the side directory.
    Write,
    /// Blobs are removed: nobody else may use the store meanwhile. Makes the side directory.
    Alone,
}

/// A directory of blobs. Others wait, or are waited for, until it and its clones are dropped.
#[derive(Clone)]
pub struct Store {
    dir: PathBuf,
    /// Whether there is a side directory; without it the layout is somebody else's, who may change its files.
    is_ours: bool,
    /// Whether there is a feature that has to be known to write, and is not: then nothing is noted either.
    pub(super) may_write: bool,
    /// Where thin blobs are made again.
    pub(super) spools: SpoolBudget,
    _lock: Option<Arc<FileLock>>,
}

impl Store {
    /// Opens the store in `dir`. For [`Access::Read`] it must be there; else one is made if there is no directory or
    /// an empty one: `files` are the names and contents that make it a layout, in the order they are to be written,
    /// the one whose presence says that all is there last. What is made again of thin blobs goes to `spools`.
    pub fn open(dir: &Path, access: Access, files: &[(&str, Vec<u8>)], spools: &SpoolBudget) -> Result<Self> {
        let spools = spools.clone();
        let side = dir.join(SIDE);
        if access == Access::Read {
            if !fs::is_dir(dir) {
                return Err(StoreError::Missing { dir: dir.to_owned() });
            }
            let is_ours = fs::is_dir(&side);
            let lock = if is_ours { shared_if_any(&side.join(LOCK))? } else { None };
            meta::check(&side.join(META), false)?;
            let may_write = meta::check(&side.join(META), true).is_ok();
            return Ok(Self { dir: dir.to_owned(), is_ours, may_write, spools, _lock: lock.map(Arc::new) });
        }
        meta::check(&side.join(META), true)?;
        create(dir, files)?;
        let path = side.join(LOCK);
        let lock = match access {
            Access::Alone => FileLock::alone(&path),
            _ => FileLock::shared(&path),
        };
        let lock = lock.map_err(StoreError::io(&path))?;
        // Again: it may have been changed while this waited.
        meta::check(&side.join(META), true)?;
        let store =
            Self { dir: dir.to_owned(), is_ours: true, may_write: true, spools, _lock: Some(Arc::new(lock)) };
        let partial = store.partial_dir();
        fs::remove_stale(&partial).map_err(StoreError::io(&partial))?;
        Ok(store)
    }

    /// Where it is.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// Whether it has a side directory.
    pub fn is_ours(&self) -> bool {
        self.is_ours
    }

    /// Where a blob is, if it is there and not thin.
    pub fn blob_path(&self, digest: &Digest) -> PathBuf {
        self.blobs_dir(digest.algorithm()).join(digest.hex())
    }

    pub(super) fn blobs_dir(&self, algorithm: Algorithm) -> PathBuf {
        self.dir.join(BLOBS).join(algorithm.name())
    }

    pub(super) fn side(&self) -> PathBuf {
        self.dir.join(SIDE)
    }

    pub(super) fn meta_path(&self) -> PathBuf {
        self.side().join(META)
    }

    pub(super) fn partial_dir(&self) -> PathBuf {
        self.side().join(PARTIAL)
    }

    /// Bytes of a blob; `None` if it is not there.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        let path = self.blob_path(digest);
        let size = fs::size_of(&path).map_err(StoreError::io(&path))?;
        match size {
            None => self.thin_size(digest),
            there => Ok(there),
        }
    }

    /// The bytes of a blob, not verified; `None` if it is not there. Large ones of our own stores are mapped; thin ones
    /// are made again.
    pub fn body(&self, digest: &Digest) -> Result<Option<Body>> {
        match self.fat_body(digest)? {
            Some(body) => Ok(Some(body)),
            None => Ok(self.made_again(digest, Made::Packed)?),
        }
    }

    /// The bytes of a blob that is there as a file.
    pub(super) fn fat_body(&self, digest: &Digest) -> Result<Option<Body>> {
        let path = self.blob_path(digest);
        let file = match fs::open_regular(&path) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            opened => opened.map_err(StoreError::io(&path))?,
        };
        let len = file.metadata().map_err(StoreError::io(&path))?.len();
        let body: Body = if self.is_ours && len >= MAP_FROM {
            match fs::map(&file, len) {
                Ok(mapped) => Arc::new(mapped),
                // No address space, or a file system that can't: reading always works.
                Err(_) => Arc::new(FileBody::new(file).map_err(StoreError::io(&path))?),
            }
        } else {
            Arc::new(FileBody::new(file).map_err(StoreError::io(&path))?)
        };
        Ok(Some(body))
    }

    /// Reads a blob from its start, verified against digest and size: see [`VerifyingReader`].
    pub fn reader(
        &self,
        digest: &Digest,
        size: u64,
    ) -> Result<VerifyingReader<impl io::Read + Send + use<>>> {
        let body = self.body(digest)?.ok_or_else(|| StoreError::NoBlob { digest: digest.clone() })?;
        Ok(VerifyingReader::new(Sequential::new(body), digest.clone(), size))
    }

    /// All blobs that are there as files and their sizes, sorted by digest. What else lies between them is left out.
    pub fn blobs(&self) -> Result<Vec<(Digest, u64)>> {
        let mut out = Vec::new();
        for algorithm in [Algorithm::Sha256, Algorithm::Sha512] {
            for path in self.files_in(&self.blobs_dir(algorithm))? {
                let name = path.file_name().and_then(|n| n.to_str()).unwrap_or_default();
                let Ok(digest) = format!("{}:{name}", algorithm.name()).parse::<Digest>() else { continue };
                if let Ok(Some(size)) = fs::size_of(&path) {
                    out.push((digest, size));
                }
            }
        }
        Ok(out)
    }

    /// The paths in a directory of the store; none if it is not there.
    pub(super) fn files_in(&self, dir: &Path) -> Result<Vec<PathBuf>> {
        match fs::read_dir(dir) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
            read => read.map_err(StoreError::io(dir)),
        }
    }

    /// A file at the top of the store, which must not have more than `max` bytes; `None` if it is not there.
    pub fn read(&self, name: &str, max: u64) -> Result<Option<Vec<u8>>> {
        let path = self.dir.join(name);
        match fs::read_limited(&path, max) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
            read => read.map(Some).map_err(StoreError::io(&path)),
        }
    }

    /// Replaces a file at the top of the store by what `change` makes of it; `None` leaves it. One at a time does so,
    /// and whoever reads it meanwhile sees the old one or the new one as a whole.
    pub fn update<E: From<StoreError>>(
        &self,
        name: &str,
        max: u64,
        change: impl FnOnce(Option<Vec<u8>>) -> Result<Option<Vec<u8>>, E>,
    ) -> Result<(), E> {
        let _lock = DirLock::acquire(&self.dir).map_err(StoreError::io(&self.dir))?;
        match change(self.read(name, max)?)? {
            Some(bytes) => {
                // In the making it is where the next start looks for what was left.
                let path = self.dir.join(name);
                let mut file = self.partial()?;
                let written = file.write_all(&bytes).and_then(|()| file.commit_writable(&path));
                Ok(written.map_err(StoreError::io(&path))?)
            }
            None => Ok(()),
        }
    }
}

/// A store whose side directory was deleted, or in which nothing was ever written by us, has no lock.
fn shared_if_any(path: &Path) -> Result<Option<FileLock>> {
    match FileLock::shared(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(None),
        locked => locked.map(Some).map_err(StoreError::io(path)),
    }
}

/// Makes what of a store is not there yet. Two processes may do so at once, and either may be killed at any point.
fn create(dir: &Path, files: &[(&str, Vec<u8>)]) -> Result<()> {
    fs::create_dir_all(dir).map_err(StoreError::io(dir))?;
    let _lock = DirLock::acquire(dir).map_err(StoreError::io(dir))?;
    let is_there = |name: &str| fs::exists(&dir.join(name)).map_err(StoreError::io(dir));
    let is_layout = match files.last() {
        Some((mark, _)) => is_there(mark)?,
        None => true,
    };
    // A side directory comes first: with it the rest is ours to complete.
    if !is_layout && !is_there(SIDE)? && !fs::read_dir(dir).map_err(StoreError::io(dir))?.is_empty() {
        return Err(StoreError::NotALayout { dir: dir.to_owned() });
    }
    let side = dir.join(SIDE);
    let partial = side.join(PARTIAL);
    let blobs = dir.join(BLOBS).join(Algorithm::Sha256.name());
    for made in [&partial, &blobs] {
        fs::create_dir_all(made).map_err(StoreError::io(made))?;
    }
    for (name, content) in [(META, meta::content()), (LOCK, Vec::new())] {
        let path = side.join(name);
        if !fs::exists(&path).map_err(StoreError::io(&path))? {
            write_file(&path, &content)?;
            // One that was lost said so.
            if name == META && fs::is_dir(&side.join(Kind::Thin.dir())) {
                meta::require(&path, thin::FEATURE)?;
            }
        }
    }
    for (name, content) in files.iter().filter(|_| !is_layout) {
        if !is_there(name)? {
            write_file(&dir.join(name), content)?;
        }
    }
    Ok(())
}

fn write_file(path: &Path, bytes: &[u8]) -> Result<()> {
    fs::replace_file(path, bytes).map_err(StoreError::io(path))
}
