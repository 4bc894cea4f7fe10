//! What a new layer lies upon: the layers of an image, or a snapshot.

use std::sync::Arc;

use crate::image::Image;
use crate::lineage::{Base, Layers, Lineage};
use crate::names::ImageName;
use crate::ops::{ConvertOptions, must_exist};
use crate::source::oci;
use crate::tree;
use crate::tree::owners::OwnerMap;
use crate::{Ctx, Error, Loss, LossKind, Result};

/// Reads the image that is built upon.
pub(super) fn read(
    name: Option<&ImageName>,
    convert: &ConvertOptions,
    ctx: &Ctx<'_>,
) -> Result<(Option<Image>, Option<Base>)> {
    let Some(name) = name else { return Ok((None, None)) };
    if !name.is_oci() {
        return Err(Error::usage(format!("--base is an OCI image, and this is none: {name}")));
    }
    must_exist(name)?;
    ctx.progress.phase("reading base");
    let (mut image, base) = oci::read_base(name, convert.selection.platform.as_ref(), ctx)
        .map_err(|e| e.in_image(name.to_string()))?;
    // It is another one, made at another time.
    image.created = None;
    Ok((Some(image), Some(base)))
}

/// Whether what is asked for is one layer: what a snapshot changes of another.
pub(super) fn is_change(src: &ImageName, dst: &ImageName, convert: &ConvertOptions) -> bool {
    let is_pair = matches!(src, ImageName::Dataset { name } if name.from().is_some());
    is_pair && dst.is_oci() && convert.layers == Layers::Squash
}

/// Takes the first snapshot of a pair for what the second lies upon. An image that is the base should be that snapshot.
pub(super) fn changes_of(lineage: &mut Lineage, base: Option<Base>, ctx: &Ctx<'_>) -> Result<Base> {
    let first = lineage.steps.remove(0);
    let Some(base) = base else {
        let detail =
            "the image has one layer, what changed between the snapshots, and is no whole root file system";
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail: detail.to_owned() });
        return Ok(Base { tree: first.tree, layers: Vec::new() });
    };
    let diff = tree::diff(&base.tree, &first.tree).map_err(|e| Error::io("base", e))?;
    let count = diff.changed.len() + diff.removed.len();
    let names = diff.changed.iter().map(|(path, _)| path).chain(&diff.removed);
    if let Some(path) = names.min() {
        let detail =
            format!("the base is not the first snapshot: {count} names differ, of which this is one");
        ctx.lose(Loss { path: Some(path.clone()), kind: LossKind::Oddity, detail });
    }
    Ok(Base { tree: first.tree, layers: base.layers })
}

/// Gives all trees the owners that the image has, where the host has others.
pub(super) fn turn_owners_back(
    lineage: &mut Lineage,
    base: Option<&Base>,
    owners: &OwnerMap,
    ctx: &Ctx<'_>,
) -> Result<()> {
    if *owners == OwnerMap::Same {
        return Ok(());
    }
    for step in &mut lineage.steps {
        owners.turn_back(Arc::make_mut(&mut step.tree), base.map(|base| &*base.tree), ctx)?;
        step.become_other(format_args!("owners back from {owners:?}"));
    }
    Ok(())
}
