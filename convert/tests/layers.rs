//! Layers onto layers: the hazards of flattening, each a row. Left the layers, right the tree that must result.

use std::collections::BTreeMap;
use std::sync::Arc;

use aurora_convert::content::Content;
use aurora_convert::tree::{self, Changeset, FileChange, InodeId, Kind, Tree};
use aurora_engine::body::{Body, MemBody};
use aurora_formats::model::{Entry, EntryPath, Metadata, Node};

fn path(text: &str) -> EntryPath {
    EntryPath::parse(text.as_bytes()).expect("rows have valid paths")
}

/// `d PATH`, `f PATH=TEXT`, `f4755 PATH=TEXT`, `h PATH TARGET`, `s PATH TARGET`, `w PATH` (whiteout), `o PATH` (opaque).
fn change(line: &str) -> FileChange {
    let (what, rest) = line.split_once(' ').expect("a row's line has two words");
    let (name, value) = rest.split_once(['=', ' ']).unwrap_or((rest, ""));
    let mut meta = Metadata { mode: 0o644, ..Metadata::default() };
    let mut content = None;
    let node = match &what[..1] {
        "w" => return FileChange::Remove(path(name)),
        "o" => return FileChange::Opaque(path(name)),
        "d" => Node::Dir,
        "h" => Node::Hardlink(path(value)),
        "s" => Node::Symlink(value.as_bytes().into()),
        _ => {
            let body: Body = Arc::new(MemBody(value.into()));
            content = Some(Arc::new(Content::plain(&body, 0, value.len() as u64)));
            Node::File { size: value.len() as u64 }
        }
    };
    if let Ok(mode) = u32::from_str_radix(&what[1..], 8) {
        meta.mode = mode;
    }
    FileChange::Add { entry: Entry { path: path(name), node, meta }, content, offset: 0 }
}

/// One line a name: `PATH TYPE-AND-CONTENT`, with the number of names where it is not one.
fn show(tree: &Tree) -> Vec<String> {
    let mut text: BTreeMap<InodeId, String> = BTreeMap::new();
    let mut lines = Vec::new();
    for (path, id) in tree.walk().into_iter().skip(1) {
        let inode = tree.inode(id);
        let what = text.entry(id).or_insert_with(|| match &inode.kind {
            Kind::Dir(_) => "/".to_owned(),
            Kind::Symlink(target) => format!("-> {}", String::from_utf8_lossy(target)),
            Kind::File(content) => {
                let mut bytes = Vec::new();
                std::io::Read::read_to_end(&mut content.reader(), &mut bytes).expect("it is in memory");
                let links = if inode.names > 1 { format!(" x{}", inode.names) } else { String::new() };
                format!("={}{links}", String::from_utf8(bytes).expect("rows are text"))
            }
            _ => "special".to_owned(),
        });
        lines.push(format!("{path} {what}"));
    }
    lines
}

fn apply(layers: &[&[&str]]) -> aurora_convert::Result<Vec<Tree>> {
    let mut trees: Vec<Tree> = Vec::new();
    for layer in layers {
        let changes = Changeset { changes: layer.iter().map(|line| change(line)).collect() };
        trees.push(tree::apply(trees.last(), &changes)?);
    }
    Ok(trees)
}

type Row = (&'static str, &'static [&'static [&'static str]], &'static [&'static str]);

const ROWS: &[Row] = &[
    (
        "a link follows the inode and not the name",
        &[&["f t2=123", "h t1 t2", "h t3 t2"], &["f t1=456"]],
        &["t1 =456", "t2 =123 x2", "t3 =123 x2"],
    ),
    ("a link outlives the name it was made from", &[&["f A=a", "h Z A"], &["w A"]], &["Z =a"]),
    ("opaque alone empties", &[&["f a/b/foo=1"], &["o a"]], &["a /"]),
    (
        "what was removed stays away when its directory comes back",
        &[&["f a/foo=1", "f b/bar=2"], &["w a"], &["f a/baz=3"]],
        &["a /", "a/baz =3", "b /", "b/bar =2"],
    ),
    ("markers in the lowest layer do nothing", &[&["w x", "o .", "f y=1"]], &["y =1"]),
    ("a whiteout before what it names", &[&["f x=old"], &["w x", "f x=new"]], &["x =new"]),
    ("a whiteout after what it names", &[&["f x=old"], &["f x=new", "w x"]], &["x =new"]),
    ("a file onto a directory", &[&["f d/a=1", "f d/b/c=2"], &["f d=3"]], &["d =3"]),
    (
        "a directory that is a link below is followed",
        &[&["s lib usr/lib", "d usr/lib"], &["f lib/foo=1"]],
        &["lib -> usr/lib", "usr /", "usr/lib /", "usr/lib/foo =1"],
    ),
    (
        "a directory entry replaces a link, and opaque does not follow it",
        &[&["f etc/x=1", "s p /etc"], &["d p", "o p", "f p/x=2"]],
        &["etc /", "etc/x =1", "p /", "p/x =2"],
    ),
    (
        "a directory entry replaces a link even when it stands behind its children",
        &[&["f etc/x=1", "s p /etc"], &["f p/x=2", "d p"]],
        &["etc /", "etc/x =1", "p /", "p/x =2"],
    ),
    ("a link to a lower file is that file", &[&["f4755 f=1"], &["h g f"]], &["f =1 x2", "g =1 x2"]),
    ("a link to what its own layer whites out", &[&["f A=a"], &["w A", "h Z A"]], &["Z =a"]),
    (
        "a link that would lead out stays inside",
        &[&["s up ../../../out", "s abs /../../out"], &["f up/x=1", "f abs/y=2"]],
        &["abs -> /../../out", "out /", "out/x =1", "out/y =2", "up -> ../../../out"],
    ),
    (
        "a whiteout through a link removes what is there",
        &[&["s lib usr/lib", "f usr/lib/a=1", "f usr/lib/b=2"], &["w lib/a"]],
        &["lib -> usr/lib", "usr /", "usr/lib /", "usr/lib/b =2"],
    ),
    ("a whiteout of nothing is nothing", &[&["f a=1"], &["w b", "w c/d", "w a/b", "o e"]], &["a =1"]),
    (
        "the last of duplicates wins",
        &[&["f a=1", "f a=2", "d d", "f d/x=1", "d d"]],
        &["a =2", "d /", "d/x =1"],
    ),
    ("below what is a file, a directory comes", &[&["f a=1"], &["f a/b=2"]], &["a /", "a/b =2"]),
];

#[test]
fn layers_give_the_tree_that_they_mean() {
    for (what, layers, want) in ROWS {
        let trees = apply(layers).unwrap();
        assert_eq!(show(trees.last().unwrap()), *want, "{what}");
    }
}

/// The diff of two neighbouring trees, applied as a layer to the first, gives the second: for every step of every
/// row, and across rows.
#[test]
fn a_diff_applied_gives_the_later_tree() {
    let mut trees: Vec<Tree> = vec![Tree::new(tree::default_directory())];
    for (_, layers, _) in ROWS {
        trees.extend(apply(layers).unwrap());
    }
    for base in &trees {
        for top in &trees {
            let diff = tree::diff(base, top).unwrap();
            let mut first: BTreeMap<InodeId, EntryPath> = BTreeMap::new();
            let mut changes: Vec<FileChange> = diff.removed.iter().cloned().map(FileChange::Remove).collect();
            for (path, id) in diff.changed {
                let inode = top.inode(id);
                let mut content = None;
                let node = match (&inode.kind, first.get(&id)) {
                    (Kind::Dir(_), _) => Node::Dir,
                    (_, Some(target)) => Node::Hardlink(target.clone()),
                    (Kind::Symlink(target), _) => Node::Symlink(target.clone()),
                    (Kind::File(c), _) => {
                        content = Some(c.clone());
                        Node::File { size: c.size }
                    }
                    _ => unreachable!("the rows have no special files"),
                };
                first.entry(id).or_insert_with(|| path.clone());
                let entry = Entry { path, node, meta: inode.meta.clone() };
                changes.push(FileChange::Add { entry, content, offset: 0 });
            }
            let got = tree::apply(Some(base), &Changeset { changes }).unwrap();
            assert_eq!(show(&got), show(top), "from {:?}", show(base));
            let none = tree::diff(&got, top).unwrap();
            assert!(none.changed.is_empty() && none.removed.is_empty(), "{none:?}");
        }
    }
}

#[test]
fn what_cannot_be_applied_is_refused_with_its_place() {
    let rows: &[(&[&[&str]], &str)] = &[
        (&[&["h a nothing"]], "a at 0x0: hard link to what is no other file here: nothing"),
        (&[&["f a=1", "h a a"]], "a at 0x0: hard link to what is no other file here: a"),
        (&[&["d d", "h a d"]], "a at 0x0: hard link to what is no other file here: d"),
        (
            &[&["s a b", "s b a"], &["f a/x=1"]],
            "a/x at 0x0: more than 40 symbolic links on the way to the entry's directory",
        ),
        (&[&["f .=1"]], "/ at 0x0: the root entry is no directory"),
    ];
    for (layers, want) in rows {
        assert_eq!(apply(layers).unwrap_err().to_string(), *want);
    }
}
