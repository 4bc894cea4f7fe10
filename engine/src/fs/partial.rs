//! Files that are gone on with after a break.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};

use super::atomic::sync_parent;

/// A file under `NAME.partial` beside its final name, which it gets by [`PartialFile::commit`]. Dropped before that, it
/// stays, to be gone on with the next time.
pub struct PartialFile {
    file: File,
    partial: PathBuf,
    path: PathBuf,
    len: u64,
}

impl PartialFile {
    /// Opens the partial file of `path`, or makes one. What bears its name and is no regular file is an error; no link
    /// is followed.
    pub fn open(path: &Path) -> io::Result<Self> {
        let mut name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?.to_os_string();
        name.push(".partial");
        let partial = path.with_file_name(name);
        let flags = rustix::fs::OFlags::NOFOLLOW | rustix::fs::OFlags::NONBLOCK;
        let flags = i32::try_from(flags.bits()).expect("open's flags are an int");
        let mut options = File::options();
        let file = options.read(true).append(true).create(true).custom_flags(flags).open(&partial)?;
        let meta = file.metadata()?;
        if !meta.is_file() {
            return Err(io::Error::new(io::ErrorKind::InvalidInput, "not a regular file"));
        }
        Ok(Self { file, partial, path: path.to_owned(), len: meta.len() })
    }

    /// How many bytes there are.
    pub fn len(&self) -> u64 {
        self.len
    }

    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// What there is, from its beginning.
    pub fn reader(&self) -> io::Result<File> {
        super::open_regular(&self.partial)
    }

    /// Puts bytes behind what there is.
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.file.write_all(bytes)?;
        self.len += bytes.len() as u64;
        Ok(())
    }

    /// Throws all of it away.
    pub fn restart(&mut self) -> io::Result<()> {
        self.file.set_len(0)?;
        self.len = 0;
        Ok(())
    }

    /// Writes everything to disk and gives it the final name.
    pub fn commit(self) -> io::Result<()> {
        self.file.sync_all()?;
        std::fs::rename(&self.partial, &self.path)?;
        sync_parent(&self.path)
    }

    /// Removes it: what it holds is of no use.
    pub fn discard(self) -> io::Result<()> {
        std::fs::remove_file(&self.partial)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_breaks_off_is_gone_on_with() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("x");
        let mut file = PartialFile::open(&path).unwrap();
        file.append(b"one").unwrap();
        drop(file);
        assert!(!path.exists());
        let mut file = PartialFile::open(&path).unwrap();
        assert_eq!((file.len(), file.is_empty()), (3, false));
        file.append(b"two").unwrap();
        assert_eq!(io::read_to_string(file.reader().unwrap()).unwrap(), "onetwo");
        file.restart().unwrap();
        file.append(b"three").unwrap();
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"three");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);

        PartialFile::open(&path).unwrap().discard().unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
        std::os::unix::fs::symlink(&path, dir.path().join("x.partial")).unwrap();
        assert!(PartialFile::open(&path).is_err(), "a link is not followed");
    }
}
