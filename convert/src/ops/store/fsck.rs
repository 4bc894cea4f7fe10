//! All that is wrong with a store.

use std::path::Path;

use aurora_engine::fs::{self, DirLock};
use aurora_engine::store::{Access, BlobFault, StoreError};

use crate::ctx::Counter;
use crate::ops::Finding;
use crate::store::{Local, RefFaultKind, Walk};
use crate::{Ctx, Error, ErrorKind, Result};

/// The result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checkup {
    /// Names and images without one.
    pub images: usize,
    /// Blobs that were read.
    pub blobs: usize,
    /// Bytes of them.
    pub bytes: u64,
    /// What is wrong, before anything was repaired.
    pub findings: Vec<Finding>,
    /// What was done about it.
    pub repaired: Vec<String>,
}

/// Reads every blob and compares it with its name, follows every reference, and reads every record. With `repair`
/// damaged blobs are moved to `aurora/quarantine` and damaged records removed; what an image lacks afterwards can't
/// be made again here, so references to it remain findings.
pub fn fsck(repair: bool, ctx: &Ctx<'_>) -> Result<Checkup> {
    let mut out = Checkup::default();
    if repair {
        put_meta_aside(ctx, &mut out)?;
    }
    if Local::open_if_any(ctx)?.is_none() {
        return Ok(out);
    }
    let access = if repair { Access::Alone } else { Access::Read };
    let local = Local::open(access, ctx)?;
    let dir = local.blobs().dir();
    let failed = |e| Error::io(dir.display().to_string(), e);
    let _writers = if repair { Some(DirLock::acquire(dir).map_err(failed)?) } else { None };
    ctx.progress.phase("reading blobs");
    let may_go_on = |bytes| {
        ctx.progress.count(Counter::BytesRead, bytes);
        !ctx.cancel.is_set()
    };
    let checked = local.blobs().check(&may_go_on)?;
    ctx.check()?;
    (out.blobs, out.bytes) = (checked.blobs, checked.bytes);
    for (path, fault) in &checked.faults {
        let message = match fault {
            BlobFault::Content { actual } => format!("the content is that of {actual}"),
            BlobFault::Thin { why, .. } => format!("a thin blob that can't be made again: {why}"),
            BlobFault::Unreadable { why } => format!("can't be read: {why}"),
            _ => "no blob, by its name or kind of file".to_owned(),
        };
        out.findings.push(finding(path, message));
        // What is unreadable now may be well tomorrow; what is no blob is somebody else's.
        if repair && matches!(fault, BlobFault::Content { .. } | BlobFault::Thin { lasting: true, .. }) {
            let to = local.blobs().quarantine(path)?;
            out.repaired.push(format!("{} moved to {}", path.display(), to.display()));
        }
    }
    for path in &checked.records {
        out.findings.push(finding(path, "a record that is damaged, or about no blob".to_owned()));
        if repair {
            local.blobs().forget(path)?;
            out.repaired.push(format!("{} removed; it is made again when it is needed", path.display()));
        }
    }
    references(&local, &mut out, ctx)?;
    Ok(out)
}

/// Names, and what their images need.
fn references(local: &Local, out: &mut Checkup, ctx: &Ctx<'_>) -> Result<()> {
    ctx.progress.phase("following references");
    let refs = match local.refs() {
        Ok(refs) => refs,
        Err(e) if matches!(e.kind(), ErrorKind::Oci(_)) => {
            out.findings.push(Finding::from(&e));
            return Ok(());
        }
        Err(e) => return Err(e),
    };
    let mut walk = Walk::new(local);
    for entry in refs.entries() {
        out.images += 1;
        for fault in walk.reach(&entry.descriptor, ctx)?.faults {
            let digest = fault.digest;
            let message = match fault.kind {
                RefFaultKind::Missing => format!("needs a blob that is not there: {digest}"),
                RefFaultKind::Size { expected, actual } => {
                    format!("needs a blob of {expected} bytes, which has {actual}: {digest}")
                }
                RefFaultKind::Damaged(e) => format!("needs a document that can't be read: {}", e.kind()),
            };
            out.findings.push(Finding { place: entry.shown(), message });
        }
    }
    Ok(())
}

fn finding(path: &Path, message: String) -> Finding {
    Finding { place: path.display().to_string(), message }
}

/// A malformed `meta.json` keeps everybody out: it is put aside, and the store says again what this version writes.
/// One of a later version is not malformed, and stays.
fn put_meta_aside(ctx: &Ctx<'_>, out: &mut Checkup) -> Result<()> {
    let Err(e) = Local::open(Access::Read, ctx) else { return Ok(()) };
    let ErrorKind::Store(StoreError::Meta { path, .. }) = e.kind() else { return Ok(()) };
    let aside = path.with_extension("json.damaged");
    fs::rename(path, &aside).map_err(|e| Error::io(path.display().to_string(), e))?;
    out.findings.push(Finding::from(&e));
    out.repaired.push(format!("{} moved to {}", path.display(), aside.display()));
    Ok(())
}
