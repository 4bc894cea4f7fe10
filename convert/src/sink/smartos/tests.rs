//! Images written, checked as imgadm would, read again; and damaged.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurora_engine::body::{Body, MemBody};
use aurora_formats::model::{Metadata, Timestamp};
use serde_json::{Value, json};

use super::*;
use crate::content::Content;
use crate::image::Image;
use crate::lineage::{Layers, Step};
use crate::source::ReadOptions;
use crate::source::smartos::{check, read};
use crate::tree::{Kind, ListOptions, Tree, rows};
use crate::{Cancel, NoProgress, Options};
use aurora_engine::digest::Digest;

fn body(bytes: &[u8]) -> Body {
    Arc::new(MemBody(bytes.to_vec()))
}

/// A zonepath: `root/` with the given files, all in one directory `etc`.
fn tree(files: &[(&str, &[u8])]) -> Tree {
    let meta = |mode| Metadata { mode, mtime: Timestamp::from_secs(1_700_000_000), ..Metadata::default() };
    let mut tree = Tree::new(meta(0o700));
    let root = tree.add(meta(0o755), Kind::Dir(Arc::default()));
    tree.link(Tree::ROOT, b"root", root);
    let etc = tree.add(meta(0o755), Kind::Dir(Arc::default()));
    tree.link(root, b"etc", etc);
    for (name, bytes) in files {
        let content = Content::plain(&body(bytes), 0, bytes.len() as u64);
        let file = tree.add(meta(0o644), Kind::File(Arc::new(content)));
        tree.link(etc, name.as_bytes(), file);
    }
    tree
}

fn lineage(layers: &[&str]) -> Loaded {
    let base = tree(&[("one", b"1"), ("two", &[7; 300_000])]);
    let mut top = base.clone();
    let etc = top.lookup(&aurora_formats::model::EntryPath::parse(b"root/etc").unwrap()).unwrap();
    top.unlink(etc, b"one");
    let content = Content::plain(&body(b"three"), 0, 5);
    let file = top.add(Metadata { mode: 0o600, ..Metadata::default() }, Kind::File(Arc::new(content)));
    top.link(etc, b"three", file);
    let steps = [(base, "a"), (top, "b")].map(|(tree, id)| Step {
        tree: Arc::new(tree),
        chain_id: Digest::sha256(id.as_bytes()),
        snapshot: None,
        created: Some(Timestamp::from_secs(1_600_000_000)),
        created_by: Some("RUN".into()),
    });
    let image = Image {
        platform: Some("linux/amd64".parse().unwrap()),
        config: json!({"Cmd": ["sh"], "User": "nobody"}).as_object().unwrap().clone(),
        layers: layers.iter().map(|l| format!("sha256:{}", l.repeat(64))).collect(),
        ..Image::default()
    };
    Loaded::Filesystem(crate::Lineage { image, steps: steps.into() })
}

fn squashed() -> Loaded {
    let Loaded::Filesystem(mut lineage) = lineage(&[]) else { panic!() };
    lineage.steps.remove(0);
    Loaded::Filesystem(lineage)
}

fn with_ctx<T>(run: impl FnOnce(&Ctx<'_>) -> T) -> T {
    let cancel = Cancel::default();
    run(&Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel))
}

fn names(dir: &Path) -> Vec<String> {
    let mut names: Vec<_> =
        std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().file_name().into_string().unwrap()).collect();
    names.sort();
    names
}

fn listing(loaded: &Loaded, ctx: &Ctx<'_>) -> Vec<String> {
    let Loaded::Filesystem(lineage) = loaded else { panic!("a file system is wanted") };
    let all = lineage.steps.iter().flat_map(|s| rows(&s.tree, ListOptions::default(), ctx).unwrap());
    all.map(|row| format!("{row:?}")).collect()
}

fn findings(path: &Path, ctx: &Ctx<'_>) -> Vec<String> {
    check(path, &[], ctx).unwrap().findings.into_iter().map(|f| f.message).collect()
}

#[test]
fn an_image_is_installable_and_comes_back_whole_whatever_it_is_packed_with() {
    let dir = tempfile::tempdir().unwrap();
    with_ctx(|ctx| {
        let loaded = squashed();
        let want = listing(&loaded, ctx);
        let mut uuids = Vec::new();
        for (codec, file) in [
            (None, "i.zfs.gz"),
            (Some(Codec::None), "i.zfs"),
            (Some(Codec::Bzip2), "i.zfs.bz2"),
            (Some(Codec::Xz), "i.zfs.xz"),
        ] {
            let path = dir.path().join(format!("of {file}")).join("i.imgmanifest");
            let mut options = WriteOptions {
                compression: codec.map(|codec| Compression { codec, level: None }),
                ..WriteOptions::default()
            };
            options.smartos.tags.push(("role".into(), "os".into()));
            let outcome = write(&loaded, &path, &options, ctx).unwrap();
            uuids.push(outcome.facts[0].clone());
            assert_eq!(names(path.parent().unwrap()), ["i.imgmanifest", file]);
            assert_eq!(findings(&path, ctx), [""; 0], "{file}");
            let again = read(&path, &ReadOptions::default(), ctx).unwrap();
            assert_eq!(listing(&again, ctx), want, "{file}");
            let Loaded::Filesystem(lineage) = &again else { panic!() };
            assert_eq!(
                lineage.image.config,
                json!({"Cmd": ["sh"], "User": "nobody"}).as_object().unwrap().clone()
            );
            assert_eq!(ctx.losses(), []);
        }
        uuids.dedup();
        assert_eq!(uuids.len(), 1, "the same image is the same image however it is packed");
    });
}

#[test]
fn layers_become_images_upon_one_another_with_tritons_uuids() {
    let dir = tempfile::tempdir().unwrap();
    with_ctx(|ctx| {
        let loaded = lineage(&["a", "b"]);
        let mut options = WriteOptions::default();
        options.smartos.name = Some("web".into());
        options.smartos.version = Some("1".into());
        let outcome = write(&loaded, dir.path(), &options, ctx).unwrap();
        assert!(outcome.facts.contains(&("images".into(), "2".into())));
        let digests = ["a", "b"].map(|l| format!("sha256:{}", l.repeat(64)));
        let base = layer_uuid([digests[0].as_str()]).unwrap().to_string();
        let top = layer_uuid(digests.iter().map(String::as_str)).unwrap().to_string();
        assert_eq!(outcome.facts[0], ("uuid".into(), top));
        let mut want = vec![
            format!("{base}.imgmanifest"),
            format!("{base}.zfs.gz"),
            "web-1.imgmanifest".into(),
            "web-1.zfs.gz".into(),
        ];
        want.sort();
        assert_eq!(names(dir.path()), want);

        assert_eq!(findings(dir.path(), ctx), [""; 0]);
        let options = ReadOptions { layers: Layers::Keep, ..ReadOptions::default() };
        let again = read(dir.path(), &options, ctx).unwrap();
        assert_eq!(listing(&again, ctx), listing(&loaded, ctx));

        // The origin elsewhere: named, or missed.
        let elsewhere = tempfile::tempdir().unwrap();
        for name in names(dir.path()).iter().filter(|n| n.starts_with(&base)) {
            std::fs::rename(dir.path().join(name), elsewhere.path().join(name)).unwrap();
        }
        let Err(e) = read(dir.path(), &ReadOptions::default(), ctx) else {
            panic!("the origin is not there")
        };
        assert!(matches!(e.kind(), ErrorKind::NoSuchImage(_)) && e.to_string().contains(&base), "{e}");
        assert!(findings(dir.path(), ctx)[0].contains(&base));
        let origins = [
            format!("smartos:{}", elsewhere.path().display()),
            format!("smartos:{}/{base}.imgmanifest", elsewhere.path().display()),
            format!("zfs:{}/{base}.zfs.gz", elsewhere.path().display()),
        ];
        for origin in origins {
            let options = ReadOptions {
                origins: vec![origin.parse().unwrap()],
                layers: Layers::Keep,
                ..ReadOptions::default()
            };
            let again = read(dir.path(), &options, ctx).unwrap();
            assert_eq!(listing(&again, ctx), listing(&loaded, ctx), "{origin}");
        }
    });
}

#[test]
fn volumes_are_images_too() {
    let dir = tempfile::tempdir().unwrap();
    with_ctx(|ctx| {
        let mut disk = vec![0; 3 << 20];
        disk[1_500_000] = 9;
        let content = Content::plain(&body(&disk), 0, disk.len() as u64);
        let volume =
            Volume { image: Image::default(), content, block_size: Some(8192), snapshot: None, base: None };
        let path = dir.path().join("disk.json");
        write(&Loaded::Volume(volume), &path, &WriteOptions::default(), ctx).unwrap();
        assert_eq!(names(dir.path()), ["disk.json", "disk.zvol.gz"]);
        assert_eq!(findings(&path, ctx), [""; 0]);
        let manifest: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((&manifest["type"], &manifest["image_size"]), (&json!("zvol"), &json!(3)));
        let Ok(Loaded::Volume(again)) = read(&path, &ReadOptions::default(), ctx) else {
            panic!("a volume is wanted")
        };
        let mut bytes = Vec::new();
        std::io::Read::read_to_end(&mut again.content.reader(), &mut bytes).unwrap();
        assert!(bytes == disk);
    });
}

#[test]
fn what_is_not_the_image_of_its_manifest_is_not_read() {
    let dir = tempfile::tempdir().unwrap();
    with_ctx(|ctx| {
        let path = dir.path().join("i.imgmanifest");
        let options = WriteOptions {
            compression: Some(Compression { codec: Codec::None, level: None }),
            ..WriteOptions::default()
        };
        write(&squashed(), &path, &options, ctx).unwrap();
        let file: PathBuf = dir.path().join("i.zfs");
        let (manifest, stream) = (std::fs::read_to_string(&path).unwrap(), std::fs::read(&file).unwrap());
        let document: Value = serde_json::from_str(&manifest).unwrap();
        let mut flipped = stream.clone();
        flipped[1000] ^= 1;
        let edited = |edit: &dyn Fn(&mut Value)| {
            let mut changed = document.clone();
            edit(&mut changed);
            changed.to_string()
        };
        type Case<'a> = (&'a str, String, &'a [u8], bool, &'a str);
        let cases: Vec<Case<'_>> = vec![
            ("shorter", manifest.clone(), &stream[..stream.len() - 1], true, "shorter"),
            ("longer", manifest.clone(), &[&stream[..], b"x"].concat(), true, "longer"),
            ("flipped", manifest.clone(), &flipped, true, "does not match its sha1"),
            (
                "guid",
                edited(&|m| m["files"][0]["dataset_guid"] = json!("5")),
                &stream,
                false,
                "dataset_guid is 5",
            ),
            (
                "packed",
                edited(&|m| m["files"][0]["compression"] = json!("gzip")),
                &stream,
                false,
                "says compression gzip",
            ),
            ("kind", edited(&|m| m["type"] = json!("zvol")), &stream, false, "the type is zvol"),
            ("name", edited(&|m| m["name"] = json!("a+b")), &stream, false, "name: Invalid"),
            (
                "origin",
                edited(&|m| m["origin"] = json!("1f9b7958-289e-4ea3-8f88-5486a40d6823")),
                &stream,
                true,
                "1f9b7958",
            ),
        ]
        .into_iter()
        .map(|(a, b, c, d, e)| (a, b, Vec::leak(c.to_vec()) as &[u8], d, e))
        .collect();
        for (name, manifest, stream, is_refused, want) in cases {
            std::fs::write(&path, manifest).unwrap();
            std::fs::write(&file, stream).unwrap();
            let found = findings(&path, ctx);
            assert!(found.iter().any(|f| f.contains(want)), "{name}: {found:?}");
            let got = read(&path, &ReadOptions::default(), ctx);
            assert_eq!(got.is_err(), is_refused, "{name}");
        }
        std::fs::remove_file(&file).unwrap();
        let Err(e) = read(&path, &ReadOptions::default(), ctx) else { panic!("there is no file") };
        assert!(matches!(e.kind(), ErrorKind::NoSuchImage(_)), "{e}");
    });
}

#[test]
fn nothing_is_overwritten_and_nothing_half_written_stays() {
    let dir = tempfile::tempdir().unwrap();
    with_ctx(|ctx| {
        let path = dir.path().join("i.imgmanifest");
        std::fs::write(dir.path().join("i.zfs.gz"), b"mine").unwrap();
        let taken = write(&squashed(), &path, &WriteOptions::default(), ctx).unwrap_err();
        assert!(matches!(taken.kind(), ErrorKind::Exists(_)), "{taken}");
        let mut options = WriteOptions::default();
        options.smartos.name = Some("not allowed: +".into());
        let refused = write(&squashed(), &dir.path().join("x.json"), &options, ctx).unwrap_err();
        assert!(matches!(refused.kind(), ErrorKind::Usage(_)), "{refused}");
        ctx.cancel.set();
        assert!(write(&squashed(), &dir.path().join("y.json"), &WriteOptions::default(), ctx).is_err());
        assert_eq!(names(dir.path()), ["i.zfs.gz"]);
    });
}
