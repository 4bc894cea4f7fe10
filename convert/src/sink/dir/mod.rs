//! Writes a root directory: the last tree of a lineage, into a new or an empty directory. It is whole or gone.

mod entry;
mod landing;
mod meta;
mod share;
mod tree;

use std::io;
use std::path::Path;

pub(crate) use self::landing::Landing;

use aurora_engine::fs::Root;

use self::landing::Begun;
use self::tree::write_tree;
use crate::bundle::{self, Shape};
use crate::lineage::Lineage;
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, Error, ErrorKind, Result};

/// Writes an image. What the user may not set (owners, devices, some attributes) is reported as lost.
pub fn write(lineage: &Lineage, path: &Path, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let step = lineage.steps.last().expect("a lineage is never empty");
    let failed = |e| not_empty(path, e);
    ctx.progress.phase("writing directory");
    let Begun { staged, nursery } = begun(path, ctx).map_err(failed)?;
    let written = write_tree(&step.tree, staged.root(), nursery.as_deref(), ctx)?;
    options.may_commit(ctx)?;
    staged.commit().map_err(failed)?;
    Ok(outcome(written))
}

/// Writes a bundle (runtime-spec, bundle.md): the root file system in a folder, and the runtime's config beside it. The
/// directory is its owner's alone, as what is setuid in it is nobody else's business.
pub(crate) fn write_bundle(
    lineage: &Lineage,
    path: &Path,
    shape: Shape,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let step = lineage.steps.last().expect("a lineage is never empty");
    let failed = |e| not_empty(path, e);
    ctx.progress.phase("writing bundle");
    let config = bundle::config(&lineage.image, &step.tree, shape, ctx)?;
    let Begun { staged, nursery } = begun(path, ctx).map_err(failed)?;
    staged.root().make_dir(shape.root().as_bytes()).map_err(failed)?;
    let root = Root::open(&staged.path().join(shape.root())).map_err(failed)?;
    let written = write_tree(&step.tree, &root, nursery.as_deref(), ctx)?;
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
    Ok(outcome(write_tree(&step.tree, &root, None, ctx)?))
}

/// The directory, which may have been begun when its source was read.
fn begun(path: &Path, ctx: &Ctx<'_>) -> io::Result<Begun> {
    match &ctx.landing {
        Some(landing) => landing.take(),
        None => Landing::new(path.to_owned()).take(),
    }
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::MetadataExt;
    use std::sync::Arc;

    use aurora_engine::body::{Body, MemBody};
    use aurora_engine::digest::Digest;
    use aurora_engine::fs;
    use aurora_formats::model::{Device, EntryPath, Metadata, Owner, Timestamp};

    use crate::LossKind;
    use crate::content::{Content, Extent, Slice};
    use crate::ctx::{Cancel, NoProgress, Options};
    use crate::image::Image;
    use crate::lineage::Step;
    use crate::source::dir::read_tree;
    use crate::tree::{InodeId, Kind, ListOptions, Tree, rows};

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
