//! The local store: an OCI image layout whose blobs are named by digest, with a side directory for what aurora knows
//! about them. See `FORMAT.md`, "Store".
//!
//! A [`Store`] keeps bytes and knows no document: which blobs an image needs, and what `index.json` says, is for its
//! caller, who reads and replaces that file through [`Store::update`].

mod check;
mod error;
mod ingest;
mod landing;
mod local;
mod meta;
mod record;
mod sweep;
pub mod thin;

pub use check::{BlobFault, Checked};
pub use error::StoreError;
pub use ingest::Upload;
pub use landing::Landing;
pub use local::{Access, Store};
pub use record::{BlobFacts, Memo};
pub use sweep::{SweepOptions, Swept};

/// Shorthand.
pub type Result<T, E = StoreError> = std::result::Result<T, E>;

#[cfg(test)]
mod tests;
