//! What can be wrong with a store.

use std::io;
use std::path::{Path, PathBuf};

use crate::digest::Digest;

/// Why a store can't be used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum StoreError {
    /// There is no directory, or an empty one.
    #[error("no store there: {}", dir.display())]
    Missing {
        /// Where it should be.
        dir: PathBuf,
    },
    /// A directory that holds other things.
    #[error("neither empty nor an OCI layout: {}", dir.display())]
    NotALayout {
        /// The directory.
        dir: PathBuf,
    },
    /// `aurora/meta.json` is not what `FORMAT.md` says.
    #[error("{}: {fault}", path.display())]
    Meta {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// A store of a later version.
    #[error("{}: format of the store is later than {known}: {version}", path.display())]
    Version {
        /// The file that says so.
        path: PathBuf,
        /// Its version.
        version: u64,
        /// The last one known.
        known: u64,
    },
    /// A feature that whoever reads or writes the store must know.
    #[error("{}: the store has a feature that must be known to {access} it: {feature:?}", path.display())]
    Feature {
        /// The file that says so.
        path: PathBuf,
        /// `read` or `write`.
        access: &'static str,
        /// Its name.
        feature: String,
    },
    /// A blob that is not there.
    #[error("no such blob: {digest}")]
    NoBlob {
        /// Its name.
        digest: Digest,
    },
    /// A record without which nothing can be said can't be read.
    #[error("{}: {fault}", path.display())]
    Record {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        fault: String,
    },
    /// What stands for a thin blob can't be followed.
    #[error("{fault}")]
    Thin {
        /// What is wrong with it.
        fault: String,
    },
    /// A thin blob that could not be made again.
    #[error("thin blob {digest} can't be made again: {source}")]
    NotMade {
        /// Its name.
        digest: Digest,
        /// Why.
        #[source]
        source: Box<StoreError>,
    },
    /// The operating system said no.
    #[error("{}: {source}", path.display())]
    Io {
        /// Of which file.
        path: PathBuf,
        /// Its word.
        #[source]
        source: io::Error,
    },
}

impl StoreError {
    /// For `map_err`: an error of this file.
    pub(super) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self + use<> {
        let path = path.to_owned();
        move |source| Self::Io { path, source }
    }

    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotALayout { .. } => Some("choose another directory with --store DIR or AURORA_STORE"),
            Self::Meta { .. } => Some("`imageadm fsck --repair` puts a damaged one aside"),
            Self::Version { .. } | Self::Feature { .. } => {
                Some("a later version of aurora made it; use that one")
            }
            Self::Record { .. } => Some("`imageadm fsck --repair` puts a damaged one aside"),
            Self::NotMade { .. } => Some("`imageadm fsck` tells what of it is damaged"),
            _ => None,
        }
    }
}
