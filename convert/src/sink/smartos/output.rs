//! The file of an image: packed, hashed and counted as it is written.

use std::io::{self, Write};
use std::path::Path;

use aurora_engine::codec::{self, Compression, Encoder};
use aurora_engine::digest::{Algorithm, Digest, Hasher, Sha1, Sha1Writer};
use aurora_engine::fs::AtomicFile;

use crate::content::{BlockCache, Content};
use crate::lineage::Volume;
use crate::{Ctx, Error, Result};

/// A file being written.
pub(super) struct Output {
    encoder: Encoder<Sha1Writer<AtomicFile>>,
    name: String,
}

/// A file that is whole and has no name yet.
pub(super) struct Finished {
    /// Of the file as it is.
    pub(super) sha1: Sha1,
    /// Bytes of the file as it is.
    pub(super) size: u64,
    file: AtomicFile,
    name: String,
}

impl Output {
    pub(super) fn create(path: &Path, compression: Compression, ctx: &Ctx<'_>) -> Result<Self> {
        let name = path.display().to_string();
        let file = AtomicFile::create(path).map(Sha1Writer::new);
        let encoder = file.and_then(|file| codec::writer(file, compression, ctx.options.threads));
        Ok(Self { encoder: encoder.map_err(|e| Error::io(name.as_str(), e))?, name })
    }

    pub(super) fn finish(self) -> Result<Finished> {
        let hashed = self.encoder.finish().map_err(|e| Error::io(self.name.as_str(), e))?;
        let (mut file, sha1, size) = hashed.finish();
        file.flush().map_err(|e| Error::io(self.name.as_str(), e))?;
        Ok(Finished { sha1, size, file, name: self.name })
    }
}

impl Write for Output {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        self.encoder.write(buf)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.encoder.flush()
    }
}

impl Finished {
    /// Gives the file its name.
    pub(super) fn commit(self) -> Result<()> {
        self.file.commit().map_err(|e| Error::io(self.name, e))
    }
}

/// Bytes hashed at a time.
const PIECE: usize = 1 << 17;

/// What names a state of a volume: its size and its pieces that are not all zeros, with their places.
pub(super) fn volume_id(volume: &Volume, ctx: &Ctx<'_>) -> Result<Digest> {
    let content: &Content = &volume.content;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    hasher.update(b"aurora smartos volume\n");
    hasher.update(&content.size.to_le_bytes());
    let (mut buf, mut cache) = (vec![0; PIECE], BlockCache::default());
    let mut next = 0;
    for segment in content.segments().into_iter().filter(|s| s.is_data) {
        let (from, to) =
            (segment.offset / PIECE as u64, (segment.offset + segment.len).div_ceil(PIECE as u64));
        for piece in from.max(next)..to {
            ctx.check()?;
            let at = piece * PIECE as u64;
            let len = usize::try_from(content.size - at).unwrap_or(PIECE).min(PIECE);
            let read = content.read_at(&mut buf[..len], at, &mut cache);
            read.map_err(|e| Error::io("reading content", e).at_offset(at))?;
            if buf[..len].iter().any(|&b| b != 0) {
                hasher.update(&at.to_le_bytes());
                hasher.update(&buf[..len]);
            }
        }
        next = to;
    }
    Ok(hasher.finish())
}
