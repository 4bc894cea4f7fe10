//! Every quirk image reads as at least two other tools unpack it; every malformed one is refused.

use std::path::Path;

use aurora_convert::Layers;
use aurora_tests::{Run, assert_same, corpus, error_of, quirk_tags, read_rows};

/// Where the specification's text decides against the majority (`docs/oci-decisions.md`).
const DECIDED: [&str; 1] = ["whiteout-then-same-name"];

fn image(set: &str, tag: &str) -> String {
    format!("oci:{}:{tag}", corpus(&format!("oci/{set}")).display())
}

#[test]
fn quirks_are_what_peers_agree_on() {
    let run = Run::new();
    let mut compared = 0;
    for (tag, verdict) in quirk_tags("quirks") {
        let ignore: &[&str] = match verdict.as_str() {
            // No layer has an entry for the root: peers make it up.
            "all" | "two" => &["root"],
            "loose" => &["root", "dir_mtime_ns"],
            _ => continue,
        };
        if DECIDED.contains(&tag.as_str()) {
            continue;
        }
        let want = read_rows(Path::new(&corpus(&format!("oci/quirks.expected/{tag}.jsonl"))));
        assert_same(&tag, &want, &run.ls(&image("quirks", &tag)), ignore);
        compared += 1;
    }
    assert!(compared > 90, "few images have an expected tree: {compared}");
}

#[test]
fn malformed_images_are_refused() {
    let run = Run::new();
    for (tag, _) in quirk_tags("malformed") {
        let said = error_of(&tag, run.read(&image("malformed", &tag), Layers::Squash, &[]));
        assert!(said.contains(&tag), "{tag}: no image in the message: {said}");
    }
}
