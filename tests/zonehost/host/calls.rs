//! Every call of a stand-in, for tests to read: one line each in `calls.jsonl`.

use std::fs::OpenOptions;
use std::io::Write;

use serde_json::json;

use super::failure::{Failure, Result};
use super::state::Place;

/// In the host's folder.
pub(crate) const FILE: &str = "calls.jsonl";

/// How a call has ended.
#[derive(Debug, Clone, Copy)]
pub(crate) enum End {
    Status(u8),
    /// It never ends by itself.
    Hangs,
    /// By its own hand.
    Killed,
}

/// Writes it down. A line is one write, so that lines of several calls do not mix.
pub(crate) fn record(place: &Place, program: &str, args: &[String], end: End) -> Result<()> {
    let end = match end {
        End::Status(status) => json!(status),
        End::Hangs => json!("hangs"),
        End::Killed => json!("killed"),
    };
    let line = format!("{}\n", json!({ "program": program, "args": args, "status": end }));
    let path = place.file(FILE);
    let mut file = OpenOptions::new()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(|e| Failure::linux(&path.to_string_lossy(), &e))?;
    file.write_all(line.as_bytes()).map_err(|e| Failure::linux(&path.to_string_lossy(), &e))
}
