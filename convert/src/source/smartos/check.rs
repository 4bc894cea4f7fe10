//! What `imgadm install` would say of an image: its own checks, without the pool. All that is wrong, not only the
//! first of it.

use std::collections::BTreeMap;
use std::path::Path;

use aurora_formats::smartos::{ImageType, Profile, validate};

use super::library::{Entry, Library};
use super::{chain, file};
use crate::names::{FileName, ImageName};
use crate::source::imgapi::fetch_origins;
use crate::source::zfs::{SubstreamInfo, survey};
use crate::store::Originals;
use crate::{Ctx, Error, ErrorKind, Result};

/// Features of streams that a SmartOS `zfs receive` does not take. (`docs/smartos-images.md` §14.)
pub(crate) const REFUSED: &[&str] =
    &["zstd", "redacted", "switch-to-large-blocks", "longname", "large-microzap"];

/// Something that is wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The file it is about.
    pub place: String,
    /// What.
    pub message: String,
}

/// What was looked at, and what is wrong.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Checked {
    /// Images, origins included.
    pub images: usize,
    /// All that is wrong.
    pub findings: Vec<Finding>,
}

/// Checks an image and its origins.
pub fn check(path: &Path, origins: &[ImageName], ctx: &Ctx<'_>) -> Result<Checked> {
    let library = Library::open(path)?;
    let top = library.pick(path)?;
    let mut out = Checked::default();
    let (origins, _fetched) = fetch_origins(origins, ctx)?;
    let kept = Originals::new(ctx);
    let images = match chain(top, &library, &origins, &kept) {
        Ok(chain) => chain.images,
        Err(e) if matches!(e.kind(), ErrorKind::Usage(_)) => return Err(e),
        // The image itself can be looked at all the same.
        Err(e) => {
            out.add(top, e.kind().to_string());
            vec![top.clone()]
        }
    };
    let mut guids = BTreeMap::new();
    for image in &images {
        ctx.check()?;
        out.images += 1;
        let is_interrupted = |e: &Error| matches!(e.kind(), ErrorKind::Interrupted);
        match one(image, &mut guids, &mut out, ctx) {
            Err(e) if is_interrupted(&e) => return Err(e),
            Err(e) => out.add(image, e.to_string()),
            Ok(()) => {}
        }
    }
    Ok(out)
}

impl Checked {
    fn add(&mut self, image: &Entry, message: String) {
        self.findings.push(Finding { place: image.path.display().to_string(), message });
    }
}

fn one(image: &Entry, guids: &mut BTreeMap<String, u64>, out: &mut Checked, ctx: &Ctx<'_>) -> Result<()> {
    let manifest = &image.manifest;
    for fault in validate(manifest.object(), Profile::Minimal) {
        out.add(image, fault.to_string());
    }
    if manifest.files()?.is_empty() {
        out.add(image, "files: there is none, so nothing tells whether the file is the right one".into());
    }
    let path = file::locate(image)?;
    let promised = file::promised(image)?;
    match file::hash(&path, &promised, ctx) {
        Ok(found) => {
            if let Some(text) = file::packed_otherwise(promised.compression, found) {
                out.add(image, text);
            }
        }
        Err(e) if matches!(e.kind(), ErrorKind::ImageFile(_)) => out.add(image, e.kind().to_string()),
        Err(e) => return Err(e),
    }
    let image_type = manifest.image_type()?;
    if matches!(image_type, ImageType::Docker | ImageType::Lxd | ImageType::Other) {
        return Ok(());
    }
    let streams = survey(&FileName::Path(path), ctx)?;
    let [stream] = streams.as_slice() else {
        out.add(image, format!("imgadm wants exactly one snapshot in the file: {}", streams.len()));
        return Ok(());
    };
    let messages = of_stream(image, stream, promised.dataset_guid, guids)?;
    guids.insert(manifest.uuid()?.to_string(), stream.guid);
    for message in messages {
        out.add(image, message);
    }
    Ok(())
}

fn of_stream(
    image: &Entry,
    stream: &SubstreamInfo,
    said: Option<u64>,
    guids: &BTreeMap<String, u64>,
) -> Result<Vec<String>> {
    let mut messages = Vec::new();
    let manifest = &image.manifest;
    if stream.in_package {
        messages.push("the stream is a package (zfs send -R or -p)".to_owned());
    }
    let is_volume = stream.kind == "volume";
    if is_volume != (manifest.image_type()? == ImageType::Zvol) {
        messages.push(format!("the type is {}, the stream is of a {}", manifest.image_type()?, stream.kind));
    }
    if !stream.name.ends_with("@final") {
        messages.push(format!("the snapshot is not called final, imgadm will rename it: {}", stream.name));
    }
    for feature in stream.features.iter().filter(|f| REFUSED.contains(f)) {
        messages.push(format!("SmartOS takes no streams with the feature {feature}"));
    }
    if let Some(refusal) = &stream.refusal {
        messages.push(refusal.to_string());
    }
    match said {
        Some(said) if said != stream.guid => {
            messages.push(format!("dataset_guid is {said}, the snapshot's guid is {}", stream.guid));
        }
        _ => {}
    }
    match manifest.origin()? {
        None if stream.from_guid != 0 => {
            messages
                .push(format!("an increment to guid {}, but the manifest has no origin", stream.from_guid));
        }
        Some(origin) if stream.from_guid == 0 => {
            messages.push(format!("the manifest has origin {origin}, but the stream is no increment"));
        }
        Some(origin) => match guids.get(&origin.to_string()) {
            Some(guid) if *guid != stream.from_guid => messages.push(format!(
                "an increment to guid {}, but the snapshot of origin {origin} has guid {guid}",
                stream.from_guid
            )),
            _ => {}
        },
        None => {}
    }
    Ok(messages)
}
