//! `imageadm unpack`.

use crate::run::{Sample, names, run_in};

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

/// Files that grow in the target and are given their names there: replaced, linked, and with a hole.
#[test]
fn large_files_become_what_small_ones_do() {
    use std::os::unix::fs::MetadataExt;
    let sample = Sample::new();
    let tree = sample.join("large");
    std::fs::create_dir(&tree).expect("it is new");
    let write =
        |name: &str, byte: u8| std::fs::write(tree.join(name), [byte; 200_000]).expect("there is room");
    write("replaced", b'a');
    write("kept", b'b');
    std::fs::hard_link(tree.join("kept"), tree.join("linked")).expect("both are on one file system");
    let sparse = std::fs::File::create(tree.join("sparse")).expect("there is room");
    sparse.set_len(100 << 20).expect("a hole takes none");
    sample.run(&["convert", "-q", "dir:large", "oci:lower"]).exits(0);
    write("replaced", b'c');
    sample.run(&["pack", "-q", "--base", "oci:lower", "large", "oci:both"]).exits(0);
    std::fs::create_dir(sample.join("empty")).expect("it is new");
    for (target, options) in [("out", &["--threads", "1"][..]), ("empty", &[]), ("bundle", &["--bundle"])] {
        sample.run(&[&["unpack", "oci:both", target], options].concat()).exits(0).quietly();
        let root = sample.join(target).join(if target == "bundle" { "rootfs" } else { "" });
        sample.run(&["diff", &format!("dir:{}", root.display()), "dir:large"]).exits(0);
        let links = |name: &str| std::fs::metadata(root.join(name)).expect("it was unpacked").nlink();
        assert_eq!([links("replaced"), links("kept"), links("sparse")], [1, 2, 1]);
    }
    sample.run(&["convert", "-q", "oci:both", "dir:converted"]).exits(0);
    sample.run(&["diff", "dir:converted", "dir:large"]).exits(0);
    // Where this process stands, and a target within its own source.
    let here = sample.join("here");
    std::fs::create_dir(&here).expect("it is new");
    run_in(&here, &["unpack", "oci:../both", "."]).exits(0).quietly();
    run_in(&here, &["convert", "-q", "dir:.", "dir:within"]).exits(0);
    sample.run(&["diff", "dir:here/within", "dir:large"]).exits(0);
    // What is refused after all was read leaves nothing either.
    sample.run(&["unpack", "oci:both", "out"]).exits(1).says("no empty directory");
    assert_eq!(sample.names(), ["both", "bundle", "converted", "empty", "here", "large", "lower", "out"]);
}
