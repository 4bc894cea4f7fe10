//! Content-addressed bytes: keep, move, hash, compress. Knows no image format.
//!
//! [`digest`] names bytes, [`body`] keeps them for random access, [`codec`] packs and unpacks them, [`flow`]
//! moves them between threads, [`fs`] is the only place that touches the file system below a destination, [`host`]
//! the only one that runs programs, [`remote`] the only one that opens connections, [`store`] names blobs by digest in a directory, with what is known about them.

pub mod body;
mod byte_string;
pub mod cbor;
pub mod codec;
pub mod digest;
pub mod flow;
pub mod fs;
pub mod host;
pub mod recipe;
pub mod remote;
pub mod store;
