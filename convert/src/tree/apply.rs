//! One changeset onto the tree below it: the rules of OCI image-spec, layer.md, "Applying Changesets", and those
//! that it leaves open (`docs/oci-decisions.md`).

use std::collections::BTreeSet;
use std::sync::Arc;

use aurora_formats::model::{Entry, EntryPath, MAX_DEPTH, Metadata, Node, Owner};

use super::resolve::{Missing, Resolver};
use super::{InodeId, Kind, Tree};
use crate::content::Content;
use crate::{Error, ErrorKind, Result};

/// One layer as it was read, in its own order.
#[derive(Debug, Clone, Default)]
pub struct Changeset {
    /// What it says.
    pub changes: Vec<FileChange>,
}

/// One line of a changeset with the content of what it adds.
#[derive(Debug, Clone)]
pub enum FileChange {
    /// Adds or replaces; files come with their content.
    Add {
        /// The entry.
        entry: Entry,
        /// Of a regular file, its content.
        content: Option<Arc<Content>>,
        /// Where the entry stands in the uncompressed layer, for errors.
        offset: u64,
    },
    /// See [`aurora_formats::model::Change::Remove`].
    Remove(EntryPath),
    /// See [`aurora_formats::model::Change::Opaque`].
    Opaque(EntryPath),
}

/// A changeset that can't be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A hard link to nothing, to a directory, or to itself.
    #[error("hard link to what is no other file here: {target}")]
    LinkTarget {
        /// The name it links to.
        target: EntryPath,
    },
    /// Symbolic links in a parent path that go round, or too many of them.
    #[error("more than 40 symbolic links on the way to the entry's directory")]
    LinkLoop,
    /// Symbolic links that lead deeper than any path may.
    #[error("deeper than {MAX_DEPTH} directories once its symbolic links are followed")]
    TooDeep,
    /// The root is something else than a directory.
    #[error("the root entry is no directory")]
    Root,
}

/// Inodes in all layers of an image; beyond lies an attack.
const MAX_INODES: usize = 64 << 20;

/// The attributes of directories that no entry describes.
pub fn default_directory() -> Metadata {
    Metadata { mode: 0o755, owner: Owner::default(), ..Metadata::default() }
}

/// The tree after a changeset.
///
/// Whiteouts go first: they speak of lower layers only, so no order in the archive can make them remove what the
/// changeset itself adds. Then entries in their own order, later ones winning. Missing parents are made; parents
/// that are symbolic links are followed inside the root, unless the changeset itself has a directory there.
pub fn apply(base: Option<&Tree>, changes: &Changeset) -> Result<Tree> {
    let mut tree = base.cloned().unwrap_or_else(|| Tree::new(default_directory()));
    let mut directories = BTreeSet::new();
    for change in &changes.changes {
        match change {
            FileChange::Remove(path) => remove(&mut tree, path).map_err(|e| Error::from(e).at_entry(path))?,
            FileChange::Opaque(path) => clear(&mut tree, path).map_err(|e| Error::from(e).at_entry(path))?,
            FileChange::Add { entry, .. } if entry.node == Node::Dir => {
                directories.insert(&entry.path);
            }
            FileChange::Add { .. } => {}
        }
    }
    let lower = tree.inode_count();
    for change in &changes.changes {
        if let FileChange::Add { entry, content, offset } = change {
            add(&mut tree, base, &directories, entry, content.as_ref())
                .map_err(|e| e.at_entry(&entry.path).at_offset(*offset))?;
            if tree.inode_count() > MAX_INODES.max(lower) {
                return Err(ErrorKind::Limit { what: "inodes", limit: MAX_INODES as u64 }.into());
            }
        }
    }
    Ok(tree)
}

/// A whiteout: the lower name goes, with all below it. Nothing there is no error.
fn remove(tree: &mut Tree, path: &EntryPath) -> Result<(), TreeError> {
    let Some((parent, name)) = path.split() else { return clear(tree, path) };
    if let Some(dir) = Resolver::new(&BTreeSet::new()).directory(tree, &parent, Missing::None)? {
        tree.unlink(dir, name);
    }
    Ok(())
}

/// An opaque whiteout: the lower children go. A symbolic link of that name is left alone: what it leads to is
/// another directory.
fn clear(tree: &mut Tree, path: &EntryPath) -> Result<(), TreeError> {
    let mut dir = Tree::ROOT;
    if let Some((parent, name)) = path.split() {
        let parent = Resolver::new(&BTreeSet::new()).directory(tree, &parent, Missing::None)?;
        match parent.and_then(|parent| tree.child(parent, name)) {
            Some(found) => dir = found,
            None => return Ok(()),
        }
    }
    let names: Vec<_> = tree.children(dir).map(|c| c.keys().cloned().collect()).unwrap_or_default();
    for name in names {
        tree.unlink(dir, &name);
    }
    Ok(())
}

fn add(
    tree: &mut Tree,
    base: Option<&Tree>,
    directories: &BTreeSet<&EntryPath>,
    entry: &Entry,
    content: Option<&Arc<Content>>,
) -> Result<()> {
    let Some((parent, name)) = entry.path.split() else {
        if entry.node != Node::Dir {
            return Err(TreeError::Root.into());
        }
        tree.inode_mut(Tree::ROOT).meta = entry.meta.clone();
        return Ok(());
    };
    let dir = Resolver::new(directories).directory(tree, &parent, Missing::Make)?;
    let dir = dir.expect("missing directories are made");
    let kind = match &entry.node {
        Node::Dir => {
            add_directory(tree, dir, name, &entry.meta);
            return Ok(());
        }
        Node::Hardlink(target) => return Ok(add_link(tree, base, dir, name, target)?),
        Node::File { .. } => Kind::File(content.cloned().unwrap_or_default()),
        Node::Symlink(target) => Kind::Symlink(target.clone()),
        Node::Char(device) => Kind::Char(*device),
        Node::Block(device) => Kind::Block(*device),
        Node::Fifo => Kind::Fifo,
        Node::Socket => Kind::Socket,
    };
    let id = tree.add(entry.meta.clone(), kind);
    tree.link(dir, name, id);
    Ok(())
}

/// A directory onto a directory keeps the children; onto anything else it replaces.
fn add_directory(tree: &mut Tree, dir: InodeId, name: &[u8], meta: &Metadata) {
    match tree.child(dir, name) {
        Some(old) if matches!(tree.inode(old).kind, Kind::Dir(_)) => tree.inode_mut(old).meta = meta.clone(),
        _ => {
            let id = tree.add(meta.clone(), Kind::Dir(Arc::default()));
            tree.link(dir, name, id);
        }
    }
}

/// A hard link: its header's attributes mean nothing, the inode has its own. The target is looked for as things
/// stand, and then as the lower tree was when the layer began (it may have been whited out by this very layer).
fn add_link(
    tree: &mut Tree,
    base: Option<&Tree>,
    dir: InodeId,
    name: &[u8],
    target: &EntryPath,
) -> Result<(), TreeError> {
    let missing = || TreeError::LinkTarget { target: target.clone() };
    let find = |tree: &Tree| -> Result<Option<(InodeId, bool)>, TreeError> {
        let Some((parent, last)) = target.split() else { return Ok(None) };
        let Some(parent) = Resolver::new(&BTreeSet::new()).find(tree, &parent)? else { return Ok(None) };
        Ok(tree.child(parent, last).map(|id| (id, parent == dir && last == name)))
    };
    let found = match find(tree)? {
        Some(found) => Some(found),
        None => base.map(find).transpose()?.flatten(),
    };
    let (id, is_itself) = found.ok_or_else(missing)?;
    if is_itself || matches!(tree.inode(id).kind, Kind::Dir(_)) {
        return Err(missing());
    }
    tree.link(dir, name, id);
    Ok(())
}
