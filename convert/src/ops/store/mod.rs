//! The local store: its images, its names, and the room they take.

mod dedup;
mod du;
mod fsck;
mod gc;
mod list;
mod tag;

pub use dedup::{Deduplicated, KeptBlob, KeptReason, dedup, undo_dedup};
pub use du::{ImageUsage, Usage, du};
pub use fsck::{Checkup, fsck};
pub use gc::{Collected, gc};
pub use list::{StoredImage, list};
pub use tag::{Renamed, remove, tag, untag};

use crate::names::ImageName;
use crate::store::StoredName;
use crate::{Error, Result};

/// The name in the store; other names are usage errors.
fn stored(name: &ImageName) -> Result<&StoredName> {
    match name {
        ImageName::Stored(name) => Ok(name),
        other => Err(Error::usage(format!("{other} is not in the local store; names there are NAME[:TAG]"))),
    }
}
