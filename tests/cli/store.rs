//! The local store: what goes in comes out, names and garbage, layouts of other programs, damage.

use std::collections::BTreeMap;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use crate::run::{Done, Sample, names};

/// Runs a command on the store `s` of a sample.
#[track_caller]
fn on(sample: &Sample, args: &[&str]) -> Done {
    let args: Vec<&str> = ["--store", "s"].iter().chain(args).copied().collect();
    sample.run(&args)
}

/// What `list` shows: name and tag, and the digest.
#[track_caller]
fn listed(sample: &Sample) -> Vec<(String, String)> {
    let document = on(sample, &["list", "--json"]).exits(0).out;
    let document: serde_json::Value = serde_json::from_str(&document).expect("--json prints a document");
    let text = |image: &serde_json::Value, key: &str| image[key].as_str().unwrap_or("-").to_owned();
    let images = document["images"].as_array().expect("there is a list of images");
    images.iter().map(|i| (format!("{}:{}", text(i, "name"), text(i, "tag")), text(i, "digest"))).collect()
}

fn listed_names(sample: &Sample) -> Vec<String> {
    listed(sample).into_iter().map(|(name, _)| name).collect()
}

/// Every blob below the store.
fn blobs(sample: &Sample) -> Vec<PathBuf> {
    let dir = sample.join("s/blobs/sha256");
    names(&dir).into_iter().map(|name| dir.join(name)).collect()
}

#[test]
fn what_goes_in_comes_out() {
    let sample = Sample::new();
    on(&sample, &["list"]).exits(0).prints_nothing();
    on(&sample, &["ls", "a"]).exits(3);
    on(&sample, &["gc"]).exits(0);
    assert!(sample.names().is_empty(), "nothing was made to find nothing in it");

    on(&sample, &["convert", "dir:tree", "a"]).exits(0).quietly();
    on(&sample, &["diff", "dir:tree", "a:latest"]).exits(0);
    on(&sample, &["convert", "a", "zfs:a.zfs"]).exits(0);
    on(&sample, &["convert", "zfs:a.zfs", "reg.example:5000/team/b:2"]).exits(0);
    on(&sample, &["diff", "a", "reg.example:5000/team/b:2"]).exits(0);
    on(&sample, &["convert", "a", "tar:a.tar"]).exits(0);
    on(&sample, &["verify", "a"]).exits(0);
    assert!(on(&sample, &["inspect", "a"]).exits(0).out.contains("linux/amd64"));
    assert_eq!(listed_names(&sample), ["a:latest", "reg.example:5000/team/b:2"]);
    for blob in blobs(&sample) {
        let mode = std::fs::metadata(&blob).expect("it was listed").permissions().mode();
        assert_eq!(mode & 0o777, 0o444, "{}", blob.display());
    }
    assert!(names(&sample.join("s/aurora/partial")).is_empty());
    on(&sample, &["fsck"]).exits(0).quietly();
    // It is a layout as any other.
    sample.run(&["diff", "oci:s:a:latest", "dir:tree"]).exits(0);
    sample.run(&["verify", "oci:s"]).exits(0);
    on(&sample, &["convert", "dir:tree", "sha256:0123456789"]).exits(2);
}

#[test]
fn names_come_and_go_and_garbage_is_collected() {
    let sample = Sample::new();
    on(&sample, &["convert", "dir:tree", "a:1"]).exits(0);
    std::fs::write(sample.join("tree/new"), "new").expect("the tree can be written");
    on(&sample, &["convert", "dir:tree", "b"]).exits(0);
    let first = listed(&sample)[0].1.clone();
    on(&sample, &["tag", "a:1", "c"]).exits(0);
    on(&sample, &["tag", &first[..20], "d:x"]).exits(0);
    assert_eq!(listed_names(&sample), ["a:1", "b:latest", "c:latest", "d:x"]);
    // A name is of one image.
    assert!(on(&sample, &["tag", "b", "d:x"]).exits(0).out.contains("was sha256:"));
    assert_ne!(listed(&sample)[3].1, first);
    on(&sample, &["untag", "d:x", "c"]).exits(0);
    assert_eq!(listed_names(&sample), ["a:1", "b:latest"]);
    on(&sample, &["untag", "a:1"]).exits(0);
    assert_eq!(
        listed(&sample),
        [("b:latest".into(), listed(&sample)[0].1.clone()), ("-:-".into(), first.clone())]
    );
    let before = blobs(&sample);
    on(&sample, &["gc"]).exits(0);
    assert_eq!(blobs(&sample), before, "what has no name is no garbage");
    on(&sample, &["rm", "none", "b"]).exits(3);
    on(&sample, &["rm", "b", "none"]).exits(3);
    assert_eq!(listed_names(&sample).len(), 2, "all or nothing");
    on(&sample, &["rm", &first]).exits(0);
    let told = on(&sample, &["gc", "--dry-run", "--json"]).exits(0).out;
    assert_eq!(blobs(&sample), before);
    let done = on(&sample, &["gc", "--json"]).exits(0).out;
    assert_eq!(done, told.replace("\"dry_run\":true", "\"dry_run\":false"));
    assert_eq!(blobs(&sample).len(), 3, "manifest, config and layer of `b`");
    on(&sample, &["diff", "b", "dir:tree"]).exits(0);
    on(&sample, &["rm", "b"]).exits(0);
    on(&sample, &["gc"]).exits(0);
    assert!(blobs(&sample).is_empty());
    on(&sample, &["fsck"]).exits(0);
}

#[test]
fn the_second_time_nothing_is_read() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "oci:in"]).exits(0);
    let digest = |document: &str| {
        let document: serde_json::Value = serde_json::from_str(document).expect("--json prints a document");
        let count = |key: &str| document[key].as_u64().unwrap_or(u64::MAX);
        let counts = ["bytes_read", "bytes_decoded", "bytes_written"].map(count);
        (document["facts"]["manifest"].as_str().map(str::to_owned), counts)
    };
    for how in [&[][..], &["--layers", "squash"], &["--compress", "zstd"]] {
        let convert = |name: &str| {
            let args: Vec<&str> = ["convert", "--json", "oci:in", name].iter().chain(how).copied().collect();
            digest(&on(&sample, &args).exits(0).out)
        };
        let (first, again) = (convert("one"), convert("two"));
        assert!(first.1[0] > 0 && first.1[2] > 0, "{how:?}");
        assert_eq!(again, (first.0, [0, 0, 0]), "{how:?}");
        // What is known can go, and is found out again.
        std::fs::remove_dir_all(sample.join("s/aurora")).expect("it is there");
        assert_eq!(convert("two").0, again.0, "{how:?}");
        on(&sample, &["rm", "one", "two"]).exits(0);
        on(&sample, &["gc"]).exits(0);
        assert!(blobs(&sample).is_empty());
    }
    // Taken over as it is: the bytes of every document are those of the source.
    on(&sample, &["convert", "oci:in", "same"]).exits(0);
    let of_source = names(&sample.join("in/blobs/sha256"));
    assert_eq!(names(&sample.join("s/blobs/sha256")), of_source);
}

#[test]
fn layouts_of_others_are_used_in_place() {
    // Made by umoci, skopeo and buildah; the second one is broken on purpose.
    for (layout, images, faults) in [("quirks", 100, 0), ("malformed", 20, 1)] {
        let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/oci").join(layout);
        let before = names(&path);
        let store = path.to_string_lossy();
        let sample = Sample::new();
        let list = sample.run(&["--store", &store, "list"]).exits(0).out;
        assert!(list.lines().count() > images, "{list}");
        assert!(sample.run(&["--store", &store, "du"]).exits(0).out.contains("if nothing were shared"));
        sample.run(&["--store", &store, "fsck"]).exits(faults);
        assert_eq!(names(&path), before, "reading makes nothing");
    }
    // A name without a tag, as umoci and skopeo write it; then a first name of ours.
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "oci:s:v1"]).exits(0);
    on(&sample, &["diff", "v1", "dir:tree"]).exits(0);
    assert_eq!(listed_names(&sample), ["v1:-"]);
    on(&sample, &["ls", "v1:latest"]).exits(3);
    assert!(!sample.join("s/aurora").exists());
    on(&sample, &["tag", "v1", "mine"]).exits(0);
    assert_eq!(listed_names(&sample), ["mine:latest", "v1:-"]);
    std::fs::write(sample.join("tree/letter"), "x").expect("the tree can be written");
    sample
        .run(&["--store", "tree", "convert", "dir:tree", "x"])
        .exits(1)
        .says("neither empty nor an OCI layout");
}

type Damage = fn(&Path, &[u8]);

const DAMAGES: [(&str, Damage); 4] = [
    ("delete", |_, _| {}),
    ("truncate", |path, bytes| std::fs::write(path, &bytes[..bytes.len() / 2]).expect("it can be written")),
    ("flip", |path, bytes| {
        let mut bytes = bytes.to_vec();
        let middle = bytes.len() / 2;
        bytes[middle] ^= 4;
        std::fs::write(path, bytes).expect("it can be written");
    }),
    ("extend", |path, bytes| std::fs::write(path, [bytes, b"\n"].concat()).expect("it can be written")),
];

#[test]
fn damaged_blobs_are_found_put_aside_and_brought_back() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "oci:in"]).exits(0);
    on(&sample, &["convert", "oci:in", "a"]).exits(0);
    let all: BTreeMap<PathBuf, Vec<u8>> =
        blobs(&sample).into_iter().map(|p| (p.clone(), std::fs::read(&p).expect("it was listed"))).collect();
    assert_eq!(all.len(), 3);
    std::fs::create_dir(sample.join("other")).expect("the directory is ours");
    for (path, bytes) in &all {
        for (what, damage) in DAMAGES {
            let case = format!("{what} {}", path.display());
            std::fs::remove_file(path).expect("it is there");
            damage(path, bytes);
            let read = on(&sample, &["convert", "a", "tar:x"]);
            assert_eq!(read.code, Some(1), "{case}: {}", read.err);
            assert!(!sample.join("x").exists(), "{case}: a result of damaged bytes");
            // Others go on meanwhile.
            on(&sample, &["convert", "dir:other", "b"]).exits(0);
            on(&sample, &["list"]).exits(0);
            let found = on(&sample, &["fsck"]).exits(1).out;
            let name = path.file_name().expect("it has one").to_string_lossy().into_owned();
            assert!(found.contains(&name), "{case}: {found}");
            on(&sample, &["rm", "b"]).exits(0);
            // Nothing is lost to a collection that does not know what is needed.
            let collected = on(&sample, &["gc"]);
            assert!(matches!(collected.code, Some(0 | 1)), "{case}");
            for other in all.keys().filter(|other| *other != path) {
                assert!(other.exists(), "{case}: {} is gone", other.display());
            }
            on(&sample, &["fsck", "--repair"]).exits(1);
            let gone = std::fs::read(path).is_err();
            assert!(gone || what == "delete", "{case}: still there");
            on(&sample, &["convert", "oci:in", "a"]).exits(0);
            on(&sample, &["fsck"]).exits(0);
            on(&sample, &["diff", "a", "dir:tree"]).exits(0);
            on(&sample, &["gc"]).exits(0);
        }
    }
    assert_eq!(names(&sample.join("s/aurora/quarantine")).len(), all.len() * 3);
}

#[test]
fn a_damaged_index_json_stops_and_damaged_records_do_not() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "oci:in"]).exits(0);
    let squash = ["convert", "oci:in", "a", "--layers", "squash"];
    on(&sample, &squash).exits(0);
    let memo = sample.join("s/aurora/memo/sha256");
    let dir = memo.join(&names(&memo)[0]);
    let record = dir.join(&names(&dir)[0]);
    let bytes = std::fs::read(&record).expect("it was listed");
    for (what, damage) in DAMAGES {
        std::fs::remove_file(&record).expect("it is there");
        damage(&record, &bytes);
        on(&sample, &["fsck"]).exits(i32::from(what != "delete"));
        on(&sample, &["diff", "a", "dir:tree"]).exits(0).quietly();
        on(&sample, &["fsck", "--repair"]).exits(i32::from(what != "delete"));
        on(&sample, &squash).exits(0).quietly();
        assert_eq!(std::fs::read(&record).expect("it is made again"), bytes, "{what}");
    }
    // A record that is damaged when it is needed is written anew.
    std::fs::remove_file(&record).expect("it is there");
    std::fs::write(&record, "rubbish").expect("it can be written");
    on(&sample, &squash).exits(0).quietly();
    assert_eq!(std::fs::read(&record).expect("it is made again"), bytes);

    let index = sample.join("s/index.json");
    let bytes = std::fs::read(&index).expect("it is there");
    let before = blobs(&sample);
    for (what, damage) in DAMAGES.into_iter().filter(|(what, _)| matches!(*what, "delete" | "truncate")) {
        std::fs::remove_file(&index).expect("it is there");
        damage(&index, &bytes);
        for command in [&["list"][..], &["gc"], &["rm", "a"], &["convert", "dir:tree", "b"], &["fsck"]] {
            on(&sample, command).exits(1);
        }
        assert!(before.iter().all(|blob| blob.exists()), "{what}: something was removed");
        let _ = std::fs::remove_file(&index);
        std::fs::write(&index, &bytes).expect("it can be written");
        on(&sample, &["ls", "b"]).exits(3);
        on(&sample, &["gc"]).exits(0);
        on(&sample, &["fsck"]).exits(0);
    }
}

#[test]
fn stores_of_later_versions_are_refused() {
    let sample = Sample::new();
    on(&sample, &["convert", "dir:tree", "a"]).exits(0);
    let meta = sample.join("s/aurora/meta.json");
    let write = |text: &str| {
        std::fs::remove_file(&meta).expect("it is there");
        std::fs::write(&meta, text).expect("it can be written");
    };
    write(r#"{"version":1,"read_only_compatible":["packed"]}"#);
    on(&sample, &["list"]).exits(0);
    on(&sample, &["gc"]).exits(1).says("known to write it: \"packed\"");
    on(&sample, &["convert", "dir:tree", "b"]).exits(1).says("a later version of aurora");
    write(r#"{"version":2}"#);
    on(&sample, &["ls", "a"]).exits(1).says("later than 1: 2");
    on(&sample, &["fsck", "--repair"]).exits(1).says("later than 1: 2");
    write("{");
    on(&sample, &["list"]).exits(1).says("fsck --repair");
    on(&sample, &["fsck", "--repair"]).exits(1);
    on(&sample, &["fsck"]).exits(0);
    assert_eq!(listed_names(&sample), ["a:latest"]);
}

/// Bytes of all files below a directory.
fn room(dir: &Path) -> u64 {
    let sizes = std::fs::read_dir(dir).expect("it is a directory").map(|entry| {
        let path = entry.expect("it can be read").path();
        if path.is_dir() { room(&path) } else { std::fs::metadata(&path).expect("it was listed").len() }
    });
    sizes.sum()
}

#[test]
fn contents_that_blobs_have_in_common_are_kept_once() {
    let sample = Sample::new();
    for n in 0..40_u32 {
        // What packs by a half, so that headers are not all there is to save.
        let text: String =
            (0..3000).map(|i: u32| format!("{:x}", i.wrapping_mul(2_654_435_761 + n))).collect();
        std::fs::write(sample.join(&format!("tree/file-{n}")), text).expect("the tree can be written");
    }
    on(&sample, &["convert", "dir:tree", "a"]).exits(0);
    on(&sample, &["convert", "--compress", "zstd", "a", "b"]).exits(0);
    on(&sample, &["convert", "a", "smartos:image"]).exits(0);
    on(&sample, &["convert", "smartos:image", "c"]).exits(0);
    std::fs::write(sample.join("tree/one-more"), "more").expect("the tree can be written");
    on(&sample, &["convert", "dir:tree", "d:2"]).exits(0);
    let tars = |names: &[&str]| -> Vec<Vec<u8>> {
        let tar = |name: &&str| {
            on(&sample, &["convert", name, "tar:out.tar"]).exits(0);
            let path = sample.join("out.tar");
            let bytes = std::fs::read(&path).expect("it was written");
            std::fs::remove_file(&path).expect("it was there");
            bytes
        };
        names.iter().map(tar).collect()
    };
    let before = tars(&["a", "b", "c", "d:2"]);
    let fat = blobs(&sample);
    let size = room(&sample.join("s"));

    let one: serde_json::Value = document(&on(&sample, &["dedup", "a", "--json"]).exits(0).out);
    assert_eq!(one["thin"].as_array().map(Vec::len), Some(1), "{one}");
    let told = document(&on(&sample, &["dedup", "--json"]).exits(0).out);
    assert_eq!(told["thin"].as_array().map(Vec::len), Some(3), "{told}");
    assert_eq!(told["kept"].as_array().map(Vec::len), Some(0), "{told}");
    let now = room(&sample.join("s"));
    assert!(now * 3 < size, "four blobs of the same files: {size} before, {now} now");
    let after = told["after"].as_u64().expect("it is told");
    assert!(after < now && after * 2 > now, "{after} of {now}");
    let du = document(&on(&sample, &["du", "--json"]).exits(0).out);
    assert_eq!(du["stored"], told["after"]);
    assert!(du["thin"].as_u64() > du["stored"].as_u64(), "{du}");
    assert!(on(&sample, &["du"]).exits(0).out.contains("on disk"));
    on(&sample, &["fsck"]).exits(0).quietly();

    // All is read as before, and nothing is garbage.
    assert!(tars(&["a", "b", "c", "d:2"]) == before);
    assert!(on(&sample, &["gc", "--json"]).exits(0).out.contains(r#""blobs":[],"bytes":0"#));
    on(&sample, &["verify", "a"]).exits(0);
    on(&sample, &["inspect", "b"]).exits(0);
    assert_eq!(
        document(&on(&sample, &["dedup", "--json"]).exits(0).out)["thin"].as_array().map(Vec::len),
        Some(0)
    );
    // What is there needs not be brought in again, and what is new goes beside it.
    on(&sample, &["convert", "a", "oci:out"]).exits(0);
    on(&sample, &["convert", "oci:out", "again"]).exits(0);
    assert!(blobs(&sample).len() < fat.len());

    // Packs of which little is needed any more are not kept for that.
    on(&sample, &["rm", "a", "again", "b", "c"]).exits(0);
    on(&sample, &["gc"]).exits(0);
    on(&sample, &["dedup"]).exits(0);
    on(&sample, &["fsck"]).exits(0).quietly();
    assert!(tars(&["d:2"])[0] == before[3]);

    on(&sample, &["dedup", "--undo"]).exits(0);
    sample.run(&["verify", "oci:s:d:2"]).exits(0);
    assert!(names(&sample.join("s/aurora/packs")).is_empty());
    on(&sample, &["rm", "d:2"]).exits(0);
    let originals: Vec<String> =
        listed_names(&sample).into_iter().filter(|name| name.starts_with("smartos/")).collect();
    assert_eq!(originals.len(), 1);
    on(&sample, &["rm", &originals[0]]).exits(0);
    on(&sample, &["gc"]).exits(0);
    assert!(blobs(&sample).is_empty());
}

fn document(text: &str) -> serde_json::Value {
    serde_json::from_str(text).expect("--json prints a document")
}

/// What an earlier release has made thin is made again by this one, whatever has become of its encoders.
#[test]
fn thin_blobs_of_every_release_can_be_read() {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/store");
    let releases: Vec<String> =
        names(&corpus).into_iter().filter(|name| corpus.join(name).is_dir()).collect();
    assert!(!releases.is_empty());
    for release in releases {
        let sample = Sample::new();
        copy(&corpus.join(&release), &sample.join("s"));
        let found = document(&on(&sample, &["fsck", "--json"]).exits(0).out);
        assert_eq!(found["ok"], true, "{release}: {found}");
        let done = document(&on(&sample, &["dedup", "--undo", "--json"]).exits(0).out);
        assert_eq!(done["fat"].as_array().map(Vec::len), Some(8), "{release}: {done}");
        for name in listed_names(&sample).iter().filter(|name| !name.starts_with("smartos/")) {
            sample.run(&["verify", &format!("oci:s:{name}")]).exits(0);
        }
        let again = document(&on(&sample, &["dedup", "--json"]).exits(0).out);
        assert_eq!(again["thin"].as_array().map(Vec::len), Some(8), "{release}: {again}");
    }
}

fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).expect("it can be made");
    for name in names(from) {
        let (from, to) = (from.join(&name), to.join(&name));
        if from.is_dir() {
            copy(&from, &to);
        } else {
            std::fs::copy(&from, &to).expect("it can be copied");
        }
    }
}

#[test]
fn what_a_layer_says_is_read_once() {
    let sample = Sample::new();
    on(&sample, &["convert", "dir:tree", "a"]).exits(0);
    let decoded = |args: &[&str]| {
        let done = on(&sample, &[&["-v"], args].concat()).exits(0);
        let told = done.err.lines().rev().find(|line| line.contains(" decoded, ")).map(str::to_owned);
        (done.out, told.expect("-v tells what was read"))
    };
    for args in [&["ls", "a"][..], &["ls", "--jsonl", "--no-hash", "a"], &["inspect", "a"]] {
        let list = sample.join("s/aurora/changes");
        let _ = std::fs::remove_dir_all(&list);
        let (first, told) = decoded(args);
        assert!(!told.contains(" 0 B decoded"), "{args:?}: {told}");
        let (again, told) = decoded(args);
        assert!(told.contains(" 0 B decoded"), "{args:?}: {told}");
        assert_eq!(first, again, "{args:?}");
        // Contents are read where they are asked for.
        on(&sample, &["diff", "a", "dir:tree"]).exits(0);
        // What is damaged is not believed.
        for file in files(&list) {
            let mut bytes = std::fs::read(&file).expect("it was listed");
            let at = bytes.len() / 2;
            bytes[at] ^= 1;
            std::fs::remove_file(&file).expect("it was listed");
            std::fs::write(&file, bytes).expect("it can be written");
        }
        assert!(on(&sample, &["fsck"]).exits(1).out.contains("aurora/changes"), "{args:?}");
        assert_eq!(decoded(args).0, first, "{args:?}");
        on(&sample, &["fsck"]).exits(0);
    }
    on(&sample, &["rm", "a"]).exits(0);
    on(&sample, &["gc"]).exits(0);
    assert!(files(&sample.join("s/aurora/changes")).is_empty());
}

/// All files below a directory.
fn files(dir: &Path) -> Vec<PathBuf> {
    let mut out = Vec::new();
    for name in names(dir) {
        let path = dir.join(name);
        match path.is_dir() {
            true => out.extend(files(&path)),
            false => out.push(path),
        }
    }
    out
}

/// Content that does not pack, in a tree, and a store with an image of it that was looked at once.
fn looked_at() -> Sample {
    let sample = Sample::new();
    let mut state = 1_u64;
    let noise: Vec<u8> = (0..400_000)
        .map(|_| {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            (state >> 56) as u8
        })
        .collect();
    std::fs::write(sample.join("tree/noise"), noise).expect("the tree can be written");
    on(&sample, &["convert", "dir:tree", "a"]).exits(0);
    let told = document(&on(&sample, &["dedup", "--json"]).exits(0).out);
    assert_eq!(told["kept"][0]["reason"], "no-gain", "{told}");
    sample
}

#[test]
fn no_blob_is_made_from_itself() {
    let sample = looked_at();
    for args in [&["dedup"][..], &["dedup"], &["dedup", "--undo"], &["dedup", "a"], &["gc"], &["dedup"]] {
        on(&sample, args).exits(0);
        on(&sample, &["fsck"]).exits(0);
        on(&sample, &["diff", "a", "dir:tree"]).exits(0);
    }
    assert_eq!(document(&on(&sample, &["du", "--json"]).exits(0).out)["thin"], 0);
}

/// A store in which the layer of `a` is thin, and made of the file of a SmartOS image, whose encoder is not known.
fn thin_upon() -> Sample {
    let sample = looked_at();
    on(&sample, &["convert", "--compress", "xz", "dir:tree", "smartos:image"]).exits(0);
    on(&sample, &["convert", "smartos:image", "b"]).exits(0);
    let told = document(&on(&sample, &["dedup", "--json"]).exits(0).out);
    assert_eq!(told["thin"].as_array().map(Vec::len), Some(1), "{told}");
    assert_eq!(told["kept"][0]["reason"], "encoder", "{told}");
    sample
}

#[test]
fn what_stands_for_blobs_is_no_garbage_while_it_can_not_be_read() {
    let sample = thin_upon();
    let record = files(&sample.join("s/aurora/thin")).remove(0);
    let good = std::fs::read(&record).expect("it was listed");
    let put = |bytes: &[u8]| {
        std::fs::remove_file(&record).expect("it was there");
        std::fs::write(&record, bytes).expect("it can be written");
    };
    put(&good[..good.len() - 1]);
    for args in [&["gc"][..], &["dedup"], &["dedup", "--undo"]] {
        assert!(on(&sample, args).exits(1).err.contains("damaged, or of a later version"), "{args:?}");
    }
    put(&good);
    on(&sample, &["gc"]).exits(0);
    on(&sample, &["diff", "a", "dir:tree"]).exits(0);
    // Who knows nothing of features is told of this one again.
    std::fs::remove_file(sample.join("s/aurora/meta.json")).expect("it was there");
    std::fs::write(sample.join("s/aurora/meta.json"), "{").expect("it can be written");
    on(&sample, &["fsck", "--repair"]).exits(1);
    let meta = std::fs::read_to_string(sample.join("s/aurora/meta.json")).expect("it was made again");
    assert!(meta.contains("\"thin\""), "{meta}");
    // What is damaged for good is put aside, and the blob can be brought in again.
    put(&good[..good.len() - 1]);
    on(&sample, &["fsck", "--repair"]).exits(1);
    assert!(!record.exists());
    on(&sample, &["convert", "dir:tree", "a"]).exits(0);
    on(&sample, &["fsck"]).exits(0);
}

#[test]
fn a_thin_blob_that_is_lost_comes_back_with_its_image() {
    let sample = thin_upon();
    on(&sample, &["convert", "a", "oci:out"]).exits(0);
    let largest = |blobs: Vec<PathBuf>| {
        let size = |path: &PathBuf| std::fs::metadata(path).expect("it was listed").len();
        blobs.into_iter().max_by_key(size).expect("there are blobs")
    };
    let source = largest(blobs(&sample));
    let aside = sample.join("aside");
    std::fs::rename(&source, &aside).expect("it can be moved");
    assert!(on(&sample, &["fsck"]).exits(1).out.contains("can't be made again"));
    assert_ne!(on(&sample, &["ls", "a"]).code, Some(0));
    on(&sample, &["convert", "oci:out", "a"]).exits(0);
    on(&sample, &["diff", "a", "dir:tree"]).exits(0);
    std::fs::rename(&aside, &source).expect("it can be moved");
    on(&sample, &["fsck"]).exits(0);
    // A source that no image needs is lent, and given up when it is asked for.
    on(&sample, &["dedup"]).exits(0);
    let original = listed_names(&sample).into_iter().find(|name| name.starts_with("smartos/"));
    on(&sample, &["rm", &original.expect("it is kept")]).exits(0);
    on(&sample, &["gc"]).exits(0);
    let du = document(&on(&sample, &["du", "--json"]).exits(0).out);
    assert!(du["lent"].as_u64() > Some(0) && du["garbage"] == 0, "{du}");
    on(&sample, &["diff", "a", "dir:tree"]).exits(0);
    on(&sample, &["dedup"]).exits(0);
    on(&sample, &["gc"]).exits(0);
    let du = document(&on(&sample, &["du", "--json"]).exits(0).out);
    assert!(du["lent"] == 0 && du["garbage"] == 0, "{du}");
    on(&sample, &["diff", "a", "dir:tree"]).exits(0);
    on(&sample, &["dedup", "nothing"]).exits(3);
}
