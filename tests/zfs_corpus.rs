//! Every stream of the corpus reads as its manifest, which the kernel's own ZFS made, says; those that can't be
//! read fail with an error that says what to do.

use aurora_convert::Layers;
use aurora_tests::{Run, Stream, assert_same, error_of, from_guest, list, read_rows, streams};
use serde_json::Value;

/// Attributes beyond 256 bytes stand in manifests as size and digest; listings have their bytes.
fn shorten(rows: Vec<Value>) -> Vec<Value> {
    let short = |mut row: Value| {
        for value in row["xattrs"].as_object_mut().into_iter().flat_map(|m| m.values_mut()) {
            let hex = value.as_str().unwrap_or_default();
            if hex.len() > 512 {
                *value = Value::from(hex.len() / 2);
            }
        }
        row
    };
    rows.into_iter().map(short).collect()
}

fn guest(rows: Vec<Value>) -> Vec<Value> {
    let size = |mut row: Value| {
        for value in row["xattrs"].as_object_mut().into_iter().flat_map(|m| m.values_mut()) {
            if let Some(size) = value.get("size") {
                *value = size.clone();
            }
        }
        row
    };
    rows.iter().map(from_guest).map(size).collect()
}

fn check(stream: &Stream) {
    let run = Run::new();
    for (snapshot, manifest) in stream.manifests() {
        let image = match &snapshot {
            Some(snapshot) => format!("{}#{snapshot}", stream.image()),
            None => stream.image(),
        };
        let what = format!("{} ({})", stream.name, snapshot.as_deref().unwrap_or("last snapshot"));
        let loaded =
            run.read(&image, Layers::Squash, &stream.origins).unwrap_or_else(|e| panic!("{what}: {e}"));
        let mut want = guest(read_rows(&manifest));
        // Files beyond 64 MiB are listed by their data, not by a digest.
        let huge: Vec<Value> =
            want.iter().filter(|r| r.get("data").is_some()).map(|r| r["path"].clone()).collect();
        want.iter_mut().filter_map(Value::as_object_mut).for_each(|r| drop(r.remove("data")));
        if huge.is_empty() {
            assert_same(&what, &want, &shorten(list(&loaded, &run)), &[]);
        } else {
            huge_files(&what, &loaded, &want, &run);
        }
    }
}

/// As above, but without reading a terabyte of zeros to hash it.
fn huge_files(what: &str, loaded: &aurora_convert::Loaded, want: &[Value], run: &Run) {
    use aurora_convert::tree::{ListOptions, rows};
    let aurora_convert::Loaded::Filesystem(lineage) = loaded else { panic!("{what}: no file system") };
    let tree = &lineage.steps.last().expect("never empty").tree;
    let options = ListOptions { no_hash: true, ..ListOptions::default() };
    let got = run.with_ctx(|ctx| rows(tree, options, ctx)).expect("a tree can be listed");
    assert_eq!(got.len(), want.len(), "{what}");
    for (row, want) in got.iter().zip(want) {
        assert_eq!(row.path, want["path"], "{what}");
        assert_eq!(row.size, want["size"].as_u64(), "{what}: {}", row.path);
    }
}

fn all(folder: &str) {
    let mut read = 0;
    for stream in streams(folder) {
        match stream.expect.as_str() {
            "ok" | "embedded-spill" => {
                check(&stream);
                read += 1;
            }
            expect => {
                let run = Run::new();
                let said = error_of(&stream.name, run.read(&stream.image(), Layers::Squash, &stream.origins));
                let word = match expect {
                    "encrypted" => "encrypted",
                    "redacted" => "redacted",
                    "resume" => "resum",
                    "partial" => "without an END record",
                    other => {
                        panic!("{}: the index expects what this test does not know: {other}", stream.name)
                    }
                };
                assert!(said.contains(word), "{}: {said}", stream.name);
            }
        }
    }
    assert!(read > 5, "the index of {folder} names few streams: {read}");
}

#[test]
fn streams_of_openzfs_2_1() {
    all("");
}

#[test]
fn streams_of_openzfs_2_3() {
    all("2.3");
}
