//! The command line of aurora.
//!
//! Arguments become a request, `aurora_convert::ops` does the work, the result is printed. What a test would
//! want to call is there, not here.
#![forbid(unsafe_code)]

mod args;
mod convert;
mod diff;
mod errors;
mod exit;
mod generate;
mod inspect;
mod ls;
mod migrate;
mod output;
mod pack;
mod progress;
mod registry;
mod run;
mod runz;
mod servers;
mod session;
mod signals;
mod store;
mod units;
mod unpack;
mod validate;
mod verify;

pub use run::main;
pub use runz::runz;
