//! The tree itself. Names and inodes are apart because hard links cross layers: "link Z to A below, then white
//! out A" must leave Z with its content.

use std::collections::BTreeMap;
use std::sync::Arc;

use aurora_formats::model::{Device, EntryPath, Metadata};

use super::resolve::MAX_LINKS;
use crate::content::Content;

/// One component of a path.
pub type Name = Box<[u8]>;

/// An inode of one tree, and of every later tree of its lineage that still has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct InodeId(pub u32);

/// What is behind one or more names.
#[derive(Debug, Clone)]
pub struct Inode {
    /// Owner, mode, times, attributes.
    pub meta: Metadata,
    /// Type and what belongs to it.
    pub kind: Kind,
    /// Names: 1 for a directory, 0 for what no name leads to any more.
    pub names: u32,
}

/// Type of an inode.
#[derive(Debug, Clone)]
pub enum Kind {
    /// Directory: its children, sorted.
    Dir(Arc<BTreeMap<Name, InodeId>>),
    /// Regular file.
    File(Arc<Content>),
    /// Symbolic link: its target.
    Symlink(Box<[u8]>),
    /// Character device.
    Char(Device),
    /// Block device.
    Block(Device),
    /// Named pipe.
    Fifo,
    /// Unix socket.
    Socket,
}

/// What a walk comes to in a directory.
enum Stop<'a> {
    /// A name.
    Name(&'a Name, InodeId),
    /// All that is below it.
    Below(&'a Name, InodeId),
}

/// A root file system. Cloning is cheap: directories and inodes are shared until they change.
#[derive(Debug, Clone)]
pub struct Tree {
    inodes: Vec<Arc<Inode>>,
}

impl Tree {
    /// The root directory's inode, in every tree.
    pub const ROOT: InodeId = InodeId(0);

    /// Nothing but a root directory.
    pub fn new(root: Metadata) -> Self {
        let kind = Kind::Dir(Arc::default());
        Self { inodes: vec![Arc::new(Inode { meta: root, kind, names: 1 })] }
    }

    /// An inode.
    pub fn inode(&self, id: InodeId) -> &Inode {
        &self.inodes[id.0 as usize]
    }

    /// An inode, to be changed.
    pub fn inode_mut(&mut self, id: InodeId) -> &mut Inode {
        Arc::make_mut(&mut self.inodes[id.0 as usize])
    }

    /// A new inode that no name leads to yet.
    pub fn add(&mut self, meta: Metadata, kind: Kind) -> InodeId {
        let id = InodeId(u32::try_from(self.inodes.len()).expect("limits keep trees far below 2^32 inodes"));
        self.inodes.push(Arc::new(Inode { meta, kind, names: 0 }));
        id
    }

    /// Adds inodes that no name leads to until there are `count`: what is made next has the same number in every tree that
    /// was filled so.
    pub fn fill_to(&mut self, count: usize) {
        while self.inode_count() < count {
            self.add(Metadata::default(), Kind::Fifo);
        }
    }

    /// The children of a directory; `None` for anything else.
    pub fn children(&self, id: InodeId) -> Option<&BTreeMap<Name, InodeId>> {
        match &self.inode(id).kind {
            Kind::Dir(children) => Some(children),
            _ => None,
        }
    }

    /// One child of a directory.
    pub fn child(&self, dir: InodeId, name: &[u8]) -> Option<InodeId> {
        self.children(dir)?.get(name).copied()
    }

    /// Gives an inode a name. What the name led to loses it, with all below if it was a directory.
    pub fn link(&mut self, dir: InodeId, name: &[u8], id: InodeId) {
        if let Some(old) = self.child(dir, name) {
            if old == id {
                return;
            }
            self.unlink(dir, name);
        }
        self.inode_mut(id).names += 1;
        if let Kind::Dir(children) = &mut self.inode_mut(dir).kind {
            Arc::make_mut(children).insert(name.into(), id);
        }
    }

    /// Takes a name away, with all below it. Whether there was one.
    pub fn unlink(&mut self, dir: InodeId, name: &[u8]) -> bool {
        let removed = match &mut self.inode_mut(dir).kind {
            Kind::Dir(children) => Arc::make_mut(children).remove(name),
            _ => None,
        };
        let Some(top) = removed else { return false };
        let mut todo = vec![top];
        while let Some(id) = todo.pop() {
            let inode = self.inode_mut(id);
            inode.names = inode.names.saturating_sub(1);
            if let Kind::Dir(children) = &mut inode.kind {
                todo.extend(std::mem::take(children).values());
            }
        }
        true
    }

    /// The inode at a path, taking no symlink for what it points to.
    pub fn lookup(&self, path: &EntryPath) -> Option<InodeId> {
        path.components().try_fold(Self::ROOT, |dir, name| self.child(dir, name))
    }

    /// The inode at a path, symbolic links followed within this tree; `None` where it leads nowhere.
    pub fn follow(&self, path: &[u8]) -> Option<InodeId> {
        let mut todo: Vec<Vec<u8>> = path.split(|&b| b == b'/').rev().map(<[u8]>::to_vec).collect();
        let mut way = vec![Tree::ROOT];
        let mut links = 0;
        while let Some(part) = todo.pop() {
            match part.as_slice() {
                b"" | b"." => continue,
                b".." => {
                    way.truncate(way.len().saturating_sub(1).max(1));
                    continue;
                }
                _ => {}
            }
            let found = self.child(*way.last()?, &part)?;
            let Kind::Symlink(target) = &self.inode(found).kind else {
                way.push(found);
                continue;
            };
            links += 1;
            if links > MAX_LINKS {
                return None;
            }
            if target.starts_with(b"/") {
                way.truncate(1);
            }
            todo.extend(target.split(|&b| b == b'/').rev().map(<[u8]>::to_vec));
        }
        way.pop()
    }

    /// Every name with its inode, the root included, sorted by the raw bytes of the path (so every directory
    /// stands before what is in it).
    pub fn walk(&self) -> Vec<(EntryPath, InodeId)> {
        let mut found = Vec::with_capacity(self.inode_count());
        found.push((EntryPath::root(), Self::ROOT));
        let mut way = vec![(EntryPath::root(), self.stops(Self::ROOT).into_iter())];
        while let Some((dir, stops)) = way.last_mut() {
            match stops.next() {
                Some(Stop::Name(name, id)) => found.push((dir.join(name), id)),
                Some(Stop::Below(name, id)) => {
                    let below = (dir.join(name), self.stops(id).into_iter());
                    way.push(below);
                }
                None => drop(way.pop()),
            }
        }
        found
    }

    /// What is in a directory, in the order of paths: what is below `a` comes after `a-b`, as a slash does after a hyphen.
    fn stops(&self, dir: InodeId) -> Vec<Stop<'_>> {
        let Some(children) = self.children(dir) else { return Vec::new() };
        let mut stops = Vec::with_capacity(children.len());
        // Directories whose names were passed and whose children were not, each name within the next.
        let mut open: Vec<(&Name, InodeId)> = Vec::new();
        for (name, &id) in children {
            while let Some(&(dir, below)) = open.last()
                && !(name.starts_with(dir) && name[dir.len()] < b'/')
            {
                stops.push(Stop::Below(dir, below));
                open.pop();
            }
            stops.push(Stop::Name(name, id));
            if self.children(id).is_some_and(|children| !children.is_empty()) {
                open.push((name, id));
            }
        }
        stops.extend(open.into_iter().rev().map(|(dir, below)| Stop::Below(dir, below)));
        stops
    }

    /// Inodes ever made, those without a name included: a bound for dense tables.
    pub fn inode_count(&self) -> usize {
        self.inodes.len()
    }

    /// Subdirectories of a directory (its link count is two more).
    pub fn subdirectories(&self, id: InodeId) -> usize {
        let is_dir = |id: &&InodeId| matches!(self.inode(**id).kind, Kind::Dir(_));
        self.children(id).map_or(0, |children| children.values().filter(is_dir).count())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_walk_is_in_the_order_of_paths() {
        let mut tree = Tree::new(Metadata::default());
        // Names around the slash, each a directory within which are all the others, down to the third level.
        let names: &[&[u8]] =
            &[b"a", b"a!", b"a-", b"a--", b"a-a", b"a.", b"a.a", b"a0", b"aa", b"a~", b"\xff", b"-", b"0"];
        let mut level = vec![Tree::ROOT];
        for depth in 0..3 {
            let mut next = Vec::new();
            for dir in level {
                for name in names {
                    let kind = if depth == 2 { Kind::Fifo } else { Kind::Dir(Arc::default()) };
                    let id = tree.add(Metadata::default(), kind);
                    tree.link(dir, name, id);
                    next.push(id);
                }
            }
            level = next;
        }
        let walked = tree.walk();
        assert_eq!(walked.len(), 1 + 13 + 13 * 13 + 13 * 13 * 13);
        assert!(walked.windows(2).all(|pair| pair[0].0 < pair[1].0));
        assert!(walked.iter().all(|(path, id)| tree.lookup(path) == Some(*id)));
    }
}
