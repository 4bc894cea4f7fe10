//! Blobs coming in: written beside, synced, named.

use std::io::{self, Write};

use super::local::Store;
use super::{Result, StoreError};
use crate::digest::{Algorithm, Digest, HashingWriter, VerifyError};
use crate::fs::{self, LockedFile};

/// A blob being written, hashed on the way. Dropped before [`Upload::commit`], nothing of it is left.
pub struct Upload<'a> {
    store: &'a Store,
    out: HashingWriter<LockedFile>,
}

impl<'a> Upload<'a> {
    pub(super) fn new(store: &'a Store, algorithm: Algorithm) -> Result<Self> {
        Ok(Self { store, out: HashingWriter::new(store.partial()?, algorithm) })
    }

    /// The blob is whole: names it. Afterwards the content is at this digest, be it by this call or there before.
    pub fn commit(self) -> Result<(Digest, u64)> {
        let (file, digest, size) = self.out.finish();
        self.store.name(file, &digest, size)?;
        Ok((digest, size))
    }

    /// As [`Upload::commit`], if it is what was promised.
    pub fn commit_expected(self, expected: &Digest, size: u64) -> Result<()> {
        let (file, actual, written) = self.out.finish();
        let digest = expected.clone();
        let lie = match written.cmp(&size) {
            std::cmp::Ordering::Less => VerifyError::TooShort { digest, expected: size, actual: written },
            std::cmp::Ordering::Greater => VerifyError::TooLong { digest, expected: size },
            std::cmp::Ordering::Equal if actual != digest => {
                VerifyError::Mismatch { expected: digest, actual }
            }
            std::cmp::Ordering::Equal => return self.store.name(file, expected, size),
        };
        let path = self.store.blob_path(expected);
        Err(StoreError::Io { path, source: io::Error::new(io::ErrorKind::InvalidData, lie) })
    }
}

impl Write for Upload<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.out.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.out.flush()
    }
}

impl Store {
    /// A file in the making.
    pub fn partial(&self) -> Result<LockedFile> {
        let dir = self.partial_dir();
        LockedFile::create(&dir).map_err(StoreError::io(&dir))
    }

    /// Names a blob that its caller has hashed while writing it. One that is there with this size stays as it is; one
    /// of another size is damaged, and replaced.
    pub fn name(&self, file: LockedFile, digest: &Digest, size: u64) -> Result<()> {
        let path = self.blob_path(digest);
        if fs::size_of(&path).map_err(StoreError::io(&path))? == Some(size) {
            return Ok(());
        }
        file.commit(&path).map_err(StoreError::io(&path))
    }

    /// Starts a blob whose digest is known when all of it is written.
    pub fn begin(&self, algorithm: Algorithm) -> Result<Upload<'_>> {
        Upload::new(self, algorithm)
    }

    /// A blob that is at hand.
    pub fn put(&self, bytes: &[u8]) -> Result<Digest> {
        let mut upload = self.begin(Algorithm::Sha256)?;
        upload.write_all(bytes).map_err(StoreError::io(&self.partial_dir()))?;
        upload.commit().map(|(digest, _)| digest)
    }
}
