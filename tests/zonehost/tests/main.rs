//! The stand-ins of a zone host, without a zone that runs: that needs root, and is `cargo xtask interop zonehost`.
#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used)]

mod configure;
mod datasets;
mod helpers;
mod injection;
mod links;
mod login;
mod states;
