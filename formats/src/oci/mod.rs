//! OCI and Docker image documents, and the names that layers are made of. Nothing here hashes or reads files.
//!
//! A document that was read is a [`Raw`]: its bytes are kept and forwarded untouched, because somebody has named
//! them by their digest; only its `value` is looked at. Documents made here go through [`json::canonical`].

pub mod chain;
pub mod config;
pub mod descriptor;
pub mod docker_archive;
mod error;
pub mod index;
pub mod json;
pub mod layout;
pub mod manifest;
pub mod media;
pub mod reference;
pub mod whiteout;

pub use config::{Config, History};
pub use descriptor::{Annotations, Descriptor, PlatformSpec};
pub use error::OciError;
pub use index::Index;
pub use manifest::Manifest;

/// A document as it was read: its bytes, and what they mean.
#[derive(Debug, Clone, PartialEq)]
pub struct Raw<T> {
    /// Untouched.
    pub bytes: Vec<u8>,
    /// Read from them.
    pub value: T,
}
