//! The program as scripts see it: exit status, standard output, standard error, what is left on disk.

mod crashes;
mod datasets;
mod documents;
mod exits;
#[path = "../src/fault_server.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "it belongs to another package, which exports and uses all of it"
)]
mod fault_server;
#[path = "../src/http.rs"]
#[allow(
    unreachable_pub,
    dead_code,
    clippy::unwrap_used,
    reason = "it belongs to another package, which exports and uses all of it"
)]
mod http;
mod migrate;
mod names;
mod originals;
mod pack;
mod pipes;
mod registry;
mod run;
mod runz;
mod servers;
mod signals;
mod store;
mod streams;
mod strict;
mod trees;
mod unpack;
