//! What the integration tests share: the corpus, conversions in one call, listings compared, trees built by hand.
//!
//! Equality of trees is equality of listings, so that a failure reads as a difference of lines.
#![allow(clippy::unwrap_used)]

mod corpus;
mod fault_server;
mod http;
mod listing;
mod no_wait;
mod registry_server;
mod run;
mod tree;

pub use corpus::{Stream, corpus, gunzip, quirk_tags, streams};
pub use fault_server::FaultServer;
pub use http::{Fault, HttpServer, Reply, Request};
pub use listing::{assert_same, differences, from_guest, list, read_rows};
pub use no_wait::NoWait;
pub use registry_server::{Door, RegistryServer};
pub use run::{Run, error_of};
pub use tree::Files;
