//! What does not get into an image.

use std::sync::Arc;

use aurora_engine::digest::{Algorithm, Hasher};
use aurora_formats::model::EntryPath;

use crate::lineage::{Base, Lineage};
use crate::names::ImageName;
use crate::tree::Tree;
use crate::tree::exclude::{Pattern, exclude};
use crate::tree::place::{self, Placement};
use crate::{Ctx, Loss, LossKind};

/// Takes out what is excluded, and what lies beside `root/` of a zonepath: state of the zone, and its secrets. What a
/// base has of it is not looked at either, and stays as it is. How many names the user has excluded.
pub(super) fn leave_out(
    lineage: &mut Lineage,
    base: Option<&mut Base>,
    src: &ImageName,
    patterns: &[Pattern],
    ctx: &Ctx<'_>,
) -> usize {
    let is_zone =
        src.is_zfs() && lineage.steps.last().is_some_and(|last| place::detect(&last.tree) == Placement::Root);
    let top = if is_zone { EntryPath::root().join(b"root") } else { EntryPath::root() };
    let (mut count, mut is_used) = (0, vec![false; patterns.len()]);
    for step in &mut lineage.steps {
        let mut tree = Tree::clone(&step.tree);
        let (excluded, used) = exclude(&mut tree, &top, patterns);
        count = excluded.len();
        is_used.iter_mut().zip(used).for_each(|(is_used, used)| *is_used |= used);
        let beside = if is_zone { take_beside(&mut tree, ctx) } else { Vec::new() };
        if excluded.is_empty() && beside.is_empty() {
            continue;
        }
        // Another tree is another image, and no snapshot that there was.
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(format!("aurora: left out of {}", step.chain_id).as_bytes());
        for path in excluded.iter().chain(&beside) {
            hasher.update(b"\0");
            hasher.update(path.as_bytes());
        }
        (step.tree, step.chain_id, step.snapshot) = (Arc::new(tree), hasher.finish(), None);
    }
    if let Some(base) = base {
        let (_, used) = exclude(Arc::make_mut(&mut base.tree), &EntryPath::root(), patterns);
        is_used.iter_mut().zip(used).for_each(|(is_used, used)| *is_used |= used);
    }
    for (pattern, _) in patterns.iter().zip(is_used).filter(|(_, is_used)| !is_used) {
        let detail = format!("nothing is there to be excluded by {:?}", pattern.as_str());
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    count
}

fn take_beside(tree: &mut Tree, ctx: &Ctx<'_>) -> Vec<EntryPath> {
    let names = tree.children(Tree::ROOT).into_iter().flat_map(|children| children.keys());
    let beside: Vec<_> = names.filter(|name| ***name != *b"root").cloned().collect();
    let mut removed = Vec::new();
    for name in beside {
        tree.unlink(Tree::ROOT, &name);
        let path = EntryPath::root().join(&name);
        let detail = "beside root/ of the zonepath, and left out".to_owned();
        ctx.lose(Loss { path: Some(path.clone()), kind: LossKind::Oddity, detail });
        removed.push(path);
    }
    removed
}
