//! Paths of an image that become file systems of their own. The mount point stays where it is, empty, with its attributes;
//! what was in it is another tree.

use std::str::FromStr;
use std::sync::Arc;

pub use aurora_engine::host::Property;
use aurora_formats::model::EntryPath;

use super::{InodeId, Kind, Tree, default_directory};
use crate::{Error, ErrorKind, Result};

/// Longest path of a volume: it becomes part of a mount point, which ZFS keeps in 1024 bytes.
const MAX_PATH: usize = 512;

/// `PATH[:PROPERTY=VALUE[,PROPERTY=VALUE…]]`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VolumeSpec {
    /// Below the root of the image, and not that itself.
    pub path: EntryPath,
    /// Of the file system.
    pub properties: Vec<Property>,
}

impl VolumeSpec {
    /// One of this path, which begins with a slash.
    pub fn new(path: &str, properties: Vec<Property>) -> Result<Self, String> {
        let bad = || format!("a path from the root is needed, without `..`: {}", path.escape_default());
        let is_odd = path.len() > MAX_PATH || path.chars().any(char::is_control);
        if is_odd || !path.starts_with('/') || path.split('/').any(|part| part == "..") {
            return Err(bad());
        }
        let parts = path.split('/').filter(|part| !part.is_empty() && *part != ".");
        let path = parts.fold(EntryPath::root(), |at, part| at.join(part.as_bytes()));
        if path.is_root() { Err(bad()) } else { Ok(Self { path, properties }) }
    }
}

impl FromStr for VolumeSpec {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let (path, rest) = match text.split_once(':') {
            Some((path, rest)) => (path, Some(rest)),
            None => (text, None),
        };
        let properties = rest.into_iter().flat_map(|rest| rest.split(',')).map(str::parse);
        Self::new(path, properties.collect::<Result<_, _>>()?)
    }
}

/// Trees, one for each step, cut apart.
pub(crate) struct Split {
    /// Without what is in the volumes.
    pub(crate) trees: Vec<Tree>,
    /// For each volume its trees.
    pub(crate) volumes: Vec<Vec<Tree>>,
    /// Names of the last tree's files that had others on the other side of a cut, and are copies now.
    pub(crate) copied: Vec<EntryPath>,
}

/// Cuts the trees of a lineage. `paths` are sorted, each there once, and from the root of the trees. Where there is no such
/// directory it is made.
pub(crate) fn split(trees: &[Arc<Tree>], paths: &[EntryPath]) -> Result<Split> {
    let mut all: Vec<EntryPath> = Vec::new();
    for path in paths {
        let mut at = EntryPath::root();
        for part in path.components() {
            at = at.join(part);
            all.push(at.clone());
        }
    }
    all.sort();
    all.dedup();
    // An inode keeps its number from step to step, so what is made needs one that is free in all.
    let free = trees.iter().map(|tree| tree.inode_count()).max().unwrap_or(0);
    let mut out = Split { trees: Vec::new(), volumes: vec![Vec::new(); paths.len()], copied: Vec::new() };
    for tree in trees {
        let mut tree = Tree::clone(tree);
        tree.fill_to(free);
        for path in &all {
            let made = tree.add(default_directory(), Kind::Dir(Arc::default()));
            make(&mut tree, path, made).map_err(|e| e.at_entry(path))?;
        }
        out.copied.clear();
        // From the innermost outwards.
        for (at, path) in paths.iter().enumerate().rev() {
            let dir = tree.lookup(path).expect("it was there or was made");
            let (volume, shared) = take(&mut tree, dir);
            out.copied.extend(shared.into_iter().map(|name| below(path, &name)));
            out.volumes[at].push(volume);
        }
        out.trees.push(tree);
    }
    out.copied.sort();
    Ok(out)
}

/// Whether a path may be a volume of these trees: no step has anything but directories on the way.
pub(crate) fn fits(trees: &[Arc<Tree>], path: &EntryPath) -> Result<()> {
    for tree in trees {
        let (mut dir, mut at) = (Tree::ROOT, EntryPath::root());
        for name in path.components() {
            at = at.join(name);
            let Some(there) = tree.child(dir, name) else { break };
            is_directory(tree, there).map_err(|e| e.at_entry(&at))?;
            dir = there;
        }
    }
    Ok(())
}

/// Sees to a directory at a path whose parent is there.
fn make(tree: &mut Tree, path: &EntryPath, made: InodeId) -> Result<()> {
    let (parent, name) = path.split().expect("a volume is not the root");
    let parent = tree.lookup(&parent).expect("parents come first");
    let Some(there) = tree.child(parent, name) else {
        tree.link(parent, name, made);
        return Ok(());
    };
    is_directory(tree, there)
}

fn is_directory(tree: &Tree, there: InodeId) -> Result<()> {
    match tree.inode(there).kind {
        Kind::Dir(_) => Ok(()),
        Kind::Symlink(_) => {
            Err(unfit("the way to a volume is a symbolic link; name the path that it leads to"))
        }
        _ => Err(unfit("a volume is a directory, and this is none")),
    }
}

fn unfit(text: &str) -> Error {
    ErrorKind::Unsupported(text.to_owned()).into()
}

/// Takes out what is in a directory. The names in it whose inodes have others outside.
fn take(tree: &mut Tree, dir: InodeId) -> (Tree, Vec<EntryPath>) {
    let mut volume = tree.clone();
    let (meta, kind) = (tree.inode(dir).meta.clone(), tree.inode(dir).kind.clone());
    let names: Vec<_> =
        tree.children(dir).into_iter().flat_map(|children| children.keys().cloned()).collect();
    for name in names {
        tree.unlink(dir, &name);
    }
    let top = volume.inode_mut(Tree::ROOT);
    (top.meta, top.kind, top.names) = (meta, kind, 1);
    let walked = volume.walk();
    let mut shared = Vec::new();
    for (path, id) in &walked {
        if *id != Tree::ROOT && tree.inode(*id).names > 0 {
            shared.push(path.clone());
        }
    }
    let mut counts = vec![0u32; volume.inode_count()];
    walked.iter().for_each(|(_, id)| counts[id.0 as usize] += 1);
    for (_, id) in &walked {
        let names = counts[id.0 as usize];
        if volume.inode(*id).names != names {
            volume.inode_mut(*id).names = names;
        }
    }
    (volume, shared)
}

/// A path that begins below another.
pub(crate) fn below(path: &EntryPath, name: &EntryPath) -> EntryPath {
    name.components().fold(path.clone(), |at, part| at.join(part))
}

#[cfg(test)]
mod tests {
    use aurora_formats::model::Metadata;

    use super::*;

    fn path(text: &str) -> EntryPath {
        text.split('/').filter(|part| !part.is_empty()).fold(EntryPath::root(), |at, p| at.join(p.as_bytes()))
    }

    fn add(tree: &mut Tree, at: &str, kind: Kind) -> InodeId {
        let id = tree.add(Metadata { mode: 0o711, ..Metadata::default() }, kind);
        let at = path(at);
        let (parent, name) = at.split().unwrap();
        let parent = tree.lookup(&parent).unwrap();
        tree.link(parent, name, id);
        id
    }

    fn names(tree: &Tree) -> String {
        let shown = |(path, id): &(EntryPath, InodeId)| format!("{path}:{}", tree.inode(*id).names);
        tree.walk().iter().map(shown).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn specs_are_read() {
        let spec: VolumeSpec = "/var//lib/:compression=lz4,quota=1G".parse().unwrap();
        assert_eq!((spec.path, spec.properties.len()), (path("var/lib"), 2));
        assert!("/a".parse::<VolumeSpec>().unwrap().properties.is_empty());
        for text in ["", "/", "a", "/a/../b", "/a:x", "/a:", "/a\0", "/a\n"] {
            assert!(text.parse::<VolumeSpec>().is_err(), "{text}");
        }
    }

    #[test]
    fn trees_are_cut_and_links_across_are_copied() {
        let dir = || Kind::Dir(Arc::default());
        let mut one = Tree::new(Metadata::default());
        for name in ["a", "a/b", "a/b/c", "etc"] {
            add(&mut one, name, dir());
        }
        let file = add(&mut one, "a/b/f", Kind::Fifo);
        let mut two = one.clone();
        let etc = two.lookup(&path("etc")).unwrap();
        two.link(etc, b"g", file);
        let b = two.lookup(&path("a/b")).unwrap();
        two.link(b, b"h", file);
        add(&mut two, "a/b/c/deep", Kind::Fifo);
        let done =
            split(&[Arc::new(one), Arc::new(two)], &[path("a/b"), path("a/b/c"), path("new/dir")]).unwrap();
        assert_eq!(names(&done.trees[0]), "/:1 a:1 a/b:1 etc:1 new:1 new/dir:1");
        assert_eq!(names(&done.trees[1]), "/:1 a:1 a/b:1 etc:1 etc/g:1 new:1 new/dir:1");
        let volumes: Vec<_> = done.volumes.iter().map(|steps| names(&steps[1])).collect();
        assert_eq!(volumes, ["/:1 c:1 f:2 h:2", "/:1 deep:1", "/:1"]);
        assert_eq!(names(&done.volumes[0][0]), "/:1 c:1 f:1");
        assert_eq!(done.copied, [path("a/b/f"), path("a/b/h")]);
        // The mount point has its attributes on both sides, and what is made the same number in every step.
        let mount = |tree: &Tree, at: &str| tree.lookup(&path(at)).unwrap();
        assert_eq!(done.trees[1].inode(mount(&done.trees[1], "a/b")).meta.mode, 0o711);
        assert_eq!(done.volumes[0][1].inode(Tree::ROOT).meta.mode, 0o711);
        assert_eq!(mount(&done.trees[0], "new/dir"), mount(&done.trees[1], "new/dir"));
    }

    #[test]
    fn the_way_must_be_one_of_directories() {
        let mut tree = Tree::new(Metadata::default());
        add(&mut tree, "link", Kind::Symlink(b"etc".as_slice().into()));
        add(&mut tree, "file", Kind::Fifo);
        for (at, text) in [("link/x", "symbolic link"), ("file", "this is none")] {
            let error = split(&[Arc::new(tree.clone())], &[path(at)]).err().unwrap();
            assert!(error.to_string().contains(text), "{error}");
        }
    }
}
