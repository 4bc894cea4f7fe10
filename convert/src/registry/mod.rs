//! Registries (OCI distribution-spec 1.1): names, who asks, manifests and blobs in both directions.
//!
//! A `Remote` is one repository of one registry. What it gives is verified against the digest that led there before
//! anything bears its name; what is sent is in the registry before whatever names it.

mod catalog;
mod challenge;
mod conf;
mod credentials;
mod error;
mod name;
mod pull;
mod push;
mod referrers;
mod remote;
mod tags;
mod token;

use std::path::PathBuf;

pub use conf::{Endpoint, RegistriesConf};
pub use credentials::{CredentialFiles, Secret, credential_key};
pub use error::RegistryError;
pub use name::{RegistryName, RegistryNameError};
pub(crate) use push::Sent;
pub(crate) use referrers::fallback_tag;
pub(crate) use remote::{Purpose, Remote};

/// How registries are talked to.
#[derive(Debug, Clone)]
pub struct RegistryOptions {
    /// Where users and passwords are.
    pub credentials: CredentialFiles,
    /// `registries.conf`: the first of these files that is there.
    pub conf: Vec<PathBuf>,
    /// `registries.conf.d`: folders of more such files.
    pub conf_folders: Vec<PathBuf>,
    /// Any certificate will do, and none will, too.
    pub insecure: bool,
    /// Blobs moved at once.
    pub jobs: usize,
    /// Bytes of a blob sent at once: larger ones go in pieces, which can be sent again one by one.
    pub chunk: u64,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        Self {
            credentials: CredentialFiles::default(),
            conf: Vec::new(),
            conf_folders: Vec::new(),
            insecure: false,
            jobs: 4,
            chunk: 32 << 20,
        }
    }
}
