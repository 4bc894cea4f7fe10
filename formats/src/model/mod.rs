//! The vocabulary that every format speaks: paths, metadata, entries, whiteouts.

mod entry;
mod path;
mod time;

pub use entry::{Change, Device, Entry, Metadata, Node, Owner, Xattrs};
pub use path::{EntryPath, MAX_COMPONENT, MAX_DEPTH, MAX_PATH, PathError, escape_listing};
pub use time::Timestamp;
