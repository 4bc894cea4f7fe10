//! An image of a registry, read while it arrives.
//!
//! Its layers are fetched side by side, and whoever reads one waits for no more than the bytes that are missing. They
//! land in the local store, as far as there is one, so that the next time nothing has to be fetched.

use std::collections::BTreeMap;
use std::io;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use aurora_engine::body::{Arriving, Body, MemBody};
use aurora_engine::digest::Digest;
use aurora_engine::remote::Destination;
use aurora_engine::store::{Access, BlobFacts, Landing};
use aurora_formats::oci::Descriptor;
use aurora_formats::oci::media::{self, Kind};

use super::files::{Files, StoreFiles};
use super::store::digest;
use crate::error::FetchError;
use crate::registry::{RegistryName, Remote};
use crate::store::Local;
use crate::{Ctx, Error, ErrorKind, Result};

/// The files of an image in a registry.
pub(super) struct RegistryFiles {
    remote: Arc<Remote>,
    /// The store that blobs land in.
    kept: Option<Arc<Local>>,
    temp_dir: PathBuf,
    gate: Arc<Gate>,
    /// Set when nobody wants them any more.
    is_over: Arc<AtomicBool>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    bodies: BTreeMap<String, Body>,
    running: Vec<JoinHandle<()>>,
}

impl RegistryFiles {
    /// Reaches the registry; the image's files, and what leads to all of them.
    pub(super) fn open(name: &RegistryName, ctx: &Ctx<'_>) -> Result<(Self, Descriptor)> {
        let (remote, top, bytes) = Remote::reach(name, ctx)?;
        let kept = match &ctx.options.store {
            // What can't be written to is no reason not to read.
            Some(_) => Local::open(Access::Write, ctx).ok().map(Arc::new),
            None => None,
        };
        let mut state = State::default();
        state.bodies.insert(top.digest.clone(), Arc::new(MemBody(bytes)));
        let files = Self {
            remote: Arc::new(remote),
            kept,
            temp_dir: ctx.options.temp_dir.clone(),
            gate: Arc::new(Gate::new(ctx.options.registries.jobs)),
            is_over: Arc::default(),
            state: Mutex::new(state),
        };
        Ok((files, top))
    }

    fn landing(&self, digest: &Digest, size: u64) -> Result<Option<Landing>> {
        if let Some(local) = &self.kept {
            return Ok(local.blobs().land(digest, size)?);
        }
        let path = self.temp_dir.join(digest.hex());
        let landing = Landing::beside(&path, digest, size);
        landing.map(Some).map_err(|e| Error::io(path.display().to_string(), e))
    }

    /// Starts to fetch a blob.
    fn fetch(&self, descriptor: &Descriptor, state: &mut State) -> Result<Body> {
        let named = |e| Error::io(descriptor.digest.clone(), e);
        let digest = digest(&descriptor.digest)?;
        let Some(mut landing) = self.landing(&digest, descriptor.size)? else {
            let kept = self.kept.as_ref().expect("only a store has it already");
            return kept.blobs().body(&digest)?.ok_or_else(|| named(io::ErrorKind::NotFound.into()));
        };
        let reader = landing.reader().map_err(named)?;
        let work = Work {
            remote: Arc::clone(&self.remote),
            descriptor: descriptor.clone(),
            gate: Arc::clone(&self.gate),
            is_over: Arc::clone(&self.is_over),
            is_kept: self.kept.is_some(),
        };
        let body = Arc::clone(&reader);
        let run = move || work.run(landing, &reader);
        let thread = std::thread::Builder::new().name("fetch".into()).spawn(run);
        state.running.push(thread.map_err(|e| Error::io("starting a thread", e))?);
        Ok(body)
    }
}

impl Files for RegistryFiles {
    fn file(&self, _: &str) -> Result<Option<Body>> {
        // All that a registry has is found by its descriptor.
        Ok(None)
    }

    fn blob(&self, descriptor: &Descriptor) -> Result<Option<Body>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(body) = state.bodies.get(&descriptor.digest) {
            return Ok(Some(body.clone()));
        }
        let body: Body = match media::kind(&descriptor.media_type) {
            Kind::Index | Kind::Manifest => Arc::new(MemBody(self.remote.document(descriptor)?)),
            _ if descriptor.data.is_some() => return Ok(None),
            _ => self.fetch(descriptor, &mut state)?,
        };
        state.bodies.insert(descriptor.digest.clone(), body.clone());
        Ok(Some(body))
    }

    fn unpacked(&self, descriptor: &Descriptor) -> Result<Option<Body>> {
        match &self.kept {
            Some(local) => StoreFiles(Arc::clone(local)).unpacked(descriptor),
            None => Ok(None),
        }
    }

    fn is_far(&self) -> bool {
        true
    }

    fn note(&self, digest: &Digest, facts: &dyn Fn() -> Result<BlobFacts>) {
        // Its last bytes may have been read before it got its name: then there is nothing yet to know something about.
        if let Some(local) = &self.kept
            && matches!(local.blobs().size(digest), Ok(Some(_)))
        {
            StoreFiles(Arc::clone(local)).note(digest, facts);
        }
    }
}

impl Drop for RegistryFiles {
    fn drop(&mut self) {
        self.is_over.store(true, Ordering::Relaxed);
        let state = self.state.get_mut().unwrap_or_else(PoisonError::into_inner);
        state.bodies.clear();
        for thread in state.running.drain(..) {
            // What it has to say has been said to who reads.
            let _ = thread.join();
        }
    }
}

/// One blob's way.
struct Work {
    remote: Arc<Remote>,
    descriptor: Descriptor,
    gate: Arc<Gate>,
    is_over: Arc<AtomicBool>,
    is_kept: bool,
}

impl Work {
    fn run(self, landing: Landing, reader: &Arc<Arriving>) {
        let fetched = self.fetch(landing);
        if let Err(e) = fetched {
            let e = Arc::new(e);
            reader.fail(Box::new(move || io::Error::other(FetchError(Arc::clone(&e)))));
        }
    }

    fn fetch(&self, landing: Landing) -> Result<()> {
        let _pass = self.gate.enter(&self.is_over)?;
        let mut wanted = Wanted { landing, is_over: &self.is_over };
        let got = self.remote.blob(&self.descriptor, &mut wanted, &|_| {});
        // Who has read the last byte may have gone already.
        if !wanted.landing.is_whole() {
            got?;
        }
        if !self.is_kept {
            return Ok(());
        }
        wanted.landing.commit().map_err(|e| Error::io(self.descriptor.digest.clone(), e))
    }
}

/// A landing that takes no more once nobody wants it.
struct Wanted<'a> {
    landing: Landing,
    is_over: &'a AtomicBool,
}

impl Destination for Wanted<'_> {
    fn position(&self) -> u64 {
        self.landing.position()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        if self.is_over.load(Ordering::Relaxed) {
            return Err(io::Error::other("nobody reads it any more"));
        }
        self.landing.append(bytes)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.landing.restart()
    }
}

/// Lets so many through at once.
struct Gate {
    free: Mutex<usize>,
    has_moved: Condvar,
}

/// How soon who waits there hears that it is over.
const LOOK: Duration = Duration::from_millis(100);

impl Gate {
    fn new(width: usize) -> Self {
        Self { free: Mutex::new(width.max(1)), has_moved: Condvar::new() }
    }

    fn enter(&self, is_over: &AtomicBool) -> Result<Pass<'_>> {
        let mut free = self.free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            if is_over.load(Ordering::Relaxed) {
                return Err(ErrorKind::Interrupted.into());
            }
            free = self.has_moved.wait_timeout(free, LOOK).unwrap_or_else(PoisonError::into_inner).0;
        }
        *free -= 1;
        Ok(Pass(self))
    }
}

/// Given back when dropped.
struct Pass<'a>(&'a Gate);

impl Drop for Pass<'_> {
    fn drop(&mut self) {
        *self.0.free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        self.0.has_moved.notify_one();
    }
}
