//! What every long operation is given: options, progress, cancellation, and a place for losses.

use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use aurora_engine::body::{Nursery, SpoolBudget};
use aurora_engine::fs;
use aurora_engine::host::{HostPrograms, Programs, Zfs};
pub use aurora_engine::remote::{ClientOptions, RateLimit, Trust};

use crate::fidelity::Loss;
use crate::registry::RegistryOptions;
use crate::{Error, ErrorKind, Result};

/// What is counted for progress and `--json`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Counter {
    /// Stored bytes read from the source.
    BytesRead,
    /// Bytes of the source after decompression.
    BytesDecoded,
    /// Bytes written to the target.
    BytesWritten,
    /// Entries read.
    Entries,
}

/// Watches work being done. Called from any thread.
pub trait Progress: Sync {
    /// So much more was done.
    fn count(&self, counter: Counter, n: u64);
    /// How many bytes there are to be read in all, as soon as that is known.
    fn total(&self, bytes: u64);
    /// What is being done now.
    fn phase(&self, name: &str);
}

/// Watches nothing.
pub struct NoProgress;

impl Progress for NoProgress {
    fn count(&self, _: Counter, _: u64) {}
    fn total(&self, _: u64) {}
    fn phase(&self, _: &str) {}
}

/// Set once to stop all work that looks at it.
#[derive(Default)]
pub struct Cancel(Arc<AtomicBool>);

impl Cancel {
    /// Stops the work.
    pub fn set(&self) {
        self.0.store(true, Ordering::Relaxed);
    }

    /// Whether it is to stop.
    pub fn is_set(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// What readers of pipes look at.
    pub(crate) fn flag(&self) -> Arc<AtomicBool> {
        Arc::clone(&self.0)
    }
}

/// What tunes an operation and never changes its result.
#[derive(Debug, Clone)]
pub struct Options {
    /// Threads to use; 1 does everything in the caller's.
    pub threads: usize,
    /// Bytes of content to hold in memory before it goes to temporary files.
    pub memory: u64,
    /// Where temporary files go.
    pub temp_dir: PathBuf,
    /// Most bytes that one layer or stream may decode to.
    pub max_decoded: u64,
    /// How servers are talked to.
    pub remote: ClientOptions,
    /// Where the local store is, or is to be made; names in it can't be used without.
    pub store: Option<PathBuf>,
    /// How registries are talked to.
    pub registries: RegistryOptions,
}

/// Bodies that may stay in memory when nothing else is said.
pub const DEFAULT_MEMORY: u64 = 256 << 20;
/// Most decoded bytes of one layer: a bomb is beyond it, real layers are far below.
pub const DEFAULT_MAX_DECODED: u64 = 256 << 30;

impl Options {
    /// One thread and the default limits.
    pub fn new(temp_dir: PathBuf) -> Self {
        Self {
            threads: 1,
            memory: DEFAULT_MEMORY,
            temp_dir,
            max_decoded: DEFAULT_MAX_DECODED,
            remote: ClientOptions::default(),
            store: None,
            registries: RegistryOptions::default(),
        }
    }
}

/// The last argument of every long operation.
pub struct Ctx<'a> {
    /// See [`Options`].
    pub options: Options,
    /// Who watches.
    pub progress: &'a dyn Progress,
    /// Who may stop it.
    pub cancel: &'a Cancel,
    /// Memory for bodies, and where they go beyond it.
    pub spools: SpoolBudget,
    programs: Arc<dyn Programs>,
    losses: Mutex<Vec<Loss>>,
    /// See [`Ctx::nurse`].
    nursery: Mutex<Option<Arc<Nursery>>>,
}

/// More losses than anyone reads; the count goes on, the list ends.
const MAX_LOSSES: usize = 100_000;

impl<'a> Ctx<'a> {
    /// With nothing lost yet.
    pub fn new(options: Options, progress: &'a dyn Progress, cancel: &'a Cancel) -> Self {
        let spools = SpoolBudget::new(options.memory / 2, &options.temp_dir);
        let programs = Arc::new(HostPrograms::new(cancel.flag()));
        Self {
            options,
            progress,
            cancel,
            spools,
            programs,
            losses: Mutex::default(),
            nursery: Mutex::default(),
        }
    }

    /// For one of several jobs: what is lost is its own, and memory is shared by all. Spools of a job go where those of
    /// this one do.
    pub(crate) fn job<'b>(&'b self, progress: &'b dyn Progress, threads: usize) -> Ctx<'b> {
        Ctx {
            options: Options { threads, ..self.options.clone() },
            progress,
            cancel: self.cancel,
            spools: self.spools.clone(),
            programs: Arc::clone(&self.programs),
            losses: Mutex::default(),
            nursery: Mutex::default(),
        }
    }

    /// As a job of its own that something else stops.
    pub(crate) fn cancelled_by<'b>(&'b self, cancel: &'b Cancel, progress: &'b dyn Progress) -> Ctx<'b> {
        Ctx {
            cancel,
            programs: Arc::new(HostPrograms::new(cancel.flag())),
            ..self.job(progress, self.options.threads)
        }
    }

    /// The same, with temporary files elsewhere.
    pub(crate) fn within<'b>(&'b self, temp_dir: PathBuf) -> Ctx<'b> {
        let spools = SpoolBudget::new(self.options.memory / 2, &temp_dir);
        let job = self.job(self.progress, self.options.threads);
        Ctx { options: Options { temp_dir, ..job.options.clone() }, spools, ..job }
    }

    /// With other programs than the host's: tests record what is asked of them.
    #[must_use]
    pub fn with_programs(mut self, programs: Arc<dyn Programs>) -> Self {
        self.programs = programs;
        self
    }

    /// The ZFS of this host.
    pub fn zfs(&self) -> Zfs<'_> {
        Zfs::new(&*self.programs)
    }

    /// The programs of this host.
    pub(crate) fn programs(&self) -> &dyn Programs {
        &*self.programs
    }

    /// Notes that something will not be in the result.
    pub fn lose(&self, loss: Loss) {
        let mut losses = self.losses.lock().expect("no holder of this lock can panic");
        if losses.len() < MAX_LOSSES {
            losses.push(loss);
        }
    }

    /// Everything lost so far, sorted, each once.
    pub fn losses(&self) -> Vec<Loss> {
        let mut losses = self.losses.lock().expect("no holder of this lock can panic").clone();
        losses.sort();
        losses.dedup();
        losses
    }

    /// Has large contents become files beside `target`, a directory that they are read for, until what is returned is dropped.
    /// That saves copying them; where there can be no such place they go to spools like all others.
    pub(crate) fn nurse(&self, target: &Path) -> Nursing<'_> {
        let nursery = nursery_beside(target).map(Arc::new);
        *self.nursery.lock().unwrap_or_else(PoisonError::into_inner) = nursery;
        Nursing(&self.nursery)
    }

    /// Where they go.
    pub(crate) fn nursery(&self) -> Option<Arc<Nursery>> {
        self.nursery.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Frees what is large beside whatever comes next: a process that ends does not wait for it.
    pub(crate) fn free<T: Send + 'static>(&self, value: T) {
        if self.options.threads > 1 {
            // Where no thread can be started, the value goes with what would have been its work.
            let _ = thread::Builder::new().name("free".into()).spawn(move || drop(value));
        }
    }

    /// Fails when the user has stopped the work.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_set() { Err(Error::from(ErrorKind::Interrupted)) } else { Ok(()) }
    }
}

/// As long as this is there, there is a place for large contents.
pub(crate) struct Nursing<'a>(&'a Mutex<Option<Arc<Nursery>>>);

impl Drop for Nursing<'_> {
    fn drop(&mut self) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = None;
    }
}

/// In the directory that `target` is in, if both are of one file system.
fn nursery_beside(target: &Path) -> Option<Nursery> {
    let parent = match target.parent()? {
        parent if parent.as_os_str().is_empty() => Path::new("."),
        parent => parent,
    };
    fs::is_one_file_system(parent, target).then(|| Nursery::create(parent).ok())?
}
