//! Reads directory.

use std::path::Path;

use crate::lineage::Loaded;
use crate::source::ReadOptions;
use crate::{Ctx, ErrorKind, Result};

/// Reads an image.
pub fn read(path: &Path, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let _ = (path, options, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}
