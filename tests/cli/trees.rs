//! Listings and comparisons.

use crate::run::Sample;

#[test]
fn one_tree_has_one_listing_in_every_form() {
    let sample = Sample::new();
    let want = sample.run(&["ls", "--jsonl", "dir:tree"]).exits(0).quietly().out;
    for dst in ["oci:layout:a", "oci-archive:a.tar", "docker-archive:d.tar", "dir:copy"] {
        sample.run(&["convert", "-q", "dir:tree", dst]).exits(0).quietly().prints_nothing();
        assert_eq!(sample.run(&["ls", "--jsonl", dst]).exits(0).out, want, "{dst}");
        let done = sample.run(&["diff", "dir:tree", dst]).exits(0).quietly();
        assert_eq!(done.out, "9 entries in A, 9 in B, 0 differences\n");
    }
}

#[test]
fn a_name_that_passes_to_another_image_is_told() {
    let sample = Sample::new();
    let convert = || sample.run(&["convert", "--json", "dir:tree", "oci:layout:a"]).exits(0).out;
    assert!(!convert().contains("replaced"), "the first of this name");
    assert!(!convert().contains("replaced"), "the same once more");
    std::fs::write(sample.join("tree/etc/new"), "x").expect("the tree can be written");
    assert!(convert().contains("\"replaced\":\"sha256:"), "another");
}

#[test]
fn the_canonical_listing_is_exact() {
    let sample = Sample::new();
    let out = sample.run(&["ls", "--jsonl", "dir:tree"]).exits(0).quietly().out;
    let lines: Vec<&str> = out.lines().collect();
    let paths: Vec<&str> =
        lines.iter().filter_map(|line| line.strip_prefix("{\"path\":\"")?.split("\",").next()).collect();
    assert_eq!(
        paths,
        [
            ".",
            "bin",
            "bin/link",
            "bin/tool",
            "bin/twin",
            "etc",
            "etc/empty",
            "etc/hosts",
            "etc/odd\\u001b[31m\\\\\\\\name\\n",
        ]
    );
    let meta = std::fs::metadata(sample.join("tree/etc/hosts")).expect("it was made");
    use std::os::unix::fs::MetadataExt;
    let (uid, gid, mode) = (meta.uid(), meta.gid(), meta.mode() & 0o7777);
    assert_eq!(
        lines[7],
        format!(
            "{{\"path\":\"etc/hosts\",\"type\":\"file\",\"mode\":\"0{mode:o}\",\"uid\":{uid},\"gid\":{gid},\
             \"mtime_ns\":1700000000123456789,\"size\":20,\"sha256\":\
             \"081ef9d5367595d16e30b4b4549d9f43537320508b4ce0788963e10e4f808857\"}}"
        )
    );
    assert!(lines[4].ends_with(",\"hardlink\":\"bin/tool\"}"), "{}", lines[4]);
    assert!(
        lines[2].contains("\"mode\":\"0777\"") && lines[2].contains("\"target\":\"tool\""),
        "{}",
        lines[2]
    );
    let quick = sample.run(&["ls", "--jsonl", "--no-hash", "dir:tree"]).exits(0).out;
    assert!(!quick.contains("sha256") && quick.lines().count() == lines.len());
}

#[test]
fn people_see_columns_and_no_control_characters() {
    let sample = Sample::new();
    let out = sample.run(&["ls", "dir:tree"]).exits(0).quietly().out;
    assert!(!out.contains('\u{1b}') && out.lines().count() == 9, "{out}");
    assert!(out.contains(" bin/link -> tool\n"), "{out}");
    assert!(out.contains(" bin/twin = bin/tool\n"), "{out}");
    assert!(out.contains(" 2023-11-14 22:13:20 etc/hosts\n"), "{out}");
    let at: Vec<Option<usize>> = out.lines().map(|line| line.find(" 20")).collect();
    assert!(at[1].is_some() && at[1] == at[3], "the columns line up:\n{out}");
}

#[test]
fn differences_are_told_line_by_line() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "dir:copy"]).exits(0);
    std::fs::write(sample.join("copy/etc/hosts"), "other").expect("the copy can be written");
    std::fs::remove_file(sample.join("copy/bin/link")).expect("the link is there");
    std::fs::write(sample.join("copy/new"), "").expect("the copy can be written");
    let done =
        sample.run(&["diff", "--ignore", "mtime_ns,sha256", "dir:tree", "dir:copy"]).exits(1).quietly();
    assert_eq!(
        done.out,
        "only in A: bin/link (symlink)\netc/hosts: size: 20 -> 5\nonly in B: new (file)\n\
         9 entries in A, 9 in B, 3 differences: only in A 1, only in B 1, size 1\n"
    );
    let done =
        sample.run(&["diff", "--jsonl", "--ignore", "mtime_ns,sha256", "dir:tree", "dir:copy"]).exits(1);
    assert_eq!(
        done.out,
        "{\"path\":\"bin/link\",\"only\":\"a\",\"type\":\"symlink\"}\n\
         {\"path\":\"etc/hosts\",\"field\":\"size\",\"a\":20,\"b\":5}\n\
         {\"path\":\"new\",\"only\":\"b\",\"type\":\"file\"}\n"
    );
}

#[test]
fn one_layer_is_listed_by_its_number() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "oci:image"]).exits(0);
    let all = sample.run(&["ls", "--jsonl", "oci:image"]).exits(0).out;
    assert_eq!(sample.run(&["ls", "--jsonl", "--layer", "1", "oci:image"]).exits(0).out, all);
    for layer in ["0", "2"] {
        sample.run(&["ls", "--layer", layer, "oci:image"]).exits(2).says("numbered 1 to 1").prints_nothing();
    }
}

#[test]
fn disks_are_one_line() {
    let sample = Sample::new();
    std::fs::write(sample.join("disk"), vec![0; 8192]).expect("a disk can be written");
    let done = sample.run(&["ls", "--jsonl", "raw:disk"]).exits(0).quietly();
    let digest = "9f1dcbc35c350d6027f98be0f5c8b43b42ca52b7604459c0c42be3aa88913d47";
    assert_eq!(done.out, format!("{{\"type\":\"volume\",\"size\":8192,\"sha256\":\"{digest}\"}}\n"));
    sample.run(&["ls", "--layer", "1", "raw:disk"]).exits(2).says("no layers");
    sample.run(&["convert", "raw:disk", "dir:out"]).exits(1).says("a disk has no files");
    sample.run(&["convert", "dir:tree", "raw:out"]).exits(1).says("a root file system is no disk");
    sample.run(&["convert", "raw:disk", "raw:copy"]).exits(0);
    sample.run(&["diff", "raw:disk", "raw:copy"]).exits(0);
    let done = sample.run(&["diff", "raw:disk", "dir:tree"]).exits(1);
    assert!(done.out.contains(".: type: \"volume\" -> \"dir\""), "{}", done.out);
    assert_eq!(sample.names(), ["copy", "disk"]);
}
