//! A blob that is fetched from elsewhere: hashed as it comes, named when it is what was promised.

use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::{Result, Store};
use crate::body::Arriving;
use crate::digest::{Digest, Hasher, VerifyError};
use crate::fs::{AtomicFile, LockedFile};
use crate::remote::Destination;

/// A blob on its way. Dropped before [`Landing::commit`], nothing of it is left.
pub struct Landing {
    file: Pending,
    /// Its later name.
    path: PathBuf,
    digest: Digest,
    size: u64,
    hasher: Hasher,
    len: u64,
    reader: Option<Arc<Arriving>>,
}

enum Pending {
    Locked(LockedFile),
    Atomic(AtomicFile),
}

impl Landing {
    /// One for a file of somebody else's layout.
    pub fn beside(path: &Path, digest: &Digest, size: u64) -> io::Result<Self> {
        let file = Pending::Atomic(AtomicFile::create(path)?);
        Ok(Self::of(file, path.to_owned(), digest, size))
    }

    fn of(file: Pending, path: PathBuf, digest: &Digest, size: u64) -> Self {
        let hasher = Hasher::new(digest.algorithm());
        Self { file, path, digest: digest.clone(), size, hasher, len: 0, reader: None }
    }

    /// The blob for those who want to read it while it comes.
    pub fn reader(&mut self) -> io::Result<Arc<Arriving>> {
        let file = match &mut self.file {
            Pending::Locked(file) => file.reader()?,
            Pending::Atomic(file) => file.as_file()?.try_clone()?,
        };
        let reader = Arriving::new(file, self.size);
        self.reader = Some(Arc::clone(&reader));
        Ok(reader)
    }

    /// Whether all of it came, right or wrong.
    pub fn is_whole(&self) -> bool {
        self.len == self.size
    }

    /// It is here: if it is what was promised, it gets its name.
    pub fn commit(self) -> io::Result<()> {
        let lie = |lie| Err(io::Error::new(io::ErrorKind::InvalidData, lie));
        let (expected, actual) = (self.digest, self.hasher.finish());
        if self.len != self.size {
            return lie(VerifyError::TooShort { digest: expected, expected: self.size, actual: self.len });
        }
        if actual != expected {
            return lie(VerifyError::Mismatch { expected, actual });
        }
        match self.file {
            Pending::Locked(file) => file.commit(&self.path),
            Pending::Atomic(file) => file.commit_as(&self.path),
        }
    }
}

impl Destination for Landing {
    fn position(&self) -> u64 {
        self.len
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        let file: &mut dyn Write = match &mut self.file {
            Pending::Locked(file) => file,
            Pending::Atomic(file) => file,
        };
        file.write_all(bytes)?;
        self.hasher.update(bytes);
        self.len += bytes.len() as u64;
        if let Some(reader) = &self.reader {
            file.flush()?;
            reader.advance(self.len);
        }
        Ok(())
    }

    fn restart(&mut self) -> io::Result<()> {
        self.hasher = self.hasher.anew();
        self.len = 0;
        match &mut self.file {
            Pending::Locked(file) => file.restart(),
            Pending::Atomic(file) => file.restart(),
        }
    }
}

impl Store {
    /// A blob that is to be fetched; `None` if it is there already.
    pub fn land(&self, digest: &Digest, size: u64) -> Result<Option<Landing>> {
        if self.size(digest)? == Some(size) {
            return Ok(None);
        }
        let path = self.blob_path(digest);
        Ok(Some(Landing::of(Pending::Locked(self.partial()?), path, digest, size)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::body::SpoolBudget;
    use crate::store::Access;

    #[test]
    fn only_what_was_promised_gets_the_name() {
        let dir = tempfile::tempdir().unwrap();
        let store =
            Store::open(&dir.path().join("s"), Access::Write, &[], &SpoolBudget::new(0, dir.path())).unwrap();
        let digest = Digest::sha256(b"blob");
        let path = store.blob_path(&digest);
        for (wrong, size) in [(&b"blub"[..], 4), (b"blo", 4)] {
            let mut landing = store.land(&digest, size).unwrap().unwrap();
            landing.append(wrong).unwrap();
            assert_eq!(landing.commit().unwrap_err().kind(), io::ErrorKind::InvalidData);
            assert!(!path.exists());
        }
        let mut landing = store.land(&digest, 4).unwrap().unwrap();
        let reader = landing.reader().unwrap();
        landing.append(b"other").unwrap();
        landing.restart().unwrap();
        landing.append(b"bl").unwrap();
        landing.append(b"ob").unwrap();
        assert!(landing.is_whole());
        landing.commit().unwrap();
        let mut buf = [0; 4];
        crate::body::ReadAt::read_exact_at(&*reader, &mut buf, 0).unwrap();
        assert_eq!((&buf, std::fs::read(&path).unwrap().as_slice()), (b"blob", &b"blob"[..]));
        assert!(store.land(&digest, 4).unwrap().is_none());
        let left = std::fs::read_dir(dir.path().join("s/aurora/partial")).unwrap().count();
        assert_eq!(left, 0);
    }

    #[test]
    fn in_a_layout_too() {
        let dir = tempfile::tempdir().unwrap();
        let digest = Digest::sha256(b"x");
        let path = dir.path().join(digest.hex());
        drop(Landing::beside(&path, &digest, 1).unwrap());
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0);
        let mut landing = Landing::beside(&path, &digest, 1).unwrap();
        landing.append(b"x").unwrap();
        landing.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"x");
    }
}
