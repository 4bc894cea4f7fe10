//! Reads tar.

use crate::lineage::Loaded;
use crate::names::FileName;
use crate::source::ReadOptions;
use crate::{Ctx, ErrorKind, Result};

/// Reads an image.
pub fn read(file: &FileName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    let _ = (file, options, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}
