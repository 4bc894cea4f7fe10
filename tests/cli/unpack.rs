//! `imageadm unpack`.

use crate::run::{Sample, names};

fn sample() -> Sample {
    let sample = Sample::new();
    sample.run(&["convert", "-q", "dir:tree", "oci:lay"]).exits(0);
    sample
}

#[test]
fn directories_and_bundles() {
    let sample = sample();
    // A bare path is a directory; it is what `convert` writes.
    let done = sample.run(&["unpack", "oci:lay", "out"]).exits(0).quietly();
    assert!(done.out.contains("entries: ") && done.out.contains("bytes: "), "{}", done.out);
    sample.run(&["diff", "dir:out", "dir:tree"]).exits(0);
    sample.run(&["unpack", "oci:lay", "out"]).exits(1).says("no empty directory");
    let done = sample.run(&["unpack", "--json", "--bundle", "oci:lay", "dir:bundle"]).exits(0).quietly();
    assert!(done.out.starts_with(r#"{"source":"oci:lay","destination":"dir:bundle","facts":{"entries":"#));
    assert_eq!(names(&sample.join("bundle")), ["config.json", "rootfs"]);
    sample.run(&["diff", "dir:bundle/rootfs", "dir:tree"]).exits(0);
    let config = std::fs::read_to_string(sample.join("bundle/config.json")).expect("it was written");
    assert!(config.contains("\"ociVersion\": \"1.0.2\"") && config.contains("\"sh\""), "{config}");
    sample.run(&["unpack", "--bundle", "oci:lay", "dir:other"]).exits(0);
    assert_eq!(std::fs::read_to_string(sample.join("other/config.json")).expect("it was written"), config);
    // As a zone's path, into what is there: a mountpoint.
    std::fs::create_dir(sample.join("zone")).expect("it is new");
    sample.run(&["unpack", "--bundle", "--zonepath", "oci:lay", "dir:zone"]).exits(0);
    assert_eq!(names(&sample.join("zone")), ["config.json", "root"]);
    let of_zone = std::fs::read_to_string(sample.join("zone/config.json")).expect("it was written");
    assert_eq!(of_zone, config.replace("\"rootfs\"", "\"root\""));
    sample.run(&["unpack", "--zonepath", "oci:lay", "dir:x"]).exits(2);
}

#[test]
fn owners_are_mapped_lost_or_refused() {
    let sample = sample();
    let (uid, gid) = {
        use std::os::unix::fs::MetadataExt;
        let meta = std::fs::metadata(sample.join("tree")).expect("it was made");
        (meta.uid(), meta.gid())
    };
    // To themselves, which anybody may do.
    let (users, groups) = (format!("--uid-map={uid}:{uid}"), format!("--gid-map={gid}:{gid}"));
    sample.run(&["unpack", &users, &groups, "oci:lay", "same"]).exits(0).quietly();
    sample.run(&["diff", "dir:same", "dir:tree"]).exits(0);
    let none = format!("--uid-map={}:0:10", uid + 1);
    let done = sample.run(&["unpack", &none, "oci:lay", "out"]).exits(1);
    done.says(&format!("user {uid} is in no range of the map"));
    sample.run(&["unpack", "--rootless", "oci:lay", "own"]).exits(0);
    sample.run(&["diff", "dir:own", "dir:tree"]).exits(0);
    sample.run(&["unpack", "--rootless", "--uid-map=0:1", "oci:lay", "x"]).exits(2);
    sample.run(&["unpack", "--uid-map=0", "oci:lay", "x"]).exits(2).says("IMAGE:HOST[:SIZE]");
    assert_eq!(sample.names(), ["lay", "own", "same"]);
}

#[test]
fn what_can_not_be_unpacked_is_said() {
    let sample = sample();
    sample.run(&["unpack", "oci:lay", "tar:x"]).exits(2).says("imageadm convert");
    sample.run(&["unpack", "--layers", "keep", "oci:lay", "x"]).exits(2).says("leave out --layers keep");
    sample.run(&["unpack", "--bundle", "oci:lay", "dataset:p/x"]).exits(2).says("a bundle is a directory");
    sample.run(&["unpack", "oci:none", "x"]).exits(3).says("no such image");
    assert_eq!(sample.names(), ["lay"]);
}
