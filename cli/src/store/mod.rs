//! The commands of the local store.

mod args;
mod place;
mod report;
mod table;

pub(crate) use args::{Dedup, Du, Fsck, Gc, List, Rm, Tag, Untag};
pub(crate) use place::default_store;
pub(crate) use report::{dedup, du, fsck, gc, list, rm, tag, untag};
