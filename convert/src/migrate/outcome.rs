//! What became of an image, and why.

use std::io;

use aurora_engine::remote::RemoteError;
use aurora_formats::zfs::ZfsError;
use serde::{Deserialize, Serialize};

use super::How;
use crate::imgapi::ImgapiError;
use crate::registry::RegistryError;
use crate::{Error, ErrorKind};

/// Losses of one image that are kept: the first ones say what kind of image it is.
const MAX_LOSSES: usize = 20;

/// What became of one image: a record of the journal.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Outcome {
    /// Which image.
    pub id: String,
    /// Its name and version, for people.
    pub name: String,
    /// Where it is now, or was to go.
    pub to: String,
    /// What was done.
    pub how: How,
    /// How it ended.
    pub result: Ended,
    /// Digest of what stands for it at the target, where that has one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub digest: Option<String>,
    /// What it was made of: the SHA-1 of its file, or the digest of its manifest.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub of: Option<String>,
    /// Bytes of its file as it was at the source.
    #[serde(default)]
    pub before: u64,
    /// Bytes of it at the target, with those that it shares with others.
    #[serde(default)]
    pub after: u64,
    /// Bytes that were sent to the target.
    #[serde(default)]
    pub sent: u64,
    /// Seconds.
    #[serde(default)]
    pub seconds: f64,
    /// What the target does not hold, the first ones.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub losses: Vec<String>,
    /// How many there are in all.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub lost: usize,
}

fn is_zero(n: &usize) -> bool {
    *n == 0
}

/// How it ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase", tag = "state")]
pub enum Ended {
    /// It is at the target.
    Done,
    /// It was there before: nobody had to do anything.
    There,
    /// It is not.
    Failed {
        /// Of which kind the reason is.
        cause: Cause,
        /// The reason, with its place.
        message: String,
        /// What may be done about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        hint: Option<String>,
    },
}

/// Kinds of reasons; their names stand in journals and reports.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cause {
    /// The image is not what its own checksums and manifest say, or is no valid stream.
    Damaged,
    /// Something is not where it should be.
    Missing,
    /// What it builds on was not migrated.
    Origin,
    /// The target, or aurora, has no place for such an image.
    Unsupported,
    /// Something would be lost, and that was forbidden.
    Lossy,
    /// What stands at the target is something else.
    Conflict,
    /// A server could not be reached, or broke off.
    Unreachable,
    /// A server does not let us.
    Refused,
    /// No room, or no right, on this machine.
    Disk,
    /// Anything else.
    Other,
}

impl Cause {
    /// As it stands in journals.
    pub fn name(self) -> &'static str {
        match self {
            Self::Damaged => "damaged",
            Self::Missing => "missing",
            Self::Origin => "origin",
            Self::Unsupported => "unsupported",
            Self::Lossy => "lossy",
            Self::Conflict => "conflict",
            Self::Unreachable => "unreachable",
            Self::Refused => "refused",
            Self::Disk => "disk",
            Self::Other => "other",
        }
    }

    /// Whether the same image will fail again for the same reason, so that only `retry` tries it.
    pub fn is_lasting(self) -> bool {
        matches!(self, Self::Damaged | Self::Missing | Self::Unsupported | Self::Lossy | Self::Conflict)
    }

    /// Whether every other image would fail for the same reason, so that there is no use in going on.
    pub fn is_everyones(self) -> bool {
        matches!(self, Self::Unreachable | Self::Refused | Self::Disk)
    }

    /// Of an error.
    pub(crate) fn of(error: &Error) -> Self {
        use aurora_engine::store::StoreError;
        match error.kind() {
            ErrorKind::Fetch(e) => Self::of(&e.0),
            ErrorKind::Remote(e) => Self::of_remote(e),
            ErrorKind::Imgapi(e) => Self::of_imgapi(e),
            ErrorKind::Registry(RegistryError::Status { status, .. }) => match status {
                500.. => Self::Unreachable,
                429 => Self::Refused,
                _ => Self::Unsupported,
            },
            ErrorKind::Registry(_) => Self::Refused,
            ErrorKind::NoSuchImage(_) => Self::Missing,
            ErrorKind::Unsupported(_)
            | ErrorKind::NotAFilesystem(_)
            | ErrorKind::Usage(_)
            | ErrorKind::Ambiguous { .. } => Self::Unsupported,
            ErrorKind::Lossy(_) => Self::Lossy,
            ErrorKind::Exists(_) => Self::Conflict,
            ErrorKind::Io { source, .. } => Self::of_io(source),
            ErrorKind::Store(StoreError::Io { source, .. }) => Self::of_io(source),
            ErrorKind::Command(_)
            | ErrorKind::Interrupted
            | ErrorKind::Plan(_)
            | ErrorKind::Journal(_)
            | ErrorKind::Queue(_) => Self::Other,
            ErrorKind::Zfs(
                ZfsError::OracleSolaris { .. }
                | ZfsError::UnknownFeatures { .. }
                | ZfsError::Encrypted { .. }
                | ZfsError::Redacted { .. }
                | ZfsError::Resuming { .. },
            ) => Self::Unsupported,
            // What it builds on is nowhere.
            ErrorKind::Zfs(ZfsError::MissingBase { .. }) => Self::Missing,
            _ => Self::Damaged,
        }
    }

    fn of_remote(error: &RemoteError) -> Self {
        match error {
            RemoteError::Status { status: 401 | 403, .. } => Self::Refused,
            RemoteError::Status { status: 404 | 410, .. } => Self::Missing,
            // The server has the file, and it is another one than its manifest says.
            RemoteError::Length { .. } | RemoteError::TooLong { .. } => Self::Damaged,
            RemoteError::Write { source } => Self::of_io(source),
            _ => Self::Unreachable,
        }
    }

    fn of_imgapi(error: &ImgapiError) -> Self {
        match error {
            ImgapiError::Refused { status: 404 | 410, .. } => Self::Missing,
            ImgapiError::Refused { status: 500.., .. } => Self::Unreachable,
            ImgapiError::Refused { .. } => Self::Refused,
            ImgapiError::Unusable { .. } => Self::Unsupported,
            _ => Self::Damaged,
        }
    }

    fn of_io(error: &io::Error) -> Self {
        match error.kind() {
            io::ErrorKind::StorageFull
            | io::ErrorKind::QuotaExceeded
            | io::ErrorKind::ReadOnlyFilesystem
            | io::ErrorKind::PermissionDenied => Self::Disk,
            io::ErrorKind::NotFound => Self::Missing,
            _ => Self::Other,
        }
    }
}

impl Outcome {
    /// Whether the image is at the target.
    pub fn is_done(&self) -> bool {
        matches!(self.result, Ended::Done | Ended::There)
    }

    /// Why it is not.
    pub fn cause(&self) -> Option<Cause> {
        match &self.result {
            Ended::Failed { cause, .. } => Some(*cause),
            _ => None,
        }
    }

    /// Notes what was lost.
    pub(super) fn with_losses(mut self, losses: &[crate::Loss]) -> Self {
        let serious = || losses.iter().filter(|loss| loss.is_serious());
        self.lost = serious().count();
        self.losses = serious().take(MAX_LOSSES).map(ToString::to_string).collect();
        self
    }
}

impl Ended {
    /// Of an error.
    pub(super) fn failed(error: &Error) -> Self {
        let hint = error.hint().map(str::to_owned);
        Self::Failed { cause: Cause::of(error), message: error.to_string(), hint }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn causes_tell_what_lasts_and_what_concerns_all() {
        let url = || "http://h/x".to_owned();
        let status =
            |status| RemoteError::Status { url: url(), status, message: String::new(), body: Vec::new() };
        let io = |kind: std::io::ErrorKind| Error::io("x", kind.into());
        let cases: Vec<(Error, Cause)> = vec![
            (ErrorKind::NoSuchImage("x".into()).into(), Cause::Missing),
            (aurora_formats::zfs::ZfsError::EmptyPackage.into(), Cause::Damaged),
            (Error::from(ErrorKind::from(status(503))), Cause::Unreachable),
            (Error::from(ErrorKind::from(status(401))), Cause::Refused),
            (Error::from(ErrorKind::from(status(404))), Cause::Missing),
            (io(std::io::ErrorKind::StorageFull), Cause::Disk),
            (ErrorKind::Unsupported("x".into()).into(), Cause::Unsupported),
        ];
        for (error, want) in cases {
            let cause = Cause::of(&error);
            assert_eq!(cause, want, "{error}");
            assert!(!(cause.is_lasting() && cause.is_everyones()), "{error}");
        }
    }
}
