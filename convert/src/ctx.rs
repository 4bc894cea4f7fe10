//! What every long operation is given: options, progress, cancellation, and a place for losses.

use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use aurora_engine::body::SpoolBudget;
use aurora_engine::fs::Nursery;
use aurora_engine::host::{HostPrograms, Programs, Zfs};
pub use aurora_engine::remote::{ClientOptions, RateLimit, Trust};

use crate::fidelity::Loss;
use crate::names::ImageName;
use crate::registry::RegistryOptions;
use crate::sink::dir::Landing;
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
    losses: Arc<Mutex<Vec<Loss>>>,
    /// The directory that the result is.
    pub(crate) landing: Option<Landing>,
}

/// More losses than anyone reads; the count goes on, the list ends.
const MAX_LOSSES: usize = 100_000;

impl<'a> Ctx<'a> {
    /// With nothing lost yet.
    pub fn new(options: Options, progress: &'a dyn Progress, cancel: &'a Cancel) -> Self {
        let spools = SpoolBudget::new(options.memory / 2, &options.temp_dir);
        let programs = Arc::new(HostPrograms::new(cancel.flag()));
        Self { options, progress, cancel, spools, programs, losses: Arc::default(), landing: None }
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
            losses: Arc::default(),
            landing: None,
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

    /// The same, where the result is to be a directory.
    pub(crate) fn landing_of(&self, target: &ImageName) -> Option<Ctx<'_>> {
        let ImageName::Dir { path } = target else { return None };
        let (losses, landing) = (Arc::clone(&self.losses), Some(Landing::new(path.clone())));
        Some(Ctx { losses, landing, ..self.job(self.progress, self.options.threads) })
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

    /// Where large contents of what is written to a directory may grow.
    pub(crate) fn nursery(&self) -> Option<Arc<Nursery>> {
        self.landing.as_ref()?.nursery()
    }

    /// Fails when the user has stopped the work.
    pub fn check(&self) -> Result<()> {
        if self.cancel.is_set() { Err(Error::from(ErrorKind::Interrupted)) } else { Ok(()) }
    }
}
