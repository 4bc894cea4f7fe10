//! A client of NATS with JetStream: streams as work queues, and their key-value store (docs.nats.io, "NATS Protocol" and
//! "JetStream wire API Reference"). One connection, one request at a time, no thread of its own.
//!
//! Written here because the blocking client of the project is archived and its successor brings an async runtime; what is
//! needed is a line protocol of ten words and a dozen JSON requests.

mod address;
mod connection;
mod error;
mod jetstream;
// Public for its fuzz target alone.
#[doc(hidden)]
pub mod wire;

pub use address::Address;
pub use error::NatsError;
pub use jetstream::{Delivery, Entry, JetStream};
