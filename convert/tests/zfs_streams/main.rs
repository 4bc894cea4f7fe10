//! Send streams of trees that have everything: their records obey every receiver's rules and hold the trees' data.
//!
//! `AURORA_ZFS_OUT=DIR cargo test -p aurora-convert --test zfs_streams -- --ignored` writes all of them to DIR with
//! listings of what a receiver must show; `tests/interop` has a real kernel receive them.
#![allow(clippy::unwrap_used, clippy::disallowed_methods)]

mod trees;
mod walk;

use std::path::Path;
use std::sync::Arc;

use aurora_convert::content::Content;
use aurora_convert::image::Image;
use aurora_convert::names::FileName;
use aurora_convert::sink::{Target, WriteOptions, zfs};
use aurora_convert::source::{self, ReadOptions};
use aurora_convert::tree::{Kind, ListOptions, Row, Tree, rows};
use aurora_convert::{Cancel, Ctx, Layers, Lineage, Loaded, NoProgress, Options, Step, Volume};
use aurora_engine::digest::Digest;
use aurora_formats::model::EntryPath;

use trees::{Case, cases, file, holes, meta, noise};

fn lineage(steps: &[Tree]) -> Lineage {
    let steps = steps.iter().enumerate().map(|(number, tree)| Step {
        tree: Arc::new(tree.clone()),
        chain_id: Digest::sha256(format!("step {number}").as_bytes()),
        snapshot: None,
        created: None,
        created_by: None,
    });
    Lineage { image: Image::default(), steps: steps.collect() }
}

fn with_ctx<T>(threads: usize, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
    let mut options = Options::new(std::env::temp_dir());
    options.threads = threads;
    let cancel = Cancel::default();
    work(&Ctx::new(options, &NoProgress, &cancel))
}

fn write(case: &Case, path: &Path, ctx: &Ctx<'_>) {
    let options = WriteOptions { target: case.target, force: true, ..WriteOptions::default() };
    zfs::write(&lineage(&case.steps), &FileName::Path(path.into()), &options, ctx).unwrap();
}

#[test]
fn streams_obey_every_rule_and_hold_all_data() {
    let dir = tempfile::tempdir().unwrap();
    for case in cases().iter().filter(|case| case.is_quick) {
        let path = dir.path().join(case.name);
        with_ctx(1, |ctx| write(case, &path, ctx));
        let bytes = std::fs::read(&path).unwrap();
        let mut objects = walk::Objects::default();
        let begins = walk::apply(&bytes, &mut objects);
        assert_eq!(begins.len(), case.steps.len(), "{}", case.name);
        // Sizes of the files' data: every object number is one of an inode, none is left behind.
        let last = case.steps.last().unwrap();
        for (path, id) in last.walk() {
            let Kind::File(content) = &last.inode(id).kind else { continue };
            assert!(holds(&objects, content), "{}: {path}: no object has its data", case.name);
        }
        let want = last.walk().iter().map(|(_, id)| id).collect::<std::collections::BTreeSet<_>>().len();
        let special = 5;
        if case.target == Target::OpenZfs && !["spills", "growth"].contains(&case.name) {
            assert_eq!(objects.0.len(), want + special, "{}: objects without a name", case.name);
        }
        with_ctx(4, |ctx| write(case, &path, ctx));
        assert!(std::fs::read(&path).unwrap() == bytes, "{}: other bytes the second time", case.name);
    }
}

#[test]
fn reader_sees_the_trees_and_writes_the_same_bytes_again() {
    let dir = tempfile::tempdir().unwrap();
    for case in cases().iter().filter(|case| case.is_quick) {
        let (path, again) = (dir.path().join("stream"), dir.path().join("again"));
        with_ctx(2, |ctx| {
            write(case, &path, ctx);
            let options = ReadOptions { layers: Layers::Keep, ..ReadOptions::default() };
            let loaded = source::zfs::read(&FileName::Path(path.clone()), None, &options, ctx).unwrap();
            let Loaded::Filesystem(lineage) = loaded else { panic!("a file system") };
            assert_eq!(lineage.steps.len(), case.steps.len());
            let options = ListOptions { acl: true, no_hash: case.name == "tebibyte" };
            for (number, (step, want)) in lineage.steps.iter().zip(&case.steps).enumerate() {
                let (got, want) =
                    (rows(&step.tree, options, ctx).unwrap(), rows(want, options, ctx).unwrap());
                for (got, want) in got.iter().zip(&want) {
                    assert_eq!(got, want, "{} step {number}", case.name);
                }
                assert_eq!(got.len(), want.len());
            }
            let options = WriteOptions { target: case.target, force: true, ..WriteOptions::default() };
            zfs::write(&lineage, &FileName::Path(again.clone()), &options, ctx).unwrap();
        });
        assert!(
            std::fs::read(&path).unwrap() == std::fs::read(&again).unwrap(),
            "{}: other bytes",
            case.name
        );
    }
}

/// Whether some object has a file's data. Huge files are looked at where they have data.
fn holds(objects: &walk::Objects, content: &Content) -> bool {
    let probes: Vec<(u64, usize)> =
        content.extents.iter().map(|e| (e.offset, e.len.min(1 << 20) as usize)).collect();
    let wanted: Vec<Vec<u8>> = probes
        .iter()
        .map(|(offset, len)| {
            let mut buf = vec![0; *len];
            content.read_at(&mut buf, *offset, &mut Default::default()).unwrap();
            buf
        })
        .collect();
    objects.0.values().any(|object| {
        size(object) == Some(content.size)
            && probes.iter().zip(&wanted).all(|((offset, len), want)| read(object, *offset, *len) == *want)
    })
}

/// The SIZE attribute: the second in every bonus.
fn size(object: &walk::Object) -> Option<u64> {
    let header = usize::from(*object.bonus.get(5)?) >> 2 << 3;
    let bytes = object.bonus.get(header + 8..header + 16)?;
    Some(u64::from_le_bytes(bytes.try_into().ok()?))
}

fn read(object: &walk::Object, offset: u64, len: usize) -> Vec<u8> {
    let size = u64::from(object.block_size);
    (offset..offset + len as u64)
        .map(|at| object.blocks.get(&(at / size * size)).map_or(0, |block| block[(at % size) as usize]))
        .collect()
}

#[test]
fn only_the_changes_are_in_an_increment() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("chain");
    let chain = cases().into_iter().find(|case| case.name == "chain").unwrap();
    let steps = vec![chain.steps[0].clone(), chain.steps[0].clone(), chain.steps[2].clone()];
    with_ctx(1, |ctx| write(&Case { steps, ..chain }, &path, ctx));
    let bytes = std::fs::read(&path).unwrap();
    let untouched = noise(500_000, 6);
    let found = bytes.windows(64).filter(|window| *window == &untouched[200_000..200_064]).count();
    assert_eq!(found, 1, "what did not change is sent once");
    // The second stream, of no change at all, is BEGIN and END.
    let begins: Vec<usize> = bytes
        .windows(16)
        .enumerate()
        .filter(|(_, w)| w[..8] == [0; 8] && w[8..] == 0x2_F5BA_CBACu64.to_le_bytes())
        .map(|(at, _)| at)
        .collect();
    assert_eq!(begins[2] - begins[1], 2 * 312, "{begins:?}");
}

#[test]
fn what_no_stream_holds_is_refused_with_its_name() {
    let dir = tempfile::tempdir().unwrap();
    let file_name = |name: &str| FileName::Path(dir.path().join(name));
    let long_name = "n".repeat(256);
    let xattr = |name: &str, len: usize| {
        let mut meta = meta(0o644);
        meta.xattrs.insert(name.as_bytes().into(), vec![0; len].into());
        meta
    };
    let long_attribute = format!("user.{}", "a".repeat(251));
    let device = |minor| Kind::Char(aurora_formats::model::Device { major: 1, minor });
    let (open, illumos) = (Target::OpenZfs, Target::Illumos);
    let empty = || file(Vec::new());
    let cases = [
        (open, long_name.as_str(), meta(0o644), empty(), "name is longer than 255 bytes: 256"),
        (
            open,
            "l",
            meta(0o777),
            Kind::Symlink(vec![b'x'; 4096].into()),
            "link target is not 1 to 4095 bytes: 4096",
        ),
        (
            illumos,
            "l",
            meta(0o777),
            Kind::Symlink(vec![b'x'; 1024].into()),
            "link target is not 1 to 1023 bytes: 1024",
        ),
        (open, "d", meta(0o600), device(1 << 20), "device number is beyond 12 and 20 bits: 1:1048576"),
        (
            open,
            "x",
            xattr("user.big", 65_537),
            empty(),
            "attribute user.big is longer than 65536 bytes: 65537",
        ),
        (open, "x", xattr(&long_attribute, 1), empty(), "attribute name is not 1 to 255 bytes"),
        (open, "x", xattr("user.a/b", 40_000), empty(), "no file name: user.a/b"),
    ];
    for (target, name, meta, kind, want) in cases {
        let mut tree = Tree::new(trees::meta(0o755));
        let id = tree.add(meta, kind);
        tree.link(Tree::ROOT, name.as_bytes(), id);
        let options = WriteOptions { target, ..WriteOptions::default() };
        let error =
            with_ctx(1, |ctx| zfs::write(&lineage(&[tree]), &file_name("out"), &options, ctx)).unwrap_err();
        assert!(error.to_string().contains(want), "{error}");
        assert_eq!(error.location().entry, Some(EntryPath::parse(name.as_bytes()).unwrap()));
    }
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "nothing is left behind");
}

/// Three states of a disk: some data; more, less and other data; a larger disk.
fn volumes() -> Volume {
    let volume = |size, data: &[(u64, Vec<u8>)], base| {
        let Kind::File(content) = holes(size, data) else { unreachable!() };
        Volume {
            image: Image::default(),
            content: Arc::unwrap_or_clone(content),
            block_size: None,
            snapshot: None,
            base,
        }
    };
    let (a, b) = (noise(300_000, 1), noise(50_000, 2));
    let first = volume(16 << 20, &[(0, a.clone()), (5 << 20, b.clone())], None);
    let second = volume(16 << 20, &[(0, a[..200_000].to_vec()), (9 << 20, b)], Some(Box::new(first)));
    volume((24 << 20) - 100, &[(0, a), ((24 << 20) - 108, b"the end!".to_vec())], Some(Box::new(second)))
}

#[test]
fn volumes_become_chains() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("volume");
    let volume = volumes();
    with_ctx(1, |ctx| {
        zfs::write_volume(&volume, &FileName::Path(path.clone()), &WriteOptions::default(), ctx).unwrap();
        assert_eq!(ctx.losses().len(), 1, "{:?}", ctx.losses());
    });
    let mut objects = walk::Objects::default();
    let begins = walk::apply(&std::fs::read(&path).unwrap(), &mut objects);
    assert_eq!(begins.len(), 3);
    assert!(begins.iter().all(|b| b.objset_type == 3 && b.version_info == 1));
    let data = &objects.0[&1];
    let mut want = vec![0; 24 << 20];
    volume.content.read_at(&mut want[..(24 << 20) - 100], 0, &mut Default::default()).unwrap();
    assert!(read(data, 0, 24 << 20) == want);
    assert_eq!(data.blocks.len(), 300_000usize.div_ceil(8192) + 1, "what became zero is free");
    assert_eq!(objects.0[&2].blocks[&0][64..72], (24u64 << 20).to_le_bytes());
}

fn json(row: &Row) -> String {
    let mut out = serde_json::Map::new();
    let mut put = |key: &str, value: serde_json::Value| drop(out.insert(key.into(), value));
    put("path", row.path.as_str().into());
    put("type", row.kind.into());
    put("mode", row.mode.as_str().into());
    put("uid", row.uid.into());
    put("gid", row.gid.into());
    put("mtime_ns", i64::try_from(row.mtime_ns).map_or_else(|_| row.mtime_ns.to_string().into(), Into::into));
    let texts =
        [("sha256", &row.sha256), ("target", &row.target), ("hardlink", &row.hardlink), ("rdev", &row.rdev)];
    row.size.into_iter().for_each(|size| put("size", size.into()));
    for (key, value) in texts {
        value.iter().for_each(|text| put(key, text.as_str().into()));
    }
    if !row.xattrs.is_empty() {
        put("xattrs", serde_json::to_value(&row.xattrs).unwrap());
    }
    serde_json::Value::Object(out).to_string()
}

#[test]
#[ignore = "writes streams for a real receiver"]
fn write_all() {
    let dir = std::env::var_os("AURORA_ZFS_OUT").expect("AURORA_ZFS_OUT is a directory");
    let dir = Path::new(&dir);
    let only = std::env::var("AURORA_ZFS_ONLY").unwrap_or_default();
    for case in cases().iter().filter(|case| case.name.contains(&only)) {
        with_ctx(2, |ctx| {
            write(case, &dir.join(format!("{}.zfs", case.name)), ctx);
            for (number, tree) in case.steps.iter().enumerate() {
                let options = ListOptions { acl: true, no_hash: case.name == "tebibyte" };
                let listing: Vec<String> = rows(tree, options, ctx).unwrap().iter().map(json).collect();
                let name = format!("{}@{}.want.jsonl", case.name, number + 1);
                std::fs::write(dir.join(name), listing.join("\n") + "\n").unwrap();
            }
        });
    }
    with_ctx(2, |ctx| {
        let path = FileName::Path(dir.join("volume.zvol"));
        let options = WriteOptions { force: true, ..WriteOptions::default() };
        let volume = volumes();
        zfs::write_volume(&volume, &path, &options, ctx).unwrap();
        let mut states = vec![&volume];
        while let Some(base) = states[states.len() - 1].base.as_deref() {
            states.push(base);
        }
        for (number, state) in states.iter().rev().enumerate() {
            let mut bytes = vec![0; state.content.size as usize];
            state.content.read_at(&mut bytes, 0, &mut Default::default()).unwrap();
            bytes.resize(bytes.len().next_multiple_of(8192), 0);
            let line = format!("{} {}\n", bytes.len(), Digest::sha256(&bytes).hex());
            std::fs::write(dir.join(format!("volume@{}.want", number + 1)), line).unwrap();
        }
    });
}
