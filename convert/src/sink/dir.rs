//! Writes directory.

use std::path::Path;

use crate::lineage::Lineage;
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, ErrorKind, Result};

/// Writes an image.
pub fn write(lineage: &Lineage, path: &Path, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let _ = (lineage, path, options, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}
