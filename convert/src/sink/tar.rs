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

/// Writes a whole tree.
pub fn write_tree(tree: &crate::tree::Tree, out: &mut dyn std::io::Write, ctx: &Ctx<'_>) -> Result<()> {
    let _ = (tree, out, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}

/// Writes what a step changed.
pub fn write_diff(
    diff: &crate::tree::Diff,
    top: &crate::tree::Tree,
    out: &mut dyn std::io::Write,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let _ = (diff, top, out, ctx);
    Err(ErrorKind::Unsupported("not built yet".into()).into())
}
