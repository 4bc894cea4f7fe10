//! What a new layer lies upon: the layers of an image, or a snapshot.

use std::sync::Arc;

use crate::image::Image;
use crate::image::oci::HISTORY;
use crate::lineage::{Base, Layers, Lineage};
use crate::names::ImageName;
use crate::ops::{ConvertOptions, must_exist};
use crate::source::oci;
use crate::tree::owners::OwnerMap;
use crate::tree::{self, Kind, Tree};
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

/// What the image says, if a config or a base does: the config goes first.
pub(super) fn describe(config: Option<Image>, base: Option<Image>, ctx: &Ctx<'_>) -> Option<Image> {
    let (mut config, base) = match (config, base) {
        (Some(config), Some(base)) => (config, base),
        (config, base) => return config.or(base),
    };
    match (&config.platform, base.platform) {
        (Some(said), Some(is)) if *said != is => {
            let detail = format!("the config says {said}, and the layers of the base are of {is}");
            ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
        }
        (None, is) => config.platform = is,
        _ => {}
    }
    config.annotations = base.annotations;
    if let Some(history) = base.extra.get(HISTORY) {
        config.extra.insert(HISTORY.into(), history.clone());
    }
    Some(config)
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
    let is_rootless = matches!(owners, OwnerMap::All(..));
    for step in &mut lineage.steps {
        if let (Some(base), true) = (base, is_rootless) {
            keep_privileged(Arc::make_mut(&mut step.tree), &base.tree, ctx);
        }
        owners.turn_back(Arc::make_mut(&mut step.tree), base.map(|base| &*base.tree), ctx)?;
        step.become_other(format_args!("owners back from {owners}"));
    }
    Ok(())
}

/// What nobody but root can make stays as the base has it: devices that are not there, and attributes of the system on
/// files that are as they were.
fn keep_privileged(tree: &mut Tree, base: &Tree, ctx: &Ctx<'_>) {
    let mut kept = 0;
    for (path, id) in base.walk() {
        let old = base.inode(id);
        let Some((parent, name)) = path.split() else { continue };
        match (tree.lookup(&path), &old.kind) {
            (None, Kind::Char(_) | Kind::Block(_)) => {
                let Some(parent) = tree.lookup(&parent).filter(|id| tree.children(*id).is_some()) else {
                    continue;
                };
                let made = tree.add(old.meta.clone(), old.kind.clone());
                tree.link(parent, name, made);
                kept += 1;
            }
            (Some(new), _) => {
                let inode = tree.inode(new);
                let same_type = std::mem::discriminant(&inode.kind) == std::mem::discriminant(&old.kind);
                if !same_type || inode.meta.mtime != old.meta.mtime {
                    continue;
                }
                let missing: Vec<_> = old
                    .meta
                    .xattrs
                    .iter()
                    .filter(|(key, _)| key.starts_with(b"security.") || key.starts_with(b"trusted."))
                    .filter(|(key, _)| !inode.meta.xattrs.contains_key(*key))
                    .map(|(key, value)| (key.clone(), value.clone()))
                    .collect();
                if !missing.is_empty() {
                    tree.inode_mut(new).meta.xattrs.extend(missing);
                    kept += 1;
                }
            }
            _ => {}
        }
    }
    if kept > 0 {
        let detail =
            format!("{kept} devices and attributes that only root can make are kept as the base has them");
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
}
