//! QEMU's copy-on-write disk, versions 2 and 3 (QEMU `docs/interop/qcow2.txt`).
//!
//! A disk is cut into clusters. An L1 table points to L2 tables, each a cluster of entries, and these to where in
//! the file a cluster's bytes are, if there are any. All numbers are big-endian.

mod build;
mod cluster;
mod error;
mod header;

pub use build::{CLUSTER_BITS, Counts, Layout, refcount_block};
pub use cluster::{Cluster, l1_entry, l2_entry};
pub use error::Qcow2Error;
pub use header::{CompressionType, HEADER_MAX, Header, is_qcow2};
