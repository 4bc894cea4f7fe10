//! Requests over a socket: a JSON object on a line, and one back. The protocol is described in
//! `docs/podinit.md`.

mod client;
mod connection;
pub(crate) mod request;
mod server;

pub(crate) use client::ctl;
pub(crate) use server::Server;
