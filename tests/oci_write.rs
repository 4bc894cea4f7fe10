//! Layouts and archives that are written: read back the same, added to, the same bytes each time, and understood by
//! another implementation's types.
#![allow(clippy::unwrap_used)]

use std::fs;
use std::path::Path;

use aurora_convert::image::Platform;
use aurora_convert::sink::{self, WriteOptions};
use aurora_convert::source::{self, ReadOptions};
use aurora_convert::{ErrorKind, Layers, Lineage, Loaded, Result, Snapshot};
use aurora_engine::codec::{Codec, Compression};
use aurora_tests::{Run, assert_same, corpus, list, quirk_tags};
use serde_json::Value;

fn quirk(tag: &str) -> String {
    format!("oci:{}:{tag}", corpus("oci/quirks").display())
}

fn read(run: &Run, image: &str, layers: Layers) -> Result<Loaded> {
    let options = ReadOptions { layers, platform: Some(Platform::default()), ..ReadOptions::default() };
    run.with_ctx(|ctx| source::read(&image.parse().unwrap(), &options, ctx))
}

fn write(run: &Run, loaded: &Loaded, image: &str, codec: Codec) -> Result<()> {
    let compression = Some(Compression { codec, level: None });
    let options = WriteOptions { compression, ..WriteOptions::default() };
    run.with_ctx(|ctx| sink::write(loaded, &image.parse().unwrap(), &options, ctx)).map(drop)
}

fn lineage(loaded: &Loaded) -> &Lineage {
    match loaded {
        Loaded::Filesystem(lineage) => lineage,
        Loaded::Volume(_) => panic!("a root file system was written"),
    }
}

fn json(path: &Path) -> Value {
    serde_json::from_slice(&fs::read(path).unwrap()).unwrap()
}

#[test]
fn every_quirk_survives_a_trip() {
    let run = Run::new();
    // Two are refused.
    let tags: Vec<_> = quirk_tags("quirks").into_iter().map(|(tag, _)| tag).collect();
    let tags: Vec<_> =
        tags.iter().filter(|t| !matches!(t.as_str(), "hardlink-onto-itself" | "hardlink-dotdot")).collect();
    for (n, tag) in tags.into_iter().enumerate() {
        let form = ["oci", "oci-archive", "docker-archive"][n % 3];
        let codec = [Codec::Gzip, Codec::Zstd, Codec::None][n / 3 % 3];
        let from = read(&run, &quirk(tag), Layers::Keep).unwrap();
        let to = run.image(form, &format!("{tag}.{form}"));
        write(&run, &from, &to, codec).unwrap_or_else(|e| panic!("{tag}: {e}"));
        let back = read(&run, &to, Layers::Keep).unwrap_or_else(|e| panic!("{tag}: {e}"));
        let (from, back) = (lineage(&from), lineage(&back));
        assert_eq!(from.steps.len(), back.steps.len(), "{tag}: the chain keeps its length");
        assert_eq!(from.image.config, back.image.config, "{tag}");
        assert_eq!(from.image.created, back.image.created, "{tag}");
        for (a, b) in from.steps.iter().zip(&back.steps) {
            let one = |step: &aurora_convert::Step| {
                let step = aurora_convert::Step {
                    tree: step.tree.clone(),
                    chain_id: step.chain_id.clone(),
                    snapshot: None,
                    created: None,
                    created_by: None,
                };
                list(&Loaded::Filesystem(Lineage { image: Default::default(), steps: vec![step] }), &run)
            };
            assert_same(tag, &one(a), &one(b), &[]);
            assert_eq!((a.created, &a.created_by), (b.created, &b.created_by), "{tag}");
        }
    }
}

#[test]
fn threads_and_memory_change_no_byte() {
    for form in ["oci", "oci-archive", "docker-archive"] {
        let mut all = Vec::new();
        for (threads, memory) in [(1, 64 << 20), (2, 0), (8, 1 << 20)] {
            let run = Run::with(threads, memory);
            let to = run.image(form, "out");
            let loaded = read(&run, &quirk("sparse-pax-1.0"), Layers::Keep).unwrap();
            write(&run, &loaded, &to, Codec::Gzip).unwrap();
            all.push(run.bytes(&run.path("out")));
        }
        assert!(all[0] == all[1] && all[0] == all[2], "{form}");
    }
}

#[test]
fn a_layout_is_added_to_and_a_name_replaced() {
    let run = Run::new();
    let dir = run.path("layout");
    let at = |name: &str| format!("oci:{}:{name}", dir.display());
    let one = read(&run, &quirk("modes"), Layers::Squash).unwrap();
    let two = read(&run, &quirk("owners"), Layers::Squash).unwrap();
    write(&run, &one, &format!("oci:{}", dir.display()), Codec::Gzip).unwrap();
    write(&run, &one, &at("a"), Codec::Gzip).unwrap();
    write(&run, &two, &at("a"), Codec::Gzip).unwrap();
    assert_same("a", &list(&two, &run), &run.ls(&at("a")), &[]);
    assert_same("latest", &list(&one, &run), &run.ls(&format!("oci:{}", dir.display())), &[]);
    let index = json(&dir.join("index.json"));
    assert_eq!(index["manifests"].as_array().unwrap().len(), 2);
    let names: Vec<_> = fs::read_dir(&dir).unwrap().map(|e| e.unwrap().file_name()).collect();
    assert_eq!(names.len(), 3, "no temporary file is left: {names:?}");
    for blob in fs::read_dir(dir.join("blobs/sha256")).unwrap() {
        assert_eq!(blob.unwrap().file_name().len(), 64);
    }

    let other = run.path("other");
    fs::create_dir(&other).unwrap();
    fs::write(other.join("x"), "x").unwrap();
    let error = write(&run, &one, &format!("oci:{}", other.display()), Codec::Gzip).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Exists(_)), "{error}");
    let error = write(&run, &one, &at("no such name"), Codec::Gzip).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Oci(_)), "{error}");
    let error = write(&run, &one, &at("xz"), Codec::Xz).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Unsupported(_)), "{error}");
    let file = run.image("oci-archive", "taken");
    write(&run, &one, &file, Codec::Gzip).unwrap();
    let error = write(&run, &one, &file, Codec::Gzip).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Exists(_)), "{error}");
}

#[test]
fn snapshots_and_history_come_back() {
    let run = Run::new();
    let mut loaded = read(&run, &quirk("whiteout-file"), Layers::Keep).unwrap();
    let Loaded::Filesystem(from) = &mut loaded else { panic!() };
    let snapshot =
        |n: u64| Some(Snapshot { name: format!("tank/fs@{n}").into(), guid: u64::MAX - n, creation_time: n });
    from.steps[0].snapshot = snapshot(1);
    from.steps[1].created_by = Some("second".into());
    from.steps[1].snapshot = snapshot(2);
    let to = run.image("oci", "snapshots");
    write(&run, &loaded, &to, Codec::Gzip).unwrap();
    let back = read(&run, &to, Layers::Keep).unwrap();
    let steps = &lineage(&back).steps;
    assert_eq!((&steps[0].snapshot, &steps[1].snapshot), (&snapshot(1), &snapshot(2)));
    assert_eq!(steps[1].created_by.as_deref(), Some("second"));
    let squashed = read(&run, &to, Layers::Squash).unwrap();
    assert_eq!(lineage(&squashed).steps[0].snapshot, snapshot(2), "the last tree is the last snapshot's");
}
