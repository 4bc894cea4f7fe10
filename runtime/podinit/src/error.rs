//! What can go wrong before there is anything to supervise.

use std::io;
use std::path::PathBuf;

use crate::configmap;

/// Why podinit gives up.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub(crate) enum Error {
    #[error("{problem}")]
    Usage { problem: String },
    #[error("can't read {}: {source}", path.display())]
    Read { path: PathBuf, source: io::Error },
    #[error("{}: larger than {limit} bytes", path.display())]
    TooLarge { path: PathBuf, limit: u64 },
    #[error("{}: not a regular file", path.display())]
    NotAFile { path: PathBuf },
    #[error("{}: not a named pipe", path.display())]
    NotAPipe { path: PathBuf },
    #[error("{}: {source}", path.display())]
    Parse { path: PathBuf, source: serde_json::Error },
    #[error("{}: {field}: {problem}", path.display())]
    Invalid { path: PathBuf, field: String, problem: String },
    #[error("can't {what}: {source}")]
    System { what: &'static str, source: io::Error },
    #[error("can't set the host name {name:?}: {source}")]
    Hostname { name: String, source: io::Error },
    #[error("can't listen on {}: {source}", path.display())]
    Socket { path: PathBuf, source: io::Error },
    #[error("can't ask at {}: {source}", path.display())]
    Ask { path: PathBuf, source: io::Error },
    #[error("can't write {}: {source}", path.display())]
    Write { path: PathBuf, source: io::Error },
    #[error("the one run that there was to be has ended: {}", path.display())]
    Ended { path: PathBuf },
    #[error(transparent)]
    ConfigMap(#[from] configmap::Error),
}

impl Error {
    /// What may be done about it.
    pub(crate) fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Usage { .. } => Some("podinit --help tells how it is called"),
            Self::Parse { .. } | Self::Invalid { .. } => {
                Some("docs/podinit.md has the format of config.json")
            }
            _ => None,
        }
    }
}

/// What podinit does returns this.
pub(crate) type Result<T> = std::result::Result<T, Error>;
