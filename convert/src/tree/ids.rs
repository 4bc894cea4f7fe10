//! Object numbers of a tree's inodes in ZFS: a pure function of the trees of a lineage, so that the same images
//! give the same streams whatever way they came.
//!
//! A number once given is never given again. Along a lineage an inode keeps the number of the inode that stood at
//! one of its names before, if it is the same file still: type and content (or link target, or device) are equal.
//! Anything else is a new object; so no stream ever changes an object's data, only its attributes, and the receivers'
//! many rules for reused numbers (block sizes, generations) never come into play.

use std::collections::{BTreeMap, BTreeSet};
use std::io;

use aurora_formats::model::{EntryPath, Metadata};
use aurora_formats::zfs::build::objects::{FIRST_FREE, ROOT};

use super::{InodeId, Kind, Tree};

/// Attributes of an inode that are kept as files in a directory of their own, by name.
pub(crate) type DirXattrs<'a> = Vec<(&'a [u8], &'a [u8])>;

/// The objects of an attribute directory: the directory, then its files in the order of their names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct XattrObjects {
    /// The directory.
    pub(crate) dir: u64,
    /// Files in it.
    pub(crate) files: u64,
    /// Step in which they were numbered, from 1.
    pub(crate) generation: u64,
}

/// An inode's place in the stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Numbered {
    /// Its object.
    pub(crate) object: u64,
    /// Step in which it was numbered, from 1.
    pub(crate) generation: u64,
    /// Object of the directory of its first name.
    pub(crate) parent: u64,
    /// Its first name.
    pub(crate) path: EntryPath,
    /// Where its attributes are files.
    pub(crate) xattrs: Option<XattrObjects>,
}

/// Numbers of all inodes of one tree that have a name.
#[derive(Debug, Clone, Default)]
pub(crate) struct Numbers {
    /// By inode.
    inodes: Vec<Option<Numbered>>,
    next: u64,
}

impl Numbers {
    /// An inode's place; `None` for one without a name.
    pub(crate) fn get(&self, id: InodeId) -> Option<&Numbered> {
        self.inodes.get(id.0 as usize)?.as_ref()
    }

    /// All, by inode.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (InodeId, &Numbered)> {
        (0..).map(InodeId).zip(&self.inodes).filter_map(|(id, numbered)| Some((id, numbered.as_ref()?)))
    }
}

/// Numbers the inodes of `tree`, the tree of step `generation` (from 1), after those of the step before.
/// `dir_xattrs` says which attributes are kept as files.
pub(crate) fn assign<'t>(
    tree: &'t Tree,
    before: Option<(&'t Tree, &Numbers)>,
    generation: u64,
    dir_xattrs: &dyn Fn(&'t Metadata) -> DirXattrs<'t>,
) -> io::Result<Numbers> {
    let groups = groups(tree);
    let kept = match before {
        Some((old_tree, old)) => keep(tree, &groups, old_tree, old)?,
        None => BTreeMap::new(),
    };
    let mut next = before.map_or(FIRST_FREE, |(_, old)| old.next);
    let mut take = |count: u64| {
        next += count;
        next - count
    };

    let mut inodes = vec![None; tree.inode_count()];
    let is_dir = |id: InodeId| matches!(tree.inode(id).kind, Kind::Dir(_));
    let directories = groups.iter().filter(|(id, _)| is_dir(*id));
    let others = groups.iter().filter(|(id, _)| !is_dir(*id));
    for (id, paths) in directories.clone().chain(others) {
        let old = kept.get(id).and_then(|old_id| {
            let (old_tree, old) = before?;
            Some((old_tree.inode(*old_id), old.get(*old_id)?))
        });
        let (object, since) = match old {
            Some((_, old)) => (old.object, old.generation),
            None if *id == Tree::ROOT => (ROOT, generation),
            None => (take(1), generation),
        };
        let values = dir_xattrs(&tree.inode(*id).meta);
        let same_xattrs = old.and_then(|(inode, old)| {
            let objects = old.xattrs?;
            (dir_xattrs(&inode.meta) == values).then_some(objects)
        });
        let files = values.len() as u64;
        let xattrs = match same_xattrs {
            _ if files == 0 => None,
            Some(objects) => Some(objects),
            None => Some(XattrObjects { dir: take(1 + files), files, generation }),
        };
        let path = paths[0].clone();
        inodes[id.0 as usize] = Some(Numbered { object, generation: since, parent: ROOT, path, xattrs });
    }

    for (dir, paths) in directories {
        let Some(object) = inodes[dir.0 as usize].as_ref().map(|numbered: &Numbered| numbered.object) else {
            continue;
        };
        for (name, child) in tree.children(*dir).into_iter().flatten() {
            let Some(child) = inodes[child.0 as usize].as_mut() else { continue };
            // Of several names the first is the one that counts.
            if is_in(&child.path, &paths[0], name) {
                child.parent = object;
            }
        }
    }
    Ok(Numbers { inodes, next })
}

/// Whether a path is that of a name in a directory.
fn is_in(path: &EntryPath, dir: &EntryPath, name: &[u8]) -> bool {
    path.as_bytes().len() == dir.as_bytes().len() + usize::from(!dir.is_root()) + name.len()
        && path.starts_with(dir)
        && path.as_bytes().ends_with(name)
}

/// Every inode with its names in order, the inodes in the order of their first names.
fn groups(tree: &Tree) -> Vec<(InodeId, Vec<EntryPath>)> {
    let mut found: Vec<(InodeId, Vec<EntryPath>)> = Vec::new();
    let mut places = vec![None; tree.inode_count()];
    for (path, id) in tree.walk() {
        let place = *places[id.0 as usize].get_or_insert(found.len());
        match found.get_mut(place) {
            Some((_, paths)) => paths.push(path),
            None => found.push((id, vec![path])),
        }
    }
    found
}

/// Inodes that keep their number: each with the inode of the old tree that it goes on from.
fn keep(
    tree: &Tree,
    groups: &[(InodeId, Vec<EntryPath>)],
    old_tree: &Tree,
    old: &Numbers,
) -> io::Result<BTreeMap<InodeId, InodeId>> {
    let mut kept = BTreeMap::new();
    let mut taken = BTreeSet::new();
    for (id, paths) in groups {
        for path in paths {
            let Some(candidate) = old_tree.lookup(path) else { continue };
            if taken.contains(&candidate) || old.get(candidate).is_none() {
                continue;
            }
            if is_same_file(&tree.inode(*id).kind, &old_tree.inode(candidate).kind)? {
                kept.insert(*id, candidate);
                taken.insert(candidate);
                break;
            }
        }
    }
    Ok(kept)
}

/// Whether an object can go on to be what it was, its attributes aside.
fn is_same_file(new: &Kind, old: &Kind) -> io::Result<bool> {
    Ok(match (new, old) {
        (Kind::Dir(_), Kind::Dir(_)) | (Kind::Fifo, Kind::Fifo) | (Kind::Socket, Kind::Socket) => true,
        (Kind::File(new), Kind::File(old)) => new.is_equal(old)?,
        (Kind::Symlink(new), Kind::Symlink(old)) => new == old,
        (Kind::Char(new), Kind::Char(old)) | (Kind::Block(new), Kind::Block(old)) => new == old,
        _ => false,
    })
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_engine::body::{Body, MemBody};

    use super::*;
    use crate::content::Content;

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).unwrap()
    }

    fn put(tree: &mut Tree, at: &str, kind: Kind) -> InodeId {
        let id = tree.add(Metadata::default(), kind);
        let (dir, name) = path(at).split().map(|(dir, name)| (dir, name.to_vec())).unwrap();
        let dir = tree.lookup(&dir).unwrap();
        tree.link(dir, &name, id);
        id
    }

    fn file(text: &str) -> Kind {
        let body: Body = Arc::new(MemBody(text.as_bytes().to_vec()));
        Kind::File(Arc::new(Content::plain(&body, 0, text.len() as u64)))
    }

    fn number(tree: &Tree, numbers: &Numbers, at: &str) -> (u64, u64) {
        let found = numbers.get(tree.lookup(&path(at)).unwrap()).unwrap();
        (found.object, found.generation)
    }

    #[test]
    fn numbers_follow_names_and_content_only() {
        let none = |_: &Metadata| Vec::new();
        let mut base = Tree::new(Metadata::default());
        let one = put(&mut base, "b", file("1"));
        put(&mut base, "a", Kind::Dir(Arc::default()));
        put(&mut base, "a/x", file("2"));
        put(&mut base, "s", Kind::Symlink((*b"a").into()));
        base.link(Tree::ROOT, b"z", one);
        let first = assign(&base, None, 1, &none).unwrap();
        let at = |name| number(&base, &first, name).0;
        assert_eq!([at(""), at("a"), at("a/x"), at("b"), at("s"), at("z")], [34, 64, 65, 66, 67, 66]);
        assert_eq!(first.get(one).unwrap().parent, 34);

        // Built anew, in another order: what is equal keeps its number, what is not gets one above all others.
        let mut top = Tree::new(Metadata::default());
        put(&mut top, "s", Kind::Symlink((*b"b").into()));
        put(&mut top, "z", file("1"));
        put(&mut top, "b", file("1"));
        put(&mut top, "a", Kind::Dir(Arc::default()));
        put(&mut top, "a/x", file("3"));
        put(&mut top, "n", Kind::Dir(Arc::default()));
        let second = assign(&top, Some((&base, &first)), 2, &none).unwrap();
        let at = |name| number(&top, &second, name);
        assert_eq!([at("a"), at("b")], [(64, 1), (66, 1)]);
        assert_eq!([at("n"), at("a/x"), at("s"), at("z")], [(68, 2), (69, 2), (70, 2), (71, 2)]);

        // Freed numbers do not come back.
        let third = assign(&base, Some((&top, &second)), 3, &none).unwrap();
        assert_eq!(number(&base, &third, "a/x"), (72, 3));
        assert_eq!(number(&base, &third, "z"), (66, 1), "one of two names that were apart");
    }

    #[test]
    fn attribute_files_stand_after_their_owner() {
        let mut base = Tree::new(Metadata::default());
        let a = put(&mut base, "a", file("1"));
        put(&mut base, "b", file("2"));
        base.inode_mut(a).meta.xattrs.insert((*b"user.k").into(), (*b"v").into());
        let mut top = base.clone();
        top.inode_mut(a).meta.xattrs.insert((*b"user.l").into(), (*b"w").into());
        fn values(meta: &Metadata) -> DirXattrs<'_> {
            meta.xattrs.iter().map(|(k, v)| (&**k, &**v)).collect()
        }
        let first = assign(&base, None, 1, &values).unwrap();
        assert_eq!(first.get(a).unwrap().xattrs, Some(XattrObjects { dir: 65, files: 1, generation: 1 }));
        assert_eq!(number(&base, &first, "b").0, 67);
        let same = assign(&base, Some((&base, &first)), 2, &values).unwrap();
        assert_eq!(same.get(a), first.get(a));
        let second = assign(&top, Some((&base, &first)), 2, &values).unwrap();
        assert_eq!(second.get(a).unwrap().xattrs, Some(XattrObjects { dir: 68, files: 2, generation: 2 }));
    }
}
