//! Makes a tree, by several threads.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use aurora_engine::body::address;
use aurora_engine::fs::{Nursery, Root};
use aurora_formats::model::EntryPath;

use super::entry::Maker;
use super::meta::{Sealer, Target};
use super::share::Share;
use crate::fidelity::LossKind;
use crate::tree::{InodeId, Kind, Tree};
use crate::{Counter, Ctx, Error, Result};

/// Makes everything in an empty directory; how many names, and bytes of content. Directories first, then what is in them
/// by several threads, then further names; and last what all of that would have changed of the directories. Contents that
/// have grown in `nursery`, which is gone afterwards, become files there.
pub(super) fn write_tree(
    tree: &Tree,
    root: &Root,
    nursery: Option<&Nursery>,
    ctx: &Ctx<'_>,
) -> Result<(u64, u64)> {
    let names = tree.walk();
    let is_dir = |id: InodeId| matches!(tree.inode(id).kind, Kind::Dir(_));
    let levels = levels(names.iter().filter(|(_, id)| is_dir(*id)));
    for dirs in levels.iter().skip(1) {
        Share::out(dirs, ctx, |share| {
            let root = root.again();
            share.each(|(path, _)| {
                ctx.progress.count(Counter::Entries, 1);
                root.make_dir(path.as_bytes()).map_err(|e| Error::io("directory", e).at_entry(path))
            });
        })?;
    }
    // The first name of each other inode, and all further ones with that.
    let mut first = vec![None; tree.inode_count()];
    let (mut files, mut links) = (Vec::new(), Vec::new());
    for (at, (_, id)) in names.iter().enumerate().filter(|(_, (_, id))| !is_dir(*id)) {
        match first[id.0 as usize] {
            Some(made) => links.push((at, made)),
            None => {
                first[id.0 as usize] = Some(at);
                files.push(at);
            }
        }
    }
    let users = users(tree, files.iter().map(|&at: &usize| names[at].1));
    if let Some(nursery) = nursery {
        // What lies in lower layers alone would only take room.
        nursery.retain(|body| users.contains_key(&body)).map_err(nursery_failed)?;
    }
    // Directory by directory, which the order of paths is not: `a`, `a-b`, `a/c`.
    files.sort_by(|a, b| parent(&names[*a].0).cmp(parent(&names[*b].0)));
    let made = Share::out(&files, ctx, |share| {
        // Its own: the directory used last is kept open.
        let root = root.again();
        let mut maker = Maker::new(&root, &users, ctx);
        let mut lost = BTreeSet::new();
        share.each(|&at| {
            let (path, id) = &names[at];
            ctx.progress.count(Counter::Entries, 1);
            if !maker.make(path, tree.inode(*id)).map_err(|e| e.at_entry(path))? {
                lost.insert(at);
            }
            Ok(())
        });
        (maker.bytes, lost)
    })?;
    let sealer = Sealer::new(root, ctx);
    for (at, made_at) in links {
        ctx.check()?;
        let (path, existing) = (&names[at].0, &names[made_at].0);
        if made.iter().any(|(_, lost)| lost.contains(&made_at)) {
            sealer.lose(path, LossKind::Type, "a link to what could not be made".to_owned());
        } else {
            let linked = root.make_link(path.as_bytes(), existing.as_bytes());
            linked.map_err(|e| Error::io(format!("hard link to {existing}"), e).at_entry(path))?;
        }
        ctx.progress.count(Counter::Entries, 1);
    }
    if let Some(nursery) = nursery {
        nursery.remove().map_err(nursery_failed)?;
    }
    // From below, so that a directory is sealed after all that is in it.
    for dirs in levels.iter().rev() {
        Share::out(dirs, ctx, |share| {
            let root = root.again();
            let sealer = Sealer::new(&root, ctx);
            share.each(|(path, id)| {
                let sealed = sealer.seal(&Target::Path(path), path, &tree.inode(*id).meta);
                sealed.map_err(|e| e.at_entry(path))
            });
        })?;
    }
    Ok((names.len() as u64, made.iter().map(|(bytes, _)| bytes).sum()))
}

/// How many inodes have a body as their content, by its address.
fn users(tree: &Tree, inodes: impl Iterator<Item = InodeId>) -> BTreeMap<usize, u32> {
    let mut users = BTreeMap::new();
    for id in inodes {
        if let Kind::File(content) = &tree.inode(id).kind
            && let Some(body) = content.whole()
        {
            *users.entry(address(body)).or_default() += 1;
        }
    }
    users
}

fn nursery_failed(e: io::Error) -> Error {
    Error::io("large files in the target", e)
}

/// Directories by their depth: none is in another of its level.
fn levels<'a>(dirs: impl Iterator<Item = &'a (EntryPath, InodeId)>) -> Vec<Vec<&'a (EntryPath, InodeId)>> {
    let mut levels: Vec<Vec<_>> = Vec::new();
    for dir in dirs {
        let depth = dir.0.components().count();
        if levels.len() <= depth {
            levels.resize_with(depth + 1, Vec::new);
        }
        levels[depth].push(dir);
    }
    levels
}

/// The directory that a path is in.
fn parent(path: &EntryPath) -> &[u8] {
    let bytes = path.as_bytes();
    &bytes[..bytes.iter().rposition(|&b| b == b'/').unwrap_or(0)]
}
