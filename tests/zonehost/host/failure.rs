//! Why a program ends with another status than 0.

/// What is said on standard error, and the status.
#[derive(Debug)]
pub(crate) struct Failure {
    pub(crate) status: u8,
    pub(crate) message: String,
}

pub(crate) type Result<T, E = Failure> = std::result::Result<T, E>;

impl Failure {
    /// What was asked for can't be done.
    pub(crate) fn error(message: impl Into<String>) -> Self {
        Self { status: 1, message: message.into() }
    }

    /// It was asked for in the wrong words.
    pub(crate) fn usage(message: impl Into<String>) -> Self {
        Self { status: 2, message: message.into() }
    }

    /// A call to Linux has failed: the stand-in's own trouble, marked as such.
    pub(crate) fn linux(what: &str, source: &std::io::Error) -> Self {
        Self::error(format!("zonehost: {what}: {source}"))
    }
}
