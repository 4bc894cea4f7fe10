//! Trees built by hand, for tests that want a particular one.

use std::sync::Arc;

use aurora_convert::content::Content;
use aurora_convert::image::Image;
use aurora_convert::tree::{Kind, Tree};
use aurora_convert::{Lineage, Loaded, Step};
use aurora_engine::body::{Body, MemBody};
use aurora_engine::digest::{Algorithm, Hasher};
use aurora_formats::model::{Device, EntryPath, Metadata, Owner, Timestamp};

/// A tree in the making; every call adds one name and returns it, so that a tree reads as a list.
pub struct Files {
    tree: Tree,
    meta: Metadata,
}

impl Default for Files {
    fn default() -> Self {
        let meta =
            Metadata { mode: 0o755, mtime: Timestamp::from_secs(1_700_000_000), ..Metadata::default() };
        Self { tree: Tree::new(meta.clone()), meta }
    }
}

impl Files {
    /// An empty root.
    pub fn new() -> Self {
        Self::default()
    }

    /// Owner of what follows.
    #[must_use]
    pub fn owner(mut self, uid: u32, gid: u32) -> Self {
        self.meta.owner = Owner { uid, gid };
        self
    }

    /// Mode of what follows.
    #[must_use]
    pub fn mode(mut self, mode: u32) -> Self {
        self.meta.mode = mode;
        self
    }

    /// Time of what follows.
    #[must_use]
    pub fn time(mut self, secs: i64, nanos: u32) -> Self {
        self.meta.mtime = Timestamp { secs, nanos };
        self
    }

    /// One attribute of all that follows.
    #[must_use]
    pub fn xattr(mut self, name: &str, value: &[u8]) -> Self {
        self.meta.xattrs.insert(name.as_bytes().into(), value.into());
        self
    }

    /// No attributes any more.
    #[must_use]
    pub fn no_xattrs(mut self) -> Self {
        self.meta.xattrs.clear();
        self
    }

    fn put(mut self, path: &[u8], kind: Kind) -> Self {
        let path = EntryPath::parse(path).expect("a test's path is valid");
        let (dir, name) = path.split().expect("not the root");
        let dir = self.tree.lookup(&dir).expect("directories come first");
        let id = self.tree.add(self.meta.clone(), kind);
        self.tree.link(dir, name, id);
        self
    }

    /// A directory.
    #[must_use]
    pub fn dir(self, path: &[u8]) -> Self {
        self.put(path, Kind::Dir(Arc::default()))
    }

    /// A file.
    #[must_use]
    pub fn file(self, path: &[u8], data: &[u8]) -> Self {
        let body: Body = Arc::new(MemBody(data.to_vec()));
        self.put(path, Kind::File(Arc::new(Content::plain(&body, 0, data.len() as u64))))
    }

    /// A file of one hole.
    #[must_use]
    pub fn hole(self, path: &[u8], size: u64) -> Self {
        self.put(path, Kind::File(Arc::new(Content { size, extents: Vec::new() })))
    }

    /// A symbolic link.
    #[must_use]
    pub fn symlink(self, path: &[u8], target: &[u8]) -> Self {
        self.put(path, Kind::Symlink(target.into()))
    }

    /// Another name of something.
    #[must_use]
    pub fn link(mut self, path: &[u8], to: &[u8]) -> Self {
        let find = |p: &[u8]| EntryPath::parse(p).expect("a test's path is valid");
        let (path, to) = (find(path), find(to));
        let (dir, name) = path.split().expect("not the root");
        let dir = self.tree.lookup(&dir).expect("directories come first");
        let id = self.tree.lookup(&to).expect("what is linked to comes first");
        self.tree.link(dir, name, id);
        self
    }

    /// A character device.
    #[must_use]
    pub fn char(self, path: &[u8], major: u32, minor: u32) -> Self {
        self.put(path, Kind::Char(Device { major, minor }))
    }

    /// A named pipe.
    #[must_use]
    pub fn fifo(self, path: &[u8]) -> Self {
        self.put(path, Kind::Fifo)
    }

    /// The tree.
    pub fn tree(self) -> Tree {
        self.tree
    }

    /// An image of these trees, one step each.
    pub fn image(steps: impl IntoIterator<Item = Self>) -> Loaded {
        let step = |(n, files): (usize, Self)| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.update(format!("step {n}").as_bytes());
            Step {
                tree: Arc::new(files.tree),
                chain_id: hasher.finish(),
                snapshot: None,
                created: None,
                created_by: None,
            }
        };
        let steps = steps.into_iter().enumerate().map(step).collect();
        Loaded::Filesystem(Lineage { image: Image::default(), steps })
    }
}
