//! HTTP: documents of bounded size, files that may be large and may break off, and requests of every other kind.
//!
//! Knows no service. What is retried, how long is waited and where a broken download goes on is decided here, once;
//! what the bytes mean is for the caller.

mod client;
mod download;
mod error;
mod exchange;
mod limit;
pub mod nats;
mod pace;
mod retry;
mod roots;
mod url;

pub use client::{Client, ClientOptions, Document, Failure};
pub use download::{Destination, Downloaded, Length};
pub use error::RemoteError;
pub use exchange::{Answer, Method, Payload, Request};
pub use limit::RateLimit;
pub use pace::{Pace, SystemPace};
pub use retry::RetryPolicy;
pub use roots::Trust;
pub use url::{Url, UrlError, form};
