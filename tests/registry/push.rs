//! Into a registry.

use aurora_convert::ErrorKind;
use aurora_convert::ops::{self, CopyOptions};
use aurora_tests::{Door, Fault, RegistryServer};

use crate::{Case, Image, bytes};

/// A store with the image, and an empty registry.
fn pushed_from() -> (Case, Image, String) {
    let (case, image) = Case::image();
    case.get("x/y:1").unwrap();
    let src = format!("{}/x/y:1", case.server.host());
    let case = Case { server: RegistryServer::new(Door::Open), ..case };
    (case, image, src)
}

#[test]
fn blobs_first_and_the_tag_last() {
    let (case, image, src) = pushed_from();
    let done = case.push(&src, "a/b:2", false).unwrap();
    assert_eq!((done.digest.clone(), done.moved.copied), (image.digest(), 2));
    assert_eq!(case.server.manifest("a/b", "2"), Some(image.manifest.clone()));
    assert_eq!(case.server.blob(&image.layer_digest()), Some(image.layer.clone()));
    let asked = case.server.requests();
    let puts: Vec<&str> =
        asked.iter().filter(|l| l.starts_with("PUT")).map(|l| l.split(' ').nth(1).unwrap()).collect();
    assert!(puts[..2].iter().all(|p| p.contains("/blobs/uploads/")), "{asked:?}");
    assert_eq!(puts[2..], [format!("/v2/a/b/manifests/{}", done.digest), "/v2/a/b/manifests/2".to_owned()]);
    // The second time it is there, by its digest alone.
    let again = case.push(&src, "a/b:2", false).unwrap();
    assert_eq!((again.moved.copied, again.moved.documents), (0, 0));
    let asked = case.server.requests();
    assert!(asked.iter().all(|line| !line.contains("/blobs/") && !line.starts_with("PUT")), "{asked:?}");
}

#[test]
fn large_blobs_go_in_pieces_and_go_on_after_a_break() {
    type Case_ = (&'static str, &'static str, Vec<Fault>, &'static [&'static str]);
    let whole = &["0-999999", "1000000-1999999", "2000000-2999999"];
    let cases: Vec<Case_> = vec![
        ("nothing wrong", "PATCH /blobs/uploads/0", vec![], whole),
        (
            "a piece is not taken",
            "PATCH /blobs/uploads/0",
            vec![Fault::None, Fault::Status(500, &[], "")],
            &["0-999999", "1000000-1999999", "1000000-1999999", "2000000-2999999"],
        ),
        (
            "the line breaks",
            "PATCH /blobs/uploads/0",
            vec![Fault::Close, Fault::None, Fault::Close],
            &["0-999999", "0-999999", "1000000-1999999", "1000000-1999999", "2000000-2999999"],
        ),
        (
            "the last piece is not taken",
            "PUT /blobs/uploads/0",
            vec![Fault::Status(503, &[], "")],
            &["0-999999", "1000000-1999999", "2000000-2999999", "2000000-2999999"],
        ),
        ("the answer is lost", "PATCH /blobs/uploads/0", vec![Fault::Cut(0), Fault::None], whole),
        (
            "the upload is forgotten",
            "PATCH /blobs/uploads/0",
            vec![Fault::None, Fault::Status(404, &[], "")],
            &["0-999999", "1000000-1999999", "0-999999", "1000000-1999999", "2000000-2999999"],
        ),
    ];
    for (what, path, faults, pieces) in cases {
        let (mut case, image, src) = pushed_from();
        case.chunk = 1_000_000;
        case.server.next(path, faults);
        let done = case.push(&src, "a:1", false).unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!(done.moved.copied, 2, "{what}");
        assert_eq!(case.server.blob(&image.layer_digest()), Some(image.layer), "{what}");
        let asked = case.server.requests();
        let ranges: Vec<&str> =
            asked.iter().filter_map(|line| Some(line.split_once("content-range: ")?.1)).collect();
        assert_eq!(ranges, pieces, "{what}: {asked:#?}");
    }
}

#[test]
fn what_is_refused_leaves_no_tag() {
    let (case, image, src) = pushed_from();
    for (path, fault) in [
        ("PUT /blobs/uploads/0", Fault::Status(400, &[], r#"{"errors":[{"code":"DIGEST_INVALID"}]}"#)),
        ("POST /blobs/uploads/", Fault::Status(405, &[], "")),
        (
            "/manifests/2",
            Fault::Status(400, &[], r#"{"errors":[{"code":"MANIFEST_INVALID","message":"no"}]}"#),
        ),
        ("POST /blobs/uploads/", Fault::Headers(&[("Location", "ftp://x")], Box::new(Fault::None))),
    ] {
        let case = Case {
            server: RegistryServer::new(Door::Open),
            dir: tempfile::tempdir().unwrap(),
            ..Case::new(Door::Open)
        };
        std::fs::create_dir(case.dir.path().join("tmp")).unwrap();
        let layout = case.dir.path().join("layout");
        let from = Case::image().0;
        from.with(|ctx| {
            let dst = format!("oci:{}:x", layout.display()).parse().unwrap();
            ops::copy(&from.docker("x/y:1"), &dst, &CopyOptions::default(), ctx)
        })
        .unwrap();
        case.server.always(path, fault);
        let e = case.push(&format!("oci:{}:x", layout.display()), "a:2", false).unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Registry(_)), "{path}: {e:?}");
        assert_eq!(case.server.manifest("a", "2"), None, "{path}");
    }
    // Damage in the store is found before anything of it is sent.
    let path = case.dir.path().join("store/blobs").join(image.layer_digest().replacen(':', "/", 1));
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, vec![9; image.layer.len()]).unwrap();
    let e = case.push(&src, "a/b:2", false).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Verify(_)), "{e:?}");
    assert_eq!(case.server.manifest("a/b", "2"), None);
}

#[test]
fn between_repositories_nothing_is_moved() {
    let (case, image) = Case::image();
    let copy = |to: &str| {
        case.with(|ctx| ops::copy(&case.docker("x/y:1"), &case.docker(to), &CopyOptions::default(), ctx))
    };
    let done = copy("other:1").unwrap();
    assert_eq!((done.moved.mounted, done.moved.copied), (2, 0));
    assert!(case.blob_requests().iter().all(|line| line.starts_with("POST ") && line.contains("from=x/y")));
    assert_eq!(case.server.manifest("other", "1"), Some(image.manifest.clone()));
    // Where that is not allowed, they are sent.
    let refused = Image::new(bytes(50), "");
    refused.put(&case.server, "x/y", "1");
    case.server.next("POST /blobs/uploads/", [Fault::Status(403, &[], "")]);
    let before = case.server.blob(&refused.layer_digest()).unwrap();
    assert_eq!(copy("third:1").unwrap().digest, refused.digest());
    assert_eq!(case.server.blob(&refused.layer_digest()).unwrap(), before);
}

#[test]
fn by_digest_alone_and_by_tag_and_digest() {
    let (case, image, src) = pushed_from();
    case.push(&src, &format!("a@{}", image.digest()), false).unwrap();
    let asked = case.server.requests();
    assert!(asked.iter().filter(|l| l.starts_with("PUT /v2/a/manifests/")).count() == 1, "{asked:?}");
}
