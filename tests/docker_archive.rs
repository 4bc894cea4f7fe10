//! What `docker save` has written over the years: links between layers, a layer listed twice, several images, packed
//! as a whole; and archives that lie.
#![allow(clippy::unwrap_used)]

use aurora_convert::sink::{self, WriteOptions};
use aurora_convert::{ErrorKind, Layers, Loaded};
use aurora_engine::codec::{Codec, Compression};
use aurora_engine::digest::Digest;
use aurora_tests::{Files, Run, assert_same, corpus, gunzip};
use serde_json::{Value, json};

const QUIRK: &str = "manifest-same-layer-twice";

struct Image {
    /// Uncompressed.
    layers: Vec<Vec<u8>>,
    config: Vec<u8>,
}

/// An image of the corpus, taken apart.
fn image() -> Image {
    let dir = corpus("oci/quirks");
    let read = |path: String| std::fs::read(dir.join(path)).unwrap();
    let blob = |d: &Value| format!("blobs/{}", d["digest"].as_str().unwrap().replace(':', "/"));
    let index: Value = serde_json::from_slice(&read("index.json".into())).unwrap();
    let named = |d: &&Value| d["annotations"]["org.opencontainers.image.ref.name"].as_str() == Some(QUIRK);
    let entry = index["manifests"].as_array().unwrap().iter().find(named).unwrap();
    let manifest: Value = serde_json::from_slice(&read(blob(entry))).unwrap();
    let layers = manifest["layers"].as_array().unwrap();
    Image {
        layers: layers.iter().map(|l| gunzip(&dir.join(blob(l)))).collect(),
        config: read(blob(&manifest["config"])),
    }
}

fn write(run: &Run, members: Files, name: &str, codec: Codec) -> String {
    let compression = Some(Compression { codec, level: None });
    let options = WriteOptions { compression, ..WriteOptions::default() };
    let to = run.image("tar", name).parse().unwrap();
    run.with_ctx(|ctx| sink::write(&Files::image([members]), &to, &options, ctx)).unwrap();
    run.image("docker-archive", name)
}

fn manifest(images: Value) -> Vec<u8> {
    images.to_string().into_bytes()
}

fn error_of(run: &Run, image: &str) -> aurora_convert::Error {
    match run.read(image, Layers::Squash, &[]) {
        Err(error) => error,
        Ok(_) => panic!("{image}: was taken"),
    }
}

#[test]
fn archives_of_all_ages_hold_the_same_image() {
    let run = Run::new();
    let image = image();
    let want = run.ls(&format!("oci:{}:{QUIRK}", corpus("oci/quirks").display()));
    let config = format!("{}.json", Digest::sha256(&image.config).hex());
    let [one, two, _] = image.layers.as_slice() else { panic!("three layers") };
    // Before 1.10 each image had a folder of its own, and equal layers were linked.
    let linked = Files::new()
        .dir(b"a")
        .file(b"a/layer.tar", one)
        .dir(b"b")
        .file(b"b/layer.tar", two)
        .dir(b"c")
        .symlink(b"c/layer.tar", b"../a/layer.tar")
        .file(config.as_bytes(), &image.config)
        .file(
            b"manifest.json",
            &manifest(json!([{
                "Config": config, "RepoTags": ["box:1"], "Layers": ["a/layer.tar", "b/layer.tar", "c/layer.tar"]
            }])),
        );
    // Podman and older Dockers: layers by diffID, packed or not; and the list is what comes last.
    let hex = |bytes: &[u8]| Digest::sha256(bytes).hex().to_owned();
    let (a, b) = (format!("{}.tar", hex(one)), format!("{}.tar", hex(two)));
    let entry = |tags: Value| json!({"Config": config, "RepoTags": tags, "Layers": [a, b, a]});
    let listed = |images: Value| {
        Files::new()
            .file(a.as_bytes(), one)
            .file(b.as_bytes(), two)
            .file(config.as_bytes(), &image.config)
            .file(b"manifest.json", &manifest(images))
    };
    let one_image = write(&run, listed(json!([entry(Value::Null)])), "1.tar.gz", Codec::Gzip);
    let two_images =
        json!([entry(json!(["docker.io/library/box:latest"])), entry(json!(["box:2", "other:3"]))]);
    let two_images = write(&run, listed(two_images), "2.tar.xz", Codec::Xz);
    let linked = write(&run, linked, "linked.tar", Codec::None);
    for name in [
        linked.clone(),
        format!("{linked}:box:1"),
        one_image.clone(),
        two_images.clone(),
        format!("{two_images}:other:3"),
        format!("{two_images}:box"),
    ] {
        assert_same(&name, &want, &run.ls(&name), &[]);
        let Ok(Loaded::Filesystem(kept)) = run.read(&name, Layers::Keep, &[]) else { panic!("{name}") };
        assert_eq!(kept.steps.len(), 3, "{name}");
    }
    let error = error_of(&run, &format!("{two_images}:none"));
    assert!(matches!(error.kind(), ErrorKind::NoSuchImage(_)), "{error}");
}

#[test]
fn archives_that_lie_are_refused() {
    let run = Run::new();
    let image = image();
    let entry = json!([{"Config": "c.json", "RepoTags": null, "Layers": ["1", "2", "3"]}]);
    let all = |third: &[u8]| {
        Files::new()
            .file(b"1", &image.layers[0])
            .file(b"2", &image.layers[1])
            .file(b"3", third)
            .file(b"c.json", &image.config)
    };
    let cases: Vec<(&str, Files, &str)> = vec![
        (
            "another layer",
            all(&image.layers[1]).file(b"manifest.json", &manifest(entry.clone())),
            "diffID does not match",
        ),
        (
            "too few layers",
            all(b"").file(b"manifest.json", &manifest(json!([{"Config": "c.json", "Layers": ["1"]}]))),
            "the manifest has 1 layers, the config's rootfs.diff_ids: 3",
        ),
        (
            "no such layer",
            all(b"").file(
                b"manifest.json",
                &manifest(json!([{"Config": "c.json", "Layers": ["1", "2", "../4"]}])),
            ),
            "missing from the layout: ../4",
        ),
        (
            "no config",
            Files::new().file(b"manifest.json", &manifest(entry)),
            "missing from the layout: c.json",
        ),
        ("no list", all(b""), "no manifest.json"),
        ("no image", Files::new().file(b"manifest.json", b"[]"), "the archive lists no image"),
    ];
    for (n, (what, members, want)) in cases.into_iter().enumerate() {
        let error = error_of(&run, &write(&run, members, &format!("{n}.tar"), Codec::None));
        assert!(error.to_string().contains(want), "{what}: {error}");
    }
}
