//! Images on which peers disagree read as the specification says (`docs/oci-decisions.md`, one row a tag), and each
//! malformed image is refused for its own fault.
#![allow(clippy::unwrap_used)]

use std::path::Path;

use aurora_convert::image::Platform;
use aurora_convert::source::{ReadOptions, oci};
use aurora_convert::{ErrorKind, Layers, Loaded, source};
use aurora_tests::{Run, assert_same, corpus, list, quirk_tags, read_rows};

fn image(set: &str, tag: &str) -> String {
    format!("oci:{}:{tag}", corpus(&format!("oci/{set}")).display())
}

fn read(run: &Run, image: &str, layers: Layers) -> aurora_convert::Result<Loaded> {
    let options = ReadOptions { layers, platform: Some(Platform::default()), ..ReadOptions::default() };
    run.with_ctx(|ctx| source::read(&image.parse().unwrap(), &options, ctx))
}

/// Images that all peers refuse, and we too, and why.
const REFUSED: [(&str, &str); 2] = [
    ("hardlink-onto-itself", "a at 0x400: hard link to what is no other file here: a"),
    ("hardlink-dotdot", "z at 0x600: hard link to what is no other file here: etc/hostname"),
];

/// The tags of the other images, with the peers' verdict.
fn readable() -> Vec<(String, String)> {
    let is_refused = |tag: &str| REFUSED.iter().any(|(refused, _)| *refused == tag);
    quirk_tags("quirks").into_iter().filter(|(tag, _)| !is_refused(tag)).collect()
}

#[test]
fn what_all_peers_refuse() {
    let run = Run::new();
    for (tag, want) in REFUSED {
        let Err(error) = read(&run, &image("quirks", tag), Layers::Keep) else { panic!("{tag}: was taken") };
        assert!(error.to_string().contains(want), "{tag}: {error}");
        assert!(matches!(error.kind(), ErrorKind::Tree(_)), "{tag}: {error}");
    }
}

#[test]
fn where_peers_disagree_the_specification_decides() {
    let run = Run::with(4, 64 << 20);
    let text = std::fs::read_to_string(corpus("../docs/oci-decisions.md")).unwrap();
    let documented = |tag: &str| text.lines().any(|line| line.starts_with(&format!("| `{tag}` |")));
    let mut decided = 0;
    for (tag, verdict) in readable() {
        let ours = corpus(&format!("oci/quirks.ours/{tag}.jsonl"));
        let theirs = corpus(&format!("oci/quirks.expected/{tag}.jsonl"));
        let loaded = read(&run, &image("quirks", &tag), Layers::Squash);
        let loaded = loaded.unwrap_or_else(|e| panic!("{tag}: {e}"));
        let got = list(&loaded, &run);
        if ours.exists() {
            assert!(documented(&tag), "{tag}: no row in docs/oci-decisions.md");
            assert_same(&tag, &read_rows(&ours), &got, &[]);
            decided += 1;
        } else {
            assert!(theirs.exists(), "{tag}: neither peers nor we say what is right");
            // No layer has an entry for the root: peers make it up.
            let ignore: &[&str] = if verdict == "loose" { &["root", "dir_mtime_ns"] } else { &["root"] };
            assert_same(&tag, &read_rows(Path::new(&theirs)), &got, ignore);
        }
    }
    let is_row = |line: &&str| line.starts_with("| `") && !line.starts_with("| `org.");
    let rows = text.lines().filter(is_row).count();
    // Rows without a tree of ours: those that are refused, and two about names and platforms.
    assert_eq!(rows, decided + REFUSED.len() + 2);
}

#[test]
fn kept_layers_end_in_the_squashed_tree() {
    let run = Run::with(3, 0);
    for (tag, _) in readable() {
        let read = |layers| read(&run, &image("quirks", &tag), layers).unwrap();
        let (squashed, kept) = (read(Layers::Squash), read(Layers::Keep));
        assert_same(&tag, &list(&squashed, &run), &list(&kept, &run), &[]);
        let (Loaded::Filesystem(squashed), Loaded::Filesystem(kept)) = (squashed, kept) else { panic!() };
        assert_eq!(squashed.steps.len(), 1, "{tag}");
        assert_eq!(squashed.steps[0].chain_id, kept.steps.last().unwrap().chain_id, "{tag}");
        if tag == "manifest-128-layers" {
            assert_eq!(kept.steps.len(), 128);
        }
    }
}

/// What the message of each fault must hold. `{` stands for: told within a layer.
const REFUSALS: [(&str, &str); 24] = [
    ("layer-digest-mismatch", "{content does not match its digest: expected sha256:"),
    ("layer-size-too-small", "{is longer than its size says: more than 96 bytes"),
    ("layer-size-too-large", "{is shorter than its size says: 97 of 98 bytes"),
    ("layer-missing-blob", "{missing from the layout: blobs/sha256/"),
    ("diff-id-mismatch", "{diffID does not match: config says sha256:0000"),
    ("diff-ids-too-few", "the manifest has 2 layers, the config's rootfs.diff_ids: 1"),
    ("gzip-truncated", "{gzip"),
    ("gzip-crc-wrong", "{gzip"),
    ("gzip-isize-wrong", "{gzip"),
    ("gzip-trailing-garbage", "{gzip"),
    ("gzip-corrupt-middle", "{gzip"),
    ("zstd-truncated", "{zstd"),
    ("zstd-checksum-wrong", "{zstd"),
    ("unknown-media-type", "layer 1 has an unknown media type: \"application/x-nothing-known\""),
    ("tar-truncated-in-data", "{"),
    ("tar-truncated-in-header", "{"),
    ("tar-checksum-wrong", "{"),
    ("tar-size-negative", "{"),
    ("tar-size-huge", "{"),
    ("tar-pax-malformed", "{"),
    ("tar-nul-in-pax-path", "{"),
    ("tar-hardlink-target-missing", "{hard link to what is no other file here: never"),
    ("tar-not-a-tar", "{"),
    ("tar-sparse-overlapping", "{"),
];

/// The variant that each fault is told by.
fn kind(tag: &str, kind: &ErrorKind) -> bool {
    match tag {
        "layer-digest-mismatch" | "layer-size-too-small" | "layer-size-too-large" => {
            matches!(kind, ErrorKind::Verify(_))
        }
        "diff-id-mismatch" => matches!(kind, ErrorKind::DiffId { .. }),
        "layer-missing-blob" | "diff-ids-too-few" | "unknown-media-type" => matches!(kind, ErrorKind::Oci(_)),
        "tar-hardlink-target-missing" => matches!(kind, ErrorKind::Tree(_)),
        _ if tag.starts_with("tar-") => matches!(kind, ErrorKind::Tar(_)),
        _ => matches!(kind, ErrorKind::Codec(_)),
    }
}

#[test]
fn malformed_images_are_refused_for_their_own_fault() {
    let tags: Vec<_> = quirk_tags("malformed").into_iter().map(|(tag, _)| tag).collect();
    assert_eq!(tags.len(), REFUSALS.len());
    for (tag, want) in REFUSALS {
        for threads in [1, 4] {
            let run = Run::with(threads, 1 << 20);
            let error = match read(&run, &image("malformed", tag), Layers::Squash) {
                Err(error) => error,
                Ok(_) => panic!("{tag}: was taken"),
            };
            let text = error.to_string();
            assert!(kind(tag, error.kind()), "{tag}: {:?}", error.kind());
            assert!(text.contains(want.trim_start_matches('{')), "{tag}: {text}");
            assert_eq!(want.starts_with('{'), text.contains("layer 1 of 1 (sha256:"), "{tag}: {text}");
        }
    }
}

#[test]
fn verify_and_survey_find_what_reading_finds() {
    let run = Run::new();
    let whole = |set: &str| -> aurora_convert::names::ImageName {
        format!("oci:{}", corpus(&format!("oci/{set}")).display()).parse().unwrap()
    };
    let found = run.with_ctx(|ctx| oci::verify(&whole("quirks"), None, ctx)).unwrap();
    assert_eq!(found.images, 118, "117 tags, one of them with two platforms");
    let found = found.findings;
    let faulty: Vec<&str> = found.iter().map(|f| f.image.as_str()).collect();
    assert_eq!(faulty, REFUSED.map(|(tag, _)| tag), "{}", found[0].error);
    let found = run.with_ctx(|ctx| oci::verify(&whole("malformed"), None, ctx)).unwrap().findings;
    for (tag, want) in REFUSALS {
        let of_tag: Vec<_> = found.iter().filter(|f| f.image == tag).map(|f| f.error.to_string()).collect();
        assert!(of_tag.iter().any(|e| e.contains(want.trim_start_matches('{'))), "{tag}: {of_tag:?}");
    }
    let survey = run.with_ctx(|ctx| oci::survey(&whole("quirks"), ctx)).unwrap();
    let image = |tag: &str| survey.images.iter().find(|i| i.name.as_deref() == Some(tag)).unwrap();
    assert_eq!(image("manifest-128-layers").layers.len(), 128);
    assert_eq!(image("stream-zstd").layers[0].codec.unwrap().name(), "zstd");
    let note = image("stream-says-tar-is-gzip").layers[0].note.clone();
    assert_eq!(note.as_deref(), Some("labelled not compressed, its content is gzip"));
    let platforms: Vec<_> = survey
        .images
        .iter()
        .filter(|i| i.name.as_deref() == Some("manifest-many-platforms"))
        .map(|i| i.platform.clone().unwrap().to_string())
        .collect();
    assert_eq!(platforms, ["linux/arm64/v8", "linux/amd64"]);
    let config = &image("config-rich").image;
    assert_eq!(config.created.unwrap().nanos, 123_456_789);
    assert_eq!(config.config["Env"][3], "NOEQ");
}

#[test]
fn one_of_several_is_not_guessed() {
    let run = Run::new();
    let error_of = |image: &str| match run.read(image, Layers::Squash, &[]) {
        Err(error) => error,
        Ok(_) => panic!("{image}: was taken"),
    };
    let error = error_of(&image("quirks", "manifest-many-platforms"));
    let ErrorKind::Ambiguous { candidates, .. } = error.kind() else { panic!("{error}") };
    let names = ["manifest-many-platforms (linux/arm64/v8)", "manifest-many-platforms (linux/amd64)"];
    assert_eq!(candidates, &names);
    let error = error_of(&format!("oci:{}", corpus("oci/quirks").display()));
    assert!(matches!(error.kind(), ErrorKind::Ambiguous { .. }), "{error}");
    let error = error_of(&image("quirks", "no-such-tag"));
    assert!(matches!(error.kind(), ErrorKind::NoSuchImage(_)), "{error}");
    let error = error_of("oci:/no/such/directory");
    assert!(matches!(error.kind(), ErrorKind::NoSuchImage(_)), "{error}");
}
