//! OCI documents and the names that layers are made of.

pub mod whiteout;

/// Why a document can't be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum OciError {
    /// A layer's whiteout that is none.
    #[error(transparent)]
    Whiteout(#[from] whiteout::WhiteoutError),
}
