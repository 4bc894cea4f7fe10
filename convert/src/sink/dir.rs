//! Writes a root directory: the last tree of a lineage, into a new or an empty directory. It is whole or gone.

use std::io;
use std::path::Path;

use aurora_engine::fs::{self, NewFile, Root, StagedDir};
use aurora_formats::model::{Device, EntryPath, Metadata};

use crate::bundle::{self, Runner};
use crate::content::{BlockCache, Content};
use crate::fidelity::{Loss, LossKind};
use crate::lineage::Lineage;
use crate::sink::{Outcome, WriteOptions};
use crate::tree::{InodeId, Kind, Tree};
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Bytes of content moved at a time.
const CHUNK: u64 = 1 << 20;
/// Bytes that the kernel copies at a time: that long nobody asks whether the work is still wanted.
const COPY: u64 = 256 << 20;

/// Writes an image. What the user may not set (owners, devices, some attributes) is reported as lost.
pub fn write(lineage: &Lineage, path: &Path, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let step = lineage.steps.last().expect("a lineage is never empty");
    let failed = |e| not_empty(path, e);
    ctx.progress.phase("writing directory");
    let staged = StagedDir::create(path).map_err(failed)?;
    let written = write_tree(&step.tree, staged.root(), ctx)?;
    options.may_commit(ctx)?;
    staged.commit().map_err(failed)?;
    Ok(outcome(written))
}

/// Writes a bundle (runtime-spec, bundle.md): the root file system in a folder, and the runtime's config beside it. The
/// directory is its owner's alone, as what is setuid in it is nobody else's business.
pub(crate) fn write_bundle(
    lineage: &Lineage,
    path: &Path,
    runner: Runner,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let step = lineage.steps.last().expect("a lineage is never empty");
    let failed = |e| not_empty(path, e);
    ctx.progress.phase("writing bundle");
    let config = bundle::config(&lineage.image, &step.tree, runner, ctx)?;
    let staged = StagedDir::create(path).map_err(failed)?;
    staged.root().make_dir(bundle::ROOTFS.as_bytes()).map_err(failed)?;
    let root = Root::open(&staged.path().join(bundle::ROOTFS)).map_err(failed)?;
    let written = write_tree(&step.tree, &root, ctx)?;
    let named = |e| Error::io(bundle::CONFIG, e);
    let file = staged.root().create_file(bundle::CONFIG.as_bytes()).map_err(named)?;
    file.write_all_at(&config, 0).and_then(|()| file.set_mode(0o644)).map_err(named)?;
    options.may_commit(ctx)?;
    staged.commit().map_err(failed)?;
    Ok(outcome(written))
}

/// The same into a file system that is mounted at `path`, empty, and that the caller does away with if this fails.
pub(crate) fn write_mounted(lineage: &Lineage, path: &Path, ctx: &Ctx<'_>) -> Result<Outcome> {
    let step = lineage.steps.last().expect("a lineage is never empty");
    ctx.progress.phase("writing files");
    let root = Root::open(path).map_err(|e| Error::io(path.display().to_string(), e))?;
    Ok(outcome(write_tree(&step.tree, &root, ctx)?))
}

fn outcome((entries, bytes): (u64, u64)) -> Outcome {
    let fact = |name: &str, n: u64| (name.to_owned(), n.to_string());
    Outcome { facts: vec![fact("entries", entries), fact("bytes", bytes)] }
}

fn not_empty(path: &Path, e: io::Error) -> Error {
    match e.kind() {
        io::ErrorKind::AlreadyExists => {
            ErrorKind::Exists(format!("{} is no empty directory", path.display())).into()
        }
        _ => Error::io(path.display().to_string(), e),
    }
}

/// Makes everything in an empty directory; how many names, and bytes of content.
fn write_tree(tree: &Tree, root: &Root, ctx: &Ctx<'_>) -> Result<(u64, u64)> {
    let names = tree.walk();
    let mut unpacker = Unpacker {
        tree,
        root,
        ctx,
        ids: fs::own_ids(),
        is_root: fs::is_root(),
        places: vec![Place::None; tree.inode_count()],
        cache: BlockCache::default(),
        buf: Vec::new(),
        bytes: 0,
    };
    for (at, (path, id)) in names.iter().enumerate() {
        ctx.check()?;
        unpacker.make(at, path, *id, &names).map_err(|e| e.at_entry(path))?;
        ctx.progress.count(Counter::Entries, 1);
    }
    // Backwards, so that a directory is sealed after all that is in it.
    for (path, id) in names.iter().rev() {
        let inode = tree.inode(*id);
        if matches!(inode.kind, Kind::Dir(_)) {
            unpacker.seal(&Target::Path(path), path, &inode.meta).map_err(|e| e.at_entry(path))?;
        }
    }
    Ok((names.len() as u64, unpacker.bytes))
}

/// Where an inode is already.
#[derive(Clone, Copy)]
enum Place {
    /// Nowhere yet.
    None,
    /// Under this one of the names.
    Made(usize),
    /// Nowhere ever: it could not be made, and that was told.
    Lost,
}

/// How metadata is set: by the open file, or by name.
enum Target<'a> {
    File(&'a NewFile),
    Path(&'a EntryPath),
    Symlink(&'a EntryPath),
}

struct Unpacker<'a> {
    tree: &'a Tree,
    root: &'a Root,
    ctx: &'a Ctx<'a>,
    ids: (u32, u32),
    is_root: bool,
    places: Vec<Place>,
    cache: BlockCache,
    buf: Vec<u8>,
    bytes: u64,
}

impl Unpacker<'_> {
    fn lose(&self, path: &EntryPath, kind: LossKind, detail: String) {
        self.ctx.lose(Loss { path: Some(path.clone()), kind, detail });
    }

    /// One name: its inode if it is the first, else a link to that.
    fn make(
        &mut self,
        at: usize,
        path: &EntryPath,
        id: InodeId,
        names: &[(EntryPath, InodeId)],
    ) -> Result<()> {
        if path.is_root() {
            return Ok(());
        }
        let slot = id.0 as usize;
        match self.places[slot] {
            Place::Made(first) => {
                let existing = &names[first].0;
                let linked = self.root.make_link(path.as_bytes(), existing.as_bytes());
                return linked.map_err(|e| Error::io(format!("hard link to {existing}"), e));
            }
            Place::Lost => {
                self.lose(path, LossKind::Type, "a link to what could not be made".to_owned());
                return Ok(());
            }
            Place::None => self.places[slot] = Place::Made(at),
        }
        let tree = self.tree;
        let inode = tree.inode(id);
        let raw = path.as_bytes();
        let made = match &inode.kind {
            // Sealed at the end.
            Kind::Dir(_) => return self.root.make_dir(raw).map_err(|e| Error::io("directory", e)),
            Kind::File(content) => {
                let file = self.root.create_file(raw).map_err(|e| Error::io("new file", e))?;
                self.fill(&file, content)?;
                return self.seal(&Target::File(&file), path, &inode.meta);
            }
            Kind::Symlink(target) => {
                self.root.make_symlink(raw, target).map_err(|e| Error::io("symbolic link", e))?;
                return self.seal(&Target::Symlink(path), path, &inode.meta);
            }
            Kind::Char(device) => self.make_node(raw, fs::Kind::Char, *device),
            Kind::Block(device) => self.make_node(raw, fs::Kind::Block, *device),
            Kind::Fifo => self.make_node(raw, fs::Kind::Fifo, Device::default()),
            Kind::Socket => self.make_node(raw, fs::Kind::Socket, Device::default()),
        };
        match made {
            Ok(()) => self.seal(&Target::Path(path), path, &inode.meta),
            Err(e) if is_refusal(&e) => {
                self.places[slot] = Place::Lost;
                self.lose(path, LossKind::Type, format!("{}: {e}", kind_name(&inode.kind)));
                Ok(())
            }
            Err(e) => Err(Error::io(kind_name(&inode.kind), e)),
        }
    }

    fn make_node(&self, path: &[u8], kind: fs::Kind, device: Device) -> io::Result<()> {
        self.root.make_node(path, kind, (device.major, device.minor))
    }

    /// Content, with its holes.
    fn fill(&mut self, file: &NewFile, content: &Content) -> Result<()> {
        let written = |e| Error::io("writing file", e);
        let mut end = 0;
        for segment in content.segments().into_iter().filter(|s| s.is_data) {
            end = segment.offset + segment.len;
            let mut at = segment.offset;
            while at < end {
                self.ctx.check()?;
                let copied = match content.plain_at(at) {
                    Some((body, from, len)) => {
                        file.copy_from(&**body, from, len.min(COPY), at).map_err(written)?
                    }
                    None => 0,
                };
                if copied > 0 {
                    self.ctx.progress.count(Counter::BytesWritten, copied);
                    self.bytes += copied;
                    at += copied;
                    continue;
                }
                let n = (end - at).min(CHUNK);
                self.buf.resize(n as usize, 0);
                let read = content.read_at(&mut self.buf, at, &mut self.cache);
                read.map_err(|e| Error::io("reading content", e))?;
                file.write_all_at(&self.buf, at).map_err(written)?;
                self.ctx.progress.count(Counter::BytesWritten, n);
                self.bytes += n;
                at += n;
            }
        }
        if end < content.size {
            file.set_len(content.size).map_err(written)?;
        }
        Ok(())
    }

    /// Owner, attributes, permissions and time, in the order in which none of them undoes another.
    fn seal(&self, target: &Target<'_>, path: &EntryPath, meta: &Metadata) -> Result<()> {
        let has_owner = self.set_owner(target, path, meta)?;
        for (name, value) in &meta.xattrs {
            self.set_xattr(target, path, name, value)?;
        }
        if !matches!(target, Target::Symlink(_)) {
            let mut mode = meta.mode & 0o7777;
            if !has_owner && mode & 0o6000 != 0 {
                // They would give everybody the rights of whoever unpacks.
                mode &= 0o1777;
                self.lose(path, LossKind::Owner, "setuid and setgid, as the owner is another".to_owned());
            }
            let set = match target {
                Target::File(file) => file.set_mode(mode),
                Target::Path(path) | Target::Symlink(path) => self.root.set_mode(path.as_bytes(), mode),
            };
            set.map_err(|e| Error::io("permissions", e))?;
        }
        self.set_mtime(target, path, meta)
    }

    /// Whether the owner is as it should be.
    fn set_owner(&self, target: &Target<'_>, path: &EntryPath, meta: &Metadata) -> Result<bool> {
        let (uid, gid) = (meta.owner.uid, meta.owner.gid);
        let set = match target {
            Target::File(file) => file.set_owner(uid, gid),
            Target::Path(path) | Target::Symlink(path) => self.root.set_owner(path.as_bytes(), uid, gid),
        };
        match set {
            Ok(()) => Ok(true),
            Err(e) if is_refusal(&e) => {
                if self.is_root || (uid, gid) != self.ids {
                    self.lose(path, LossKind::Owner, format!("{uid}:{gid}: {e}"));
                }
                Ok((uid, gid) == self.ids)
            }
            Err(e) => Err(Error::io("owner", e)),
        }
    }

    fn set_xattr(&self, target: &Target<'_>, path: &EntryPath, name: &[u8], value: &[u8]) -> Result<()> {
        let set = match target {
            Target::File(file) => file.set_xattr(name, value),
            Target::Path(path) | Target::Symlink(path) => self.root.set_xattr(path.as_bytes(), name, value),
        };
        // Some file systems call an attribute that is too large for them "no space".
        let is_too_large = |e: &io::Error| {
            use io::ErrorKind::{ArgumentListTooLong, StorageFull};
            matches!(e.kind(), ArgumentListTooLong | StorageFull)
        };
        match set {
            Ok(()) => Ok(()),
            Err(e) if is_refusal(&e) || is_too_large(&e) => {
                let is_acl = name.starts_with(b"system.");
                let kind = if is_acl { LossKind::Acl } else { LossKind::Xattr };
                self.lose(path, kind, format!("{}: {e}", name.escape_ascii()));
                Ok(())
            }
            Err(e) => Err(Error::io(format!("extended attribute {}", name.escape_ascii()), e)),
        }
    }

    fn set_mtime(&self, target: &Target<'_>, path: &EntryPath, meta: &Metadata) -> Result<()> {
        let mtime = (meta.mtime.secs, meta.mtime.nanos);
        let set = match target {
            Target::File(file) => file.set_mtime(mtime),
            Target::Path(path) | Target::Symlink(path) => self.root.set_mtime(path.as_bytes(), mtime),
        };
        let is_kept = match set {
            Ok(()) if i32::try_from(mtime.0).is_ok() => true,
            // File systems cut times that they can't hold to the nearest one, without a word.
            Ok(()) => {
                let status = self.root.status(path.as_bytes()).map_err(|e| Error::io("time", e))?;
                status.mtime == mtime
            }
            Err(e) if is_refusal(&e) => false,
            Err(e) => return Err(Error::io("time", e)),
        };
        if !is_kept {
            let detail = format!("{}.{:09}: beyond what the file system keeps", mtime.0, mtime.1);
            self.lose(path, LossKind::Time, detail);
        }
        Ok(())
    }
}

/// Whether the system or file system refuses this one thing, to this user or to everybody. Inside a user
/// namespace, ids that it has not are "invalid".
fn is_refusal(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(e.kind(), PermissionDenied | Unsupported | InvalidInput)
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Dir(_) => "directory",
        Kind::File(_) => "file",
        Kind::Symlink(_) => "symbolic link",
        Kind::Char(_) => "character device",
        Kind::Block(_) => "block device",
        Kind::Fifo => "named pipe",
        Kind::Socket => "socket",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use aurora_engine::body::{Body, MemBody};
    use aurora_engine::digest::Digest;
    use aurora_formats::model::{Owner, Timestamp};

    use crate::content::{Extent, Slice};
    use crate::ctx::{Cancel, NoProgress, Options};
    use crate::image::Image;
    use crate::lineage::Step;
    use crate::source::dir::read_tree;
    use crate::tree::{ListOptions, rows};

    fn meta(mode: u32, secs: i64) -> Metadata {
        let (uid, gid) = fs::own_ids();
        Metadata {
            mode,
            owner: Owner { uid, gid },
            mtime: Timestamp { secs, nanos: 123_456_789 },
            ..Metadata::default()
        }
    }

    fn lineage(tree: Tree) -> Lineage {
        let (chain_id, tree) = (Digest::sha256(b""), Arc::new(tree));
        let step = Step { tree, chain_id, snapshot: None, created: None, created_by: None };
        Lineage { image: Image::default(), steps: vec![step] }
    }

    /// One of everything that any user can make.
    fn sample() -> Tree {
        let body: Body = Arc::new(MemBody(vec![b'x'; 9000]));
        let mut tree = Tree::new(meta(0o750, 7));
        let mut add = |dir: InodeId, name: &[u8], mode: u32, secs: i64, kind: Kind| {
            let id = tree.add(meta(mode, secs), kind);
            tree.link(dir, name, id);
            id
        };
        let closed = add(Tree::ROOT, b"closed", 0o500, -3, Kind::Dir(Arc::default()));
        let deep = add(closed, b"l\xe4tin \\ \n", 0o1777, 11, Kind::Dir(Arc::default()));
        let plain = add(deep, b"plain", 0o4755, 12, Kind::File(Arc::new(Content::plain(&body, 0, 9000))));
        let data = Slice::plain(body.clone(), 0, 5);
        let holed = Content { size: 3 << 20, extents: vec![Extent { offset: 1 << 20, len: 5, data }] };
        add(deep, b"holed", 0o400, 13, Kind::File(Arc::new(holed)));
        add(Tree::ROOT, b"empty", 0, 4_000_000_000, Kind::File(Arc::default()));
        let link = add(Tree::ROOT, b"link", 0o777, 15, Kind::Symlink(b"/etc/passwd"[..].into()));
        add(Tree::ROOT, b"pipe", 0o622, 16, Kind::Fifo);
        add(Tree::ROOT, b"socket", 0o600, 17, Kind::Socket);
        tree.link(Tree::ROOT, b"a second name", plain);
        tree.link(deep, b"link too", link);
        tree
    }

    #[test]
    fn a_tree_comes_back_as_it_was() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let tree = sample();
        let path = dir.path().join("out");
        let empty = dir.path().join("there already");
        std::fs::create_dir(&empty).unwrap();
        let list = |tree: &Tree| rows(tree, ListOptions { acl: true, no_hash: false }, &ctx).unwrap();
        for path in [&path, &empty] {
            write(&lineage(tree.clone()), path, &WriteOptions::default(), &ctx).unwrap();
            let again = read_tree(path, &ctx).unwrap();
            assert_eq!(list(&again), list(&tree));
            let holed = again.lookup(&EntryPath::parse(b"closed/l\xe4tin \\ \n/holed").unwrap()).unwrap();
            let Kind::File(content) = &again.inode(holed).kind else { panic!("a file") };
            assert!(content.segments().iter().any(|s| !s.is_data && s.len > 1 << 20), "holes stay holes");
        }
        assert_eq!(ctx.losses(), []);
        let e = write(&lineage(tree), &path, &WriteOptions::default(), &ctx).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Exists(_)), "{e}");
    }

    #[test]
    fn a_failure_leaves_nothing() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let mut tree = sample();
        // Its content ends too early.
        let body: Body = Arc::new(MemBody(vec![1; 10]));
        let bad = tree.add(meta(0o644, 1), Kind::File(Arc::new(Content::plain(&body, 0, 20))));
        tree.link(Tree::ROOT, b"z", bad);
        let empty = dir.path().join("empty");
        std::fs::create_dir(&empty).unwrap();
        for path in [&empty, &dir.path().join("new")] {
            let e = write(&lineage(tree.clone()), path, &WriteOptions::default(), &ctx).unwrap_err();
            assert_eq!(e.location().entry, Some(EntryPath::parse(b"z").unwrap()), "{e}");
        }
        assert_eq!(std::fs::read_dir(&empty).unwrap().count(), 0);
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1);
    }

    #[test]
    fn what_a_user_may_not_set_is_lost_aloud() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let mut tree = Tree::new(meta(0o755, 1));
        let foreign = Metadata { owner: Owner { uid: 4_000_000, gid: 12 }, ..meta(0o6755, 2) };
        let file = tree.add(foreign, Kind::File(Arc::default()));
        tree.link(Tree::ROOT, b"suid", file);
        let node = tree.add(meta(0o600, 3), Kind::Char(Device { major: 1, minor: 3 }));
        tree.link(Tree::ROOT, b"null", node);
        tree.link(Tree::ROOT, b"null too", node);
        // A number that no system takes: lost even by root.
        let far = tree.add(meta(0o600, 3), Kind::Char(Device { major: 1 << 30, minor: 3 }));
        tree.link(Tree::ROOT, b"far", far);
        tree.link(Tree::ROOT, b"far too", far);
        let path = dir.path().join("out");
        write(&lineage(tree), &path, &WriteOptions::default(), &ctx).unwrap();

        let lost = |name: &str, kind: LossKind| {
            let path = EntryPath::parse(name.as_bytes()).unwrap();
            ctx.losses().iter().any(|l| l.path.as_ref() == Some(&path) && l.kind == kind)
        };
        let suid = std::fs::metadata(path.join("suid")).unwrap();
        if lost("suid", LossKind::Owner) {
            assert_eq!(suid.mode() & 0o7777, 0o755, "not with the rights of whoever unpacks");
        } else {
            assert_eq!((suid.uid(), suid.gid(), suid.mode() & 0o7777), (4_000_000, 12, 0o6755));
        }
        for name in ["null", "null too"] {
            assert_eq!(path.join(name).exists(), !lost(name, LossKind::Type), "{name}");
        }
        assert!(lost("far", LossKind::Type) && lost("far too", LossKind::Type));
        assert!(!path.join("far").exists());
    }
}
