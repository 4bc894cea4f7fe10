//! Writes OCI layouts, archives of them, and docker-archive.

use crate::lineage::Lineage;
use crate::names::ImageName;
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, ErrorKind, Result};

/// Writes an image.
pub fn write(lineage: &Lineage, name: &ImageName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let _ = (lineage, name, options, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}
