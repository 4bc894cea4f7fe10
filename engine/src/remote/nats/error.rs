//! What goes wrong with a queue.

use std::io;

/// Why a request to the queue failed.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum NatsError {
    /// Not an address.
    #[error("a queue is nats://[USER[:PASSWORD]@]HOST[:PORT]: {0}")]
    Address(String),
    /// No connection, or one that broke, or nothing came in time. It may go well the next time.
    #[error("{address}: {source}")]
    Io {
        /// Host and port.
        address: String,
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// Not what the protocol has.
    #[error("{address}: not as NATS answers: {reason}")]
    Protocol {
        /// Host and port.
        address: String,
        /// What is wrong.
        reason: String,
    },
    /// The server's own error, which ends the connection.
    #[error("{address}: the server says: {message}")]
    Refused {
        /// Host and port.
        address: String,
        /// Its words, shortened.
        message: String,
    },
    /// Nobody answers requests of this kind: the server runs without JetStream.
    #[error("{address}: no JetStream (nats-server --jetstream)")]
    NoJetStream {
        /// Host and port.
        address: String,
    },
    /// JetStream's error.
    #[error("{subject}: the queue says {code}: {description}")]
    Api {
        /// What was asked.
        subject: String,
        /// Its number.
        code: u64,
        /// Its words, shortened.
        description: String,
    },
    /// Somebody else has written this key meanwhile.
    #[error("{key}: somebody else was faster")]
    Conflict {
        /// Which.
        key: String,
    },
    /// The work is to stop.
    #[error("interrupted")]
    Stopped,
}

impl NatsError {
    /// Whether it may go well the next time, over another connection.
    pub fn is_passing(&self) -> bool {
        matches!(self, Self::Io { .. } | Self::Protocol { .. })
    }

    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Io { .. } => Some("is nats-server there, and reachable?"),
            Self::NoJetStream { .. } => Some("start it with --jetstream and --store_dir DIR"),
            _ => None,
        }
    }
}
