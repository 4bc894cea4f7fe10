//! Names that can't be used are usage errors that say what can.

use crate::run::{Sample, run};

#[test]
fn what_a_name_cannot_do_is_said() {
    let cases: &[(&[&str], &str)] = &[
        (&["ls", "docker:alpine:3.20"], "docker://HOST/NAME"),
        (&["ls", "imgapi:https://images.example/x"], "imgapi:URL/UUID"),
        (&["ls", "dataset:-r"], "dataset:POOL/NAME"),
        (&["ls", "alpine:"], "NAME[:TAG]"),
        (&["ls", "dir"], "dir is a form"),
        (&["tag", "oci:x", "y"], "not in the local store"),
        (&["tag", "x", "sha256:0123456789abcdef"], "a digest can't be given"),
        (&["convert", "dir:/", "x", "--compress", "xz"], "none, gzip or zstd"),
        (&["ls", "./x"], "dir:./x"),
        (&["ls", "oci:"], "oci:DIR[:REF]"),
        (&["ls", "dir:-"], "dir:./-"),
        (&["convert", "dir:/", "docker://x/Y"], "lower-case"),
        (&["convert", "dir:/", "dataset:zones/x@s"], "leave out `@…`"),
        (&["convert", "dir:/", "zfs:x#a@b"], "picks a snapshot to read"),
        (&["convert", "dir:/", "tar:x", "--layers", "keep"], "--layers keep"),
        (&["convert", "dir:/", "tar:x", "--target", "illumos"], "--target"),
        (&["convert", "dir:/", "tar:x", "--placement", "root"], "--placement"),
        (&["convert", "dir:/", "oci:x", "--compress", "xz"], "none, gzip or zstd"),
        (&["convert", "dir:/", "oci:x", "--compress", "gzip:11"], "1 to 9"),
        (&["convert", "dir:/", "oci:x", "--platform", "linux"], "OS/ARCH"),
        (&["convert", "dir:/", "oci:x", "--memory", "lots"], "a size is"),
        (&["convert", "dir:/", "oci:x", "--threads", "0"], "a number from 1"),
        (&["convert", "dir:/", "tar:-", "--json"], "can't both go to standard output"),
        (&["diff", "zfs:-", "tar:-"], "standard input holds one image"),
        (&["diff", "dir:/", "dir:/", "--ignore", "colour"], "--ignore takes"),
        (&["ls", "--json", "--jsonl", "dir:/"], "cannot be used with"),
        (&["ls"], "SRC"),
        (&["convert", "dir:/"], "DST"),
        (&["frobnicate"], "frobnicate"),
        (&[], "Usage"),
    ];
    for (args, want) in cases {
        run(args).exits(2).says(want).prints_nothing();
    }
}

#[test]
fn separators_in_paths_are_escaped() {
    let sample = Sample::new();
    std::fs::rename(sample.join("tree"), sample.join("a:b")).expect("it was made above");
    sample.run(&["convert", "dir:a:b", "oci:x\\:y:tag"]).exits(0);
    assert_eq!(sample.names(), ["a:b", "x:y"]);
    sample.run(&["diff", "dir:a\\:b", "oci:x\\:y:tag"]).exits(0);
    sample.run(&["ls", "oci:x\\:y:other"]).exits(3).says("other");
}
