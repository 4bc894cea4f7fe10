//! Thin blobs: a recipe, the encoding that packs what it makes, and contents that many blobs have in common. The bytes
//! of a thin blob are made again whenever they are read. See `FORMAT.md`, "Thin blobs".
//!
//! What is in a container, and where its contents begin, is for the caller to know, who splits it into [`Pieces`].

mod contents;
mod encoding;
mod record;
mod restore;
mod room;
mod thinner;

pub use contents::Contents;
pub(super) use contents::ContentsRecord;
pub use encoding::Encoding;
pub(super) use record::ThinRecord;
pub use record::{BodyKind, BodyRef};
pub(super) use restore::Made;
pub use room::ThinRoom;
pub use thinner::{Outcome, Pieces};

/// The name of the feature in `meta.json`: with a thin blob, who does not know them can't read the store.
pub(super) const FEATURE: &str = "thin";

#[cfg(test)]
mod tests;
