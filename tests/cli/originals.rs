//! SmartOS images that the local store keeps as they came, for the increments upon them.

use std::path::{Path, PathBuf};

use crate::run::{Done, Sample};

const BASE: &str = "a0000000-0000-4000-8000-000000000001";
const MIDDLE: &str = "b0000000-0000-4000-8000-000000000002";
const TOP: &str = "c0000000-0000-4000-8000-000000000003";

fn corpus(stream: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/zfs").join(format!("{stream}.zfs.gz"))
}

/// An image in a folder of its own, of a stream that a kernel made.
fn image(sample: &Sample, name: &str, uuid: &str, origin: Option<&str>, stream: &str) {
    let folder = sample.join(name);
    std::fs::create_dir(&folder).expect("the sample can be written");
    let size = std::fs::copy(corpus(stream), folder.join("x.zfs.gz")).expect("the corpus is there");
    let mut manifest = serde_json::json!({
        "v": 2, "uuid": uuid, "owner": "00000000-0000-0000-0000-000000000000", "name": name, "version": "1",
        "state": "active", "disabled": false, "public": true, "published_at": "2024-05-06T07:08:09Z",
        "type": "zone-dataset", "os": "smartos", "files": [{"size": size, "compression": "gzip"}],
    });
    if let Some(origin) = origin {
        manifest["origin"] = origin.into();
    }
    std::fs::write(folder.join("x.imgmanifest"), manifest.to_string()).expect("the sample can be written");
}

#[track_caller]
fn on(sample: &Sample, args: &[&str]) -> Done {
    let args: Vec<&str> = ["--store", "s"].iter().chain(args).copied().collect();
    sample.run(&args)
}

/// The listing that a chain of streams gives.
#[track_caller]
fn listing(sample: &Sample, streams: &[&str]) -> String {
    let names: Vec<String> = streams.iter().map(|s| format!("zfs:{}", corpus(s).display())).collect();
    let (top, below) = names.split_last().expect("there is one");
    let mut args = vec!["ls", "--jsonl", top];
    args.extend(below.iter().flat_map(|name| ["--origin", name]));
    sample.run(&args).exits(0).out
}

#[test]
fn an_increment_finds_its_origin_in_the_store() {
    let sample = Sample::new();
    image(&sample, "base", BASE, None, "inc-full-a");
    image(&sample, "middle", MIDDLE, Some(BASE), "inc-i-a-b");
    image(&sample, "top", TOP, Some(MIDDLE), "inc-i-b-c");
    on(&sample, &["convert", "smartos:middle", "middle:1"]).exits(3).says(BASE).says("the local store");

    let kept = on(&sample, &["convert", "--json", "smartos:base", "base:1"]).exits(0).out;
    let kept: serde_json::Value = serde_json::from_str(&kept).expect("--json prints a document");
    let name = format!("smartos/{BASE}:latest");
    assert_eq!(kept["facts"]["kept"], name.as_str());
    // Nothing is left but the store.
    std::fs::remove_dir_all(sample.join("base")).expect("it is ours");
    on(&sample, &["convert", "smartos:middle", "middle:1"]).exits(0);
    std::fs::remove_dir_all(sample.join("middle")).expect("it is ours");
    on(&sample, &["gc"]).exits(0);
    on(&sample, &["fsck"]).exits(0);
    let want = listing(&sample, &["inc-full-a", "inc-i-a-b", "inc-i-b-c"]);
    assert!(on(&sample, &["ls", "--jsonl", "smartos:top"]).exits(0).out == want);
    let found = on(&sample, &["verify", "smartos:top"]).exits(1).out;
    assert_eq!(found.matches("the snapshot is not called final").count(), 3, "{found}");
    on(&sample, &["convert", "smartos:top", "tar:top.tar"]).exits(0);
    // Without them it is as before.
    on(&sample, &["rm", &name]).exits(0);
    on(&sample, &["gc"]).exits(0);
    on(&sample, &["ls", "smartos:top"]).exits(3).says(BASE);
    on(&sample, &["diff", "middle:1", "middle:1"]).exits(0);
}

#[test]
fn what_is_kept_is_compared_with_its_manifest() {
    let sample = Sample::new();
    image(&sample, "base", BASE, None, "inc-full-a");
    image(&sample, "middle", MIDDLE, Some(BASE), "inc-i-a-b");
    on(&sample, &["convert", "-q", "smartos:base", "base:1"]).exits(0);
    let before = crate::run::names(&sample.join("s/blobs/sha256"));
    on(&sample, &["convert", "-q", "smartos:base", "base:1"]).exits(0);
    assert_eq!(crate::run::names(&sample.join("s/blobs/sha256")), before, "the same again adds nothing");
    // A file that is cut is missing, and comes back with the next conversion.
    let size = std::fs::metadata(corpus("inc-full-a")).expect("the corpus is there").len();
    let blob = before
        .iter()
        .map(|name| sample.join("s/blobs/sha256").join(name))
        .find(|path| std::fs::metadata(path).is_ok_and(|m| m.len() == size))
        .expect("the file was kept");
    std::fs::remove_file(&blob).expect("it is ours");
    on(&sample, &["ls", "smartos:middle"]).exits(1).says("smartos/").says("missing");
    on(&sample, &["fsck"]).exits(1);
    on(&sample, &["convert", "-q", "smartos:base", "base:1"]).exits(0);
    on(&sample, &["ls", "smartos:middle"]).exits(0);
    on(&sample, &["fsck"]).exits(0);
}
