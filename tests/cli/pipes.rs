//! Standard input and output.

use std::io::{Read, Write};
use std::process::Stdio;

use crate::run::{Done, Sample, imageadm};

#[test]
fn a_reader_that_has_seen_enough_is_no_failure() {
    let sample = Sample::new();
    let many = sample.join("tree/many");
    std::fs::create_dir(&many).expect("the tree can be written");
    // Far more output than a pipe and our buffer hold.
    for i in 0..2500 {
        std::fs::write(many.join(format!("{i:0>100}")), "").expect("the tree can be written");
    }
    for args in [&["ls", "--jsonl", "dir:tree"][..], &["ls", "dir:tree"], &["ls", "--json", "dir:tree"]] {
        let mut child = imageadm()
            .args(args)
            .current_dir(sample.path())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the program was built with this test");
        let mut out = child.stdout.take().expect("it is piped");
        out.read_exact(&mut [0; 10]).expect("there is output");
        drop(out);
        let output = child.wait_with_output().expect("it ends");
        Done::new(args, output).exits(0).quietly();
    }
}

#[test]
fn images_go_through_pipes() {
    let sample = Sample::new();
    std::fs::write(sample.join("disk"), vec![5; 100_000]).expect("a disk can be written");
    let written = imageadm()
        .args(["convert", "raw:disk", "raw:-"])
        .current_dir(sample.path())
        .output()
        .expect("the program was built with this test");
    assert!(written.status.success());
    assert!(written.stdout == vec![5; 100_000], "the image and nothing else");
    let mut child = imageadm()
        .args(["convert", "-q", "raw:-", "raw:copy"])
        .current_dir(sample.path())
        .stdin(Stdio::piped())
        .spawn()
        .expect("the program was built with this test");
    child.stdin.take().expect("it is piped").write_all(&written.stdout).expect("it reads");
    assert!(child.wait().expect("it ends").success());
    assert_eq!(std::fs::read(sample.join("copy")).expect("it was written"), written.stdout);
}

#[test]
fn no_colours_and_no_bar_where_there_is_no_terminal() {
    let sample = Sample::new();
    let done = sample.run(&["convert", "dir:tree", "oci:image"]).exits(0);
    assert!(!done.err.contains('\u{1b}') && !done.out.contains('\u{1b}'));
    let done = sample.run(&["ls", "dir:nope"]).exits(3);
    assert!(!done.err.contains('\u{1b}'), "{}", done.err);
    // What goes on is told with -v, in lines.
    let done = sample.run(&["-v", "convert", "dir:tree", "oci:other"]).exits(0);
    assert!(done.err.lines().count() > 1 && done.err.contains(" written, "), "{}", done.err);
}
