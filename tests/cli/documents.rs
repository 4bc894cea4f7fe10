//! The shapes of `--json`: what scripts may rely on (docs/cli.md).

use serde_json::Value;

use crate::run::Sample;

fn document(text: &str) -> Value {
    assert_eq!(text.lines().count(), 1, "one document on one line: {text}");
    serde_json::from_str(text).expect("--json prints JSON")
}

#[test]
fn convert_tells_facts_and_losses() {
    let sample = Sample::new();
    let done = sample.run(&["convert", "--json", "dir:tree", "oci:image:v1"]).exits(0).quietly();
    let found = document(&done.out);
    assert_eq!(found["source"], "dir:tree");
    assert_eq!(found["destination"], "oci:image:v1");
    assert!(found["facts"].as_object().is_some_and(|facts| !facts.is_empty()), "{found}");
    assert!(found["losses"].is_array());
    for key in ["bytes_read", "bytes_decoded", "bytes_written", "entries"] {
        assert!(found[key].is_u64(), "{key}: {found}");
    }
    // The same facts for people, aligned.
    let done = sample.run(&["convert", "dir:tree", "oci:image:v2"]).exits(0);
    assert!(done.out.lines().all(|line| line.contains(": ")), "{}", done.out);
}

#[test]
fn ls_is_one_document_of_the_canonical_rows() {
    let sample = Sample::new();
    let found = document(&sample.run(&["ls", "--json", "dir:tree"]).exits(0).quietly().out);
    let lines = sample.run(&["ls", "--jsonl", "dir:tree"]).exits(0).out;
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).expect("JSON")).collect();
    assert_eq!(found["name"], "dir:tree");
    assert_eq!(found["entries"], Value::Array(rows));
}

#[test]
fn inspect_tells_what_an_image_is() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "oci:image:v1", "--platform", "illumos/amd64"]).exits(0);
    let found = document(&sample.run(&["inspect", "--json", "oci:image:v1"]).exits(0).quietly().out);
    assert_eq!(found["form"], "oci");
    assert_eq!(found["type"], "filesystem");
    assert_eq!(found["platform"], "illumos/amd64");
    assert_eq!(found["entries"], 9);
    assert_eq!(found["size"], 300_000 + 20 + 1);
    assert_eq!(found["layers"].as_array().map(Vec::len), Some(1));
    let image = &found["images"][0];
    assert_eq!(image["name"], "v1");
    for key in ["digest", "config"] {
        assert!(image[key].as_str().is_some_and(|d| d.starts_with("sha256:")), "{image}");
    }
    assert_eq!(image["layers"][0]["compression"], "gzip");
    assert_eq!(image["layers"][0]["chain_id"], found["layers"][0]["chain_id"]);
    let quick = document(&sample.run(&["inspect", "--quick", "--json", "oci:image:v1"]).exits(0).out);
    assert_eq!(quick["images"], found["images"]);
    assert!(quick.get("entries").is_none(), "{quick}");
    let people = sample.run(&["inspect", "oci:image:v1"]).exits(0).out;
    assert!(people.contains("platform: illumos/amd64\n"), "{people}");
}

#[test]
fn verify_tells_all_findings() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "oci:image:v1"]).exits(0);
    let found = document(&sample.run(&["verify", "--json", "oci:image"]).exits(0).quietly().out);
    assert_eq!((&found["ok"], &found["layers"]), (&Value::Bool(true), &Value::from(1)));
    let blobs = sample.join("image/blobs/sha256");
    for entry in std::fs::read_dir(blobs).expect("a layout has blobs") {
        let path = entry.expect("directories of tests can be read").path();
        if std::fs::read(&path).expect("blobs can be read").starts_with(&[0x1f, 0x8b]) {
            std::fs::remove_file(path).expect("blobs can be removed");
        }
    }
    let found = document(&sample.run(&["verify", "--json", "oci:image"]).exits(1).quietly().out);
    assert_eq!(found["ok"], false);
    let findings = found["findings"].as_array().expect("a list");
    assert!(findings[0]["place"].as_str().is_some_and(|p| p.contains("layer 1 of 1")), "{found}");
    assert!(findings[0]["message"].is_string());
}

#[test]
fn diff_counts_and_lists() {
    let sample = Sample::new();
    sample.run(&["convert", "dir:tree", "dir:copy"]).exits(0);
    let found = document(&sample.run(&["diff", "--json", "dir:tree", "dir:copy"]).exits(0).quietly().out);
    assert_eq!(
        (&found["equal"], &found["entries_a"], &found["entries_b"]),
        (&Value::Bool(true), &Value::from(9), &Value::from(9))
    );
    std::fs::remove_dir(sample.join("copy/etc/empty")).expect("it is there");
    let done = sample.run(&["diff", "--json", "--ignore", "dir_mtime", "dir:tree", "dir:copy"]).exits(1);
    let found = document(&done.out);
    assert_eq!(found["differences"].as_array().map(Vec::len), Some(1), "{found}");
    assert_eq!(found["differences"][0]["only"], "a");
}
