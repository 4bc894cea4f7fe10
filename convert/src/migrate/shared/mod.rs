//! A migration that several machines go through together, by a work queue of NATS JetStream (`docs/migrate.md`).
//!
//! [`submit`] puts the images of a plan into a bucket, and those that are ready into the queue. A [`worker`] takes one, does
//! what a run does with it, writes down what became of it, queues what builds on it, and only then says that it is done with.
//! Whatever is cut off in between is delivered again, and finds at the target what is there.

mod lease;
mod place;
mod submit;
mod worker;

pub use aurora_engine::remote::nats::Address;
pub use place::Shared;
pub use submit::{SubmitOptions, Submitted, submit};
pub use worker::{Worked, WorkerOptions, worker};
