//! Every stream of the corpus (`corpus/zfs`, made by real ZFS) against its manifest, made by a kernel that mounted
//! it; the same streams in forms that no current sender writes; and damaged ones.
#![allow(missing_docs, unreachable_pub, clippy::unwrap_used)] // A test, its helpers included.

mod damage;
mod forge;
mod manifest;

use std::io::Read;
use std::path::{Path, PathBuf};

use aurora_convert::names::{FileName, ImageName};
use aurora_convert::sink::{self, Target, WriteOptions};
use aurora_convert::source::{ReadOptions, zfs};
use aurora_convert::{Cancel, Ctx, Error, Layers, Loaded, LossKind, NoProgress, Options};
use aurora_engine::codec;
use serde_json::Value;

/// The corpus and its part made by ZFS 2.3.
pub fn corpora() -> [PathBuf; 2] {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/zfs");
    [root.clone(), root.join("2.3")]
}

/// One line of an index.
pub struct Vector {
    pub dir: PathBuf,
    /// File name without `.zfs.gz`.
    pub name: String,
    pub expect: String,
    pub base: Option<String>,
}

impl Vector {
    pub fn path(&self) -> PathBuf {
        path_of(&self.dir, &self.name)
    }

    /// The streams below it, base first.
    pub fn origins(&self, all: &[Vector]) -> Vec<PathBuf> {
        let mut chain = Vec::new();
        let mut next = self.base.clone();
        while let Some(name) = next {
            chain.insert(0, path_of(&self.dir, &name));
            next = all.iter().find(|v| v.dir == self.dir && v.name == name).and_then(|v| v.base.clone());
        }
        chain
    }
}

pub fn path_of(dir: &Path, name: &str) -> PathBuf {
    dir.join(format!("{name}.zfs.gz"))
}

pub fn vectors() -> Vec<Vector> {
    let mut found = Vec::new();
    for dir in corpora() {
        let index =
            std::fs::read_to_string(dir.join("index.jsonl")).expect("the corpus is in the repository");
        for line in index.lines() {
            let row: Value = serde_json::from_str(line).unwrap();
            let text = |key: &str| row[key].as_str().map(|s| s.trim_end_matches(".zfs.gz").to_owned());
            found.push(Vector {
                dir: dir.clone(),
                name: text("stream").unwrap(),
                expect: text("expect").unwrap(),
                base: text("base"),
            });
        }
    }
    assert!(found.len() > 60, "the corpus is whole");
    found
}

/// Reads in a context of its own; the losses with the image.
pub fn read(
    path: &Path,
    pick: Option<&str>,
    origins: &[PathBuf],
    layers: Layers,
) -> Result<(Loaded, Vec<aurora_convert::Loss>), Error> {
    let cancel = Cancel::default();
    let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
    let zfs_name = |path: &PathBuf| ImageName::Zfs { file: FileName::Path(path.clone()), pick: None };
    let origins = origins.iter().map(zfs_name).collect();
    let options = ReadOptions { layers, origins, ..ReadOptions::default() };
    let loaded = zfs::read(&FileName::Path(path.to_owned()), pick, &options, &ctx)?;
    Ok((loaded, ctx.losses()))
}

/// An uncompressed stream.
pub fn unpacked(path: &Path) -> Vec<u8> {
    let file = std::fs::read(path).unwrap();
    let (_, mut reader) = codec::reader(Box::new(std::io::Cursor::new(file)), u64::MAX, 1).unwrap();
    let mut bytes = Vec::new();
    reader.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The manifests of a stream, with what to pick for each.
fn manifests(vector: &Vector) -> Vec<(Option<String>, PathBuf)> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(&vector.dir).unwrap() {
        let path = entry.unwrap().path();
        let file = path.file_name().unwrap().to_str().unwrap();
        let Some(stem) = file.strip_suffix(".manifest.jsonl") else { continue };
        let Some(rest) = stem.strip_prefix(&vector.name) else { continue };
        match rest.split_at_checked(1) {
            None => found.push((None, path)),
            Some(("@", _)) => found.push((Some(rest.to_owned()), path)),
            Some((",", name)) => found.push((Some(format!("tank/{}", name.replace(',', "/"))), path)),
            _ => {}
        }
    }
    found.sort();
    found
}

fn compare(loaded: &Loaded, manifest: &Path, what: &str) {
    let text = std::fs::read_to_string(manifest).unwrap();
    let mut want: Vec<Value> = text.lines().map(|l| serde_json::from_str(l).unwrap()).collect();
    for row in &mut want {
        row.as_object_mut().unwrap().remove("ino");
    }
    let got = manifest::rows(loaded);
    for (got, want) in got.iter().zip(&want) {
        assert_eq!(got, want, "{what}");
    }
    assert_eq!(got.len(), want.len(), "{what}");
}

#[test]
fn every_stream_is_what_its_manifest_says() {
    let vectors = vectors();
    let mut compared = 0;
    for vector in vectors.iter().filter(|v| matches!(&v.expect[..], "ok" | "embedded-spill")) {
        let origins = vector.origins(&vectors);
        for (pick, manifest) in manifests(vector) {
            let what = format!("{} {pick:?}", vector.name);
            let (loaded, losses) = read(&vector.path(), pick.as_deref(), &origins, Layers::Squash)
                .unwrap_or_else(|e| panic!("{what}: {e}"));
            compare(&loaded, &manifest, &what);
            compared += 1;
            let expected = |kind| match kind {
                LossKind::Property => true,
                LossKind::Project => vector.name == "project-id",
                _ => false,
            };
            let odd: Vec<_> = losses.iter().filter(|l| !expected(l.kind)).collect();
            assert!(odd.is_empty(), "{what}: nothing is lost from Linux's own file systems: {odd:?}");
        }
    }
    assert!(compared > 75, "{compared} manifests");
}

#[test]
fn plain_files_are_read_in_place_and_packed_ones_too() {
    let vectors = vectors();
    let dir = tempfile::tempdir().unwrap();
    for vector in vectors.iter().filter(|v| v.expect == "ok" && v.base.is_none()) {
        let Some((pick, manifest)) = manifests(vector).into_iter().next() else { continue };
        let path = dir.path().join(&vector.name);
        std::fs::write(&path, unpacked(&vector.path())).unwrap();
        let (loaded, _) = read(&path, pick.as_deref(), &[], Layers::Squash).unwrap();
        std::fs::remove_file(&path).unwrap();
        compare(&loaded, &manifest, &vector.name);
    }
}

#[test]
fn steps_of_a_chain_are_its_snapshots() {
    let vectors = vectors();
    let find = |name: &str| vectors.iter().find(|v| v.name == name).unwrap();
    for (name, steps) in [
        ("inc-I-a-d", &["inc-full-a", "inc-I-a-d@b", "inc-I-a-d@c", "inc-I-a-d@d"][..]),
        ("inc-i-b-c", &["inc-full-a", "inc-i-a-b", "inc-i-b-c"]),
        ("inc-full-d", &["inc-full-d"]),
        ("repl-clone", &["repl-kid-s1", "repl-clone"]),
        ("vol8k-i-grown", &["vol8k-full", "vol8k-i", "vol8k-i-grown"]),
    ] {
        let vector = find(name);
        let (loaded, _) = read(&vector.path(), None, &vector.origins(&vectors), Layers::Keep).unwrap();
        match loaded {
            Loaded::Filesystem(mut lineage) => {
                assert_eq!(lineage.steps.len(), steps.len(), "{name}");
                let guids: Vec<_> = lineage.steps.iter().map(|s| s.snapshot.clone().unwrap().guid).collect();
                assert!(guids.iter().all(|g| *g != 0));
                while let (Some(step), Some(manifest)) =
                    (lineage.steps.last(), steps.get(lineage.steps.len() - 1))
                {
                    let manifest = vector.dir.join(format!("{manifest}.manifest.jsonl"));
                    let tree = step.tree.clone();
                    compare(&Loaded::Filesystem(lineage_of(tree, &lineage)), &manifest, name);
                    lineage.steps.pop();
                    if lineage.steps.is_empty() {
                        break;
                    }
                }
            }
            Loaded::Volume(volume) => {
                let mut next = Some(Box::new(volume));
                for manifest in steps.iter().rev() {
                    let mut volume = next.take().expect("a volume for each step");
                    next = volume.base.take();
                    let manifest = vector.dir.join(format!("{manifest}.manifest.jsonl"));
                    assert_eq!(volume.block_size, Some(8192));
                    compare(&Loaded::Volume(*volume), &manifest, name);
                }
                assert!(next.is_none());
            }
        }
    }
}

/// Reader and writer agree: what was read and written for either system reads back the same.
#[test]
fn what_is_written_reads_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("again");
    let name = ImageName::Zfs { file: FileName::Path(path.clone()), pick: None };
    let cancel = Cancel::default();
    let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
    let [corpus, _] = corpora();
    for stream in
        ["special", "xattr-sa", "xattr-dir", "acl-sa", "dirs", "fatzap", "sparse", "zpl-v3", "vol8k-full"]
    {
        let (loaded, _) = read(&path_of(&corpus, stream), None, &[], Layers::Squash).unwrap();
        for target in [Target::OpenZfs, Target::Illumos] {
            // illumos has no place for the attributes of some of Linux's namespaces: the writer says so.
            if target == Target::Illumos && (stream.starts_with("xattr") || stream.starts_with("acl")) {
                continue;
            }
            let options = WriteOptions { target, force: true, ..WriteOptions::default() };
            sink::write(&loaded, &name, &options, &ctx).unwrap_or_else(|e| panic!("{stream}: {e}"));
            let (again, losses) = read(&path, None, &[], Layers::Squash).unwrap();
            compare(
                &again,
                &corpus.join(format!("{stream}.manifest.jsonl")),
                &format!("{stream} {target:?}"),
            );
            assert!(losses.is_empty(), "{stream} {target:?}: {losses:?}");
        }
    }
}

/// A lineage of one tree.
fn lineage_of(
    tree: std::sync::Arc<aurora_convert::tree::Tree>,
    of: &aurora_convert::Lineage,
) -> aurora_convert::Lineage {
    let step = of.steps.last().unwrap();
    let step = aurora_convert::Step {
        tree,
        chain_id: step.chain_id.clone(),
        snapshot: step.snapshot.clone(),
        created: step.created,
        created_by: None,
    };
    aurora_convert::Lineage { image: of.image.clone(), steps: vec![step] }
}

#[test]
fn what_cannot_be_read_says_why_and_what_to_do() {
    let vectors = vectors();
    let mut seen = 0;
    for vector in &vectors {
        let (error, hint) = match &vector.expect[..] {
            "encrypted" => ("encrypted", "without --raw"),
            "redacted" => ("redacted", "without --redact"),
            "resume" => ("rest of an interrupted", "without -t"),
            // Made of a partly received dataset: it has no END.
            "partial" => ("without an END", "whole snapshot"),
            _ if vector.base.is_some() => ("not here: guid ", "--origin"),
            _ => continue,
        };
        seen += 1;
        let pick = manifests(vector).into_iter().next().and_then(|(pick, _)| pick);
        let e = read(&vector.path(), pick.as_deref(), &[], Layers::Squash).map(|_| ()).unwrap_err();
        assert!(e.to_string().contains(error), "{}: {e}", vector.name);
        assert!(e.hint().is_some_and(|h| h.contains(hint)), "{}: {:?}", vector.name, e.hint());
    }
    assert!(seen > 12, "{seen}");
    let package = path_of(&corpora()[0], "repl-R-s2");
    let e = read(&package, Some("@nosuch"), &[], Layers::Squash).map(|_| ()).unwrap_err();
    assert!(e.to_string().contains("@nosuch (there are: tank/repl@s1, "), "{e}");
}

#[test]
fn surveys_count_all_records() {
    let cancel = Cancel::default();
    let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
    let survey = |name: &str| {
        let path = path_of(&corpora()[0], name);
        zfs::survey(&FileName::Path(path), &ctx).unwrap_or_else(|e| panic!("{name}: {e}"))
    };
    let package = survey("repl-R-s2");
    assert!(package.len() > 3 && package.iter().all(|s| s.in_package && s.refusal.is_none()));
    assert_eq!(package[0].name, "tank/repl@s1");
    assert_eq!(package[1].from_guid, package[0].guid);
    let encrypted = &survey("crypt-w")[0];
    assert!(encrypted.features.contains(&"raw") && encrypted.refusal.is_some());
    assert_eq!(survey("vol8k-full")[0].kind, "volume");
    let hello = &survey("hello")[0];
    assert_eq!((hello.records["BEGIN"], hello.records["END"]), (1, 1));
    assert_eq!((hello.offset, hello.bytes, hello.in_package), (0, 46_888, false));
    assert_eq!(hello.features, ["sa-spill"]);
}
