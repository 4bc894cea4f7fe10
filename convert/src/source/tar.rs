//! Reads a root file system that is one tar, packed or not.

use std::io::{self, Read};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use aurora_engine::body::{Body, FileBody, ReadAt};
use aurora_engine::codec::{self, Codec, DETECT_LEN};
use aurora_engine::digest::{Algorithm, Hasher};
use aurora_engine::fs;

use crate::image::Image;
use crate::lineage::{Lineage, Loaded, Step};
use crate::names::FileName;
use crate::source::ReadOptions;
use crate::source::counted::Counted;
use crate::source::ingest::ingest_rootfs;
use crate::tree;
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Reads an image of one step; its chainID is the digest of the uncompressed archive, as if it were a layer.
pub fn read(file: &FileName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    if !options.origins.is_empty() {
        return Err(Error::usage("a tar of a root file system is whole: it has no origin"));
    }
    ctx.progress.phase("reading tar");
    let name = match file {
        FileName::Pipe => "standard input".to_owned(),
        FileName::Path(path) => path.display().to_string(),
    };
    let input = match file {
        FileName::Pipe => fs::stdin(),
        FileName::Path(path) => fs::open_input(path),
    };
    let input = input.map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => ErrorKind::NoSuchImage(name.clone()).into(),
        _ => Error::io(name.clone(), e),
    })?;
    let failed = |e| Error::io(name.clone(), e);
    let mut in_place = None;
    // A file that is not packed needs no copy. Standard input may stand anywhere in its file.
    if matches!(file, FileName::Path(_)) && fs::is_regular(&input).map_err(failed)? {
        let body = FileBody::new(input.try_clone().map_err(failed)?).map_err(failed)?;
        ctx.progress.total(body.len());
        let mut head = vec![0; body.len().min(DETECT_LEN as u64) as usize];
        body.read_exact_at(&mut head, 0).map_err(failed)?;
        let body: Body = Arc::new(body);
        in_place = (codec::detect(&head) == Codec::None).then_some(body);
    }
    let (stored, read) = Counted::new(fs::Stoppable::new(input, ctx.cancel.flag()));
    let (_, inner) =
        codec::reader(Box::new(stored), ctx.options.max_decoded, ctx.options.threads).map_err(failed)?;
    let mut plain = Plain { inner, read, told: 0, hasher: Hasher::new(Algorithm::Sha256), ctx };
    let ingested = ingest_rootfs(&mut plain, in_place.as_ref(), ctx)?;
    if plain.told == 0 {
        // A layer may be empty; a root file system that is comes from a pipe whose other end has failed.
        return Err(failed(io::Error::new(io::ErrorKind::UnexpectedEof, "it is empty, and no archive")));
    }
    let chain_id = plain.hasher.finish();
    let tree = Arc::new(tree::apply(None, &ingested.changes)?);
    let step = Step { tree, chain_id, snapshot: None, created: None, created_by: None };
    Ok(Loaded::Filesystem(Lineage { image: Image::default(), steps: vec![step] }))
}

/// The uncompressed bytes, hashed, and progress told.
struct Plain<'a> {
    inner: Box<dyn Read + Send>,
    read: Arc<AtomicU64>,
    told: u64,
    hasher: Hasher,
    ctx: &'a Ctx<'a>,
}

impl Read for Plain<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        let read = self.read.load(Ordering::Relaxed);
        self.ctx.progress.count(Counter::BytesRead, read - self.told);
        self.told = read;
        self.ctx.progress.count(Counter::BytesDecoded, n as u64);
        Ok(n)
    }
}
