//! An image onto this host: a directory, a bundle for a runtime, a dataset.

use std::sync::Arc;

use aurora_formats::model::EntryPath;

mod volumes;

pub use volumes::VOLUMES;

use super::{Converted, Remains, Selection, one_pipe, placement, read};
use crate::bundle::{Runner, Shape};
use crate::lineage::{Layers, Lineage, Loaded};
use crate::names::{DatasetName, ImageName};
use crate::sink::dataset::{Child, Family};
use crate::sink::{self, Target, WriteOptions, refuse_losses};
use crate::tree::owners::OwnerMap;
use crate::tree::place::{self, Placement};
use crate::tree::volumes::{Property, VolumeSpec, fits};
use crate::{Ctx, Error, Result};

/// What tunes unpacking.
#[derive(Debug, Clone, Default)]
pub struct UnpackOptions {
    /// What is read.
    pub selection: Selection,
    /// Every layer a snapshot: of datasets.
    pub layers: Layers,
    /// Where in a dataset the root file system is.
    pub placement: Option<Placement>,
    /// What becomes of owners.
    pub owners: OwnerMap,
    /// Paths that become datasets of their own, below that of the image.
    pub volumes: Vec<VolumeSpec>,
    /// Those that the image names, too.
    pub image_volumes: bool,
    /// Properties of the dataset.
    pub properties: Vec<Property>,
    /// Through the file system of a mounted dataset, and not as a stream.
    pub via_files: bool,
    /// Beside the root file system, the runtime's config.
    pub bundle: bool,
    /// The bundle is the path of a zone, which has its root file system in another folder.
    pub zonepath: bool,
    /// Fail rather than lose anything.
    pub strict: bool,
}

/// Unpacks an image. The target is whole or gone.
pub fn unpack(src: &ImageName, dst: &ImageName, options: &UnpackOptions, ctx: &Ctx<'_>) -> Result<Converted> {
    check(src, dst, options)?;
    let from = |e: Error| e.in_image(src.to_string());
    let landing = ctx.landing_of(dst);
    let ctx = landing.as_ref().unwrap_or(ctx);
    let mut loaded = read(src, &options.selection, options.layers, ctx)?;
    let Loaded::Filesystem(lineage) = &mut loaded else {
        return Err(from(Error::usage(
            "a disk has no files to unpack; `imageadm convert` writes it to raw:FILE",
        )));
    };
    placement::place(lineage, src, dst, options.placement, ctx).map_err(from)?;
    for step in &mut lineage.steps {
        options.owners.apply(Arc::make_mut(&mut step.tree), ctx).map_err(from)?;
        if options.owners != OwnerMap::Same {
            step.become_other(format_args!("owners {}", options.owners));
        }
    }
    let children = match dst {
        ImageName::Dataset { name } => children(lineage, src, name, options, ctx).map_err(from)?,
        _ => Vec::new(),
    };
    if options.strict {
        refuse_losses(ctx)?;
    }
    let write = WriteOptions {
        target: Target::HOST,
        share_layers: options.layers == Layers::Keep,
        strict: options.strict,
        ..WriteOptions::default()
    };
    ctx.progress.phase("writing");
    let into = |e: Error| e.in_image(dst.to_string());
    let outcome = match dst {
        ImageName::Dataset { name } if options.via_files => {
            sink::dataset::write_files(lineage, &options.properties, name, &write, ctx).map_err(into)?
        }
        ImageName::Dataset { name } => {
            let family = Family { lineage, properties: options.properties.clone(), children };
            sink::dataset::write_family(&family, name, &write, ctx).map_err(into)?
        }
        ImageName::Dir { path } if options.bundle => {
            let runner = match options.owners {
                OwnerMap::All(uid, gid) => Runner::User(uid, gid),
                _ => Runner::Root,
            };
            let shape = Shape { runner, zonepath: options.zonepath };
            sink::dir::write_bundle(lineage, path, shape, &write, ctx).map_err(into)?
        }
        _ => sink::write(&loaded, dst, &write, ctx)?,
    };
    Ok(Converted { outcome, losses: ctx.losses(), read: Remains::of(loaded) })
}

/// Takes out what is to be datasets of their own.
fn children(
    lineage: &mut Lineage,
    src: &ImageName,
    name: &DatasetName,
    options: &UnpackOptions,
    ctx: &Ctx<'_>,
) -> Result<Vec<Child>> {
    let last = lineage.steps.last().expect("a lineage is never empty");
    let detected = || if src.is_zfs() { place::detect(&last.tree) } else { Placement::Top };
    let placement = options.placement.unwrap_or_else(detected);
    let mut specs = options.volumes.clone();
    if options.image_volumes {
        let trees: Vec<_> = lineage.steps.iter().map(|step| step.tree.clone()).collect();
        let fit = |path: &EntryPath| fits(&trees, &volumes::in_dataset(placement, path));
        let named = volumes::of_image(&lineage.image, &fit, ctx);
        specs
            .extend(named.into_iter().filter(|spec| options.volumes.iter().all(|own| own.path != spec.path)));
    }
    volumes::cut(lineage, specs, placement, name, &options.properties, ctx)
}

fn check(src: &ImageName, dst: &ImageName, options: &UnpackOptions) -> Result<()> {
    let refuse = |text: &str| Err(Error::usage(text).in_image(dst.to_string()));
    one_pipe(options.selection.origins.iter().chain([src]))?;
    let has_volumes = options.image_volumes || !options.volumes.is_empty();
    if !dst.is_dataset() && (has_volumes || options.via_files || !options.properties.is_empty()) {
        return refuse("volumes, properties and --via are for dataset:POOL/NAME");
    }
    let is_twice =
        |(at, spec): (usize, &VolumeSpec)| options.volumes[..at].iter().any(|b| b.path == spec.path);
    if options.volumes.iter().enumerate().any(is_twice) {
        return refuse("one volume is named twice");
    }
    let names = |list: &[Property]| list.iter().map(|p| p.name().to_owned()).collect::<Vec<_>>();
    let lists = options.volumes.iter().map(|spec| &spec.properties).chain([&options.properties]);
    for mut names in lists.map(|list| names(list)) {
        names.sort();
        if names.windows(2).any(|pair| pair[0] == pair[1]) {
            return refuse("one property is set twice");
        }
    }
    if options.via_files && (has_volumes || options.layers == Layers::Keep) {
        return refuse(
            "what goes --via files is one tree in one dataset; leave out volumes and --layers keep",
        );
    }
    match dst {
        ImageName::Dir { .. } if options.layers == Layers::Keep => {
            refuse("a directory holds one tree and no layers; leave out --layers keep")
        }
        ImageName::Dir { .. } if options.placement.is_some() && !src.is_zfs() => {
            refuse("--placement is for datasets, and none is read or written here")
        }
        ImageName::Dir { .. } => Ok(()),
        ImageName::Dataset { name } if name.snapshot().is_some() => {
            refuse("the snapshots of a dataset that is written are those of the image; leave out `@…`")
        }
        ImageName::Dataset { .. } if options.bundle => {
            refuse("a bundle is a directory; a dataset holds the root file system alone")
        }
        ImageName::Dataset { .. } => Ok(()),
        _ => refuse(
            "an image is unpacked to dir:PATH or dataset:POOL/NAME; `imageadm convert` writes other forms",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ErrorKind;

    #[test]
    fn what_names_and_options_rule_out_is_a_usage_error() {
        let keep = UnpackOptions { layers: Layers::Keep, ..UnpackOptions::default() };
        let placed = UnpackOptions { placement: Some(Placement::Root), ..UnpackOptions::default() };
        let bundle = UnpackOptions { bundle: true, ..UnpackOptions::default() };
        let volumes = |paths: &[&str], via_files| UnpackOptions {
            volumes: paths.iter().map(|path| path.parse().unwrap()).collect(),
            via_files,
            ..UnpackOptions::default()
        };
        let cases = [
            ("oci:a", "dir:b", UnpackOptions::default(), ""),
            ("oci:a", "dataset:t/b", keep.clone(), ""),
            ("oci:a", "dir:b", keep, "leave out --layers keep"),
            ("oci:a", "dir:b", placed.clone(), "--placement"),
            ("zfs:a", "dir:b", placed, ""),
            ("oci:a", "dir:b", bundle.clone(), ""),
            ("oci:a", "dataset:t/b", bundle, "a bundle is a directory"),
            ("oci:a", "dataset:t/b@c", UnpackOptions::default(), "leave out `@…`"),
            ("oci:a", "tar:b", UnpackOptions::default(), "imageadm convert"),
            ("oci:a", "dir:b", volumes(&["/a"], false), "for dataset:POOL/NAME"),
            ("oci:a", "dataset:t/b", volumes(&["/a", "/b"], false), ""),
            ("oci:a", "dataset:t/b", volumes(&["/a", "/a"], false), "named twice"),
            ("oci:a", "dataset:t/b", volumes(&["/a"], true), "leave out volumes"),
            ("oci:a", "dataset:t/b", volumes(&[], true), ""),
        ];
        for (src, dst, options, want) in cases {
            match check(&src.parse().unwrap(), &dst.parse().unwrap(), &options) {
                Ok(()) => assert_eq!(want, "", "{src} {dst}"),
                Err(e) => {
                    assert!(matches!(e.kind(), ErrorKind::Usage(_)), "{src} {dst}: {e}");
                    assert!(!want.is_empty() && e.to_string().contains(want), "{src} {dst}: {e}");
                }
            }
        }
    }
}
