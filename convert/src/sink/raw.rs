//! Writes raw disks.

use crate::lineage::Volume;
use crate::names::FileName;
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, ErrorKind, Result};

/// Writes an image.
pub fn write(volume: &Volume, file: &FileName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let _ = (volume, file, options, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}
