//! Writes tar.

use crate::lineage::Lineage;
use crate::names::FileName;
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, ErrorKind, Result};

/// Writes an image.
pub fn write(lineage: &Lineage, file: &FileName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let _ = (lineage, file, options, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}
