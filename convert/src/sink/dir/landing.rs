//! A directory that is filled while its source is still being read.

use std::io;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};

use aurora_engine::fs::{Nursery, StagedDir};

/// Where a directory is to be written. It is begun when the first content is found that is worth a place there.
pub(crate) struct Landing {
    path: PathBuf,
    state: Mutex<State>,
}

enum State {
    NotBegun,
    Begun(Begun),
    /// It could not be, which whoever writes it will find, too; or it is being written.
    Over,
}

/// A directory, and what waits in it.
pub(super) struct Begun {
    pub(super) staged: StagedDir,
    pub(super) nursery: Option<Arc<Nursery>>,
}

impl Landing {
    /// To be begun at `path`.
    pub(crate) fn new(path: PathBuf) -> Self {
        Self { path, state: Mutex::new(State::NotBegun) }
    }

    /// Where large contents may grow; `None` where there is no such place.
    pub(crate) fn nursery(&self) -> Option<Arc<Nursery>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if matches!(*state, State::NotBegun) {
            *state = match StagedDir::create(&self.path) {
                Ok(staged) => {
                    let nursery = Nursery::create(staged.root()).ok().map(Arc::new);
                    State::Begun(Begun { staged, nursery })
                }
                Err(_) => State::Over,
            };
        }
        match &*state {
            State::Begun(begun) => begun.nursery.clone(),
            _ => None,
        }
    }

    /// The directory, to be written now.
    pub(super) fn take(&self) -> io::Result<Begun> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        match std::mem::replace(&mut *state, State::Over) {
            State::Begun(begun) => Ok(begun),
            _ => Ok(Begun { staged: StagedDir::create(&self.path)?, nursery: None }),
        }
    }
}
