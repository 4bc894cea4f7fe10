//! Archives that are written, as this project and GNU tar read them.

use std::io::Read as _;
use std::process::Command;
use std::sync::Arc;

use aurora_engine::body::{Body, MemBody};
use aurora_formats::model::{Device, Owner, Timestamp};
use aurora_formats::tar::{Event, Limits, Parser};

use super::*;
use crate::content::{Extent, Slice};
use crate::ctx::{Cancel, NoProgress, Options};
use crate::source::ReadOptions;
use crate::source::ingest::{ingest, ingest_rootfs};
use crate::tree::{self, ListOptions};

fn with_ctx<T>(work: impl FnOnce(&Ctx<'_>) -> T) -> (T, Vec<Loss>) {
    let (dir, cancel) = (tempfile::tempdir().unwrap(), Cancel::default());
    let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
    let done = work(&ctx);
    (done, ctx.losses())
}

struct Maker(Tree);

impl Maker {
    fn new() -> Self {
        Self(Tree::new(tree::default_directory()))
    }

    fn put(&mut self, path: &str, kind: Kind) -> InodeId {
        let xattrs = [((*b"user.k=v").into(), (*b"\0x").into()), ((*b"user.plain").into(), (*b"1").into())];
        let meta = Metadata {
            mode: if matches!(kind, Kind::Symlink(_)) { 0o777 } else { 0o751 },
            owner: Owner { uid: 3_000_000, gid: 7 },
            mtime: Timestamp { secs: 1_700_000_000, nanos: 123_456_789 },
            xattrs: if matches!(kind, Kind::File(_)) { xattrs.into() } else { Default::default() },
        };
        let id = self.0.add(meta, kind);
        self.name(path, id);
        id
    }

    fn name(&mut self, path: &str, id: InodeId) {
        let (dir, name) =
            EntryPath::parse(path.as_bytes()).unwrap().split().map(|(d, n)| (d, n.to_vec())).unwrap();
        let dir = self.0.lookup(&dir).unwrap();
        self.0.link(dir, &name, id);
    }

    fn dir(&mut self, path: &str) {
        self.put(path, Kind::Dir(Arc::default()));
    }

    fn file(&mut self, path: &str, bytes: &[u8]) -> InodeId {
        let body: Body = Arc::new(MemBody(bytes.to_vec()));
        self.put(path, Kind::File(Arc::new(Content::plain(&body, 0, bytes.len() as u64))))
    }

    fn remove(&mut self, path: &str) {
        let (dir, name) =
            EntryPath::parse(path.as_bytes()).unwrap().split().map(|(d, n)| (d, n.to_vec())).unwrap();
        let dir = self.0.lookup(&dir).unwrap();
        assert!(self.0.unlink(dir, &name));
    }
}

/// A file of `size` bytes with `data` here and there.
fn holed(size: u64, places: impl Iterator<Item = u64>, data: &[u8]) -> Kind {
    let body: Body = Arc::new(MemBody(data.to_vec()));
    let len = data.len() as u64;
    let extents =
        places.map(|offset| Extent { offset, len, data: Slice::plain(body.clone(), 0, len) }).collect();
    Kind::File(Arc::new(Content { size, extents }))
}

fn sample() -> Maker {
    let mut make = Maker::new();
    make.dir("d");
    let first = make.file("d/first", &vec![7; 3000]);
    make.name("z", first);
    make.file("empty", b"");
    make.file(&"n".repeat(200), b"long");
    make.file("ünï\n", b"x");
    make.put("fifo", Kind::Fifo);
    make.put("null", Kind::Char(Device { major: 1, minor: 3 }));
    let link = make.put("link", Kind::Symlink(vec![b't'; 300].into()));
    make.name("link2", link);
    make.put("small-hole", holed(1 << 20, [500_000].into_iter(), b"data"));
    make.put("large-hole", holed(3 << 30, [0, 4096, 1 << 31].into_iter(), b"data"));
    make
}

fn listing(tree: &Tree, ctx: &Ctx<'_>) -> Vec<tree::Row> {
    // Three gigabytes of zeros are not to be hashed here.
    tree::rows(tree, ListOptions { acl: true, no_hash: true }, ctx).unwrap()
}

fn bytes_of(tree: &Tree, ctx: &Ctx<'_>) -> Vec<u8> {
    let mut out = Vec::new();
    write_tree(tree, &mut out, ctx).unwrap();
    out
}

#[test]
fn a_tree_comes_back() {
    let (_, losses) = with_ctx(|ctx| {
        let tree = sample().0;
        let bytes = bytes_of(&tree, ctx);
        assert!(bytes.len() < 2 << 20, "gigabytes of holes are not written: {}", bytes.len());
        assert!(bytes == bytes_of(&tree, ctx));
        let taken = ingest_rootfs(&mut &bytes[..], None, ctx).unwrap();
        let again = tree::apply(None, &taken.changes).unwrap();
        assert_eq!(listing(&again, ctx), listing(&tree, ctx));
        let differs = tree::diff(&tree, &again).unwrap();
        assert!(differs.changed.is_empty() && differs.removed.is_empty(), "{differs:?}");
        assert!(bytes == bytes_of(&again, ctx), "there and back gives the same bytes");
    });
    assert_eq!(losses, []);
}

#[test]
fn gnu_tar_takes_it() {
    let version = Command::new("tar").arg("--version").output().map(|o| o.stdout).unwrap_or_default();
    if !version.starts_with(b"tar (GNU tar)") {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let (archive, root) = (dir.path().join("a.tar"), dir.path().join("root"));
    with_ctx(|ctx| {
        let mut make = sample();
        make.remove("large-hole");
        let is_root = aurora_engine::fs::is_root();
        if !is_root {
            make.remove("null");
        }
        let tree = make.0;
        std::fs::write(&archive, bytes_of(&tree, ctx)).unwrap();
        std::fs::create_dir(&root).unwrap();
        let list = Command::new("tar").arg("-tf").arg(&archive).output().unwrap();
        assert!(list.status.success(), "{}", String::from_utf8_lossy(&list.stderr));
        if !is_root {
            return;
        }
        let mut tar = Command::new("tar");
        tar.args(["--xattrs", "--xattrs-include=*", "--numeric-owner", "-xpf"])
            .arg(&archive)
            .arg("-C")
            .arg(&root);
        let done = tar.output().unwrap();
        assert!(done.status.success(), "{}", String::from_utf8_lossy(&done.stderr));
        let loaded = crate::source::dir::read(&root, &ReadOptions::default(), ctx).unwrap();
        let crate::Loaded::Filesystem(lineage) = loaded else { panic!("a directory is a file system") };
        // GNU tar takes attributes from records of star's form only.
        let plain = |mut rows: Vec<tree::Row>| {
            rows.iter_mut().for_each(|row| drop(row.xattrs.remove("user.k=v")));
            rows
        };
        assert_eq!(plain(listing(&lineage.steps[0].tree, ctx)), plain(listing(&tree, ctx)));
    });
}

/// Names in the order of the archive.
fn names(bytes: &[u8]) -> Vec<String> {
    let mut parser = Parser::new(Limits::default());
    let (mut at, mut names) = (0, Vec::new());
    loop {
        let step = parser.parse(&bytes[at..], true).unwrap();
        at += step.consumed;
        match step.event {
            Event::Member(member) => names.push(String::from_utf8_lossy(&member.path).into_owned()),
            Event::End(_) => return names,
            _ => {}
        }
    }
}

#[test]
fn a_step_comes_back_as_a_layer() {
    with_ctx(|ctx| {
        let mut make = sample();
        for path in ["d/sub", "gone", "was-dir"] {
            make.dir(path);
        }
        for path in ["d/sub/x", "gone/x", "was-dir/x", "d/b", "d.txt"] {
            make.file(path, b"below");
        }
        let base = make.0.clone();
        make.remove("gone");
        make.remove("was-dir");
        make.remove("d/b");
        make.remove("d.txt");
        make.file("was-dir", b"a file now");
        make.file("d/a", b"new");
        // A group of links is written whole when one name of it changes.
        make.remove("z");
        let first = make.0.lookup(&EntryPath::parse(b"d/first").unwrap()).unwrap();
        make.name("y", first);
        let top = make.0;

        let diff = tree::diff(&base, &top).unwrap();
        let mut out = Vec::new();
        write_diff(&diff, &top, &mut out, ctx).unwrap();
        let want = [".wh.d.txt", ".wh.gone", ".wh.z", "d/.wh.b", "d/a", "d/first", "was-dir", "y"];
        assert_eq!(names(&out), want);
        let taken = ingest(&mut &out[..], None, ctx).unwrap();
        let again = tree::apply(Some(&base), &taken.changes).unwrap();
        assert_eq!(listing(&again, ctx), listing(&top, ctx));
    });
}

#[test]
fn what_tar_or_a_layer_cannot_hold() {
    let (_, losses) = with_ctx(|ctx| {
        let mut make = Maker::new();
        make.put("socket", Kind::Socket);
        let file = make.file("heavy", b"x");
        make.0.inode_mut(file).meta.xattrs.insert((*b"user.big").into(), vec![0; 2 << 20].into());
        assert_eq!(names(&bytes_of(&make.0, ctx)), ["./", "heavy"]);

        make.dir(".wh.d");
        make.file(".wh.d/x", b"");
        let tree = make.0;
        assert_eq!(names(&bytes_of(&tree, ctx)).len(), 4, "a plain archive can hold any name");
        let diff = tree::diff(&Tree::new(tree::default_directory()), &tree).unwrap();
        let mut out = Vec::new();
        let as_diff = write_diff(&diff, &tree, &mut out, ctx).unwrap_err();
        let as_layer = write_layer(&tree, &mut out, ctx).unwrap_err();
        for error in [as_diff, as_layer] {
            assert!(matches!(error.kind(), ErrorKind::Unsupported(_)), "{error}");
            assert!(error.location().entry.is_some(), "{error}");
        }
    });
    let kinds: Vec<LossKind> = losses.iter().map(|l| l.kind).collect();
    assert_eq!(kinds, [LossKind::Xattr, LossKind::Type]);
}

#[test]
fn files_of_very_many_pieces_are_read_again() {
    with_ctx(|ctx| {
        let mut make = Maker::new();
        let places = (0..12_000u64).map(|n| n / 2 * 60_000 + n % 2 * 3000);
        let id = make.put("pieces", holed(1 << 40, places, b"data"));
        let tree = make.0;
        let bytes = bytes_of(&tree, ctx);
        assert!(bytes.len() < 30 << 20);
        let taken = ingest_rootfs(&mut &bytes[..], None, ctx).unwrap();
        let again = tree::apply(None, &taken.changes).unwrap();
        let found = again.lookup(&EntryPath::parse(b"pieces").unwrap()).unwrap();
        assert!(tree::is_same(&tree, id, &again, found).unwrap());
    });
}

#[test]
fn a_file_is_read_back_whatever_packs_it() {
    let dir = tempfile::tempdir().unwrap();
    let mut digests = Vec::new();
    with_ctx(|ctx| {
        let mut make = sample();
        make.remove("large-hole");
        let tree = Arc::new(make.0);
        let want = tree::rows(&tree, ListOptions::default(), ctx).unwrap();
        let step = crate::Step {
            tree,
            chain_id: aurora_engine::digest::Digest::sha256(b""),
            snapshot: None,
            created: None,
            created_by: None,
        };
        let lineage = Lineage { image: Default::default(), steps: vec![step] };
        for codec in [Codec::None, Codec::Gzip, Codec::Zstd] {
            let file = FileName::Path(dir.path().join(codec.name()));
            let mut options = WriteOptions {
                compression: Some(Compression { codec, level: None }),
                ..WriteOptions::default()
            };
            let outcome = write(&lineage, &file, &options, ctx).unwrap();
            let again = write(&lineage, &file, &options, ctx).unwrap_err();
            assert!(matches!(again.kind(), ErrorKind::Exists(_)), "{again}");
            options.force = true;
            write(&lineage, &file, &options, ctx).unwrap();
            let read = crate::source::tar::read(&file, &ReadOptions::default(), ctx).unwrap();
            let crate::Loaded::Filesystem(read) = read else { panic!("a tar is a file system") };
            assert_eq!(tree::rows(&read.steps[0].tree, ListOptions::default(), ctx).unwrap(), want);
            assert_eq!(outcome.facts[0].1, read.steps[0].chain_id.to_string());
            digests.push(outcome.facts[0].1.clone());
        }
        let missing = FileName::Path(dir.path().join("missing"));
        let error = crate::source::tar::read(&missing, &ReadOptions::default(), ctx).map(|_| ()).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::NoSuchImage(_)), "{error}");
    });
    digests.dedup();
    assert_eq!(digests.len(), 1, "the archive is the same, however it is packed");
    let mut first = [0; 2];
    aurora_engine::fs::open_input(&dir.path().join("gzip")).unwrap().read_exact(&mut first).unwrap();
    assert_eq!(first, [0x1f, 0x8b]);
}
