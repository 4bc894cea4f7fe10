//! Trees that have something of everything a stream can hold.

use std::sync::Arc;

use aurora_convert::content::{Content, Extent, Slice};
use aurora_convert::sink::Target;
use aurora_convert::tree::{InodeId, Kind, Tree};
use aurora_engine::body::{Body, MemBody};
use aurora_formats::model::{Device, EntryPath, Metadata, Owner, Timestamp, Xattrs};

/// A chain of trees, to be written for a target.
pub(crate) struct Case {
    pub(crate) name: &'static str,
    pub(crate) target: Target,
    pub(crate) steps: Vec<Tree>,
    /// Checked without a real receiver as well.
    pub(crate) is_quick: bool,
}

pub(crate) fn cases() -> Vec<Case> {
    let case = |name, steps| Case { name, target: Target::OpenZfs, steps, is_quick: true };
    vec![
        case("tiny", vec![tiny()]),
        case("kinds", vec![kinds()]),
        case("sizes", vec![sizes()]),
        case("modes", vec![modes()]),
        case("spills", vec![spills()]),
        case("acls", vec![acls()]),
        case("sparse", vec![sparse()]),
        case("tebibyte", vec![tebibyte()]),
        case("dirs", vec![dirs(5000)]),
        case("chain", chain()),
        case("growth", growth()),
        Case { name: "illumos", target: Target::Illumos, steps: illumos(), is_quick: true },
        Case { is_quick: false, ..case("huge-dir", vec![huge_dir(300_000), huge_dir(100)]) },
    ]
}

pub(crate) fn meta(mode: u32) -> Metadata {
    Metadata { mode, mtime: Timestamp { secs: 1_700_000_000, nanos: 123_456_789 }, ..Metadata::default() }
}

fn with_xattrs<'a>(mode: u32, xattrs: impl IntoIterator<Item = (&'a str, Vec<u8>)>) -> Metadata {
    let xattrs: Xattrs =
        xattrs.into_iter().map(|(name, value)| (name.as_bytes().into(), value.into())).collect();
    Metadata { xattrs, ..meta(mode) }
}

/// Bytes that no compression makes small and no two files share.
pub(crate) fn noise(len: usize, seed: u64) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1;
    let mut out = Vec::with_capacity(len + 8);
    while out.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        out.extend_from_slice(&state.to_le_bytes());
    }
    out.truncate(len);
    out
}

pub(crate) fn file(bytes: Vec<u8>) -> Kind {
    let len = bytes.len() as u64;
    let body: Body = Arc::new(MemBody(bytes));
    Kind::File(Arc::new(Content::plain(&body, 0, len)))
}

/// A file of `size` bytes with data at some places.
pub(crate) fn holes(size: u64, data: &[(u64, Vec<u8>)]) -> Kind {
    let extents = data.iter().map(|(offset, bytes)| {
        let body: Body = Arc::new(MemBody(bytes.clone()));
        let len = bytes.len() as u64;
        Extent { offset: *offset, len, data: Slice::plain(body, 0, len) }
    });
    Kind::File(Arc::new(Content { size, extents: extents.collect() }))
}

fn dir() -> Kind {
    Kind::Dir(Arc::default())
}

fn link(target: &[u8]) -> Kind {
    Kind::Symlink(target.into())
}

fn at(tree: &Tree, path: &[u8]) -> InodeId {
    tree.lookup(&EntryPath::parse(path).unwrap()).unwrap()
}

fn put(tree: &mut Tree, path: impl AsRef<[u8]>, meta: Metadata, kind: Kind) -> InodeId {
    let id = tree.add(meta, kind);
    name(tree, path, id);
    id
}

fn name(tree: &mut Tree, path: impl AsRef<[u8]>, id: InodeId) {
    let path = EntryPath::parse(path.as_ref()).unwrap();
    let (parent, name) = path.split().unwrap();
    let parent = tree.lookup(&parent).unwrap();
    tree.link(parent, name, id);
}

fn remove(tree: &mut Tree, path: &str) {
    let path = EntryPath::parse(path.as_bytes()).unwrap();
    let (parent, name) = path.split().unwrap();
    let parent = tree.lookup(&parent).unwrap();
    assert!(tree.unlink(parent, name));
}

fn tiny() -> Tree {
    let mut tree = Tree::new(meta(0o755));
    put(&mut tree, "hello", meta(0o644), file(b"hello\n".to_vec()));
    tree
}

fn kinds() -> Tree {
    let mut tree = Tree::new(meta(0o1751));
    put(&mut tree, "dir", meta(0o2770), dir());
    put(&mut tree, "dir/empty", meta(0o700), dir());
    let owner = Owner { uid: 4_000_000_000, gid: 4_100_000_000 };
    let many = put(&mut tree, "file", Metadata { owner, ..meta(0o4711) }, file(noise(3000, 1)));
    name(&mut tree, "dir/linked", many);
    name(&mut tree, "another name", many);
    let device = |major, minor| Device { major, minor };
    put(&mut tree, "null", meta(0o666), Kind::Char(device(1, 3)));
    put(&mut tree, "largest", meta(0o600), Kind::Char(device(4095, 1_048_575)));
    put(&mut tree, "zero", meta(0), Kind::Char(device(0, 0)));
    let disk = put(&mut tree, "disk", meta(0o660), Kind::Block(device(259, 70_000)));
    name(&mut tree, "dir/disk", disk);
    put(&mut tree, "fifo", meta(0o622), Kind::Fifo);
    put(&mut tree, "socket", meta(0o777), Kind::Socket);
    let symlink = put(&mut tree, "symlink", meta(0o777), link(b"../else/where"));
    name(&mut tree, "dir/symlink", symlink);
    put(&mut tree, b"l\xe4tin \xff", meta(0o644), file(b"x".to_vec()));
    put(&mut tree, b"back\\slash\nnew\x1b", meta(0o644), link(b"\xff\xfe"));
    put(&mut tree, "\u{2603}", meta(0o644), file(b"snow".to_vec()));
    for (text, secs, nanos) in [
        ("before", -5, 999_999_999),
        ("oldest", -9_000_000_000, 1),
        ("far", 9_000_000_000, 0),
        ("epoch", 0, 0),
    ] {
        let mtime = Timestamp { secs, nanos };
        put(&mut tree, text, Metadata { mtime, ..meta(0o444) }, file(text.as_bytes().to_vec()));
    }
    tree
}

fn sizes() -> Tree {
    let mut tree = Tree::new(meta(0o755));
    for len in
        [0, 1, 511, 512, 513, 4096, 100_000, 131_071, 131_072, 131_073, 200_192, 262_144, 300_000, 1_048_577]
    {
        put(&mut tree, format!("noise-{len}"), meta(0o644), file(noise(len, len as u64)));
        put(&mut tree, format!("zeros-{len}"), meta(0o644), file(vec![0; len]));
    }
    let mut late = vec![0; 400_000];
    late[399_999] = 1;
    put(&mut tree, "zeros and one", meta(0o644), file(late));
    tree
}

/// Every mode of files, devices and directories: access lists of three to six entries, and with attributes after
/// them every cut of the layouts.
fn modes() -> Tree {
    let mut tree = Tree::new(meta(0o755));
    for parent in ["files", "devices", "dirs", "links", "xattrs"] {
        put(&mut tree, parent, meta(0o755), dir());
    }
    for mode in 0..0o10_000 {
        put(&mut tree, format!("files/{mode:04o}"), meta(mode), file(vec![b'x'; mode as usize % 3]));
    }
    for mode in 0..0o1000 {
        let device = Kind::Char(Device { major: 5, minor: mode });
        let attribute = |len| [("user.a", vec![b'v'; len])];
        put(&mut tree, format!("devices/{mode:04o}"), meta(mode), device.clone());
        put(
            &mut tree,
            format!("devices/{mode:04o}-t"),
            with_xattrs(mode, [("trusted.a", vec![1; 200])]),
            device,
        );
        put(&mut tree, format!("dirs/{mode:04o}"), meta(mode), dir());
        put(&mut tree, format!("links/{mode:04o}"), meta(0o777), link(&vec![b't'; mode as usize + 1]));
        for len in [10, 60, 100, 1000] {
            put(
                &mut tree,
                format!("xattrs/{mode:04o}-{len}"),
                with_xattrs(mode, attribute(len)),
                file(vec![]),
            );
        }
    }
    tree
}

fn spills() -> Tree {
    let mut tree = Tree::new(with_xattrs(0o755, [("user.on the root", b"yes".to_vec())]));
    put(&mut tree, "d", with_xattrs(0o755, [("user.dir", noise(5000, 1))]), dir());
    for len in (1..400).chain([1000, 1023, 1024, 4000, 4095]) {
        put(&mut tree, format!("d/link-{len}"), meta(0o777), link(&vec![b'l'; len]));
    }
    for len in [0, 1, 16, 20, 100, 140, 150, 4000, 4095] {
        for (value, text) in [(5, "small"), (200, "large"), (30_000, "huge")] {
            let meta = with_xattrs(0o777, [("trusted.of a link", noise(value, len as u64))]);
            put(
                &mut tree,
                format!("d/link-{}-{text}", len + 1),
                meta,
                link(&vec![b'l'; (len + 1).min(4095)]),
            );
        }
    }
    for len in [0, 1, 3, 4, 80, 100, 120, 500, 20_000, 32_768, 32_769, 65_536] {
        let meta = with_xattrs(0o640, [("user.value", noise(len, len as u64))]);
        put(&mut tree, format!("x-{len}"), meta, file(noise(len, 7)));
    }
    let many: Vec<(String, Vec<u8>)> =
        (0..200).map(|i| (format!("user.many-{i}"), noise(i, i as u64))).collect();
    let many = many.iter().map(|(name, value)| (name.as_str(), value.clone()));
    put(&mut tree, "many", with_xattrs(0o600, many), file(b"m".to_vec()));
    let both = [
        ("user.big", noise(40_000, 3)),
        ("user.small", b"s".to_vec()),
        ("security.capability", capability()),
    ];
    put(&mut tree, "both", with_xattrs(0o417, both.clone()), file(noise(200_000, 4)));
    put(&mut tree, "both-dir", with_xattrs(0o417, both), dir());
    let over = [("user.a", noise(32_000, 5)), ("user.b", noise(32_000, 6)), ("user.c", noise(9000, 7))];
    put(&mut tree, "over", with_xattrs(0o644, over), file(b"o".to_vec()));
    tree
}

/// CAP_NET_RAW, permitted and effective, revision 2.
fn capability() -> Vec<u8> {
    [0x0200_0001u32, 1 << 13, 0, 0, 0].iter().flat_map(|word| word.to_le_bytes()).collect()
}

/// A POSIX ACL as the attribute holds it: version 2, then tag, permissions and id of each entry.
fn acl(entries: &[(u16, u16, u32)]) -> Vec<u8> {
    let mut out = 2u32.to_le_bytes().to_vec();
    for (tag, permissions, id) in entries {
        out.extend_from_slice(&tag.to_le_bytes());
        out.extend_from_slice(&permissions.to_le_bytes());
        out.extend_from_slice(&id.to_le_bytes());
    }
    out
}

fn acls() -> Tree {
    const NOBODY: u32 = u32::MAX;
    let mut tree = Tree::new(meta(0o755));
    let access = acl(&[
        (1, 6, NOBODY),
        (2, 7, 1000),
        (2, 4, 1001),
        (4, 5, NOBODY),
        (8, 6, 50),
        (16, 6, NOBODY),
        (32, 4, NOBODY),
    ]);
    let default = acl(&[(1, 7, NOBODY), (2, 5, 1000), (4, 5, NOBODY), (16, 5, NOBODY), (32, 0, NOBODY)]);
    put(
        &mut tree,
        "file",
        with_xattrs(0o664, [("system.posix_acl_access", access.clone())]),
        file(b"f".to_vec()),
    );
    let both = [("system.posix_acl_access", access), ("system.posix_acl_default", default)];
    put(&mut tree, "dir", with_xattrs(0o764, both), dir());
    put(&mut tree, "dir/plain", meta(0o600), file(b"p".to_vec()));
    tree
}

/// Nobody must walk these block by block; the listing leaves their hashes out.
fn tebibyte() -> Tree {
    let mut tree = Tree::new(meta(0o755));
    let size = 1 << 40;
    let ends = [(0, b"first".to_vec()), (size / 2 + 77, noise(200_000, 1)), (size - 4, b"last".to_vec())];
    put(&mut tree, "tebibyte", meta(0o644), holes(size, &ends));
    put(&mut tree, "nothing", meta(0o644), holes(size, &[]));
    tree
}

fn sparse() -> Tree {
    let mut tree = Tree::new(meta(0o755));
    put(&mut tree, "head", meta(0o644), holes(1 << 20, &[(0, noise(1000, 2))]));
    put(
        &mut tree,
        "middle",
        meta(0o644),
        holes(1_000_000, &[(131_000, noise(144, 3)), (131_072, noise(7, 4))]),
    );
    put(&mut tree, "small", meta(0o644), holes(1000, &[(500, noise(10, 5))]));
    put(&mut tree, "small and empty", meta(0o644), holes(1000, &[]));
    tree
}

fn dirs(large: usize) -> Tree {
    let mut tree = Tree::new(meta(0o755));
    let target = put(&mut tree, "target", meta(0o644), file(b"t".to_vec()));
    let mut fill = |parent: &str, names: &mut dyn Iterator<Item = String>| {
        put(&mut tree, parent, meta(0o755), dir());
        let parent = at(&tree, parent.as_bytes());
        for name in names {
            tree.link(parent, name.as_bytes(), target);
        }
    };
    for count in [1, 7, 8, 2046, 2047, 2048, large] {
        fill(&format!("short-{count}"), &mut (0..count).map(|i| format!("n{i}")));
    }
    for len in [49, 50, 200, 255] {
        fill(&format!("long-{len}"), &mut (0..300).map(|i| format!("{i:0len$}")));
    }
    put(&mut tree, "mixed", meta(0o755), dir());
    for i in 0..2500 {
        let kind = match i % 3 {
            0 => dir(),
            1 => file(vec![b'f'; i % 600]),
            _ => link(b"target"),
        };
        put(&mut tree, format!("mixed/entry number {i}"), meta(0o755), kind);
    }
    let mut path = String::from("deep");
    put(&mut tree, &path, meta(0o755), dir());
    for i in 0..100 {
        path.push_str(&format!("/{i}"));
        put(&mut tree, &path, meta(0o755), dir());
    }
    tree
}

fn huge_dir(names: usize) -> Tree {
    let mut tree = Tree::new(meta(0o755));
    put(&mut tree, "huge", meta(0o755), dir());
    let target = put(&mut tree, "huge/target", meta(0o644), file(b"t".to_vec()));
    let parent = at(&tree, b"huge");
    for i in 0..names {
        tree.link(parent, format!("name-{i}").as_bytes(), target);
    }
    tree
}

/// Four steps: additions, removals, changed attributes, changed contents, changed types, moved names.
fn chain() -> Vec<Tree> {
    let mut tree = Tree::new(meta(0o755));
    put(&mut tree, "bin", meta(0o755), dir());
    put(&mut tree, "gone", meta(0o755), dir());
    for i in 0..40 {
        put(&mut tree, format!("bin/tool-{i}"), meta(0o755), file(noise(i * 5000, i as u64)));
        put(&mut tree, format!("gone/file-{i}"), meta(0o644), file(vec![b'g'; i]));
    }
    let linked = put(&mut tree, "one", meta(0o644), file(noise(300_000, 99)));
    name(&mut tree, "two", linked);
    put(&mut tree, "becomes-dir", meta(0o644), file(b"file".to_vec()));
    put(&mut tree, "becomes-file", meta(0o755), dir());
    put(&mut tree, "becomes-file/inside", meta(0o644), file(b"inside".to_vec()));
    put(&mut tree, "becomes-link", meta(0o644), file(noise(140_000, 5)));
    put(&mut tree, "symlink", meta(0o777), link(b"one"));
    put(&mut tree, "device", meta(0o600), Kind::Char(Device { major: 1, minor: 5 }));
    put(&mut tree, "attributes", with_xattrs(0o644, [("user.a", b"1".to_vec())]), file(b"a".to_vec()));
    put(&mut tree, "untouched", meta(0o644), file(noise(500_000, 6)));
    let first = tree.clone();

    remove(&mut tree, "gone");
    remove(&mut tree, "becomes-dir");
    put(&mut tree, "becomes-dir", meta(0o755), dir());
    put(&mut tree, "becomes-dir/new", meta(0o644), file(b"new".to_vec()));
    remove(&mut tree, "becomes-file");
    put(&mut tree, "becomes-file", meta(0o600), file(noise(1000, 7)));
    remove(&mut tree, "becomes-link");
    put(&mut tree, "becomes-link", meta(0o777), link(&[b'/'; 700]));
    for i in 0..10 {
        put(&mut tree, format!("bin/tool-{i}"), meta(0o755), file(noise(i * 30_000, 100 + i as u64)));
    }
    let one = at(&tree, b"one");
    tree.inode_mut(one).meta =
        with_xattrs(0o4755, [("user.spilled", noise(3000, 8)), ("user.short", vec![1])]);
    remove(&mut tree, "two");
    let second = tree.clone();

    let one = at(&tree, b"one");
    tree.inode_mut(one).meta = meta(0o400);
    name(&mut tree, "bin/three", one);
    remove(&mut tree, "symlink");
    put(&mut tree, "symlink", meta(0o777), link(b"bin/three"));
    remove(&mut tree, "device");
    put(&mut tree, "device", meta(0o600), Kind::Block(Device { major: 8, minor: 1 }));
    let root = tree.inode_mut(Tree::ROOT);
    root.meta = with_xattrs(0o711, [("user.root", b"r".to_vec())]);
    root.meta.owner = Owner { uid: 5, gid: 6 };
    let third = tree.clone();

    // Back to the first step's names and contents, but for what stays of the third.
    let mut fourth = first.clone();
    let bin = at(&fourth, b"bin");
    fourth.inode_mut(bin).meta.mode = 0o1777;
    put(&mut fourth, "last", meta(0o644), file(noise(700_000, 9)));
    vec![first, second, third, fourth]
}

/// A directory that grows from the small form of a table to the fat one and shrinks again, and attributes that come
/// and go, on directories as well.
fn growth() -> Vec<Tree> {
    [3, 2040, 2100, 10_000, 20, 0, 600]
        .into_iter()
        .enumerate()
        .map(|(step, count)| {
            let mut tree = Tree::new(meta(0o755));
            let xattrs = (step % 2 == 1).then(|| ("user.step", noise(step * 700, step as u64)));
            put(&mut tree, "d", with_xattrs(0o755, xattrs.clone()), dir());
            let target = put(&mut tree, "t", with_xattrs(0o644, xattrs), file(b"t".to_vec()));
            let big = (step > 2).then(|| ("user.big", noise(40_000, step as u64 / 2)));
            put(&mut tree, "b", with_xattrs(0o644, big), file(b"b".to_vec()));
            let parent = at(&tree, b"d");
            (0..count).for_each(|i| tree.link(parent, format!("n{i}").as_bytes(), target));
            for i in 0..count / 10 {
                put(&mut tree, format!("d/sub-{i}"), meta(0o755), dir());
            }
            tree
        })
        .collect()
}

fn illumos() -> Vec<Tree> {
    let mut tree = Tree::new(with_xattrs(0o755, [("user.root", b"r".to_vec())]));
    let xattrs = [("user.a", b"value".to_vec()), ("user.long", noise(60_000, 1)), ("user.empty", vec![])];
    put(&mut tree, "dir", with_xattrs(0o755, xattrs.clone()), dir());
    put(&mut tree, "file", with_xattrs(0o4711, xattrs), file(noise(200_000, 2)));
    put(&mut tree, "device", meta(0o600), Kind::Char(Device { major: 13, minor: 2 }));
    put(&mut tree, "symlink", meta(0o777), link(&[b's'; 1023]));
    let first = tree.clone();
    let id = at(&tree, b"file");
    tree.inode_mut(id).meta.xattrs.insert((*b"user.b").into(), (*b"b").into());
    put(&mut tree, "new", with_xattrs(0o644, [("user.n", b"n".to_vec())]), file(b"n".to_vec()));
    vec![first, tree]
}
