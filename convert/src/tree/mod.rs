//! Trees: names and inodes, resolved. The same code serves every source and every sink.

mod apply;
mod diff;
mod inode;
mod listing;
mod place;

pub use apply::{Changeset, FileChange, TreeError, apply};
pub use diff::{Diff, diff};
pub use inode::{Inode, InodeId, Kind, Name, Tree};
pub use listing::{ListOptions, Row, rows};
