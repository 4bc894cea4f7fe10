//! What the integration tests share: the corpus, conversions in one call, listings compared, trees built by hand.
//!
//! Equality of trees is equality of listings, so that a failure reads as a difference of lines.
#![allow(clippy::unwrap_used)]

mod corpus;
mod fault_server;
mod listing;
mod run;
mod tree;

pub use corpus::{Stream, corpus, gunzip, quirk_tags, streams};
pub use fault_server::{Fault, FaultServer};
pub use listing::{assert_same, differences, from_guest, list, read_rows};
pub use run::{Run, error_of};
pub use tree::Files;
