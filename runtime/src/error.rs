//! What fails, in the words that callers of OCI runtimes know: podman takes its exit codes from them.

use std::io;
use std::path::{Path, PathBuf};

use crate::state::Status;

/// Result of this crate's operations.
pub type Result<T> = std::result::Result<T, Error>;

/// Why a container could not be led where it was to go.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// A name that no container can have.
    #[error("invalid container ID format: {0:?}")]
    InvalidId(String),
    /// There is one already.
    #[error("container with given ID already exists")]
    Exists,
    /// There is none.
    #[error("container does not exist")]
    NotExist,
    /// Signals, `pause`, `exec` and `update` need one that has not ended.
    #[error("container not running")]
    NotRunning,
    /// It has not been stopped.
    #[error("container not paused")]
    NotPaused,
    /// `exec` would wait for the end of the pause.
    #[error("cannot exec in a paused container (use --ignore-paused to override)")]
    ExecPaused,
    /// `exec` after the end.
    #[error("cannot exec in a stopped container")]
    ExecStopped,
    /// Started twice.
    #[error("cannot start an already running container")]
    AlreadyRunning,
    /// Started after its end.
    #[error("cannot start a container that has stopped")]
    StartStopped,
    /// Removed before its end.
    #[error("cannot delete container {id} that is not stopped: {status}")]
    NotStopped {
        /// Which.
        id: String,
        /// What it does.
        status: Status,
    },
    /// Another command works on the container, and does not come to its end.
    #[error("another command has been busy with container {id} for {seconds} s")]
    Busy {
        /// Which.
        id: String,
        /// How long was waited.
        seconds: u64,
    },
    /// No such signal on this host.
    #[error("unknown signal {0:?}")]
    UnknownSignal(String),
    /// A bundle that is not there.
    #[error("chdir {}: {}", path.display(), plain(source))]
    NoBundle {
        /// Which.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The document cannot be read as one.
    #[error("{}: {source}", path.display())]
    Json {
        /// Which.
        path: PathBuf,
        /// What is wrong, and where.
        source: serde_json::Error,
    },
    /// The document asks for something that the specification rules out, or that this host cannot do.
    #[error("config.json: {field}: {problem}")]
    Config {
        /// Which member.
        field: String,
        /// What is wrong with it.
        problem: String,
    },
    /// The program of the container or of `exec` cannot run.
    #[error("unable to start container process: {0}")]
    Program(String),
    /// A hook failed.
    #[error("error running {kind} hook #{number}: {problem}")]
    Hook {
        /// When it runs.
        kind: crate::HookKind,
        /// Which of its kind.
        number: usize,
        /// What happened.
        problem: String,
    },
    /// The operating system's part of the work failed.
    #[error("{backend}: {problem}")]
    Backend {
        /// Which backend.
        backend: &'static str,
        /// What was being done, and what happened.
        problem: String,
    },
    /// Something that this backend does not do.
    #[error("{what} is not supported by the {backend} backend")]
    Unsupported {
        /// Which.
        backend: &'static str,
        /// What.
        what: &'static str,
    },
    /// An operating system without this backend, or without any.
    #[error("there is no such backend on {os}")]
    NoBackend {
        /// Which system.
        os: &'static str,
    },
    /// A container whose backend is none of this build's.
    #[error("container {id} is of a backend that is not part of this build: {backend}")]
    UnknownBackend {
        /// Which container.
        id: String,
        /// Its backend.
        backend: String,
    },
    /// A config that no zone can follow.
    #[error("config.json: {0}")]
    Zone(#[from] aurora_zones::Refusal),
    /// A root file system that no zone can have.
    #[error("config.json: root.path: not the root of a zone, {problem}: {}", path.display())]
    NoZoneRoot {
        /// Which.
        path: PathBuf,
        /// Why.
        problem: &'static str,
    },
    /// Containers are to have datasets of their own, and there is none below which.
    #[error("no dataset that those of containers could be made in: {problem}")]
    NoParent {
        /// Why.
        problem: String,
    },
    /// A dataset that a container is to have for itself.
    #[error("dataset {dataset} exists already, and is not this container's")]
    DatasetExists {
        /// Which.
        dataset: String,
    },
    /// A dataset that would have to be destroyed, and is not.
    #[error("dataset {dataset} is left alone: {problem}")]
    DatasetKept {
        /// Which.
        dataset: String,
        /// Why.
        problem: String,
    },
    /// A zone that does not do what it was told.
    #[error("zone {zone} is not {wanted}: {found}")]
    ZoneState {
        /// Which.
        zone: String,
        /// What it was to be.
        wanted: &'static str,
        /// What it is.
        found: &'static str,
    },
    /// A program of the host.
    #[error(transparent)]
    Command(#[from] aurora_engine::host::CommandError),
    /// Arguments that contradict one another.
    #[error("{0}")]
    Usage(String),
    /// What stands in the state directory was not written by this program.
    #[error("{}: not the state of a container: {problem}", path.display())]
    State {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// A file.
    #[error("{what}: {}", plain(source))]
    Io {
        /// What was done with which.
        what: String,
        /// What happened.
        source: io::Error,
    },
    /// Something failed, and what it had done by then could not be undone.
    #[error("{first}; what there is of it could not be removed: {undo}")]
    NotUndone {
        /// What failed first.
        first: Box<Error>,
        /// What failed then.
        undo: Box<Error>,
    },
    /// The image of `run --image`.
    #[error(transparent)]
    Image(#[from] aurora_convert::Error),
}

impl Error {
    pub(crate) fn io(what: impl Into<String>, source: io::Error) -> Self {
        Self::Io { what: what.into(), source }
    }

    /// Of something done with a path.
    pub(crate) fn at(path: &Path) -> impl Fn(io::Error) -> Self + use<> {
        let path = path.display().to_string();
        move |source| Self::io(path.clone(), source)
    }

    pub(crate) fn config(field: impl Into<String>, problem: impl Into<String>) -> Self {
        Self::Config { field: field.into(), problem: problem.into() }
    }

    /// The same after what was done was undone, or was not.
    pub fn after(self, undo: Result<()>) -> Self {
        match undo {
            Ok(()) => self,
            Err(undo) => Self::NotUndone { first: Box::new(self), undo: Box::new(undo) },
        }
    }

    /// What may be done about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::InvalidId(_) => Some("letters, digits, `_`, `+`, `-` and `.`, at most 1024 of them"),
            Self::Exists => Some("`runz list` shows it, `runz delete` removes it"),
            Self::NotStopped { .. } => Some("`runz delete --force` ends it first"),
            Self::NoBundle { .. } => Some("`imageadm unpack --bundle` makes one"),
            Self::NoZoneRoot { .. } => Some(
                "a zone's root is the folder root of a mounted dataset, as `imageadm unpack --bundle --zonepath` makes it there",
            ),
            Self::NoParent { .. } => {
                Some("`runz --dataset POOL/NAME` or RUNZ_DATASET names one that is for this")
            }
            Self::DatasetExists { .. } => Some("`zfs destroy` removes it, if nobody needs it"),
            Self::DatasetKept { .. } => {
                Some("`zfs destroy` or `zfs rename` it, and delete the container again")
            }
            Self::Unsupported { backend: "zones", what: "ps" } => {
                Some("`ps -fz` with the zone's name, which `zoneadm list` shows")
            }
            Self::Unsupported { backend: "zones", what: "update" } => {
                Some("`prctl -i zone` changes what a running zone may use")
            }
            Self::NotUndone { .. } => Some("`runz delete --force` tries again"),
            Self::Image(e) => e.hint(),
            _ => None,
        }
    }
}

/// The reason alone, without Rust's `(os error 2)`, as programs that read these texts expect it.
pub(crate) fn plain(e: &io::Error) -> String {
    let text = e.to_string();
    let text = text.split(" (os error").next().unwrap_or_default();
    match text.chars().next() {
        Some(first) if e.raw_os_error().is_some() => {
            first.to_lowercase().chain(text.chars().skip(1)).collect()
        }
        _ => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn messages_are_those_that_callers_know() {
        let no_file = || io::Error::from_raw_os_error(2);
        let cases = [
            (Error::NotExist, "container does not exist"),
            (Error::NoBundle { path: "/x".into(), source: no_file() }, "chdir /x: no such file or directory"),
            (
                Error::NotStopped { id: "a".into(), status: Status::Running },
                "cannot delete container a that is not stopped: running",
            ),
            (Error::io("open /x", no_file()), "open /x: no such file or directory"),
            (Error::io("x", io::Error::other("Odd")), "x: Odd"),
            (
                Error::Hook { kind: crate::HookKind::Poststart, number: 0, problem: "exit status 1".into() },
                "error running poststart hook #0: exit status 1",
            ),
        ];
        for (e, want) in cases {
            assert_eq!(e.to_string(), want);
        }
    }
}
