//! Bytes appended once and read anywhere afterwards: in memory while a shared budget lasts, then in a temporary
//! file that has no name and so cannot be left behind.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use super::{Body, ReadAt};
use crate::fs::copy_range;

/// Bytes that all spools of a run may together hold in memory.
#[derive(Clone)]
pub struct SpoolBudget {
    left: Arc<AtomicU64>,
    dir: Arc<Path>,
}

impl SpoolBudget {
    /// At most `memory` bytes; what is beyond goes to files in `dir`.
    pub fn new(memory: u64, dir: &Path) -> Self {
        Self { left: Arc::new(AtomicU64::new(memory)), dir: dir.into() }
    }

    fn take(&self, bytes: u64) -> bool {
        self.left.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(bytes)).is_ok()
    }
}

/// Memory is taken in pieces of this size, so that a body in memory never has to move as it grows.
const PIECE: usize = 1 << 20;

/// A body being written.
pub struct Spool {
    budget: SpoolBudget,
    pieces: Vec<Vec<u8>>,
    in_memory: u64,
    file: Option<BufWriter<File>>,
    len: u64,
}

impl Spool {
    /// An empty one.
    pub fn new(budget: &SpoolBudget) -> Self {
        Self { budget: budget.clone(), pieces: Vec::new(), in_memory: 0, file: None, len: 0 }
    }

    /// Where the next byte will stand.
    pub fn position(&self) -> u64 {
        self.len
    }

    /// Appends; the place of the first byte.
    pub fn append(&mut self, mut bytes: &[u8]) -> io::Result<u64> {
        let at = self.len;
        self.len += bytes.len() as u64;
        while self.file.is_none() && !bytes.is_empty() {
            match self.pieces.last_mut() {
                Some(piece) if piece.len() < PIECE => {
                    let n = bytes.len().min(PIECE - piece.len());
                    piece.extend_from_slice(&bytes[..n]);
                    self.in_memory += n as u64;
                    bytes = &bytes[n..];
                }
                _ if self.budget.take(PIECE as u64) => self.pieces.push(Vec::with_capacity(PIECE)),
                _ => self.file = Some(BufWriter::with_capacity(PIECE, unnamed_file(&self.budget.dir)?)),
            }
        }
        if let Some(file) = &mut self.file {
            file.write_all(bytes)?;
        }
        Ok(at)
    }

    /// No more appending: from now on it is read.
    pub fn finish(self) -> io::Result<Body> {
        let file = self.file.map(|f| f.into_inner().map_err(io::IntoInnerError::into_error)).transpose()?;
        let (budget, taken) = (self.budget, (self.pieces.len() * PIECE) as u64);
        Ok(Arc::new(Spooled {
            pieces: self.pieces,
            in_memory: self.in_memory,
            file,
            len: self.len,
            budget,
            taken,
        }))
    }
}

impl Write for Spool {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.append(buf)?;
        Ok(buf.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Spooled {
    pieces: Vec<Vec<u8>>,
    in_memory: u64,
    file: Option<File>,
    len: u64,
    budget: SpoolBudget,
    taken: u64,
}

impl Drop for Spooled {
    fn drop(&mut self) {
        self.budget.left.fetch_add(self.taken, Ordering::Relaxed);
    }
}

impl ReadAt for Spooled {
    fn read_exact_at(&self, mut buf: &mut [u8], mut offset: u64) -> io::Result<()> {
        if offset.checked_add(buf.len() as u64).is_none_or(|end| end > self.len) {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        while offset < self.in_memory && !buf.is_empty() {
            let (piece, at) = ((offset / PIECE as u64) as usize, (offset % PIECE as u64) as usize);
            let from = &self.pieces[piece][at..];
            let n = from.len().min(buf.len());
            let (head, rest) = buf.split_at_mut(n);
            head.copy_from_slice(&from[..n]);
            buf = rest;
            offset += n as u64;
        }
        match &self.file {
            Some(file) if !buf.is_empty() => file.read_exact_at(buf, offset - self.in_memory),
            _ => Ok(()),
        }
    }

    fn copy_into(&self, offset: u64, len: u64, file: &File, at: u64) -> io::Result<u64> {
        match (&self.file, offset.checked_sub(self.in_memory)) {
            (Some(own), Some(offset)) => copy_range(own, offset, file, at, len),
            _ => Ok(0),
        }
    }

    fn len(&self) -> u64 {
        self.len
    }
}

/// A file in `dir` whose name is gone as soon as it is open.
fn unnamed_file(dir: &Path) -> io::Result<File> {
    static NEXT: AtomicU64 = AtomicU64::new(0);
    loop {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let path: PathBuf = dir.join(format!(".aurora-spool-{}-{number}", std::process::id()));
        let mut options = File::options();
        match options.read(true).write(true).create_new(true).mode(0o600).open(&path) {
            Ok(file) => return std::fs::remove_file(&path).map(|()| file),
            Err(e) if e.kind() == io::ErrorKind::AlreadyExists => {}
            Err(e) => return Err(io::Error::new(e.kind(), format!("{}: {e}", dir.display()))),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_back_across_memory_and_file() {
        let dir = tempfile::tempdir().unwrap();
        let bytes: Vec<u8> = (0..5 * PIECE / 2).map(|i| (i % 251) as u8).collect();
        for memory in [0, PIECE as u64, 64 * PIECE as u64] {
            let budget = SpoolBudget::new(memory, dir.path());
            let mut spool = Spool::new(&budget);
            for chunk in bytes.chunks(77_777) {
                spool.append(chunk).unwrap();
            }
            let body = spool.finish().unwrap();
            assert_eq!(body.len(), bytes.len() as u64);
            for (from, len) in
                [(0, 10), (PIECE - 5, 10), (PIECE + 3, PIECE), (bytes.len() - 1, 1), (7, bytes.len() - 7)]
            {
                let mut got = vec![0; len];
                body.read_exact_at(&mut got, from as u64).unwrap();
                assert!(got == bytes[from..from + len], "memory {memory}, {from}+{len}");
            }
            assert!(body.read_exact_at(&mut [0; 2], bytes.len() as u64 - 1).is_err());
            drop(body);
            assert_eq!(budget.left.load(Ordering::Relaxed), memory, "the budget is given back");
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "no temporary file is left");
    }
}
