//! HTTP as far as fetching goes: documents of bounded size, and files that may be large and may break off.
//!
//! Knows no service. What is retried, how long is waited and where a broken download goes on is decided here, once;
//! what the bytes mean is for the caller.

mod client;
mod download;
mod error;
mod pace;
mod retry;
mod roots;
mod url;

pub use client::{Client, ClientOptions, Document};
pub use download::{Destination, Downloaded, Length};
pub use error::RemoteError;
pub use pace::{Pace, SystemPace};
pub use retry::RetryPolicy;
pub use url::{Url, UrlError};
