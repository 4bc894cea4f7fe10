//! Any image to any form.
//!
//! A [`source`] reads an image into a [`Lineage`]: a chain of [`tree::Tree`]s whose contents are slices of
//! bodies. A [`sink`] writes a lineage in its own form. N readers and M writers, never N × M converters.
#![forbid(unsafe_code)]

pub mod bundle;
pub mod content;
mod ctx;
mod error;
mod fidelity;
pub mod image;
pub mod imgapi;
mod interrupt;
mod lineage;
pub mod migrate;
pub mod names;
pub mod ops;
mod records;
pub mod registry;
pub mod sink;
pub mod source;
pub mod store;
mod transfer;
pub mod tree;

pub use ctx::{
    Cancel, ClientOptions, Counter, Ctx, DEFAULT_MAX_DECODED, DEFAULT_MEMORY, NoProgress, Options, Progress,
    RateLimit, Trust,
};
pub use error::{Error, ErrorKind, Location, Result};
pub use fidelity::{Loss, LossKind};
pub use lineage::{Layers, Lineage, Loaded, Snapshot, Step, Volume};
