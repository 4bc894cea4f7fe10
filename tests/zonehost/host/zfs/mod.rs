//! zfs(8), as far as runtimes go: file systems, snapshots, clones, and their properties.

mod commands;
mod dataset;
mod print;

pub(crate) use commands::zfs;
pub(crate) use dataset::{Dataset, destroy_all, make_pool, mounted_at, receive};
