//! Images of registries as sources and results of conversions.

use std::path::PathBuf;

use aurora_convert::ops::{self, ConvertOptions, CopyOptions};
use aurora_convert::{Ctx, ErrorKind};
use aurora_tests::{Door, Fault, corpus};

use crate::Case;

/// A registry with an image of the corpus at `q:1`.
fn case() -> (Case, String) {
    let case = Case::new(Door::Open);
    let src = format!("oci:{}:whiteout-and-hardlinks", corpus("oci/quirks").display());
    case.with(|ctx| ops::push(&src.parse().unwrap(), &case.name("q:1"), &CopyOptions::default(), ctx))
        .unwrap();
    case.server.requests();
    (case, src)
}

fn convert(src: &str, dst: &str, ctx: &Ctx<'_>) -> aurora_convert::Result<()> {
    ops::convert(&src.parse().unwrap(), &dst.parse().unwrap(), &ConvertOptions::default(), ctx).map(drop)
}

fn tar(case: &Case, src: &str, name: &str) -> aurora_convert::Result<Vec<u8>> {
    let path: PathBuf = case.dir.path().join(name);
    let _ = std::fs::remove_file(&path);
    case.with(|ctx| convert(src, &format!("tar:{}", path.display()), ctx))?;
    Ok(std::fs::read(path).unwrap())
}

#[test]
fn layers_are_read_as_they_arrive_and_fetched_once() {
    let (case, local) = case();
    let want = tar(&case, &local, "want.tar").unwrap();
    let name = case.docker("q:1").to_string();
    assert_eq!(tar(&case, &name, "got.tar").unwrap(), want);
    let asked = case.blob_requests();
    let mut once = asked.clone();
    once.dedup();
    assert!(!asked.is_empty() && once == asked, "each blob once: {asked:?}");
    assert_eq!(tar(&case, &name, "again.tar").unwrap(), want);
    assert_eq!(case.blob_requests(), Vec::<String>::new(), "the second time none");
    assert!(case.names().is_empty(), "what is kept has no name, and gc may take it");
    let swept = case.with(|ctx| ops::store::gc(false, ctx)).unwrap();
    assert!(!swept.blobs.is_empty());
}

#[test]
fn without_a_store_it_is_read_all_the_same() {
    let (case, local) = case();
    let want = tar(&case, &local, "want.tar").unwrap();
    // A file where the store should be: nothing can be kept there.
    std::fs::remove_dir_all(case.dir.path().join("store")).ok();
    std::fs::write(case.dir.path().join("store"), "").unwrap();
    assert_eq!(tar(&case, &case.docker("q:1").to_string(), "got.tar").unwrap(), want);
}

#[test]
fn what_is_wrong_with_a_layer_reaches_who_reads_it() {
    let (case, _) = case();
    let name = case.docker("q:1").to_string();
    let layers: Vec<String> = {
        let manifest = case.server.manifest("q", "1").unwrap();
        let value: serde_json::Value = serde_json::from_slice(&manifest).unwrap();
        value["layers"].as_array().unwrap().iter().map(|l| l["digest"].as_str().unwrap().to_owned()).collect()
    };
    let path = format!("/blobs/{}", layers[1]);
    let size = case.server.blob(&layers[1]).unwrap().len();
    type Check = fn(&ErrorKind) -> bool;
    let cases: Vec<(&str, Fault, Check)> = vec![
        ("gone", Fault::Status(404, &[], ""), |e| matches!(e, ErrorKind::Fetch(_))),
        ("too long", Fault::Longer(vec![1]), |e| matches!(e, ErrorKind::Fetch(_))),
        ("another one", Fault::Body(vec![0x1f; size]), |e| {
            matches!(e, ErrorKind::Codec(_) | ErrorKind::Verify(_) | ErrorKind::Tar(_))
        }),
    ];
    for (what, fault, check) in cases {
        case.server.next(&path, [fault]);
        let e = tar(&case, &name, "x.tar").expect_err(what);
        assert!(check(e.kind()), "{what}: {e:?}");
        assert!(e.location().layer.is_some(), "{what}: {e:?}");
        assert!(!case.dir.path().join("x.tar").exists(), "{what}");
        assert_eq!(case.stored(&layers[1]), None, "{what}");
    }
    // A break is none of the reader's business.
    case.server.next(&path, [Fault::Cut(20), Fault::Cut(10)]);
    tar(&case, &name, "x.tar").unwrap();
}

#[test]
fn looking_at_documents_fetches_no_layer() {
    let (case, _) = case();
    let name = case.docker("q:1");
    let request = ops::Selection::default();
    let found = case.with(|ctx| ops::inspect(&name, &request, true, ctx)).unwrap();
    assert_eq!(found.images.len(), 1);
    assert!(case.blob_requests().len() <= 1, "the config alone");
    let e = case.with(|ctx| ops::inspect(&case.docker("q:2"), &request, true, ctx)).err().unwrap();
    assert!(e.is_no_such_image());
}

#[test]
fn conversions_end_in_a_registry() {
    let (case, local) = case();
    let to = case.docker("made:1").to_string();
    case.with(|ctx| convert(&local, &to, ctx)).unwrap();
    let want = tar(&case, &local, "want.tar").unwrap();
    assert_eq!(tar(&case, &to, "got.tar").unwrap(), want);
    // Into the store it comes with the bytes it has.
    case.with(|ctx| convert(&to, "kept:1", ctx)).unwrap();
    let digest = case.with(ops::store::list).unwrap()[0].digest.clone();
    assert!(case.server.manifest("made", &digest).is_some() || !digest.is_empty());
}
