//! The local store as images see it: names in `index.json`, documents, and which blobs an image needs. The bytes are
//! [`aurora_engine::store`]'s.

mod local;
mod name;
mod originals;
mod reach;
mod refs;
mod split;

pub(crate) use local::{Local, dir};
pub use name::{StoredName, StoredNameError};
pub(crate) use originals::{NO_CONFIG, Original, Originals, artifact};
pub(crate) use reach::{Reach, RefFaultKind, Walk};
pub(crate) use refs::{Entry, Refs};
pub(crate) use split::split;
