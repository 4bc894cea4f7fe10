//! Trees: names and inodes, resolved. The same code serves every source and every sink.

mod apply;
mod diff;
pub mod exclude;
pub(crate) mod ids;
mod inode;
mod listing;
pub mod owners;
pub mod place;
mod resolve;
pub mod volumes;

pub use apply::{Changeset, FileChange, TreeError, apply, default_directory};
pub use diff::{Diff, diff, is_same};
pub use inode::{Inode, InodeId, Kind, Name, Tree};
pub(crate) use listing::is_of_the_host;
pub use listing::{ListOptions, Row, rows, rows_where, sha256};
