//! Output depends on the input and the options: not on threads, and not on memory.

use aurora_convert::Layers;
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
