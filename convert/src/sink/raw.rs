//! Writes raw disks: sparse where the target is a file, zeros included where it is a pipe or a device.

use std::io::{self, Seek, SeekFrom, Write};

use aurora_engine::fs::{self, AtomicFile, OutputFile};

use crate::content::{BlockCache, Content};
use crate::lineage::Volume;
use crate::names::FileName;
use crate::sink::{Outcome, WriteOptions};
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Bytes moved at a time.
const CHUNK: usize = 1 << 20;
/// Zeros of this size, at multiples of it, are left out of a file.
const BLOCK: usize = 4096;

/// Writes an image.
pub fn write(volume: &Volume, file: &FileName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let name = match file {
        FileName::Pipe => "standard output".to_owned(),
        FileName::Path(path) => path.display().to_string(),
    };
    let failed = |e| Error::io(name.clone(), e);
    let out = match file {
        FileName::Pipe => OutputFile::stdout(),
        FileName::Path(path) => OutputFile::create(path),
    };
    let mut out = out.map_err(failed)?;
    if let (FileName::Path(path), OutputFile::Atomic(_)) = (file, &out)
        && !options.force
        && fs::exists(path).map_err(failed)?
    {
        return Err(ErrorKind::Exists(name).into());
    }
    ctx.progress.phase("writing disk");
    match &mut out {
        OutputFile::Pipe(pipe) => write_all(&volume.content, pipe, ctx, failed)?,
        OutputFile::Atomic(file) => write_sparse(&volume.content, file, ctx, failed)?,
    }
    options.may_commit(ctx)?;
    out.commit().map_err(failed)?;
    Ok(Outcome { facts: vec![("size".to_owned(), volume.content.size.to_string())] })
}

/// Everything, zeros included.
fn write_all(
    content: &Content,
    out: &mut impl Write,
    ctx: &Ctx<'_>,
    failed: impl Fn(io::Error) -> Error,
) -> Result<()> {
    let mut moved = Mover::new(content);
    let mut at = 0;
    while at < content.size {
        ctx.check()?;
        let bytes = moved.read(at, content.size)?;
        out.write_all(bytes).map_err(&failed)?;
        ctx.progress.count(Counter::BytesWritten, bytes.len() as u64);
        at += bytes.len() as u64;
    }
    Ok(())
}

/// Only what is not zeros.
fn write_sparse(
    content: &Content,
    out: &mut AtomicFile,
    ctx: &Ctx<'_>,
    failed: impl Fn(io::Error) -> Error,
) -> Result<()> {
    let mut moved = Mover::new(content);
    for segment in content.segments().into_iter().filter(|s| s.is_data) {
        let (mut at, end) = (segment.offset, segment.offset + segment.len);
        while at < end {
            ctx.check()?;
            let bytes = moved.read(at, end)?;
            let mut is_there = false;
            for (place, block) in (at..).step_by(BLOCK).zip(bytes.chunks(BLOCK)) {
                let is_zero = block.iter().all(|&b| b == 0);
                if !is_zero && !is_there {
                    out.seek(SeekFrom::Start(place)).map_err(&failed)?;
                }
                is_there = !is_zero;
                if is_there {
                    out.write_all(block).map_err(&failed)?;
                }
            }
            ctx.progress.count(Counter::BytesWritten, bytes.len() as u64);
            at += bytes.len() as u64;
        }
    }
    out.set_len(content.size).map_err(failed)
}

/// Reads a content piece by piece.
struct Mover<'a> {
    content: &'a Content,
    cache: BlockCache,
    buf: Vec<u8>,
}

impl<'a> Mover<'a> {
    fn new(content: &'a Content) -> Self {
        Self { content, cache: BlockCache::default(), buf: vec![0; CHUNK] }
    }

    /// Bytes from `at` on, at most up to `end`.
    fn read(&mut self, at: u64, end: u64) -> Result<&[u8]> {
        let n = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
        let read = self.content.read_at(&mut self.buf[..n], at, &mut self.cache);
        read.map_err(|e| Error::io("reading content", e).at_offset(at))?;
        Ok(&self.buf[..n])
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::path::Path;

    use crate::ctx::{Cancel, NoProgress, Options};
    use crate::lineage::Loaded;
    use crate::source::ReadOptions;

    fn load(path: &Path, ctx: &Ctx<'_>) -> Volume {
        let name = FileName::Path(path.to_owned());
        match crate::source::raw::read(&name, &ReadOptions::default(), ctx) {
            Ok(Loaded::Volume(volume)) => volume,
            _ => panic!("a raw file is a volume"),
        }
    }

    #[test]
    fn a_disk_comes_back_sparse_and_whole() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let mut disk = vec![0u8; 8 << 20];
        disk[5_000_000..5_020_000].fill(9);
        disk[3] = 1;
        let (from, to) = (dir.path().join("from"), dir.path().join("to"));
        std::fs::write(&from, &disk).unwrap();
        let volume = load(&from, &ctx);

        let (name, mut options) = (FileName::Path(to.clone()), WriteOptions::default());
        write(&volume, &name, &options, &ctx).unwrap();
        assert!(std::fs::read(&to).unwrap() == disk);
        assert!(std::fs::metadata(&to).unwrap().blocks() * 512 < 1 << 20, "zeros are holes");

        let mut piped = Vec::new();
        write_all(&volume.content, &mut piped, &ctx, |e| Error::io("pipe", e)).unwrap();
        assert!(piped == disk);

        let again = write(&volume, &name, &options, &ctx).unwrap_err();
        assert!(matches!(again.kind(), ErrorKind::Exists(_)), "{again}");
        options.force = true;
        write(&volume, &name, &options, &ctx).unwrap();
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 2, "no temporary file is left");
    }
}
