//! What is wrong with a document, and where in it.

use super::whiteout::WhiteoutError;

/// Why a document can't be read, or what it lies about. `document` names it (`index.json`, or its digest); `path` is
/// the place in it as a JSON path.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// Larger than any real document: refused before it is read.
    #[error("{document} is larger than {limit} bytes: {actual}")]
    TooLarge {
        /// Which.
        document: String,
        /// Bytes allowed.
        limit: u64,
        /// Bytes found.
        actual: u64,
    },
    /// No JSON.
    #[error("{document} is no JSON at {offset:#x}: {message}")]
    Json {
        /// Which.
        document: String,
        /// Byte.
        offset: u64,
        /// What the parser says.
        message: String,
    },
    /// A member that must be there is missing.
    #[error("{document} lacks {path}")]
    Missing {
        /// Which.
        document: String,
        /// The member.
        path: String,
    },
    /// A member is of another type than the specification says.
    #[error("{document}: {path} must be {expected}, found {actual}")]
    Type {
        /// Which.
        document: String,
        /// The member.
        path: String,
        /// What it should be.
        expected: &'static str,
        /// What it is.
        actual: &'static str,
    },
    /// A member has a value that it may not have.
    #[error("{document}: {path} must be {expected}, found {actual:?}")]
    Value {
        /// Which.
        document: String,
        /// The member.
        path: String,
        /// What is allowed.
        expected: &'static str,
        /// What it is.
        actual: String,
    },
    /// More of something than any real image has.
    #[error("{document}: {path} has more than {limit} elements: {actual}")]
    TooMany {
        /// Which.
        document: String,
        /// The member.
        path: String,
        /// How many are allowed.
        limit: usize,
        /// How many there are.
        actual: usize,
    },
    /// A digest that is not `algorithm:encoded`, or of the wrong length, or not lower-case hex.
    #[error("{document}: {path} is no digest: {text:?}")]
    Digest {
        /// Which.
        document: String,
        /// The member.
        path: String,
        /// What stands there.
        text: String,
    },
    /// A well-formed digest of an algorithm that can't be checked here.
    #[error("digest of an unknown algorithm (sha256 and sha512 are known): {text}")]
    DigestAlgorithm {
        /// The digest.
        text: String,
    },
    /// A manifest of Docker's first schema.
    #[error(
        "{document} is a Docker manifest of schema 1, which no tool writes any more; push the image anew with a current one"
    )]
    Schema1 {
        /// Which.
        document: String,
    },
    /// A document that is a manifest and an index at once: which of the two a reader sees depends on the reader.
    #[error("{document} has both `manifests` and `layers`")]
    BothKinds {
        /// Which.
        document: String,
    },
    /// The document's `mediaType` is not what the descriptor that led to it says.
    #[error("{document}: mediaType must be {expected} as its descriptor says, found {actual}")]
    MediaType {
        /// Which.
        document: String,
        /// The descriptor's.
        expected: String,
        /// The document's.
        actual: String,
    },
    /// A layer that is no kind of tar.
    #[error("layer {number} has an unknown media type: {media_type:?}")]
    LayerMediaType {
        /// From 1.
        number: usize,
        /// What the manifest says.
        media_type: String,
    },
    /// Manifest and config disagree about the number of layers.
    #[error("the manifest has {layers} layers, the config's rootfs.diff_ids: {diff_ids}")]
    DiffIdCount {
        /// In the manifest.
        layers: usize,
        /// In the config.
        diff_ids: usize,
    },
    /// A file of the layout or archive is not there.
    #[error("missing from the layout: {path}")]
    MissingFile {
        /// Inside the layout.
        path: String,
    },
    /// A layout version nobody has defined.
    #[error("oci-layout has an unknown imageLayoutVersion: {version:?}")]
    LayoutVersion {
        /// What it says.
        version: String,
    },
    /// A blob's embedded copy in its descriptor is not of the size that the descriptor says.
    #[error("{document}: {path} decodes to {actual} bytes, its descriptor says {expected}")]
    EmbeddedSize {
        /// Which.
        document: String,
        /// The member.
        path: String,
        /// The descriptor's `size`.
        expected: u64,
        /// Bytes decoded.
        actual: u64,
    },
    /// Indexes within indexes beyond any use.
    #[error("indexes are nested deeper than {limit}")]
    Nesting {
        /// How deep they may be.
        limit: usize,
    },
    /// A text that is no reference name.
    #[error("no reference name: {0:?}")]
    Reference(String),
    /// A layer's whiteout that is none.
    #[error(transparent)]
    Whiteout(#[from] WhiteoutError),
}
