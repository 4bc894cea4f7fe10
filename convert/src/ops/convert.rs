//! Any image to any form.

use std::fmt;
use std::path::Path;
use std::sync::Arc;

use aurora_engine::codec::{Codec, Compression};

use super::{Selection, into_store, one_pipe, placement, read};
use crate::image::smartos::SmartosOptions;
use crate::lineage::{Base, Layers, Loaded};
use crate::names::ImageName;
use crate::sink::{self, Outcome, Target, WriteOptions, refuse_losses};
use crate::source::imgapi::{self, Fetched};
use crate::source::smartos;
use crate::tree::place::Placement;
use crate::{Ctx, Error, Loss, Result};

/// What tunes a conversion.
#[derive(Debug, Clone, Default)]
pub struct ConvertOptions {
    /// What is read; its platform is also the one written.
    pub selection: Selection,
    /// One tree or all steps.
    pub layers: Layers,
    /// How the result is packed; `None` is its form's default.
    pub compression: Option<Compression>,
    /// Where the root file system lies in a dataset; `None` is told by its looks when reading, top when writing.
    pub placement: Option<Placement>,
    /// Who is to receive a ZFS stream; `None` is [`Target::OpenZfs`], and for `dataset:` this host.
    pub target: Option<Target>,
    /// A loss is an error, and there is no result then.
    pub strict: bool,
    /// What the manifest of a SmartOS image is to say.
    pub smartos: SmartosOptions,
}

/// A finished conversion.
#[derive(Debug, Clone, Default)]
pub struct Converted {
    /// What was written.
    pub outcome: Outcome,
    /// What the result does not hold.
    pub losses: Vec<Loss>,
    /// What was read.
    pub read: Remains,
}

/// What an operation has no more use for. Freeing it takes a while, which a program that ends need not wait for.
#[derive(Clone, Default)]
pub struct Remains(Option<Arc<Loaded>>);

impl Remains {
    pub(super) fn of(loaded: Loaded) -> Self {
        Self(Some(Arc::new(loaded)))
    }

    /// Leaves it to the end of the process.
    pub fn leave(self) {
        std::mem::forget(self);
    }
}

impl fmt::Debug for Remains {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(if self.0.is_some() { "Remains(..)" } else { "Remains" })
    }
}

impl Converted {
    /// Whether something was lost that matters.
    pub fn is_lossy(&self) -> bool {
        self.losses.iter().any(Loss::is_serious)
    }
}

/// Reads, places, writes.
pub fn convert(
    src: &ImageName,
    dst: &ImageName,
    options: &ConvertOptions,
    ctx: &Ctx<'_>,
) -> Result<Converted> {
    check(src, dst, options)?;
    let step = into_store::step(src, dst, options, ctx)?;
    if let Some(done) = into_store::shortcut(src, dst, step.as_ref(), options, ctx)? {
        return Ok(done);
    }
    let landing = ctx.landing_of(dst);
    let ctx = landing.as_ref().unwrap_or(ctx);
    let original = Original::of(src, dst, options, ctx)?;
    let loaded = match original.path().filter(|_| matches!(src, ImageName::Imgapi { .. })) {
        // Fetched already.
        Some(path) => {
            read(&ImageName::Smartos { path: path.to_owned() }, &options.selection, options.layers, ctx)
                .map_err(|e| e.without_image().in_image(src.to_string()))?
        }
        None => read(src, &options.selection, options.layers, ctx)?,
    };
    let mut converted = place_and_write(loaded, src, dst, options, ctx)?;
    if let Some(path) = original.path() {
        ctx.progress.phase("keeping the original");
        let kept = smartos::keep(path, &options.selection.origins, ctx)?;
        converted.outcome.facts.extend(kept.into_iter().map(|name| ("kept".to_owned(), name)));
    }
    // A source that has changed meanwhile is not the one that was asked about.
    if step.is_some() && into_store::step(src, dst, options, ctx)? == step {
        into_store::note(dst, step.as_ref(), &converted, ctx)?;
    }
    Ok(converted)
}

/// A SmartOS image that goes into the local store, where it is kept as it came, too.
enum Original<'a> {
    None,
    There(&'a Path),
    Fetched(Fetched),
}

impl<'a> Original<'a> {
    fn of(src: &'a ImageName, dst: &ImageName, options: &ConvertOptions, ctx: &Ctx<'_>) -> Result<Self> {
        match (src, dst) {
            (ImageName::Smartos { path }, ImageName::Stored(_)) => Ok(Self::There(path)),
            (ImageName::Imgapi { url, uuid }, ImageName::Stored(_)) => {
                let fetched = imgapi::open(url, *uuid, &options.selection.origins, ctx);
                Ok(Self::Fetched(fetched.map_err(|e| e.in_image(src.to_string()))?))
            }
            _ => Ok(Self::None),
        }
    }

    /// Its manifest.
    fn path(&self) -> Option<&Path> {
        match self {
            Self::None => None,
            Self::There(path) => Some(path),
            Self::Fetched(fetched) => Some(fetched.manifest()),
        }
    }
}

/// What comes after reading.
pub(super) fn place_and_write(
    mut loaded: Loaded,
    src: &ImageName,
    dst: &ImageName,
    options: &ConvertOptions,
    ctx: &Ctx<'_>,
) -> Result<Converted> {
    match &mut loaded {
        Loaded::Filesystem(lineage) => {
            placement::place(lineage, src, dst, options.placement, ctx)
                .map_err(|e| e.in_image(src.to_string()))?;
        }
        Loaded::Volume(_) if options.placement.is_some() => {
            return Err(Error::usage("--placement is for root file systems, and this is a disk")
                .in_image(src.to_string()));
        }
        Loaded::Volume(_) => {}
    }
    let converted = write_placed(&loaded, dst, options, None, ctx)?;
    Ok(Converted { read: Remains::of(loaded), ..converted })
}

/// What comes after placing. `upon` is what the first layer lies upon.
pub(super) fn write_placed(
    loaded: &Loaded,
    dst: &ImageName,
    options: &ConvertOptions,
    upon: Option<Base>,
    ctx: &Ctx<'_>,
) -> Result<Converted> {
    if options.strict {
        refuse_losses(ctx)?;
    }
    let write = WriteOptions {
        upon,
        made: Vec::new(),
        share_layers: options.layers == Layers::Keep,
        compression: options.compression,
        platform: options.selection.platform.clone(),
        target: options
            .target
            .unwrap_or_else(|| if dst.is_dataset() { Target::HOST } else { Target::default() }),
        force: false,
        strict: options.strict,
        smartos: options.smartos.clone(),
    };
    ctx.progress.phase("writing");
    let outcome = sink::write(loaded, dst, &write, ctx)?;
    Ok(Converted { outcome, losses: ctx.losses(), read: Remains::default() })
}

/// What can be told from names and options alone, before anything is read.
pub(super) fn check(src: &ImageName, dst: &ImageName, options: &ConvertOptions) -> Result<()> {
    let refuse = |text: &str| Err(Error::usage(text).in_image(dst.to_string()));
    one_pipe(options.selection.origins.iter().chain([src]))?;
    if matches!(dst, ImageName::Imgapi { .. }) {
        return refuse("image servers are read, not written; write smartos:PATH and publish that");
    }
    let to_zfs = matches!(dst, ImageName::Zfs { .. } | ImageName::Dataset { .. });
    if matches!(dst, ImageName::Zfs { pick: Some(_), .. }) {
        return refuse("`#…` picks a snapshot to read; a stream is written to zfs:FILE");
    }
    if let ImageName::Dataset { name } = dst {
        if name.snapshot().is_some() {
            return refuse(
                "the snapshots of a dataset that is written are those of the image; leave out `@…`",
            );
        }
        if options.compression.is_some() {
            return refuse("a dataset is packed as its pool has it; leave out --compress");
        }
    }
    let one_tree = matches!(
        dst,
        ImageName::Tar { .. } | ImageName::Dir { .. } | ImageName::Raw { .. } | ImageName::Qcow2 { .. }
    );
    if one_tree && options.layers == Layers::Keep {
        return refuse("holds one tree and no layers; leave out --layers keep");
    }
    if options.target.is_some() && !to_zfs {
        return refuse("--target is for ZFS streams written: zfs:FILE or dataset:POOL/NAME");
    }
    let to_smartos = matches!(dst, ImageName::Smartos { .. });
    if !to_smartos && options.smartos != SmartosOptions::default() {
        return refuse("what a SmartOS manifest is to say (--uuid, --name, --tag …) is for smartos:PATH");
    }
    if options.placement.is_some() && !dst.is_zfs() && !src.is_zfs() {
        return refuse("--placement is for ZFS streams, and none is read or written here");
    }
    match (dst, options.compression.map(|c| c.codec)) {
        (ImageName::Smartos { .. }, Some(Codec::Zstd)) => {
            refuse("SmartOS images are packed with none, gzip, bzip2 or xz")
        }
        (ImageName::Raw { .. } | ImageName::Qcow2 { .. }, Some(_)) => {
            refuse("disks are written as they are; leave out --compress")
        }
        (ImageName::Dir { .. }, Some(_)) => refuse("a directory is not compressed; leave out --compress"),
        (
            ImageName::Oci { .. }
            | ImageName::OciArchive { .. }
            | ImageName::DockerArchive { .. }
            | ImageName::Docker { .. }
            | ImageName::Stored(_),
            Some(Codec::Bzip2 | Codec::Xz),
        ) => refuse("layers are packed with none, gzip or zstd"),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_names_and_options_rule_out_is_a_usage_error() {
        let keep = ConvertOptions { layers: Layers::Keep, ..Default::default() };
        let target = ConvertOptions { target: Some(Target::Illumos), ..Default::default() };
        let placed = ConvertOptions { placement: Some(Placement::Root), ..Default::default() };
        let packed = |codec| ConvertOptions {
            compression: Some(Compression { codec, level: None }),
            ..Default::default()
        };
        let piped = ConvertOptions {
            selection: Selection { origins: vec!["zfs:-".parse().unwrap()], ..Default::default() },
            ..Default::default()
        };
        let named = ConvertOptions {
            smartos: SmartosOptions { name: Some("x".into()), ..Default::default() },
            ..Default::default()
        };
        let cases = [
            ("oci:a", "zfs:b#t@s", ConvertOptions::default(), "zfs:FILE"),
            ("oci:a", "tar:b", keep.clone(), "leave out --layers keep"),
            ("oci:a", "dir:b", keep.clone(), "leave out --layers keep"),
            ("zfs:a", "raw:b", keep.clone(), "leave out --layers keep"),
            ("zfs:a", "zfs:b", keep.clone(), ""),
            ("oci:a", "zfs:b", keep, ""),
            ("oci:a", "oci:b", target.clone(), "--target"),
            ("oci:a", "zfs:b", target, ""),
            ("oci:a", "tar:b", placed.clone(), "--placement"),
            ("zfs:a", "tar:b", placed.clone(), ""),
            ("oci:a", "zfs:b", placed, ""),
            ("oci:a", "dir:b", packed(Codec::Gzip), "--compress"),
            ("oci:a", "oci:b", packed(Codec::Xz), "none, gzip or zstd"),
            ("oci:a", "oci:b", packed(Codec::Zstd), ""),
            ("oci:a", "tar:b", packed(Codec::Xz), ""),
            ("oci:a", "smartos:b", packed(Codec::Xz), ""),
            ("oci:a", "smartos:b", packed(Codec::Zstd), "none, gzip, bzip2 or xz"),
            ("oci:a", "zfs:b", named, "smartos:PATH"),
            ("zfs:-", "tar:b", piped, "standard input"),
            ("dir:a", "dataset:t/x@s", ConvertOptions::default(), "leave out `@…`"),
            ("dir:a", "dataset:t/x", packed(Codec::Gzip), "leave out --compress"),
            ("dataset:t/x", "dataset:t/y", ConvertOptions::default(), ""),
        ];
        for (src, dst, options, want) in cases {
            let got = check(&src.parse().unwrap(), &dst.parse().unwrap(), &options);
            match got {
                Ok(()) => assert_eq!(want, "", "{src} {dst}"),
                Err(e) => {
                    assert!(matches!(e.kind(), ErrorKind::Usage(_)), "{src} {dst}: {e}");
                    assert!(!want.is_empty() && e.to_string().contains(want), "{src} {dst}: {e}");
                }
            }
        }
    }
}
