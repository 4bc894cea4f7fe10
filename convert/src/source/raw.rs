//! Reads raw disks: files, block devices and pipes. Blocks of zeros become holes, whether they were stored or
//! not, so that the same disk is the same image however it is kept.

use std::io::{self, Read};
use std::sync::Arc;

use aurora_engine::body::{Body, FileBody, ReadAt, Spool};
use aurora_engine::fs;

use crate::content::{Content, Extent, Slice};
use crate::image::Image;
use crate::lineage::{Loaded, Volume};
use crate::names::FileName;
use crate::source::ReadOptions;
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Holes are found in units of this: the block size of most file systems within disks.
const BLOCK: usize = 4096;
/// Bytes read at a time; a multiple of [`BLOCK`].
const CHUNK: usize = 1 << 20;

/// Reads an image.
pub fn read(file: &FileName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    if !options.origins.is_empty() {
        return Err(Error::usage("a raw disk is whole: it has no origin"));
    }
    ctx.progress.phase("reading disk");
    let content = match file {
        FileName::Pipe => {
            let stdin = fs::stdin().map_err(|e| Error::io("standard input", e))?;
            read_pipe(fs::Stoppable::new(stdin, ctx.cancel.flag()), ctx)?
        }
        FileName::Path(path) => {
            let failed = |e: io::Error| match e.kind() {
                io::ErrorKind::NotFound => ErrorKind::NoSuchImage(path.display().to_string()).into(),
                _ => Error::io(path.display().to_string(), e),
            };
            let file = fs::open_input(path).map_err(failed)?;
            match FileBody::new(file) {
                Ok(body) => read_file(Arc::new(body), ctx)?,
                // A named pipe has no size.
                Err(e) if e.kind() == io::ErrorKind::NotSeekable => {
                    let pipe = fs::open_input(path).map_err(failed)?;
                    read_pipe(fs::Stoppable::new(pipe, ctx.cancel.flag()), ctx)?
                }
                Err(e) => return Err(failed(e)),
            }
        }
    };
    let image = Image::default();
    Ok(Loaded::Volume(Volume { image, content, block_size: None, snapshot: None, base: None }))
}

/// Contents stay in the file.
fn read_file(body: Arc<FileBody>, ctx: &Ctx<'_>) -> Result<Content> {
    let failed = |e| Error::io("reading disk", e);
    let size = body.len();
    ctx.progress.total(size);
    let mut disk = Builder::default();
    let mut buf = vec![0; CHUNK];
    let shared: Body = body.clone();
    for (from, len) in body.data_runs().map_err(failed)? {
        // Holes of file systems may end within a block; a block that is data in part is data.
        let mut at = (from / BLOCK as u64 * BLOCK as u64).max(disk.seen);
        let end = (from + len).next_multiple_of(BLOCK as u64).min(size);
        while at < end {
            ctx.check()?;
            let n = usize::try_from(end - at).unwrap_or(CHUNK).min(CHUNK);
            body.read_exact_at(&mut buf[..n], at).map_err(failed)?;
            ctx.progress.count(Counter::BytesRead, n as u64);
            for (offset, block) in blocks(&buf[..n], at) {
                disk.add(offset, block.len() as u64, offset, &shared);
            }
            at += n as u64;
            disk.seen = at;
        }
    }
    Ok(Content { size, extents: disk.extents })
}

/// Contents go to a spool, without the zeros.
fn read_pipe(mut pipe: impl Read, ctx: &Ctx<'_>) -> Result<Content> {
    let failed = |e| Error::io("reading disk", e);
    let mut spool = Spool::new(&ctx.spools);
    let mut runs: Vec<(u64, u64, u64)> = Vec::new();
    let mut buf = vec![0; CHUNK];
    let mut size = 0;
    loop {
        ctx.check()?;
        let n = read_full(&mut pipe, &mut buf).map_err(failed)?;
        ctx.progress.count(Counter::BytesRead, n as u64);
        for (offset, block) in blocks(&buf[..n], size) {
            let at = spool.append(block).map_err(|e| Error::io("spool", e))?;
            match runs.last_mut() {
                Some((from, len, _)) if *from + *len == offset => *len += block.len() as u64,
                _ => runs.push((offset, block.len() as u64, at)),
            }
        }
        size += n as u64;
        if size > ctx.options.max_decoded {
            let limit = ctx.options.max_decoded;
            return Err(ErrorKind::Limit { what: "bytes of a disk", limit }.into());
        }
        if n < buf.len() {
            break;
        }
    }
    let body = spool.finish().map_err(|e| Error::io("spool", e))?;
    let mut disk = Builder::default();
    for (offset, len, at) in runs {
        disk.add(offset, len, at, &body);
    }
    Ok(Content { size, extents: disk.extents })
}

/// Fills the buffer, less only at the end.
fn read_full(from: &mut impl Read, buf: &mut [u8]) -> io::Result<usize> {
    let mut len = 0;
    while len < buf.len() {
        match from.read(&mut buf[len..]) {
            Ok(0) => break,
            Ok(n) => len += n,
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(e),
        }
    }
    Ok(len)
}

/// The blocks that are not zeros, with their places.
fn blocks(bytes: &[u8], at: u64) -> impl Iterator<Item = (u64, &[u8])> {
    let places = (at..).step_by(BLOCK);
    places.zip(bytes.chunks(BLOCK)).filter(|(_, block)| block.iter().any(|&b| b != 0))
}

/// Joins blocks to extents.
#[derive(Default)]
struct Builder {
    extents: Vec<Extent>,
    /// End of what has been looked at.
    seen: u64,
}

impl Builder {
    fn add(&mut self, offset: u64, len: u64, at: u64, body: &Body) {
        match self.extents.last_mut() {
            Some(last) if last.offset + last.len == offset && last.data.at + last.len == at => {
                last.len += len;
                last.data.stored += len;
            }
            _ => self.extents.push(Extent { offset, len, data: Slice::plain(Arc::clone(body), at, len) }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::{Seek, SeekFrom, Write};

    use crate::ctx::{Cancel, NoProgress, Options};

    #[test]
    fn stored_zeros_and_holes_are_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let mut disk = vec![0u8; 5 * CHUNK + 777];
        for at in [0, BLOCK * 3 + 5, CHUNK - 1, CHUNK, 4 * CHUNK + 9, disk.len() - 1] {
            disk[at] = 7;
        }
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let full = dir.path().join("full");
        std::fs::write(&full, &disk).unwrap();
        let stored = FileBody::new(fs::open_input(&full).unwrap()).unwrap();
        let a = read_file(Arc::new(stored), &ctx).unwrap();
        let b = read_pipe(&disk[..], &ctx).unwrap();

        let sparse = dir.path().join("sparse");
        let mut file = fs::AtomicFile::create(&sparse).unwrap();
        for segment in a.segments().into_iter().filter(|s| s.is_data) {
            let range = segment.offset as usize..(segment.offset + segment.len) as usize;
            file.seek(SeekFrom::Start(segment.offset)).unwrap();
            file.write_all(&disk[range]).unwrap();
        }
        file.set_len(disk.len() as u64).unwrap();
        file.commit().unwrap();
        let holed = FileBody::new(fs::open_input(&sparse).unwrap()).unwrap();
        let c = read_file(Arc::new(holed), &ctx).unwrap();

        let want: Vec<(u64, bool)> = a.segments().iter().map(|s| (s.len, s.is_data)).collect();
        assert!(want.len() > 6 && a.size == disk.len() as u64);
        for content in [&a, &b, &c] {
            let got: Vec<(u64, bool)> = content.segments().iter().map(|s| (s.len, s.is_data)).collect();
            assert_eq!(got, want);
            let mut out = Vec::new();
            content.reader().read_to_end(&mut out).unwrap();
            assert!(out == disk);
        }
    }
}
