//! Where in a dataset the root file system lies: SmartOS zones have it below `root/`, others at the top.

use std::str::FromStr;
use std::sync::Arc;

use aurora_formats::model::EntryPath;

use super::{Kind, Tree};

/// Where the root file system is in its dataset.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Placement {
    /// Below `root/`, as a SmartOS zonepath has it.
    Root,
    /// At the top.
    Top,
}

impl FromStr for Placement {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text {
            "root" => Ok(Self::Root),
            "top" => Ok(Self::Top),
            _ => Err(format!("a placement is root or top: {text}")),
        }
    }
}

/// Directories by which a root file system is known.
const SYSTEM: &[&[u8]] = &[b"bin", b"etc", b"lib", b"sbin", b"usr", b"var"];

/// Tells a zonepath from a root file system: it has a directory `root` with system directories in it and none
/// beside it.
pub fn detect(tree: &Tree) -> Placement {
    let has_system = |dir| SYSTEM.iter().any(|name| tree.child(dir, name).is_some());
    match tree.child(Tree::ROOT, b"root") {
        Some(root) if has_system(root) && !has_system(Tree::ROOT) => Placement::Root,
        _ => Placement::Top,
    }
}

/// The tree with its root moved below `root/`. A zonepath is root's alone: mode 0700.
pub fn to_root(tree: &Tree) -> Tree {
    let mut placed = tree.clone();
    let (meta, kind) = (tree.inode(Tree::ROOT).meta.clone(), tree.inode(Tree::ROOT).kind.clone());
    let zonepath = placed.inode_mut(Tree::ROOT);
    zonepath.kind = Kind::Dir(Arc::default());
    zonepath.meta.mode = 0o700;
    zonepath.meta.owner = Default::default();
    zonepath.meta.xattrs.clear();
    let root = placed.add(meta, kind);
    placed.link(Tree::ROOT, b"root", root);
    placed
}

/// The tree below `root/` as a tree of its own, and the names beside `root` that it leaves behind. `None` where
/// there is no directory `root`.
pub fn to_top(tree: &Tree) -> Option<(Tree, Vec<EntryPath>)> {
    let root = tree.child(Tree::ROOT, b"root").filter(|id| matches!(tree.inode(*id).kind, Kind::Dir(_)))?;
    let (meta, kind) = (tree.inode(root).meta.clone(), tree.inode(root).kind.clone());
    let beside = tree.children(Tree::ROOT)?.keys().filter(|name| ***name != *b"root");
    let beside: Vec<_> = beside.map(|name| EntryPath::root().join(name)).collect();
    let mut placed = tree.clone();
    for path in &beside {
        placed.unlink(Tree::ROOT, path.as_bytes());
    }
    let top = placed.inode_mut(Tree::ROOT);
    (top.meta, top.kind) = (meta, kind);
    Some((placed, beside))
}
