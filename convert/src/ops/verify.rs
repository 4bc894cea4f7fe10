//! Every digest, checksum, size and reference of an image; all that is wrong, not only the first.

use std::collections::BTreeSet;
use std::sync::Arc;

use aurora_engine::remote::Url;
use aurora_formats::smartos::Uuid;

use super::{Selection, must_exist, one_pipe, read};
use crate::content::Content;
use crate::lineage::{Layers, Loaded};
use crate::names::ImageName;
use crate::source::{imgapi, oci, smartos, zfs};
use crate::tree::{self, Kind};
use crate::{Ctx, Error, ErrorKind, Result};

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Where; empty for the image as a whole.
    pub place: String,
    /// What.
    pub message: String,
}

impl From<&Error> for Finding {
    fn from(e: &Error) -> Self {
        // The image's name is the same for all and stands elsewhere.
        let mut place = e.location().clone();
        place.image = None;
        Self { place: place.to_string(), message: e.kind().to_string() }
    }
}

/// The result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Verified {
    /// Layers or snapshots looked at.
    pub layers: usize,
    /// Files whose content was read.
    pub files: u64,
    /// Bytes of them.
    pub bytes: u64,
    /// What is wrong.
    pub findings: Vec<Finding>,
    /// What could not be looked at, though nothing is wrong with it.
    pub notes: Vec<String>,
}

/// Verifies an image. Fails itself only where it could not look at all.
pub fn verify(name: &ImageName, selection: &Selection, ctx: &Ctx<'_>) -> Result<Verified> {
    one_pipe(selection.origins.iter().chain([name]))?;
    if let ImageName::Imgapi { url, uuid } = name {
        return server(name, (url, *uuid), selection, ctx);
    }
    if name.is_oci() {
        return layouts(name, selection, ctx);
    }
    let mut found = Verified::default();
    if let ImageName::Smartos { path } = name {
        must_exist(name)?;
        ctx.progress.phase("verifying");
        match smartos::check(path, &selection.origins, ctx) {
            Ok(checked) => {
                found.layers = checked.images;
                let finding = |f: smartos::Finding| Finding { place: f.place, message: f.message };
                found.findings = checked.findings.into_iter().map(finding).collect();
            }
            Err(e) if is_about_the_image(&e) => found.findings.push(Finding::from(&e)),
            Err(e) => return Err(e),
        }
        // What is not the image that its manifest means has no content to be looked at.
        if !found.findings.is_empty() {
            return Ok(found);
        }
    }
    if let (ImageName::Zfs { file, .. }, false) = (name, name.is_pipe()) {
        must_exist(name)?;
        ctx.progress.phase("verifying records");
        match zfs::survey(file, ctx) {
            Ok(streams) => {
                found.layers = streams.len();
                found.bytes = streams.iter().fold(0, |sum, stream| stream.bytes.saturating_add(sum));
            }
            Err(e) if is_about_the_image(&e) => {
                found.findings.push(Finding::from(&e));
                return Ok(found);
            }
            Err(e) => return Err(e.in_image(name.to_string())),
        }
    }
    match read(name, selection, Layers::Keep, ctx) {
        Ok(loaded) => contents(&loaded, &mut found, ctx)?,
        // Sealed or a part of a whole, not damaged: its records are as their checksums say.
        Err(e) if found.layers > 0 && is_unreadable(&e) => {
            let hint = e.hint().map(|hint| format!("; {hint}")).unwrap_or_default();
            found.notes.push(format!("files were not looked at: {}{hint}", e.kind()));
        }
        Err(e) if is_about_the_image(&e) => found.findings.push(Finding::from(&e)),
        Err(e) => return Err(e),
    }
    Ok(found)
}

/// An image of a server: fetched, and then looked at as any other.
fn server(
    name: &ImageName,
    (url, uuid): (&Url, Uuid),
    selection: &Selection,
    ctx: &Ctx<'_>,
) -> Result<Verified> {
    let fetched = match imgapi::open(url, uuid, &selection.origins, ctx) {
        Ok(fetched) => fetched,
        Err(e)
            if is_about_the_image(&e) && !matches!(e.kind(), ErrorKind::Remote(_) | ErrorKind::Io { .. }) =>
        {
            return Ok(Verified { findings: vec![Finding::from(&e)], ..Verified::default() });
        }
        Err(e) => return Err(e.in_image(name.to_string())),
    };
    let local = ImageName::Smartos { path: fetched.manifest().to_owned() };
    let mut found =
        verify(&local, selection, ctx).map_err(|e| e.without_image().in_image(name.to_string()))?;
    for finding in &mut found.findings {
        (finding.place, finding.message) = (fetched.plain(&finding.place), fetched.plain(&finding.message));
    }
    Ok(found)
}

/// All images of a layout or archive: its layers can be read one without the other, so every fault is found.
fn layouts(name: &ImageName, selection: &Selection, ctx: &Ctx<'_>) -> Result<Verified> {
    must_exist(name)?;
    ctx.progress.phase("verifying");
    let verified = match oci::verify(name, selection.platform.as_ref(), ctx) {
        Ok(verified) => verified,
        Err(e) if is_about_the_image(&e) => {
            return Ok(Verified { findings: vec![Finding::from(&e)], ..Verified::default() });
        }
        Err(e) => return Err(e),
    };
    let finding = |found: &oci::Finding| {
        let Finding { place, message } = Finding::from(&found.error);
        let place = if place.is_empty() { found.image.clone() } else { format!("{}, {place}", found.image) };
        Finding { place, message }
    };
    Ok(Verified {
        layers: verified.layers,
        files: verified.files,
        bytes: verified.bytes,
        findings: verified.findings.iter().map(finding).collect(),
        notes: Vec::new(),
    })
}

/// A stream that can't be read as it was given, and has nothing wrong with it.
fn is_unreadable(e: &Error) -> bool {
    use aurora_formats::zfs::ZfsError;
    matches!(
        e.kind(),
        ErrorKind::Zfs(
            ZfsError::MissingBase { .. }
                | ZfsError::Encrypted { .. }
                | ZfsError::Redacted { .. }
                | ZfsError::EmptyPackage
        )
    )
}

/// Whether the image is at fault, and not the request or the machine.
fn is_about_the_image(e: &Error) -> bool {
    match e.kind() {
        ErrorKind::Usage(_)
        | ErrorKind::NoSuchImage(_)
        | ErrorKind::Ambiguous { .. }
        | ErrorKind::NotAFilesystem(_)
        | ErrorKind::Unsupported(_)
        | ErrorKind::Interrupted => false,
        _ if e.is_no_such_image() => false,
        // What is missing, short or malformed in the image's own files; not a full disk.
        ErrorKind::Io { source, .. } => matches!(
            source.kind(),
            std::io::ErrorKind::NotFound
                | std::io::ErrorKind::UnexpectedEof
                | std::io::ErrorKind::InvalidData
                | std::io::ErrorKind::IsADirectory
                | std::io::ErrorKind::NotADirectory
        ),
        _ => true,
    }
}

/// Reads every content once: blocks inside may be packed and damaged.
fn contents(loaded: &Loaded, found: &mut Verified, ctx: &Ctx<'_>) -> Result<()> {
    ctx.progress.phase("reading content");
    let mut bytes = 0_u64;
    let mut look = |content: &Content, locate: &dyn Fn(Error) -> Error| -> Result<()> {
        found.files += 1;
        bytes = bytes.saturating_add(content.size);
        match tree::sha256(content, ctx).map_err(locate) {
            Err(e) if is_about_the_image(&e) => {
                found.findings.push(Finding::from(&e));
                Ok(())
            }
            other => other.map(|_| ()),
        }
    };
    match loaded {
        Loaded::Volume(volume) => {
            look(&volume.content, &|e| e)?;
            found.layers = 1;
        }
        Loaded::Filesystem(lineage) => {
            let count = lineage.steps.len();
            // A content that a layer leaves alone is the very same in the next tree.
            let mut seen: BTreeSet<*const Content> = BTreeSet::new();
            for (i, step) in lineage.steps.iter().enumerate() {
                for (path, id) in step.tree.walk() {
                    let Kind::File(content) = &step.tree.inode(id).kind else { continue };
                    if seen.insert(Arc::as_ptr(content)) {
                        let name = step.chain_id.to_string();
                        look(content, &|e| e.in_layer(i + 1, count, name.clone()).at_entry(&path))?;
                    }
                }
            }
            found.layers = count;
        }
    }
    found.bytes = bytes;
    Ok(())
}
