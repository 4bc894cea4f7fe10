//! What does not get into an image.

use std::sync::Arc;

use aurora_engine::digest::{Algorithm, Hasher};
use aurora_formats::model::EntryPath;

use crate::lineage::{Base, Lineage};
use crate::names::ImageName;
use crate::tree::exclude::{Pattern, exclude};
use crate::tree::place::{self, Placement};
use crate::tree::{Kind, Tree};
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// Takes out what is excluded, and what lies beside `root/` of a zonepath: state of the zone, and its secrets. What a
/// base has of it is not looked at either, and stays as it is. How many names the user has excluded.
pub(super) fn leave_out(
    lineage: &mut Lineage,
    base: Option<&mut Base>,
    src: &ImageName,
    patterns: &[Pattern],
    ctx: &Ctx<'_>,
) -> Result<usize> {
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
        let (excluded, used) = exclude(Arc::make_mut(&mut base.tree), &EntryPath::root(), patterns);
        is_used.iter_mut().zip(used).for_each(|(is_used, used)| *is_used |= used);
        for step in &mut lineage.steps {
            excluded.iter().try_for_each(|path| keep_way(path, &base.tree, &top, &mut step.tree))?;
        }
    }
    for (pattern, _) in patterns.iter().zip(is_used).filter(|(_, is_used)| !is_used) {
        let detail = format!("nothing is there to be excluded by {:?}", pattern.as_str());
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    Ok(count)
}

/// What is excluded stays as the base has it, and with it the directories that lead there.
fn keep_way(path: &EntryPath, base: &Tree, top: &EntryPath, tree: &mut Arc<Tree>) -> Result<()> {
    let (mut of_base, mut at) = (Tree::ROOT, top.clone());
    let parts: Vec<&[u8]> = path.components().collect();
    let Some(mut dir) = tree.lookup(&at) else { return Ok(()) };
    for name in &parts[..parts.len().saturating_sub(1)] {
        let Some(old) = base.child(of_base, name) else { return Ok(()) };
        at = at.join(name);
        dir = match tree.child(dir, name) {
            Some(there) if tree.children(there).is_some() => there,
            Some(_) => {
                let text = "what is excluded in it stays, and it is no directory any more";
                return Err(Error::from(ErrorKind::Unsupported(text.into())).at_entry(&at));
            }
            None => {
                let tree = Arc::make_mut(tree);
                let made = tree.add(base.inode(old).meta.clone(), Kind::Dir(Arc::default()));
                tree.link(dir, name, made);
                made
            }
        };
        of_base = old;
    }
    Ok(())
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
