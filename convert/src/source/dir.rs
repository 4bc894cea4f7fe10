//! Reads a root directory. Contents stay in its files: they must not change until the target is written, and
//! it is noticed if they do.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;

use aurora_engine::body::Body;
use aurora_engine::digest::{Algorithm, Digest, HashingWriter};
use aurora_engine::fs::{self, DirFile, DirTree, Status};
use aurora_formats::model::{Device, EntryPath, Metadata, Owner, Timestamp, Xattrs};

use crate::content::{Content, Extent, Slice};
use crate::fidelity::{Loss, LossKind};
use crate::image::Image;
use crate::lineage::{Lineage, Loaded, Step};
use crate::source::ReadOptions;
use crate::tree::{InodeId, Kind, Tree, is_of_the_host};
use crate::{Counter, Ctx, Error, ErrorKind, NoProgress, Result, sink};

/// Reads an image of one step. Its chainID is a digest of everything in it.
pub fn read(path: &Path, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    if !options.origins.is_empty() {
        return Err(Error::usage("a directory is whole: it has no origin"));
    }
    if !fs::exists(path).map_err(|e| Error::io(path.display().to_string(), e))? {
        return Err(ErrorKind::NoSuchImage(path.display().to_string()).into());
    }
    ctx.progress.phase("reading directory");
    let tree = read_tree(path, ctx)?;
    let chain_id = diff_id(&tree, ctx)?;
    let step = Step { tree: Arc::new(tree), chain_id, snapshot: None, created: None, created_by: None };
    Ok(Loaded::Filesystem(Lineage { image: Image::default(), steps: vec![step] }))
}

/// The digest of the tar that the tree makes: what its diffID is once it is a layer. What a tar can't hold is
/// lost there and not here, so it is not told.
pub(crate) fn diff_id(tree: &Tree, ctx: &Ctx<'_>) -> Result<Digest> {
    let aside = Ctx::new(ctx.options.clone(), &NoProgress, ctx.cancel);
    let mut out = HashingWriter::new(std::io::sink(), Algorithm::Sha256);
    sink::tar::write_tree(tree, &mut out, &aside)?;
    Ok(out.finish().1)
}

/// The tree of a directory.
pub(crate) fn read_tree(path: &Path, ctx: &Ctx<'_>) -> Result<Tree> {
    let dir = DirTree::open(path).map_err(|e| Error::io(path.display().to_string(), e))?;
    let at_root = |e| Error::io("directory", e).at_entry(&EntryPath::root());
    let status = dir.root_status().map_err(at_root)?;
    let mut reader =
        Reader { dir: Arc::new(dir), tree: Tree::new(Metadata::default()), links: BTreeMap::new() };
    let root = reader.metadata(&EntryPath::root(), &status)?;
    reader.tree.inode_mut(Tree::ROOT).meta = root;
    let mut todo = vec![(EntryPath::root(), Tree::ROOT)];
    while let Some((path, id)) = todo.pop() {
        ctx.check()?;
        let listed = reader.dir.list(path.as_bytes());
        for (name, status) in listed.map_err(|e| Error::io("directory", e).at_entry(&path))? {
            let child = child_path(&path, &name)?;
            ctx.progress.count(Counter::Entries, 1);
            match reader.child(id, &name, &child, &status) {
                Ok(Some(dir)) => todo.push((child, dir)),
                Ok(None) => {}
                Err(e) if matches!(e.kind(), ErrorKind::Unsupported(_)) => {
                    let detail = "a kind of file that no image has".to_owned();
                    ctx.lose(Loss { path: Some(child), kind: LossKind::Type, detail });
                }
                Err(e) => return Err(e.at_entry(&child)),
            }
        }
    }
    Ok(reader.tree)
}

/// The path of a name, within the limits of all paths.
fn child_path(dir: &EntryPath, name: &[u8]) -> Result<EntryPath> {
    let joined = dir.join(name);
    EntryPath::parse(joined.as_bytes()).map_err(|e| ErrorKind::Unsupported(e.to_string()).into())
}

struct Reader {
    dir: Arc<DirTree>,
    tree: Tree,
    /// Inodes with several names, by file system and number.
    links: BTreeMap<(u64, u64), InodeId>,
}

impl Reader {
    /// Adds a name; the new inode if it is a directory, to be read later.
    fn child(
        &mut self,
        dir: InodeId,
        name: &[u8],
        path: &EntryPath,
        status: &Status,
    ) -> Result<Option<InodeId>> {
        let is_linked = status.links > 1 && status.kind != fs::Kind::Dir;
        if let Some(id) = self.links.get(&status.inode).filter(|_| is_linked) {
            self.tree.link(dir, name, *id);
            return Ok(None);
        }
        let kind = self.kind(path, status)?;
        let is_dir = matches!(kind, Kind::Dir(_));
        let meta = self.metadata(path, status)?;
        let id = self.tree.add(meta, kind);
        self.tree.link(dir, name, id);
        if is_linked {
            self.links.insert(status.inode, id);
        }
        Ok(is_dir.then_some(id))
    }

    fn kind(&self, path: &EntryPath, status: &Status) -> Result<Kind> {
        let device = Device { major: status.device.0, minor: status.device.1 };
        Ok(match status.kind {
            fs::Kind::Dir => Kind::Dir(Arc::default()),
            fs::Kind::File => Kind::File(Arc::new(self.content(path, status)?)),
            fs::Kind::Symlink => {
                let target = self.dir.read_link(path.as_bytes());
                Kind::Symlink(target.map_err(|e| Error::io("symbolic link", e))?.into())
            }
            fs::Kind::Char => Kind::Char(device),
            fs::Kind::Block => Kind::Block(device),
            fs::Kind::Fifo => Kind::Fifo,
            fs::Kind::Socket => Kind::Socket,
            fs::Kind::Other => return Err(ErrorKind::Unsupported("file type".to_owned()).into()),
        })
    }

    fn content(&self, path: &EntryPath, status: &Status) -> Result<Content> {
        let file = DirFile::new(Arc::clone(&self.dir), path.as_bytes(), *status);
        let body: Body = Arc::new(file.map_err(|e| Error::io("file", e))?);
        let runs = self.dir.extents(path.as_bytes(), status).map_err(|e| Error::io("file", e))?;
        let extent = |(offset, len)| {
            let data = Slice::plain(Arc::clone(&body), offset, len);
            Extent { offset, len, data }
        };
        Ok(Content { size: status.size, extents: runs.into_iter().map(extent).collect() })
    }

    fn metadata(&self, path: &EntryPath, status: &Status) -> Result<Metadata> {
        let found = self.dir.xattrs(path.as_bytes());
        let found = found.map_err(|e| Error::io("extended attributes", e).at_entry(path))?;
        let xattrs: Xattrs = found
            .into_iter()
            .filter(|(name, _)| !is_of_the_host(name))
            .map(|(name, value)| (name.into_boxed_slice(), value.into_boxed_slice()))
            .collect();
        let (secs, nanos) = status.mtime;
        Ok(Metadata {
            mode: status.mode,
            owner: Owner { uid: status.uid, gid: status.gid },
            mtime: Timestamp { secs, nanos },
            xattrs,
        })
    }
}
