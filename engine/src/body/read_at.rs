//! Random access to bytes that do not change.

use std::fs::File;
use std::io::{self, Seek, SeekFrom};
use std::os::fd::BorrowedFd;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use crate::fs::copy_range;

/// Bytes that can be read anywhere, from any thread.
pub trait ReadAt: Send + Sync {
    /// Fills `buf` from `offset`; an end of the bytes before that is [`io::ErrorKind::UnexpectedEof`].
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()>;

    /// How many bytes there are.
    fn len(&self) -> u64;

    /// Copies bytes into a file without having them pass through here. How many it was: perhaps fewer, perhaps none, and
    /// the rest is to be read.
    fn copy_into(&self, _offset: u64, _len: u64, _file: &File, _at: u64) -> io::Result<u64> {
        Ok(0)
    }

    /// Gives the whole of it a name in a directory instead of copying it; the file, whose metadata may be changed then, while
    /// the body can't be read any more. `None` where that can't be, or was done before. What has that name already is never
    /// replaced.
    fn move_into(&self, _dir: BorrowedFd<'_>, _name: &[u8]) -> io::Result<Option<File>> {
        Ok(None)
    }

    /// Whether there is none.
    fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// A shared body; slices of it keep it alive.
pub type Body = Arc<dyn ReadAt>;

/// Where a body is in memory: the same for all that share it, and for no other as long as they do.
pub fn address(body: &Body) -> usize {
    Arc::as_ptr(body).cast::<()>().addr()
}

/// A file that nobody else changes meanwhile.
pub struct FileBody {
    file: File,
    len: u64,
}

impl FileBody {
    /// Takes the file, or the block device, with the length it has now.
    pub fn new(mut file: File) -> io::Result<Self> {
        let meta = file.metadata()?;
        // A device says its size only so.
        let len = if meta.is_file() { meta.len() } else { file.seek(SeekFrom::End(0))? };
        Ok(Self { file, len })
    }

    /// Runs of data, as `(offset, length)`, ascending; what lies between them is known to be zeros.
    pub fn data_runs(&self) -> io::Result<Vec<(u64, u64)>> {
        crate::fs::data_runs(&self.file, self.len)
    }
}

impl ReadAt for FileBody {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        self.file.read_exact_at(buf, offset)
    }

    fn copy_into(&self, offset: u64, len: u64, file: &File, at: u64) -> io::Result<u64> {
        copy_range(&self.file, offset, file, at, len)
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// Reads a body from its start.
pub struct Sequential {
    body: Body,
    at: u64,
}

impl Sequential {
    /// At its start.
    pub fn new(body: Body) -> Self {
        Self { body, at: 0 }
    }
}

impl io::Read for Sequential {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = (self.body.len() - self.at).min(buf.len() as u64) as usize;
        self.body.read_exact_at(&mut buf[..n], self.at)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Bytes in memory.
pub struct MemBody(pub Vec<u8>);

impl ReadAt for MemBody {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let bytes = usize::try_from(offset).ok().and_then(|at| self.0.get(at..)?.get(..buf.len()));
        buf.copy_from_slice(bytes.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }

    fn len(&self) -> u64 {
        self.0.len() as u64
    }
}
