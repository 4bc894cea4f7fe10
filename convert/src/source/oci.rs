//! Reads OCI layouts, archives of them, and docker-archive.

use crate::lineage::Loaded;
use crate::names::ImageName;
use crate::source::ReadOptions;
use crate::{Ctx, ErrorKind, Result};

/// Reads an image.
pub fn read(name: &ImageName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let _ = (name, options, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}
