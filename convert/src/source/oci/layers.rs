//! Layers: verified, unpacked, hashed and taken in, several at a time.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::io::{self, Read};
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use aurora_engine::body::Sequential;
use aurora_engine::codec::{self, Codec};
use aurora_engine::digest::{Digest, Hasher, VerifyError, VerifyingReader};
use aurora_engine::flow::read_ahead;
use aurora_formats::oci::media::Packing;

use super::store::Layer;
use crate::ctx::Counter;
use crate::source::ingest::{self, Ingested};
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// How far unpacking may run ahead of taking in.
const AHEAD: usize = 2 << 20;

/// Takes in those of the layers that are wanted, by their places; the results are in their order, and the error is that of the lowest layer that fails,
/// whatever the number of threads. A layer that is there twice is read once.
pub(super) fn ingest_all(layers: &[Layer], wanted: &[usize], ctx: &Ctx<'_>) -> Result<Vec<Arc<Ingested>>> {
    let mut first = BTreeMap::new();
    let mut unique: Vec<usize> = Vec::new();
    let place: Vec<usize> = wanted
        .iter()
        .map(|&n| {
            let layer = &layers[n];
            *first.entry((&layer.name, &layer.diff_id)).or_insert_with(|| {
                unique.push(n);
                unique.len() - 1
            })
        })
        .collect();
    // The largest first: a large one begun last would be read when all other lanes have nothing left to do.
    let mut order: Vec<usize> = (0..unique.len()).collect();
    order.sort_by_key(|&n| Reverse(layers[unique[n]].body.len()));
    let lanes = ctx.options.threads.clamp(1, unique.len().max(1));
    let job = Job {
        layers,
        unique: &unique,
        order: &order,
        threads: (ctx.options.threads / lanes).max(1),
        next: AtomicUsize::new(0),
        failed: AtomicUsize::new(usize::MAX),
        results: unique.iter().map(|_| Mutex::new(None)).collect(),
        ctx,
    };
    thread::scope(|scope| {
        for lane in 1..lanes {
            let started =
                thread::Builder::new().name(format!("layer-{lane}")).spawn_scoped(scope, || job.run());
            // Fewer lanes do the same work.
            if started.is_err() {
                break;
            }
        }
        job.run();
    });
    let mut done = Vec::new();
    for result in job.results {
        // Of the layers before the first that failed none was left out.
        match result.into_inner().unwrap_or_else(PoisonError::into_inner) {
            Some(result) => done.push(Arc::new(result?)),
            None => return Err(ErrorKind::Interrupted.into()),
        }
    }
    Ok(place.into_iter().map(|n| done[n].clone()).collect())
}

struct Job<'a> {
    layers: &'a [Layer],
    unique: &'a [usize],
    /// Places in `unique`, as they are begun.
    order: &'a [usize],
    /// That may unpack one layer.
    threads: usize,
    next: AtomicUsize,
    failed: AtomicUsize,
    results: Vec<Mutex<Option<Result<Ingested>>>>,
    ctx: &'a Ctx<'a>,
}

impl Job<'_> {
    /// One lane: layer after layer. Those behind one that has failed are left out.
    fn run(&self) {
        while let Some(&n) = self.order.get(self.next.fetch_add(1, Ordering::Relaxed)) {
            if n > self.failed.load(Ordering::Relaxed) {
                continue;
            }
            let number = self.unique[n];
            let layer = &self.layers[number];
            let result = ingest_one(layer, self.threads, self.ctx)
                .map_err(|e| e.in_layer(number + 1, self.layers.len(), layer.name.clone()));
            if result.is_err() {
                self.failed.fetch_min(n, Ordering::Relaxed);
            }
            *self.results[n].lock().unwrap_or_else(PoisonError::into_inner) = Some(result);
        }
    }
}

/// A layer to be read from its unpacked bytes, where they are at hand: its diffID says all about them.
pub(super) fn at_hand(layer: &Layer) -> Result<Layer> {
    match &layer.unpacked {
        Some(body) => {
            let was = Some(super::survey::content_of(layer)?);
            Ok(Layer { body: body.clone(), was, promise: None, ..layer.clone() })
        }
        None => Ok(layer.clone()),
    }
}

/// Takes in one layer. Whatever else is wrong with it, stored bytes that are not those promised come first.
pub(super) fn ingest_one(layer: &Layer, threads: usize, ctx: &Ctx<'_>) -> Result<Ingested> {
    ctx.check()?;
    let stored = Stored::new(layer);
    let (codec, mut plain) = match unpack(layer, &stored, threads, ctx) {
        Ok(opened) => opened,
        Err(e) => return Err(stored.lie(layer).unwrap_or(e)),
    };
    if let Some(text) = label_lies(layer.label, layer.was.unwrap_or(codec)) {
        let detail = format!("layer {}: {text}", layer.name);
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    // A layer that is not packed needs no copy: its files are slices of it.
    let in_place = (codec == Codec::None).then_some(&layer.body);
    let taken = ingest::ingest(&mut plain, in_place, ctx).and_then(|taken| {
        // Reading to the end is what verifies.
        io::copy(&mut plain, &mut io::sink()).map_err(|e| Error::io(layer.name.clone(), e))?;
        Ok(taken)
    });
    ctx.check()?;
    let actual = plain.finish();
    match (stored.lie(layer), taken) {
        (Some(lie), _) => Err(lie),
        (None, Err(e)) => Err(e),
        (None, Ok(_)) if actual != layer.diff_id => {
            Err(ErrorKind::DiffId { expected: layer.diff_id.to_string(), actual: actual.to_string() }.into())
        }
        (None, Ok(taken)) => Ok(taken),
    }
}

/// The uncompressed bytes of a layer, hashed as they are read.
pub(super) fn unpack<'a>(
    layer: &Layer,
    stored: &Stored,
    threads: usize,
    ctx: &'a Ctx<'a>,
) -> Result<(Codec, Plain<'a>)> {
    let failed = |e| Error::io(layer.name.clone(), e);
    let (codec, mut inner): (Codec, Box<dyn Read + Send>) = match layer.was {
        // Whatever its first bytes look like.
        Some(_) => (Codec::None, Box::new(stored.reader())),
        None => codec::reader(Box::new(stored.reader()), ctx.options.max_decoded, threads).map_err(failed)?,
    };
    if ctx.options.threads > 1 {
        inner = Box::new(read_ahead(inner, AHEAD).map_err(failed)?);
    }
    let hasher = Hasher::new(layer.diff_id.algorithm());
    Ok((codec, Plain { inner, hasher, stored: stored.clone(), told: 0, ctx }))
}

/// What a label says against what the content is.
pub(super) fn label_lies(label: Option<Packing>, codec: Codec) -> Option<String> {
    let said = match label? {
        Packing::None => Codec::None,
        Packing::Gzip => Codec::Gzip,
        Packing::Zstd => Codec::Zstd,
    };
    let name = |codec: Codec| if codec == Codec::None { "not compressed" } else { codec.name() };
    (said != codec).then(|| format!("labelled {}, its content is {}", name(said), name(codec)))
}

/// The stored bytes of a layer on their way to the decoder. Shared, because the decoder keeps its reader and what
/// it leaves unread must still be verified.
#[derive(Clone)]
pub(super) struct Stored(Arc<Shared>);

struct Shared {
    source: Mutex<Source>,
    read: AtomicU64,
}

enum Source {
    Promised(VerifyingReader<Sequential>),
    Unnamed(Sequential),
}

impl Stored {
    pub(super) fn new(layer: &Layer) -> Self {
        let body = Sequential::new(layer.body.clone());
        let source = match &layer.promise {
            Some((digest, size)) => Source::Promised(VerifyingReader::new(body, digest.clone(), *size)),
            None => Source::Unnamed(body),
        };
        Self(Arc::new(Shared { source: Mutex::new(source), read: AtomicU64::new(0) }))
    }

    fn reader(&self) -> Self {
        self.clone()
    }

    /// Reads what the decoder has left unread; the lie if the whole is not what was promised.
    pub(super) fn lie(&self, layer: &Layer) -> Option<Error> {
        let mut rest = self.clone();
        let error = io::copy(&mut rest, &mut io::sink()).err()?;
        let is_lie = error.get_ref().is_some_and(|e| e.is::<VerifyError>());
        is_lie.then(|| Error::io(layer.name.clone(), error))
    }
}

impl Read for Stored {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let mut source = self.0.source.lock().unwrap_or_else(PoisonError::into_inner);
        let n = match &mut *source {
            Source::Promised(reader) => reader.read(buf)?,
            Source::Unnamed(reader) => reader.read(buf)?,
        };
        self.0.read.fetch_add(n as u64, Ordering::Relaxed);
        Ok(n)
    }
}

/// The uncompressed bytes of a layer.
pub(super) struct Plain<'a> {
    inner: Box<dyn Read + Send>,
    hasher: Hasher,
    stored: Stored,
    told: u64,
    ctx: &'a Ctx<'a>,
}

impl Plain<'_> {
    /// The diffID of what was read.
    pub(super) fn finish(self) -> Digest {
        self.hasher.finish()
    }
}

impl Read for Plain<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        if self.ctx.cancel.is_set() {
            return Err(io::Error::other("interrupted"));
        }
        let n = self.inner.read(buf)?;
        self.hasher.update(&buf[..n]);
        let read = self.stored.0.read.load(Ordering::Relaxed);
        self.ctx.progress.count(Counter::BytesRead, read.saturating_sub(self.told));
        self.told = self.told.max(read);
        self.ctx.progress.count(Counter::BytesDecoded, n as u64);
        Ok(n)
    }
}
