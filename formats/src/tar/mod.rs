//! tar archives: ustar, V7, PAX, GNU and star in; deterministic PAX out.
//!
//! [`Parser`] turns bytes into members and their data and needs no more than 512 bytes at a time; [`build`] makes
//! the headers of an archive. Neither reads nor writes anything itself.

mod acl;
pub mod build;
mod error;
mod format;
mod member;
mod number;
mod parse;
mod pax;
mod sparse;

pub use error::TarError;
pub use format::BLOCK;
pub use member::{Kind, Member, Note};
pub use parse::{Ending, Event, Limits, Parser, Step};
pub use sparse::Run;

#[cfg(test)]
mod tests;
