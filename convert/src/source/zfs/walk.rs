//! From the root directory's object to a tree.

use std::collections::BTreeMap;
use std::sync::Arc;

use aurora_formats::model::{EntryPath, MAX_COMPONENT, MAX_DEPTH, MAX_PATH, Metadata};
use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::format::{DIRENT_OBJECT_MASK, mode, object_type};
use aurora_formats::zfs::znode::Znode;

use super::attributes::{self, Losses};
use super::dataset::{Filesystem, MAX_SIZE};
use super::objects::{Object, ObjectSet};
use super::xattrs::XattrReader;
use crate::tree::{Inode, InodeId, Kind, Name, Tree};
use crate::{Counter, Ctx, Error, ErrorKind, LossKind, Result};

/// Longest target of a symbolic link: PATH_MAX.
const MAX_TARGET: u64 = 4096;
/// Names of one file system: ten times those of the largest image known.
const MAX_NAMES: usize = 100_000_000;

/// A tree, and which object each inode is.
pub(super) struct Walked {
    /// The tree.
    pub(super) tree: Tree,
    /// Object to generation and inode: a number with another generation is another file.
    ids: BTreeMap<u64, (u64, InodeId)>,
}

/// The step below, so that what did not change stays the same inode.
#[derive(Clone, Copy)]
pub(super) struct Below<'a> {
    /// Its tree.
    pub(super) walked: &'a Walked,
    /// Its objects.
    pub(super) objects: &'a ObjectSet,
}

struct Walk<'a, 'c> {
    fs: Filesystem<'a>,
    below: Option<Below<'a>>,
    tree: Tree,
    /// Inodes met, by object.
    seen: BTreeMap<u64, (u64, InodeId)>,
    /// Names met, by inode.
    names: Vec<u32>,
    xattrs: XattrReader,
    total: usize,
    ctx: &'a Ctx<'c>,
}

/// A directory still to be read.
struct Todo {
    object: u64,
    id: InodeId,
    path: EntryPath,
    depth: usize,
}

/// Resolves a file system.
pub(super) fn walk<'a>(fs: Filesystem<'a>, below: Option<Below<'a>>, ctx: &'a Ctx<'_>) -> Result<Walked> {
    let tree = below.map_or_else(|| Tree::new(Metadata::default()), |b| b.walked.tree.clone());
    let names = vec![0; tree.inode_count()];
    let (seen, xattrs) = (BTreeMap::new(), XattrReader::default());
    let mut walk = Walk { fs, below, tree, seen, names, xattrs, total: 0, ctx };
    walk.run()?;
    Ok(Walked { tree: walk.tree, ids: walk.seen })
}

impl Walk<'_, '_> {
    fn run(&mut self) -> Result<()> {
        let root = self.fs.root;
        let object = self.fs.data.object(root, object_type::DIRECTORY, "root directory")?;
        let path = EntryPath::root();
        let id = self.inode(root, object, &path)?.filter(|id| *id == Tree::ROOT);
        let id = id.ok_or(ZfsError::Object { object: root, expected: "root directory" })?;
        self.names[0] = 1;
        let mut todo = vec![Todo { object: root, id, path, depth: 0 }];
        while let Some(next) = todo.pop() {
            self.ctx.check()?;
            self.directory(next, &mut todo)?;
        }
        self.settle();
        Ok(())
    }

    fn directory(&mut self, at: Todo, todo: &mut Vec<Todo>) -> Result<()> {
        let entries = self.entries(&at)?;
        self.ctx.progress.count(Counter::Entries, entries.len() as u64);
        let mut children: BTreeMap<Name, InodeId> = BTreeMap::new();
        for (name, object) in entries {
            let path = at.path.join(&name);
            if path.as_bytes().len() > MAX_PATH {
                return Err(limit("bytes in a path", MAX_PATH).at_entry(&at.path));
            }
            if at.depth >= MAX_DEPTH {
                return Err(limit("directories in one another", MAX_DEPTH).at_entry(&at.path));
            }
            let id = match self.seen.get(&object) {
                Some((_, id)) if matches!(self.tree.inode(*id).kind, Kind::Dir(_)) => {
                    return Err(Error::from(ZfsError::Loop { object }).at_entry(&path));
                }
                Some((_, id)) => Some(*id),
                None => {
                    let found = self.fs.data.objects.get(object);
                    let missing = ZfsError::Object { object, expected: "file or directory" };
                    let found = found.ok_or_else(|| Error::from(missing).at_entry(&path))?;
                    let id = self.inode(object, found, &path).map_err(|e| e.at_entry(&path))?;
                    if let Some(id) = id
                        && matches!(self.tree.inode(id).kind, Kind::Dir(_))
                    {
                        todo.push(Todo { object, id, path, depth: at.depth + 1 });
                    }
                    id
                }
            };
            if let Some(id) = id {
                self.names[id.0 as usize] += 1;
                children.insert(name, id);
            }
        }
        let is_same = |tree: &Tree| tree.children(at.id) == Some(&children);
        if !is_same(&self.tree) {
            self.tree.inode_mut(at.id).kind = Kind::Dir(Arc::new(children));
        }
        Ok(())
    }

    /// Names and objects of a directory, sorted and checked.
    fn entries(&mut self, at: &Todo) -> Result<BTreeMap<Name, u64>> {
        let number = at.object;
        let object = self.fs.data.object(number, object_type::DIRECTORY, "directory")?;
        let mut entries: BTreeMap<Name, u64> = BTreeMap::new();
        let total = &mut self.total;
        let read = self.fs.data.each_entry(number, object, |entry| {
            let value = entry.single().filter(|_| is_name(&entry.name));
            let target = value.map(|v| v & DIRENT_OBJECT_MASK);
            *total += 1;
            if *total > MAX_NAMES {
                return Err(limit("names", MAX_NAMES));
            }
            let is_new = target.map(|target| entries.insert(entry.name.as_slice().into(), target).is_none());
            if is_new != Some(true) {
                return Err(ZfsError::Name { object: number, name: entry.name }.into());
            }
            Ok(())
        });
        read.map_err(|e| e.at_entry(&at.path))?;
        Ok(entries)
    }

    /// The inode of an object met for the first time; `None` for what no tree holds.
    fn inode(&mut self, number: u64, object: &Object, path: &EntryPath) -> Result<Option<InodeId>> {
        let losses = Losses::new(path, self.ctx);
        let znode = self.fs.znode(number, object)?;
        let before = self.before(number, object);
        let Some(kind) = self.kind(number, object, &znode, before, &losses)? else { return Ok(None) };
        let mut meta = attributes::metadata(&znode, &losses);
        meta.xattrs = self.xattrs.read(&self.fs, number, &znode, &losses)?;
        // What a link's mode says differs from system to system and means nothing on any.
        if let Kind::Symlink(_) = kind {
            meta.mode = 0o777;
        }
        let generation = object.generation();
        let known = self.below.and_then(|b| b.walked.ids.get(&number)).filter(|(g, _)| *g == generation);
        let id = match known {
            _ if number == self.fs.root => Tree::ROOT,
            // The root may have been another object once.
            Some((_, id)) if *id != Tree::ROOT => *id,
            _ => {
                if self.tree.inode_count() >= u32::MAX as usize {
                    return Err(limit("inodes", u32::MAX as usize));
                }
                self.names.push(0);
                self.tree.add(Metadata::default(), Kind::Fifo)
            }
        };
        self.seen.insert(number, (generation, id));
        let old = self.tree.inode(id);
        let is_same = old.meta == meta
            && match (&old.kind, &kind) {
                (Kind::File(a), Kind::File(b)) => Arc::ptr_eq(a, b),
                (Kind::Symlink(a), Kind::Symlink(b)) => a == b,
                // Its children come later.
                (Kind::Dir(_), Kind::Dir(_)) => true,
                _ => false,
            };
        if !is_same {
            let names = old.names;
            *self.tree.inode_mut(id) = Inode { meta, kind, names };
        }
        Ok(Some(id))
    }

    /// The content that this very object had in the step below.
    fn before(&self, number: u64, object: &Object) -> Option<InodeId> {
        let below = self.below?;
        let is_same = below.objects.get(number).is_some_and(|old| std::ptr::eq(&**old, object));
        let (_, id) = below.walked.ids.get(&number).filter(|_| is_same)?;
        Some(*id)
    }

    fn kind(
        &self,
        number: u64,
        object: &Object,
        znode: &Znode,
        before: Option<InodeId>,
        losses: &Losses<'_, '_>,
    ) -> Result<Option<Kind>> {
        let type_bits = znode.mode & mode::TYPE;
        let (expected, name) = match type_bits {
            mode::DIR => (object_type::DIRECTORY, "directory"),
            _ => (object_type::PLAIN_FILE, "file"),
        };
        if object.kind != expected {
            return Err(ZfsError::Object { object: number, expected: name }.into());
        }
        let value = |what, value| Error::from(ZfsError::Value { object: number, what, value });
        Ok(Some(match type_bits {
            mode::DIR => Kind::Dir(Arc::default()),
            mode::FILE => {
                if znode.size > MAX_SIZE {
                    return Err(value("size", znode.size));
                }
                match before.map(|id| &self.tree.inode(id).kind) {
                    Some(Kind::File(content)) => Kind::File(content.clone()),
                    _ => Kind::File(Arc::new(self.fs.data.content(object, znode.size))),
                }
            }
            mode::SYMLINK => {
                let target = match &znode.symlink {
                    Some(target) => target.clone(),
                    None if znode.size <= MAX_TARGET => self.fs.data.head(object, znode.size as usize)?,
                    None => return Err(value("length of its target", znode.size)),
                };
                if target.is_empty() || target.len() as u64 > MAX_TARGET || target.contains(&0) {
                    return Err(value("target", target.len() as u64));
                }
                Kind::Symlink(target.into_boxed_slice())
            }
            mode::CHAR => Kind::Char(attributes::device(znode.rdev)),
            mode::BLOCK => Kind::Block(attributes::device(znode.rdev)),
            mode::FIFO => Kind::Fifo,
            mode::SOCKET => Kind::Socket,
            mode::DOOR => {
                losses.lose(LossKind::Type, "door");
                return Ok(None);
            }
            other => return Err(value("type", other)),
        }))
    }

    /// Counts of names, and nothing below what is gone.
    fn settle(&mut self) {
        for (number, &names) in (0..).zip(&self.names) {
            let id = InodeId(number);
            let inode = self.tree.inode(id);
            let is_left = names == 0 && self.tree.children(id).is_some_and(|c| !c.is_empty());
            if inode.names != names || is_left {
                let inode = self.tree.inode_mut(id);
                inode.names = names;
                if is_left {
                    inode.kind = Kind::Dir(Arc::default());
                }
            }
        }
    }
}

fn limit(what: &'static str, limit: usize) -> Error {
    ErrorKind::Limit { what, limit: limit as u64 }.into()
}

/// Whether a directory can hold such a name.
fn is_name(name: &[u8]) -> bool {
    let is_dots = matches!(name, b"." | b"..");
    !name.is_empty() && !is_dots && name.len() <= MAX_COMPONENT && !name.iter().any(|&b| b == b'/' || b == 0)
}
