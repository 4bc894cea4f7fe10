//! A file that only grows, a record at a time, by one process at a time.

use std::fs::{File, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::Path;

use super::atomic::sync_parent;

/// A file of records, locked for as long as it is open. What [`AppendFile::append`] has returned for is on disk.
pub struct AppendFile {
    file: File,
    len: u64,
}

impl AppendFile {
    /// Opens the file, or makes it; and what it holds, which must not be more than `max` bytes. One that another process
    /// has open is an error of kind `WouldBlock`.
    pub fn open(path: &Path, max: u64) -> io::Result<(Self, Vec<u8>)> {
        let mut options = File::options();
        let mut file = options.read(true).write(true).create(true).truncate(false).open(path)?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(io::ErrorKind::WouldBlock.into()),
            // Where there are no locks, nobody holds one.
            Err(TryLockError::Error(e)) if e.kind() == io::ErrorKind::Unsupported => {}
            Err(TryLockError::Error(e)) => return Err(e),
        }
        let mut bytes = Vec::new();
        (&mut file).take(max.saturating_add(1)).read_to_end(&mut bytes)?;
        if bytes.len() as u64 > max {
            let text = format!("{} has more than {max} bytes", path.display());
            return Err(io::Error::new(io::ErrorKind::FileTooLarge, text));
        }
        sync_parent(path)?;
        let len = bytes.len() as u64;
        Ok((Self { file, len }, bytes))
    }

    /// Cuts off what is behind the first `len` bytes: a record that was never finished.
    pub fn cut(&mut self, len: u64) -> io::Result<()> {
        self.file.set_len(len)?;
        self.file.sync_data()?;
        self.len = len;
        Ok(())
    }

    /// Puts a record behind all others, and has it written to disk. If that fails, nothing of it stays.
    pub fn append(&mut self, record: &[u8]) -> io::Result<()> {
        self.file.seek(SeekFrom::Start(self.len))?;
        let written = self.file.write_all(record).and_then(|()| self.file.sync_data());
        if let Err(e) = written {
            // A torn record is found by whoever reads this next, should cutting it off fail as well.
            let _ = self.file.set_len(self.len);
            return Err(e);
        }
        self.len += record.len() as u64;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn records_follow_each_other_and_torn_ones_go() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("journal");
        let (mut file, found) = AppendFile::open(&path, 100).unwrap();
        assert!(found.is_empty());
        file.append(b"one\n").unwrap();
        let busy = AppendFile::open(&path, 100).map(drop).unwrap_err();
        assert_eq!(busy.kind(), io::ErrorKind::WouldBlock);
        drop(file);
        std::fs::write(&path, b"one\ntwo\nthr").unwrap();
        let (mut file, found) = AppendFile::open(&path, 100).unwrap();
        assert_eq!(found, b"one\ntwo\nthr");
        file.cut(8).unwrap();
        file.append(b"four\n").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"one\ntwo\nfour\n");
        let large = AppendFile::open(&path, 5).map(drop).unwrap_err();
        assert_eq!(large.kind(), io::ErrorKind::FileTooLarge);
    }
}
