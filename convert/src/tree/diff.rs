//! What one step did to the tree before it.

use std::collections::BTreeMap;
use std::io;

use aurora_formats::model::EntryPath;

use super::{InodeId, Kind, Tree};

/// The changes between two trees, by path.
#[derive(Debug, Clone, Default)]
pub struct Diff {
    /// Names that are new or whose inode differs (type, attributes, content, or the set of names it goes by), with
    /// the inode of the later tree; sorted. A group of hard links is here as a whole or not at all.
    pub changed: Vec<(EntryPath, InodeId)>,
    /// Names that are gone, without what lay below them; sorted.
    pub removed: Vec<EntryPath>,
}

/// Names of the inodes that have several, sorted.
fn groups(names: &[(EntryPath, InodeId)]) -> BTreeMap<InodeId, Vec<&EntryPath>> {
    let mut groups: BTreeMap<InodeId, Vec<&EntryPath>> = BTreeMap::new();
    for (path, id) in names {
        groups.entry(*id).or_default().push(path);
    }
    groups
}

/// Compares; looks at content only where sizes agree and places differ.
pub fn diff(base: &Tree, top: &Tree) -> io::Result<Diff> {
    let (before, after) = (base.walk(), top.walk());
    let (old_groups, new_groups) = (groups(&before), groups(&after));
    let mut out = Diff::default();
    for (id, names) in &new_groups {
        let old = names.first().and_then(|first| find(&before, first));
        let is_same = match old {
            Some(old) => old_groups.get(&old) == Some(names) && is_same(base, old, top, *id)?,
            None => false,
        };
        if !is_same {
            out.changed.extend(names.iter().map(|name| ((*name).clone(), *id)));
        }
    }
    out.changed.sort_unstable();
    for (path, _) in &before {
        if find(&after, path).is_some() {
            continue;
        }
        // What went with its directory, or was replaced with it, needs no word of its own.
        let parent = path.split().and_then(|(parent, _)| find(&after, &parent));
        if parent.is_some_and(|id| matches!(top.inode(id).kind, Kind::Dir(_))) {
            out.removed.push(path.clone());
        }
    }
    Ok(out)
}

fn find(names: &[(EntryPath, InodeId)], path: &EntryPath) -> Option<InodeId> {
    names.binary_search_by(|(p, _)| p.cmp(path)).ok().map(|i| names[i].1)
}

/// Whether two inodes are the same to whoever looks at one of their names. Children of directories have names of
/// their own and do not count.
pub fn is_same(base: &Tree, old: InodeId, top: &Tree, new: InodeId) -> io::Result<bool> {
    let (a, b) = (base.inode(old), top.inode(new));
    if std::ptr::eq(a, b) {
        return Ok(true);
    }
    Ok(a.meta == b.meta
        && match (&a.kind, &b.kind) {
            (Kind::Dir(_), Kind::Dir(_)) | (Kind::Fifo, Kind::Fifo) | (Kind::Socket, Kind::Socket) => true,
            (Kind::File(a), Kind::File(b)) => a.is_equal(b)?,
            (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
            (Kind::Char(a), Kind::Char(b)) | (Kind::Block(a), Kind::Block(b)) => a == b,
            _ => false,
        })
}
