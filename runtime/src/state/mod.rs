//! What is known of a container between one command and the next.

mod dir;
mod lock;
mod tree;

use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use crate::OCI_VERSION;

pub use dir::default_root;
pub(crate) use dir::{PRIVATE, StateDir, ids, make_root, sweep};
pub(crate) use lock::{LockFile, Mode};
pub(crate) use tree::remove_tree;

/// What a container is doing, as everyone may know.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Its environment is being made.
    Creating,
    /// Its program waits for `start`.
    Created,
    /// Its program runs.
    Running,
    /// Its program is held.
    Paused,
    /// Its program has ended.
    Stopped,
}

impl fmt::Display for Status {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Creating => "creating",
            Self::Created => "created",
            Self::Running => "running",
            Self::Paused => "paused",
            Self::Stopped => "stopped",
        })
    }
}

/// What was meant last; what is, is asked of the backend.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Phase {
    /// `create` has begun.
    Creating,
    /// `create` has ended.
    Created,
    /// `start` has begun.
    Started,
}

/// A process that is not another one of the same number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProcessId {
    /// Its number.
    pub pid: i32,
    /// When it began, in the system's own unit.
    pub start: u64,
}

/// `state.json` of a container's directory.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct Record {
    /// Of this document.
    pub version: u32,
    /// The container.
    pub id: String,
    /// Which backend made it.
    pub backend: String,
    /// How far it was to go.
    pub phase: Phase,
    /// Its first process.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<ProcessId>,
    /// Where its bundle is.
    pub bundle: PathBuf,
    /// Where its root file system is.
    pub rootfs: PathBuf,
    /// When `create` was called (RFC 3339).
    pub created: String,
    /// Who has called it.
    pub owner: String,
    /// Those of the config.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Whether systemd was to be asked for control groups.
    #[serde(default)]
    pub systemd: bool,
    /// What has to be undone: written before it is done, undone from the last to the first.
    #[serde(default)]
    pub undo: Vec<String>,
}

impl Record {
    /// Written by this version of the program.
    pub const VERSION: u32 = 1;
}

/// What `state` prints, and hooks are given.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seen {
    /// Of the specification.
    pub oci_version: String,
    /// The container.
    pub id: String,
    /// Its first process on the host; 0 where there is none any more.
    pub pid: i32,
    /// What it does.
    pub status: Status,
    /// Where its bundle is.
    pub bundle: PathBuf,
    /// Where its root file system is.
    pub rootfs: PathBuf,
    /// When it was made.
    pub created: String,
    /// What its config says of it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    /// Who has made it.
    pub owner: String,
}

impl Seen {
    pub(crate) fn new(record: &Record, status: Status) -> Self {
        let alive = !matches!(status, Status::Stopped);
        Self {
            oci_version: OCI_VERSION.to_owned(),
            id: record.id.clone(),
            pid: record.process.filter(|_| alive).map_or(0, |process| process.pid),
            status,
            bundle: record.bundle.clone(),
            rootfs: record.rootfs.clone(),
            created: record.created.clone(),
            annotations: record.annotations.clone(),
            owner: record.owner.clone(),
        }
    }
}
