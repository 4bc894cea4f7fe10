//! Output depends on the input and the options: not on threads, and not on memory.

use std::io::{Seek, SeekFrom, Write};

use aurora_convert::Layers;
use aurora_convert::sink::{self, WriteOptions};
use aurora_engine::digest::{Algorithm, Hasher};
use aurora_tests::{Run, corpus};

const TAGS: [&str; 6] = [
    "hardlink-same-layer",
    "opaque-before",
    "names-bytes",
    "devices",
    "sparse-pax-1.0",
    "manifest-128-layers",
];

#[test]
fn threads_and_memory_change_no_byte() {
    for tag in TAGS {
        let from = format!("oci:{}:{tag}", corpus("oci/quirks").display());
        for (form, layers) in [
            ("zfs", Layers::Squash),
            ("zfs", Layers::Keep),
            ("oci", Layers::Squash),
            ("oci", Layers::Keep),
            ("oci-archive", Layers::Keep),
            ("tar", Layers::Squash),
        ] {
            let mut first = None;
            for (threads, memory) in [(1, 64 << 20), (2, 64 << 20), (8, 1 << 16)] {
                let run = Run::with(threads, memory);
                run.convert(&from, &run.image(form, "out"), layers)
                    .unwrap_or_else(|e| panic!("{tag} to {form}: {e}"));
                let bytes = run.bytes(&run.path("out"));
                let want = first.get_or_insert_with(|| bytes.clone());
                assert!(
                    *want == bytes,
                    "{tag} to {form}, {layers:?}: {threads} threads, {memory} bytes differ"
                );
            }
        }
    }
}

#[test]
fn streams_of_the_kernel_become_the_same_bytes_too() {
    let from = format!("zfs:{}", corpus("zfs/special.zfs.gz").display());
    let mut first = None;
    for threads in [1, 2, 8] {
        let run = Run::with(threads, 64 << 20);
        run.convert(&from, &run.image("oci", "out"), Layers::Keep).unwrap();
        let bytes = run.bytes(&run.path("out"));
        assert!(*first.get_or_insert_with(|| bytes.clone()) == bytes, "{threads} threads differ");
    }
}

/// Layers of several frames, and files that are written in several pieces, with holes.
#[test]
fn large_files_and_layers_of_frames_are_the_same_too() {
    let source = Run::new();
    let tree = source.path("tree");
    std::fs::create_dir_all(tree.join("many")).unwrap();
    let mut state = 1_u32;
    let noise: Vec<u8> = (0..9 << 20)
        .map(|_| {
            state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
            (state >> 24) as u8
        })
        .collect();
    std::fs::write(tree.join("noise"), &noise).unwrap();
    let mut sparse = std::fs::File::create(tree.join("sparse")).unwrap();
    for at in [3 << 20, 5 << 20, 1 << 30] {
        sparse.seek(SeekFrom::Start(at)).unwrap();
        sparse.write_all(&noise[..700_000]).unwrap();
    }
    for number in 0..3000 {
        std::fs::write(tree.join(format!("many/{number}")), &noise[..number]).unwrap();
    }
    let loaded = source.read(&format!("dir:{}", tree.display()), Layers::Squash, &[]).unwrap();
    let image = source.image("oci", "image");
    let options = WriteOptions { compression: Some("zstd".parse().unwrap()), ..WriteOptions::default() };
    source.with_ctx(|ctx| sink::write(&loaded, &image.parse().unwrap(), &options, ctx)).unwrap();
    for form in ["zfs", "oci"] {
        let mut first = None;
        for threads in [1, 2, 8] {
            let run = Run::with(threads, 64 << 20);
            run.convert(&image, &run.image(form, "out"), Layers::Squash).unwrap();
            let bytes = run.bytes(&run.path("out"));
            assert!(*first.get_or_insert_with(|| bytes.clone()) == bytes, "{form}: {threads} threads differ");
        }
    }
}

/// Streams are promised across releases: whoever changes these digests breaks every chain that is out there.
#[test]
fn streams_are_what_they_were() {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for tag in TAGS {
        for layers in [Layers::Squash, Layers::Keep] {
            let run = Run::new();
            let from = format!("oci:{}:{tag}", corpus("oci/quirks").display());
            run.convert(&from, &run.image("zfs", "out"), layers).unwrap();
            hasher.update(&std::fs::read(run.path("out")).unwrap());
        }
    }
    let want = "sha256:144113978652bce74ea1c36f8c9ec2bb61377b1689574ea4b831fb7ffe5c5850";
    assert_eq!(hasher.finish().to_string(), want);
}
