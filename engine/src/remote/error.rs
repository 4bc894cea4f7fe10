//! Why nothing, or not all, came from a server.

use std::io;

/// A request that failed for good: what may pass by itself has been tried again before. URLs in messages have no
/// user and no password.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RemoteError {
    /// No connection, or one that broke, or an answer that is no HTTP.
    #[error("{url}: {reason}")]
    Transport {
        /// What was asked for.
        url: String,
        /// In the words of the library that failed.
        reason: String,
    },
    /// The server sends on in circles, or too far.
    #[error("{url}: redirected more than {limit} times")]
    Redirects {
        /// What was asked for.
        url: String,
        /// Allowed.
        limit: u32,
    },
    /// The server answered, but not with what was asked for.
    #[error("{url}: the server says {status}{}", said(message))]
    Status {
        /// What was asked for.
        url: String,
        /// The number.
        status: u16,
        /// What it says about it, shortened.
        message: String,
        /// The body as it came, bounded.
        body: Vec<u8>,
    },
    /// The server asks to come back later than anyone wants to wait.
    #[error("{url}: the server is busy and asks to wait for seconds: {seconds}")]
    Busy {
        /// What was asked for.
        url: String,
        /// How long.
        seconds: u64,
    },
    /// A document beyond what is read.
    #[error("{url}: the answer has more bytes than {limit}")]
    TooLarge {
        /// What was asked for.
        url: String,
        /// Allowed.
        limit: u64,
    },
    /// A file whose announced length is not the one it must have.
    #[error("{url}: the file must have {expected} bytes, the server announces {actual}")]
    Length {
        /// What was asked for.
        url: String,
        /// From whoever promised the file.
        expected: u64,
        /// From the server.
        actual: u64,
    },
    /// More bytes than the file has; no more than one of them was taken.
    #[error("{url}: the file must have {expected} bytes, the server sends more")]
    TooLong {
        /// What was asked for.
        url: String,
        /// From whoever promised the file.
        expected: u64,
    },
    /// The download broke off again and again.
    #[error("{url}: broke off after {at} bytes: {reason}")]
    Cut {
        /// What was asked for.
        url: String,
        /// How far it came.
        at: u64,
        /// The last reason.
        reason: String,
    },
    /// What came could not be kept.
    #[error("cannot write what is downloaded: {source}")]
    Write {
        /// The system's word.
        #[source]
        source: io::Error,
    },
    /// The server's certificate is not believed, or the server speaks no TLS.
    #[error("{url}: no trusted connection: {reason}")]
    Certificate {
        /// What was asked for.
        url: String,
        /// In the words of the library that failed.
        reason: String,
    },
    /// Certificates to trust that can't be used.
    #[error("{what}: {path}: {reason}")]
    Roots {
        /// What names the file: `SSL_CERT_FILE`, or an option.
        what: &'static str,
        /// The file.
        path: String,
        /// Why not.
        reason: String,
    },
    /// Stopped by the caller.
    #[error("stopped")]
    Stopped,
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

impl RemoteError {
    /// Whether the server has another file than the one that was promised.
    pub fn is_wrong_file(&self) -> bool {
        matches!(self, Self::Length { .. } | Self::TooLong { .. })
    }

    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Transport { .. } => Some(
                "is the server reachable? HTTPS_PROXY and NO_PROXY set a proxy, SSL_CERT_FILE certificates to trust",
            ),
            Self::Certificate { .. } => Some(
                "SSL_CERT_FILE names certificates to trust; of a registry, --ca does too, and --insecure trusts any or none",
            ),
            Self::Status { status: 401 | 403, .. } => {
                Some("the server wants a user: https://USER:PASSWORD@HOST/…")
            }
            Self::Status { status: 500..=599, .. } | Self::Busy { .. } => {
                Some("the server has a problem of its own; try again later")
            }
            Self::Length { .. } | Self::TooLong { .. } => {
                Some("the server's file is not the one its manifest means")
            }
            Self::Cut { .. } => Some("try again: what is there will be used"),
            _ => None,
        }
    }
}
