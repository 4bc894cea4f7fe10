//! An incremental SmartOS image.

use std::path::Path;

use aurora_formats::smartos::Object;

use super::{PackOptions, begin, describe};
use crate::image::Image;
use crate::lineage::Layers;
use crate::names::{DatasetName, ImageName};
use crate::ops::convert::check;
use crate::ops::{Converted, Remains, origin};
use crate::sink::smartos::{Increment, write_increment};
use crate::sink::{Target, WriteOptions, refuse_losses};
use crate::source::dataset::{Dataset, TemporarySnapshot};
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// An image upon the one that a dataset is a clone of.
pub(super) fn increment(
    name: &DatasetName,
    path: &Path,
    given: Option<Object>,
    options: &PackOptions,
    ctx: &Ctx<'_>,
) -> Result<Converted> {
    ctx.progress.phase("reading dataset");
    if options.convert.layers == Layers::Keep {
        return Err(Error::usage("an incremental image is one image; leave out --layers keep"));
    }
    let dataset = Dataset::open(name.dataset(), ctx)?;
    dataset.tell_children(ctx);
    if dataset.is_volume() {
        let text = "incremental images of volumes; pack it whole, without --incremental".to_owned();
        return Err(ErrorKind::Unsupported(text).into());
    }
    let mut convert = options.convert.clone();
    let origin = origin::find(name, &dataset, &convert.selection.origins, ctx)?;
    if let Some(limit) = options.max_origin_depth
        && origin::depth(&origin, ctx)? > limit
    {
        return Err(
            ErrorKind::Limit { what: "images below an incremental one (--max-origin-depth)", limit }.into()
        );
    }
    let dst = ImageName::Smartos { path: path.to_owned() };
    convert.selection.origins.clear();
    let manifest = begin(given, origin.manifest.as_ref(), &mut convert, &dst)?;
    check(&ImageName::Dataset { name: name.clone() }, &dst, &convert)?;
    let mut image = Image::default();
    if let Some(manifest) = &manifest {
        describe(&mut image, manifest)?;
    }
    image.created = options.source_date.or(image.created);
    if convert.selection.platform.is_some() {
        image.platform = convert.selection.platform.clone();
    }
    let temporary = match name.snapshot() {
        None => Some(TemporarySnapshot::take(name.dataset(), ctx)?),
        Some(_) => None,
    };
    let snapshot = match (name.snapshot(), &temporary) {
        (None, Some(temporary)) => Dataset::open(name.dataset(), ctx)?.snapshot(&temporary.name)?.clone(),
        (snapshot, _) => dataset.snapshot(snapshot.unwrap_or_default())?.clone(),
    };
    if convert.strict {
        refuse_losses(ctx)?;
    }
    let increment =
        Increment { image: &image, origin: origin.uuid, from_guid: origin.guid, to_guid: snapshot.guid };
    let write = WriteOptions {
        compression: convert.compression,
        strict: convert.strict,
        smartos: convert.smartos,
        ..WriteOptions::default()
    };
    if Target::HOST != Target::Illumos {
        let detail =
            "the stream is this system's own: extended attributes may be kept where illumos has none"
                .to_owned();
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    let open = || Ok(ctx.zfs().send(Some(&origin.snapshot), &snapshot.name)?);
    let outcome = write_increment(&increment, open, path, &write, ctx)?;
    drop(temporary);
    Ok(Converted { outcome, losses: ctx.losses(), read: Remains::default() })
}
