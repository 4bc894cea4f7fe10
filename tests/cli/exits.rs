//! Exit status, and where messages go.

use crate::run::{Sample, run};

#[test]
fn no_such_image_is_3() {
    let sample = Sample::new();
    for name in [
        "dir:nope",
        "oci:nope",
        "oci:nope:tag",
        "oci-archive:nope",
        "docker-archive:nope",
        "tar:nope",
        "zfs:nope",
        "zfs:nope#a@b",
        "raw:nope",
    ] {
        let message = format!("error: no such image: {name}\n");
        for command in ["ls", "inspect", "verify"] {
            let done = sample.run(&[command, name]).exits(3).prints_nothing();
            assert_eq!(done.err, message);
        }
        let done = sample.run(&["convert", name, "oci:out"]).exits(3).prints_nothing();
        assert_eq!(done.err, message);
        sample.run(&["diff", "dir:tree", name]).exits(3);
    }
    assert_eq!(sample.names(), [""; 0]);
}

#[test]
fn differences_and_faults_are_1() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "oci:image"]).exits(0);
    sample.run(&["diff", "dir:tree", "oci:image"]).exits(0);
    sample.run(&["verify", "oci:image"]).exits(0).quietly();
    std::fs::write(sample.join("tree/etc/hosts"), "").expect("the tree can be written");
    sample.run(&["diff", "dir:tree", "oci:image"]).exits(1).quietly();

    // One byte of the layer turns.
    let blobs = sample.join("image/blobs/sha256");
    let entries = std::fs::read_dir(&blobs).expect("a layout has blobs");
    let paths = entries.map(|e| e.expect("directories of tests can be read").path());
    let read = |path: &std::path::PathBuf| std::fs::read(path).expect("blobs can be read");
    let layer = paths.into_iter().find(|path| read(path).starts_with(&[0x1f, 0x8b])).expect("a gzip layer");
    let mut bytes = read(&layer);
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    std::fs::write(&layer, bytes).expect("blobs can be written");
    let done = sample.run(&["verify", "oci:image"]).exits(1).quietly();
    assert!(done.out.contains("1 fault"), "{}", done.out);
    let done = sample.run(&["ls", "oci:image"]).exits(1).prints_nothing();
    assert!(done.err.starts_with("error: oci:image, layer 1 of 1 (sha256:"), "{}", done.err);
    assert!(done.err.contains("\n  help: "), "{}", done.err);
    sample.run(&["convert", "oci:image", "dir:out"]).exits(1);
    sample.run(&["convert", "oci:image", "oci:out"]).exits(1);
    assert_eq!(sample.names(), ["image"], "nothing is left of what failed");
}

#[test]
fn what_is_there_is_not_overwritten() {
    let sample = Sample::new();
    std::fs::write(sample.join("file"), "precious").expect("a file can be written");
    for dst in ["tar:file", "zfs:file", "oci-archive:file", "docker-archive:file", "dir:tree", "oci:tree"] {
        sample.run(&["convert", "dir:tree", dst]).exits(1).says("already exists");
    }
    assert_eq!(std::fs::read(sample.join("file")).expect("it is there"), b"precious");
    assert_eq!(sample.names(), ["file"]);
}

#[test]
fn help_and_version_are_results() {
    for args in [&["--help"][..], &["convert", "--help"], &["-h"], &["--version"]] {
        let done = run(args).exits(0).quietly();
        assert!(!done.out.is_empty());
    }
    for command in ["convert", "ls", "inspect", "verify", "diff"] {
        let help = run(&[command, "--help"]).exits(0).out;
        assert!(help.contains("oci:DIR[:REF]") && help.contains("Exit status"), "{help}");
    }
}

#[test]
fn completions_and_manual_pages() {
    for shell in ["bash", "zsh", "fish"] {
        let done = run(&["completions", shell]).exits(0).quietly();
        assert!(done.out.contains("imageadm") && done.out.contains("placement"), "{shell}");
    }
    let sample = Sample::new();
    sample.run(&["man", "new/man1"]).exits(0).quietly().prints_nothing();
    let pages = crate::run::names(&sample.join("new/man1"));
    for page in ["imageadm.1", "imageadm-convert.1", "imageadm-ls.1", "imageadm-diff.1"] {
        assert!(pages.iter().any(|p| p == page), "{pages:?}");
    }
    let page = std::fs::read_to_string(sample.join("new/man1/imageadm-convert.1")).expect("it was written");
    assert!(page.contains("placement"), "{page}");
}
