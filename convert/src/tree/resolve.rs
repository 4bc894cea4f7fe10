//! From the path of a directory to its inode, following symbolic links inside the root and never out of it.

use std::collections::{BTreeSet, VecDeque};
use std::sync::Arc;

use aurora_formats::model::{EntryPath, MAX_DEPTH};

use super::apply::default_directory;
use super::{InodeId, Kind, Name, Tree, TreeError};

/// As many as Linux follows.
pub(super) const MAX_LINKS: usize = 40;

/// What to do about directories that are not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Nothing is found.
    None,
    /// They are made, and replace what is no directory.
    Make,
}

/// Looks up directories.
pub(crate) struct Resolver<'a> {
    /// Paths that are to be directories of their own: a symbolic link there is replaced, not followed.
    directories: &'a BTreeSet<&'a EntryPath>,
}

/// What to do at one component.
enum Next {
    Enter(InodeId),
    Follow(Box<[u8]>),
    Absent,
}

impl<'a> Resolver<'a> {
    pub(crate) fn new(directories: &'a BTreeSet<&'a EntryPath>) -> Self {
        Self { directories }
    }

    /// The inode of a directory, in a tree that is not to change.
    pub(crate) fn find(&self, tree: &Tree, path: &EntryPath) -> Result<Option<InodeId>, TreeError> {
        if let Some(id) = direct(tree, path) {
            return Ok(Some(id));
        }
        let mut walk = Walk::new(path);
        while let Some(name) = walk.next_name() {
            match self.look(tree, &walk, &name) {
                Next::Enter(id) => walk.enter(id, name)?,
                Next::Follow(target) => walk.follow(&target)?,
                Next::Absent => return Ok(None),
            }
        }
        Ok(Some(walk.here()))
    }

    /// The inode of a directory.
    pub(crate) fn directory(
        &self,
        tree: &mut Tree,
        path: &EntryPath,
        missing: Missing,
    ) -> Result<Option<InodeId>, TreeError> {
        if let Some(id) = direct(tree, path) {
            return Ok(Some(id));
        }
        let mut walk = Walk::new(path);
        while let Some(name) = walk.next_name() {
            match self.look(tree, &walk, &name) {
                Next::Enter(id) => walk.enter(id, name)?,
                Next::Follow(target) => walk.follow(&target)?,
                Next::Absent if missing == Missing::None => return Ok(None),
                Next::Absent => {
                    let id = tree.add(default_directory(), Kind::Dir(Arc::default()));
                    tree.link(walk.here(), &name, id);
                    walk.enter(id, name)?;
                }
            }
        }
        Ok(Some(walk.here()))
    }

    fn look(&self, tree: &Tree, walk: &Walk, name: &[u8]) -> Next {
        let Some(id) = tree.child(walk.here(), name) else { return Next::Absent };
        match &tree.inode(id).kind {
            Kind::Dir(_) => Next::Enter(id),
            Kind::Symlink(target) => {
                if !self.directories.is_empty() && self.directories.contains(&walk.path_of(name)) {
                    return Next::Absent;
                }
                Next::Follow(target.clone())
            }
            _ => Next::Absent,
        }
    }
}

/// The inode of a directory that no symbolic link is on the way to. Nearly all are such, and are found without a copy of
/// any name.
fn direct(tree: &Tree, path: &EntryPath) -> Option<InodeId> {
    tree.lookup(path).filter(|id| tree.children(*id).is_some())
}

/// Where a look-up stands: the directories from the root down to here, and what is still to be walked.
struct Walk {
    stack: Vec<(InodeId, Name)>,
    todo: VecDeque<Name>,
    links: usize,
}

impl Walk {
    fn new(path: &EntryPath) -> Self {
        Self { stack: Vec::new(), todo: path.components().map(Name::from).collect(), links: 0 }
    }

    fn here(&self) -> InodeId {
        self.stack.last().map_or(Tree::ROOT, |(id, _)| *id)
    }

    /// The next component that is a name. `..` above the root stays there, as in a chroot.
    fn next_name(&mut self) -> Option<Name> {
        loop {
            let name = self.todo.pop_front()?;
            match &*name {
                b"" | b"." => {}
                b".." => drop(self.stack.pop()),
                _ => return Some(name),
            }
        }
    }

    fn path_of(&self, name: &[u8]) -> EntryPath {
        self.stack.iter().fold(EntryPath::root(), |path, (_, name)| path.join(name)).join(name)
    }

    fn enter(&mut self, id: InodeId, name: Name) -> Result<(), TreeError> {
        self.stack.push((id, name));
        if self.stack.len() > MAX_DEPTH { Err(TreeError::TooDeep) } else { Ok(()) }
    }

    fn follow(&mut self, target: &[u8]) -> Result<(), TreeError> {
        self.links += 1;
        if self.links > MAX_LINKS {
            return Err(TreeError::LinkLoop);
        }
        if target.first() == Some(&b'/') {
            self.stack.clear();
        }
        for part in target.split(|&b| b == b'/').rev() {
            self.todo.push_front(part.into());
        }
        Ok(())
    }
}
