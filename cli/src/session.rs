//! What a command works with: options, progress, cancellation; made once.

use std::io;
use std::sync::Arc;

use aurora_convert::ops::Selection;
use aurora_convert::{Cancel, Ctx, Error, Loss, Options, Trust};

use crate::args::{Common, Selected};
use crate::errors;
use crate::output::Output;
use crate::progress::Watch;
use crate::registry;
use crate::store::default_store;

/// The surroundings of one command.
pub(crate) struct Session {
    pub(crate) common: Common,
    pub(crate) watch: Watch,
    cancel: Arc<Cancel>,
}

/// Why a command did not come to its end.
#[derive(Debug)]
pub(crate) enum Stop {
    /// The operation failed.
    Failed(Error),
    /// Standard output could not be written.
    Output(io::Error),
}

impl From<Error> for Stop {
    fn from(e: Error) -> Self {
        Self::Failed(e)
    }
}

impl From<io::Error> for Stop {
    fn from(e: io::Error) -> Self {
        Self::Output(e)
    }
}

impl Session {
    pub(crate) fn new(common: Common, cancel: Arc<Cancel>) -> Self {
        let watch = Watch::new(!common.quiet, common.verbose);
        Self { common, watch, cancel }
    }

    /// The last argument of operations.
    pub(crate) fn ctx(&self) -> Ctx<'_> {
        let mut options = Options::new(std::env::temp_dir());
        options.threads = self.threads();
        options.memory = self.common.memory;
        options.max_decoded = self.common.max_decoded;
        options.store = self.common.store.clone().or_else(default_store);
        options.registries = registry::options(&self.common.registries);
        if let Some(path) = &self.common.registries.ca {
            options.remote.trust = Trust::Also(path.clone());
        }
        Ctx::new(options, &self.watch, &self.cancel)
    }

    /// One a core, unless told.
    pub(crate) fn threads(&self) -> usize {
        let cores = || std::thread::available_parallelism().map_or(1, usize::from);
        self.common.threads.unwrap_or_else(cores)
    }

    /// After the work, before its result: the bar makes way, losses are told.
    pub(crate) fn done(&self, losses: &[Loss]) -> Output {
        self.watch.finish();
        if !self.common.quiet {
            errors::losses(losses);
        }
        Output::new()
    }
}

/// The arguments as a request.
pub(crate) fn selection(selected: &Selected) -> Selection {
    let (platform, origins) = (selected.platform.clone(), selected.origins.clone());
    Selection { platform, origins, ..Selection::default() }
}
