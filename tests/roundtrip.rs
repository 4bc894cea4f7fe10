//! There and back: the tree is the same in every form, and a second trip gives the same bytes.

use aurora_convert::Layers;
use aurora_tests::{Files, Run, assert_same, corpus, list};

/// Everything that all forms can hold.
fn tree() -> Files {
    Files::new()
        .dir(b"bin")
        .mode(0o4755)
        .file(b"bin/su", b"#!/bin/sh\n")
        .link(b"bin/also", b"bin/su")
        .mode(0o644)
        .owner(70_000, 4_000_000_000)
        .time(1, 999_999_999)
        .file(b"empty", b"")
        .file(b"big", &vec![7; 300_000])
        .hole(b"hole", 3 << 20)
        .file("ünïcödé ☃".as_bytes(), b"x")
        .file(b"l\xe4tin", b"x")
        .file(&[b'n'; 255], b"long")
        .symlink(b"link", b"../elsewhere")
        .symlink(b"long link", &[b't'; 1000])
        .fifo(b"fifo")
        .char(b"null", 1, 3)
        .xattr("user.empty", b"")
        .xattr("user.long", &[b'v'; 2000])
        .mode(0o1777)
        .dir(b"dir")
        .file(b"dir/attributed", b"x")
}

#[test]
fn every_form_holds_the_tree() {
    let run = Run::new();
    let image = Files::image([tree()]);
    let want = list(&image, &run);
    for form in ["zfs", "oci", "oci-archive", "tar"] {
        let to = run.image(form, &format!("out.{form}"));
        run.write(&image, &to).unwrap_or_else(|e| panic!("{form}: {e}"));
        assert_same(form, &want, &run.ls(&to), &[]);
    }
}

#[test]
fn oci_zfs_oci_zfs_is_the_same_stream() {
    for tag in
        ["opaque-before", "hardlink-to-lower-layer", "whiteout-and-hardlinks", "xattrs", "mtimes", "devices"]
    {
        for layers in [Layers::Squash, Layers::Keep] {
            let run = Run::new();
            let from = format!("oci:{}:{tag}", corpus("oci/quirks").display());
            let (first, oci, second) = (run.image("zfs", "1"), run.image("oci", "o"), run.image("zfs", "2"));
            for (from, to) in [(&from, &first), (&first, &oci), (&oci, &second)] {
                run.convert(from, to, layers).unwrap_or_else(|e| panic!("{tag}: {from} to {to}: {e}"));
            }
            assert_same(tag, &run.ls(&from), &run.ls(&second), &[]);
            assert!(
                run.bytes(&run.path("1")) == run.bytes(&run.path("2")),
                "{tag}, {layers:?}: the second stream differs"
            );
        }
    }
}

#[test]
fn steps_survive_as_snapshots_and_as_layers() {
    let run = Run::new();
    let steps = || {
        [
            Files::new().dir(b"d").file(b"d/a", b"1").file(b"d/b", b"2").file(b"gone", b"x"),
            Files::new().dir(b"d").file(b"d/a", b"changed").file(b"d/c", b"3").symlink(b"gone", b"d"),
            Files::new().file(b"d", b"a file now").dir(b"gone").file(b"gone/in", b"x"),
        ]
    };
    let image = Files::image(steps());
    for form in ["zfs", "oci", "oci-archive"] {
        let to = run.image(form, &format!("out.{form}"));
        run.write(&image, &to).unwrap_or_else(|e| panic!("{form}: {e}"));
        let back = run.read(&to, Layers::Keep, &[]).unwrap_or_else(|e| panic!("{form}: {e}"));
        let aurora_convert::Loaded::Filesystem(lineage) = back else { panic!("{form}: no file system") };
        assert_eq!(lineage.steps.len(), 3, "{form}");
        for (n, (step, files)) in lineage.steps.into_iter().zip(steps()).enumerate() {
            let one = |tree| aurora_convert::Loaded::Filesystem(tree);
            let got = one(aurora_convert::Lineage { image: Default::default(), steps: vec![step] });
            let want = list(&Files::image([files]), &run);
            assert_same(&format!("{form}, step {n}"), &want, &list(&got, &run), &[]);
        }
    }
}
