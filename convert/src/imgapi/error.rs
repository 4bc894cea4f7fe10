//! What image servers do wrong.

use aurora_formats::smartos::{SmartosError, Uuid};

/// An answer that is none, or a refusal.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ImgapiError {
    /// Something answers, but no image server.
    #[error("{url}: no image server: {reason}")]
    NotImgapi {
        /// What was asked for.
        url: String,
        /// By what one can tell.
        reason: &'static str,
    },
    /// Not the document that it should be.
    #[error("{url}: {source}")]
    Answer {
        /// What was asked for.
        url: String,
        /// Why.
        #[source]
        source: SmartosError,
    },
    /// The server's own error.
    #[error("{url}: the server says {code}: {message}")]
    Refused {
        /// What was asked for.
        url: String,
        /// HTTP's number.
        status: u16,
        /// IMGAPI's word.
        code: String,
        /// What it says about it, shortened.
        message: String,
    },
    /// The manifest of another image.
    #[error("{url}: the manifest is of another image: {found}")]
    OtherImage {
        /// What was asked for.
        url: String,
        /// Which one it is of.
        found: Uuid,
    },
    /// The bytes are not those that the server says it sends.
    #[error("file does not match its Content-MD5: expected {expected}, found {actual}")]
    Md5 {
        /// From the server, base64.
        expected: String,
        /// Of the bytes.
        actual: String,
    },
    /// An image that can't be fetched, or not be used.
    #[error("{uuid} at {url}: {reason}")]
    Unusable {
        /// Which.
        uuid: Uuid,
        /// The server.
        url: String,
        /// Why.
        reason: String,
    },
    /// Nothing tells whether the file is the right one.
    #[error("{url}: neither manifest nor server has a checksum of the file")]
    Unverifiable {
        /// What was asked for.
        url: String,
    },
    /// Listing comes to no end.
    #[error("{url}: the list has no end: the page after {marker} brings nothing new")]
    NoProgress {
        /// What was asked for.
        url: String,
        /// The last image of the page before.
        marker: Uuid,
    },
    /// Origins lead in a circle.
    #[error("origins lead in a circle, back to {0}")]
    Circle(Uuid),
}

impl ImgapiError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::NotImgapi { .. } | Self::Answer { .. } => {
                Some("is the URL that of an image server, as https://images.smartos.org is?")
            }
            Self::Refused { status: 401 | 403, .. } => {
                Some("the server wants a user: https://USER:PASSWORD@HOST/…")
            }
            Self::OtherImage { .. } | Self::Md5 { .. } | Self::Circle(_) => {
                Some("the server is damaged or hostile; try another source")
            }
            _ => None,
        }
    }
}
