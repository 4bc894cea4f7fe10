//! Files that bear their final name only when they are whole.

use std::ffi::OsString;
use std::fs::File;
use std::io::{self, BufWriter, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use super::file;

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// A file under a temporary name beside its final one, which it gets by [`AtomicFile::commit`]. Dropped before
/// that, it is removed and the old file of that name, if any, is untouched.
pub struct AtomicFile {
    writer: BufWriter<File>,
    temporary: Option<PathBuf>,
    path: PathBuf,
}

/// A name beside `path` that nothing else uses: for what is to be renamed to `path` when it is whole.
pub(super) fn temporary_name(path: &Path) -> io::Result<PathBuf> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    let name = path.file_name().ok_or(io::ErrorKind::InvalidFilename)?;
    let number = NEXT.fetch_add(1, Ordering::Relaxed);
    // A long name is cut, so that the temporary one is no longer than allowed.
    let name = &name.as_encoded_bytes()[..name.len().min(100)];
    let mut temporary = OsString::from(".");
    temporary.push(String::from_utf8_lossy(name).replace('\u{fffd}', "_"));
    temporary.push(format!(".aurora-{}-{number}", std::process::id()));
    Ok(path.with_file_name(temporary))
}

/// Makes a rename in the directory of `path` last through a crash.
pub(super) fn sync_parent(path: &Path) -> io::Result<()> {
    let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    match File::open(parent).and_then(|dir| dir.sync_all()) {
        // Some file systems cannot sync a directory; the rename has happened all the same.
        Err(e) if matches!(e.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::PermissionDenied) => Ok(()),
        other => other,
    }
}

impl AtomicFile {
    /// Creates the temporary file, in the directory of `path`.
    pub fn create(path: &Path) -> io::Result<Self> {
        if path.is_dir() {
            return Err(io::ErrorKind::IsADirectory.into());
        }
        loop {
            let temporary = temporary_name(path)?;
            match File::options().read(true).write(true).create_new(true).open(&temporary) {
                Ok(file) => {
                    let writer = BufWriter::with_capacity(BUFFER, file);
                    return Ok(Self { writer, temporary: Some(temporary), path: path.to_owned() });
                }
                // Left by a process of the same number that was killed.
                Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
                Err(e) => return Err(e),
            }
        }
    }

    /// Sets the length: what was not written is a hole, and reads as zeros.
    pub fn set_len(&mut self, len: u64) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().set_len(len)
    }

    /// The file as it is now, to be read or written at other places.
    pub fn as_file(&mut self) -> io::Result<&File> {
        self.writer.flush()?;
        Ok(self.writer.get_ref())
    }

    /// Throws away what was written.
    pub fn restart(&mut self) -> io::Result<()> {
        self.writer.seek(SeekFrom::Start(0))?;
        self.writer.get_ref().set_len(0)
    }

    /// Sets who may read it, as the bits of `chmod`.
    pub fn set_mode(&mut self, mode: u32) -> io::Result<()> {
        use std::os::unix::fs::PermissionsExt;
        self.writer.get_ref().set_permissions(std::fs::Permissions::from_mode(mode))
    }

    /// As [`AtomicFile::commit`], under another name in the same directory or elsewhere in the same file system: for
    /// files that are named by their content.
    pub fn commit_as(mut self, path: &Path) -> io::Result<()> {
        self.path = path.to_owned();
        self.commit()
    }

    /// Writes everything to disk and gives it the final name.
    pub fn commit(mut self) -> io::Result<()> {
        self.writer.flush()?;
        self.writer.get_ref().sync_all()?;
        if let Some(temporary) = &self.temporary {
            std::fs::rename(temporary, &self.path)?;
        }
        self.temporary = None;
        sync_parent(&self.path)
    }
}

/// A small file, new or in place of the old one, as a whole.
pub fn replace_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = AtomicFile::create(path)?;
    file.write_all(bytes)?;
    file.commit()
}

/// The same of a file that only its owner may read, from its first byte on. Its directory is made if it is not there.
pub fn replace_private_file(path: &Path, bytes: &[u8]) -> io::Result<()> {
    if let Some(dir) = path.parent().filter(|dir| !dir.as_os_str().is_empty()) {
        std::fs::create_dir_all(dir)?;
    }
    let mut file = AtomicFile::create(path)?;
    file.set_mode(0o600)?;
    file.write_all(bytes)?;
    file.commit()
}

impl Write for AtomicFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.writer.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.writer.flush()
    }
}

impl Seek for AtomicFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.writer.seek(to)
    }
}

impl Drop for AtomicFile {
    fn drop(&mut self) {
        if let Some(temporary) = &self.temporary {
            // It is being given up because of another error, which is the one to be told.
            let _ = std::fs::remove_file(temporary);
        }
    }
}

/// Where a stream goes: a pipe at once, a file when it is whole.
pub enum OutputFile {
    /// Standard output, a named pipe or a device: what is written is gone.
    Pipe(BufWriter<File>),
    /// A file with a name.
    Atomic(AtomicFile),
}

impl OutputFile {
    /// Standard output.
    pub fn stdout() -> io::Result<Self> {
        Ok(Self::Pipe(BufWriter::with_capacity(BUFFER, file::stdout()?)))
    }

    /// A file; a pipe or device of that name is written to as it is.
    pub fn create(path: &Path) -> io::Result<Self> {
        match std::fs::metadata(path) {
            Ok(found) if !found.is_file() && !found.is_dir() => {
                let pipe = File::options().write(true).open(path)?;
                Ok(Self::Pipe(BufWriter::with_capacity(BUFFER, pipe)))
            }
            _ => AtomicFile::create(path).map(Self::Atomic),
        }
    }

    /// The end: all is written out, and a file gets its name.
    pub fn commit(self) -> io::Result<()> {
        match self {
            Self::Pipe(mut pipe) => pipe.flush(),
            Self::Atomic(file) => file.commit(),
        }
    }
}

impl Write for OutputFile {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match self {
            Self::Pipe(pipe) => pipe.write(buf),
            Self::Atomic(file) => file.write(buf),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        match self {
            Self::Pipe(pipe) => pipe.flush(),
            Self::Atomic(file) => file.flush(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_whole_or_not_there() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("out");
        std::fs::write(&path, "old").unwrap();

        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new").unwrap();
        drop(file);
        assert_eq!(std::fs::read(&path).unwrap(), b"old");

        let mut file = AtomicFile::create(&path).unwrap();
        file.write_all(b"new, ").unwrap();
        file.seek(SeekFrom::Start(8)).unwrap();
        file.write_all(b"!").unwrap();
        file.set_len(10).unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        file.commit().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new, \0\0\0!\0");
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "no temporary file is left");
    }

    #[test]
    fn names_of_any_length_and_bytes_will_do() {
        use std::os::unix::ffi::OsStrExt;
        let dir = tempfile::tempdir().unwrap();
        for name in [&[b'n'; 255][..], b"l\xe4tin"] {
            let path = dir.path().join(std::ffi::OsStr::from_bytes(name));
            AtomicFile::create(&path).unwrap().commit().unwrap();
            assert!(path.exists());
        }
        assert!(AtomicFile::create(dir.path()).is_err(), "a directory is no file");
    }
}
