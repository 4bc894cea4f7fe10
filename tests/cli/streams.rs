//! ZFS streams: layers, origins, picks, placement, pipes.

use std::io::Write;
use std::process::Stdio;

use crate::run::{Sample, imageadm};

/// A stream of the corpus.
pub(crate) fn corpus(stream: &str) -> String {
    format!("zfs:{}/../corpus/zfs/{stream}.zfs.gz", env!("CARGO_MANIFEST_DIR"))
}

#[test]
fn increments_need_their_origin() {
    let sample = Sample::new();
    let (full, first, second) = (corpus("inc-full-a"), corpus("inc-i-a-b"), corpus("inc-i-b-c"));
    sample.run(&["ls", &second]).exits(1).says("help: give the streams below it with --origin");
    let done = sample.run(&["verify", &second]).exits(0).says("note: files were not looked at");
    assert!(done.out.starts_with("no faults: 1 layer, "), "{}", done.out);

    let origins = ["--origin", &full, "--origin", &first];
    let with = |args: &[&str]| sample.run(&[args, &[&second], &origins].concat());
    let second_layer = with(&["ls", "--jsonl", "--layer", "2"]).exits(0).out;
    assert!(second_layer.contains("{\"path\":\"gone\",\"type\":\"removed\"}\n"), "{second_layer}");

    // Each snapshot a layer, each layer a snapshot. The guids are others, as the objects have other numbers: an increment
    // made for the old ones is not taken for one upon the new. There and back again they stay what they are.
    let keep = |src: &str, dst: &str, more: &[&str]| {
        sample.run(&[&["convert", "-q", "--layers", "keep", src, dst], more].concat()).exits(0)
    };
    keep(&second, "oci:layers", &origins);
    keep("oci:layers", "zfs:back", &[]);
    for layer in ["1", "2", "3"] {
        let want = with(&["ls", "--jsonl", "--layer", layer]).exits(0).out;
        for name in ["oci:layers", "zfs:back"] {
            assert_eq!(sample.run(&["ls", "--jsonl", "--layer", layer, name]).exits(0).out, want, "{name}");
        }
    }
    let guids = |done: crate::run::Done| -> Vec<serde_json::Value> {
        let found: serde_json::Value = serde_json::from_str(&done.exits(0).out).expect("JSON");
        let layers = found["layers"].as_array().expect("a list").iter();
        layers.map(|layer| layer["snapshot"]["guid"].clone()).collect()
    };
    let want = guids(with(&["inspect", "--json"]));
    assert!(want.len() == 3 && want.iter().all(serde_json::Value::is_string), "{want:?}");
    let made = guids(sample.run(&["inspect", "--json", "zfs:back"]));
    assert!(made.len() == 3 && made.iter().all(|guid| !want.contains(guid)), "{made:?}");
    sample.run(&["ls", &second, "--origin", "zfs:back"]).exits(1).says("not here");
    keep("zfs:back", "oci:again", &[]);
    keep("oci:again", "zfs:again-back", &[]);
    let stream = |name: &str| std::fs::read(sample.join(name)).expect("it was written");
    assert!(stream("again-back") == stream("back"), "the same bytes");
}

#[test]
fn packages_are_picked_from() {
    let sample = Sample::new();
    let package = corpus("repl-R-s2");
    let default = sample.run(&["ls", "--jsonl", &package]).exits(0).out;
    let picked = |pick: &str| sample.run(&["ls", "--jsonl", &format!("{package}#{pick}")]);
    assert_eq!(picked("tank/repl@s2").exits(0).out, default);
    assert_ne!(picked("tank/repl/kid@s1").exits(0).out, default);
    picked("tank/repl@s9").exits(3).says("no such snapshot").prints_nothing();
    let shown = sample.run(&["inspect", "--quick", &package]).exits(0).out;
    assert!(shown.contains("stream tank/repl/kid@s1:\n"), "{shown}");
}

#[test]
fn roots_are_placed() {
    let sample = Sample::new();
    std::fs::create_dir(sample.join("tree/usr")).expect("the tree can be written");
    sample.run(&["convert", "-q", "--placement", "root", "dir:tree", "zfs:zone"]).exits(0);
    sample.run(&["convert", "-q", "dir:tree", "zfs:flat"]).exits(0);
    sample.run(&["diff", "dir:tree", "zfs:zone"]).exits(0);
    let listing = sample.run(&["ls", "--jsonl", "--placement", "top", "zfs:zone"]).exits(0).out;
    assert!(
        listing.contains("{\"path\":\"root/etc/hosts\",") && !listing.contains("{\"path\":\"etc/hosts\",")
    );
    for (src, more) in [("zfs:zone", &[][..]), ("zfs:zone", &["--placement", "root"]), ("zfs:flat", &[])] {
        let dst = format!("tar:{}.{}", src.replace(':', "-"), more.len());
        sample.run(&[&["convert", "-q", src, &dst], more].concat()).exits(0).quietly();
        sample.run(&["diff", "dir:tree", &dst]).exits(0);
    }
    sample.run(&["convert", "-q", "zfs:zone", "tar:asis", "--placement", "top"]).exits(0);
    sample.run(&["diff", "--placement", "top", "zfs:zone", "tar:asis"]).exits(0);
    sample.run(&["ls", "--placement", "top", "tar:asis"]).exits(2).says("--placement is for");
    sample
        .run(&["convert", "zfs:flat", "tar:none", "--placement", "root"])
        .exits(1)
        .says("no directory `root`");
    // There and back.
    sample.run(&["convert", "-q", "zfs:zone", "oci:image"]).exits(0);
    sample.run(&["convert", "-q", "--placement", "root", "oci:image", "zfs:again"]).exits(0);
    let read = |name: &str| std::fs::read(sample.join(name)).expect("it was written");
    assert!(read("zone") == read("again"), "the same stream");
    assert!(!sample.join("none").exists());
}

#[test]
fn streams_go_through_pipes() {
    let sample = Sample::new();
    let run = |args: &[&str], input: &[u8]| {
        let mut child = imageadm()
            .args(args)
            .current_dir(sample.path())
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .expect("the program was built with this test");
        child.stdin.take().expect("it is piped").write_all(input).expect("it reads");
        let output = child.wait_with_output().expect("it ends");
        assert!(output.status.success(), "{args:?}");
        output.stdout
    };
    let stream = run(&["convert", "-q", "dir:tree", "zfs:-"], b"");
    sample.run(&["convert", "-q", "dir:tree", "zfs:file"]).exits(0);
    assert!(std::fs::read(sample.join("file")).expect("it was written") == stream, "the same bytes");
    let want = sample.run(&["ls", "--jsonl", "dir:tree"]).exits(0).out;
    assert_eq!(String::from_utf8_lossy(&run(&["ls", "--jsonl", "zfs:-"], &stream)), want);
    let tar = run(&["convert", "-q", "zfs:-", "tar:-"], &stream);
    assert_eq!(String::from_utf8_lossy(&run(&["ls", "--jsonl", "tar:-"], &tar)), want);
}

#[test]
fn damage_is_found_and_leaves_nothing() {
    let sample = Sample::new();
    sample.run(&["convert", "-q", "dir:tree", "zfs:good"]).exits(0);
    let mut bytes = std::fs::read(sample.join("good")).expect("it was written");
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(sample.join("bad"), &bytes).expect("it can be written");
    let done = sample.run(&["verify", "zfs:bad"]).exits(1).quietly();
    assert!(done.out.contains("1 fault") && done.out.contains("0x"), "{}", done.out);
    for dst in ["oci:out", "dir:out", "tar:out", "zfs:out"] {
        sample.run(&["convert", "zfs:bad", dst]).exits(1).says("error: zfs:bad");
    }
    assert_eq!(sample.names(), ["bad", "good"]);
}
