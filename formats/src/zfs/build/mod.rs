//! Parts of a send stream from the values in it. Pure: equal input gives equal bytes.
//!
//! [`Sealer`] chains records by their checksum; [`attrs`] and [`zap`] make the bonus, the spill block and the
//! directories of its objects; [`objects`] those that every file system has; [`package`] the header that joins
//! the streams of several snapshots.

mod acl;
pub mod attrs;
mod error;
mod fat;
mod layout;
mod nvlist;
pub mod objects;
pub mod package;
mod seal;
pub mod zap;

pub use error::BuildError;
pub use nvlist::xattrs as pack_xattrs;
pub use seal::{Sealer, begin};
