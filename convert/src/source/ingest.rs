//! One uncompressed layer into a changeset.

use std::io::Read;

use aurora_engine::body::Body;

use crate::tree::Changeset;
use crate::{Ctx, ErrorKind, Result};

/// What was taken in.
pub struct Ingested {
    /// What the layer says.
    pub changes: Changeset,
    /// Bytes of the layer.
    pub bytes: u64,
}

/// Reads a layer to its end.
pub fn ingest(reader: &mut dyn Read, in_place: Option<&Body>, ctx: &Ctx<'_>) -> Result<Ingested> {
    let _ = (reader, in_place, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}

/// As [`ingest`], without whiteouts.
pub fn ingest_rootfs(reader: &mut dyn Read, in_place: Option<&Body>, ctx: &Ctx<'_>) -> Result<Ingested> {
    ingest(reader, in_place, ctx)
}
