//! Why a manifest can't be read.

use super::UuidError;

/// Why a document is no manifest, or one of its fields can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SmartosError {
    /// Larger than any real manifest.
    #[error("manifest is larger than {limit} bytes: {actual}")]
    TooLarge {
        /// Allowed.
        limit: usize,
        /// Found.
        actual: usize,
    },
    /// Not JSON.
    #[error("manifest is no JSON: {reason} at byte {offset:#x}")]
    Json {
        /// Where in the document.
        offset: usize,
        /// What the JSON reader says.
        reason: String,
    },
    /// JSON, but no object.
    #[error("manifest is no JSON object: found {actual}")]
    NotAnObject {
        /// The kind of value there is.
        actual: &'static str,
    },
    /// Neither version 2 nor the old form.
    #[error("manifest has no field \"v\", and no \"creator_uuid\" by which the old form is known")]
    NoVersion,
    /// A version that nobody has defined.
    #[error("manifest field \"v\" is not 2: {actual}")]
    Version {
        /// As it stands there.
        actual: String,
    },
    /// A field that is needed is not there.
    #[error("manifest has no field: {field}")]
    Missing {
        /// Its name.
        field: &'static str,
    },
    /// A field has another type or form than it must have.
    #[error("manifest field {field} is not {expected}: {actual}")]
    Field {
        /// Its name, dotted.
        field: String,
        /// What it must be.
        expected: &'static str,
        /// As it stands there, shortened.
        actual: String,
    },
    /// A uuid is none.
    #[error("manifest field {field}: {source}")]
    Uuid {
        /// Its name.
        field: &'static str,
        /// Why.
        #[source]
        source: UuidError,
    },
    /// Layers are named by SHA-256 here, by nothing else.
    #[error("layer digest is not sha256: {actual}")]
    LayerDigest {
        /// The digest.
        actual: String,
    },
    /// A docker layer's manifest needs the time its image was made.
    #[error("image config has no usable \"created\": {actual}")]
    Created {
        /// As it stands there.
        actual: String,
    },
}
