//! Out of a registry.

use aurora_convert::ErrorKind;
use aurora_convert::ops;
use aurora_engine::digest::{Digest, VerifyError};
use aurora_engine::remote::RemoteError;
use aurora_tests::{Door, Fault, HttpServer, RegistryServer, Reply};

use crate::{Case, INDEX, Image, LAYER, MANIFEST, SIZE, bytes, descriptor};

#[test]
fn what_passes_is_mended() {
    let retry: &[(&str, &str)] = &[("Retry-After", "7")];
    // Faults, the ranges that are asked for, and the waits before them.
    type Case_ = (&'static str, Vec<Fault>, &'static [&'static str], &'static [u64]);
    let cases: Vec<Case_> = vec![
        ("nothing wrong", vec![], &[""], &[]),
        ("cut", vec![Fault::Cut(1_000_000)], &["", "bytes=1000000-"], &[500]),
        ("cut, and no range", vec![Fault::Cut(1_000_000), Fault::NoRange], &["", "bytes=1000000-"], &[500]),
        (
            "another range",
            vec![Fault::Cut(1_000_000), Fault::OtherRange],
            &["", "bytes=1000000-", ""],
            &[500, 1000],
        ),
        ("closed", vec![Fault::Close], &["", ""], &[500]),
        ("busy", vec![Fault::Status(429, retry, "")], &["", ""], &[7000]),
        (
            "broken twice",
            vec![Fault::Status(500, &[], ""), Fault::Status(503, &[], "")],
            &["", "", ""],
            &[500, 1000],
        ),
    ];
    for (what, faults, ranges, waits) in cases {
        let (case, image) = Case::image();
        let path = format!("/blobs/{}", image.layer_digest());
        case.server.next(&path, faults);
        let done = case.get("x/y:1").unwrap_or_else(|e| panic!("{what}: {e}"));
        assert_eq!((done.digest, done.moved.copied), (image.digest(), 2), "{what}");
        assert!(case.stored(&image.layer_digest()) == Some(image.layer.clone()), "{what}");
        let asked = case.server.requests();
        let asked: Vec<&str> = asked
            .iter()
            .filter_map(|line| line.strip_prefix(&format!("GET /v2/x/y{path}")))
            .map(|rest| rest.trim_start_matches(" range: "))
            .collect();
        assert_eq!((asked.as_slice(), case.waits().as_slice()), (ranges, waits), "{what}");
        assert_eq!(case.names(), ["1"], "{what}");
    }
}

#[test]
fn what_does_not_pass_leaves_nothing() {
    let other = || Fault::Body(vec![7; SIZE]);
    type Check = fn(&ErrorKind) -> bool;
    let cases: Vec<(&str, Fault, Check)> = vec![
        ("wrong bytes", other(), |e| matches!(e, ErrorKind::Verify(VerifyError::Mismatch { .. }))),
        ("too short", Fault::Length(10), |e| matches!(e, ErrorKind::Remote(RemoteError::Length { .. }))),
        ("too long", Fault::Longer(vec![0]), |e| matches!(e, ErrorKind::Remote(RemoteError::TooLong { .. }))),
        ("endless", Fault::Endless, |e| matches!(e, ErrorKind::Remote(RemoteError::TooLong { .. }))),
        ("gone", Fault::Status(404, &[], ""), |e| matches!(e, ErrorKind::NoSuchImage(_))),
        ("forbidden", Fault::Status(403, &[], ""), |e| {
            matches!(e, ErrorKind::Remote(RemoteError::Status { status: 403, .. }))
        }),
        ("always broken", Fault::Status(500, &[], ""), |e| {
            matches!(e, ErrorKind::Remote(RemoteError::Status { status: 500, .. }))
        }),
    ];
    for (what, fault, check) in cases {
        let (case, image) = Case::image();
        case.server.always(&format!("/blobs/{}", image.layer_digest()), fault);
        let e = case.get("x/y:1").expect_err(what);
        assert!(check(e.kind()), "{what}: {e:?}");
        assert_eq!(e.location().image.as_deref(), Some(image.layer_digest().as_str()), "{what}");
        assert_eq!(case.stored(&image.layer_digest()), None, "{what}");
        assert_eq!(case.stored(&image.digest()), None, "{what}: a manifest without its layer");
        assert!(case.names().is_empty(), "{what}");
    }
}

#[test]
fn a_redirect_takes_no_authorization_along() {
    let (case, image) = (Case::new(Door::Basic("dTpw")), Image::new(bytes(SIZE), ""));
    image.put(&case.server, "x/y", "1");
    case.log_in(r#"{"auth":"dTpw"}"#);
    let layer = image.layer.clone();
    let storage = HttpServer::new(move |_| Reply::new(200, layer.clone()));
    storage.next("/there", [Fault::Cut(500_000)]);
    let to = format!("http://{}/there?signed=1", storage.host());
    case.server.always(&format!("/blobs/{}", image.layer_digest()), Fault::Redirect(to));
    case.get("x/y:1").unwrap();
    let asked = storage.requests();
    assert_eq!(asked, ["GET /there signed=1", "GET /there signed=1 range: bytes=500000-"]);
    let mine = case.server.requests();
    assert!(mine.iter().filter(|l| l.contains("/blobs/")).all(|l| l.contains("authorization: Basic dTpw")));
}

#[test]
fn a_manifest_is_the_one_that_was_asked_for() {
    let (case, image) = Case::image();
    let other = Image::new(bytes(10), "");
    let by_digest = format!("x/y@{}", image.digest());
    case.server.next(&format!("/manifests/{}", image.digest()), [Fault::Body(other.manifest.clone())]);
    let e = case.get(&by_digest).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Verify(VerifyError::Mismatch { .. })), "{e:?}");
    // By tag there is only the registry's own word for it, which must be true.
    let lie = &[(
        "Docker-Content-Digest",
        "sha256:0000000000000000000000000000000000000000000000000000000000000000",
    )];
    case.server.next("/manifests/1", [Fault::Headers(lie, Box::new(Fault::None))]);
    assert!(matches!(case.get("x/y:1").unwrap_err().kind(), ErrorKind::Verify(_)));
    assert!(case.names().is_empty());
    // The right one has no name of its own in the store, and is there.
    assert_eq!(case.get(&by_digest).unwrap().digest, image.digest());
    let found = case.with(ops::store::list).unwrap();
    assert_eq!((found.len(), &found[0].digest, &found[0].name), (1, &image.digest(), &None));
    case.server.next("/manifests/1", [Fault::Endless]);
    assert!(matches!(case.get("x/y:1").unwrap_err().kind(), ErrorKind::Remote(RemoteError::TooLarge { .. })));
    case.server.next("/manifests/1", [Fault::Body(b"<html>".to_vec())]);
    assert!(case.get("x/y:1").is_err());
    assert!(matches!(case.get("x/y:2").unwrap_err().kind(), ErrorKind::NoSuchImage(_)));
}

#[test]
fn the_second_time_nothing_is_fetched() {
    let (case, image) = Case::image();
    assert_eq!(case.get("x/y:1").unwrap().moved.copied, 2);
    assert_eq!(case.blob_requests().len(), 2);
    let again = case.get("x/y:1").unwrap();
    assert_eq!((again.moved.copied, again.moved.bytes, again.moved.there), (0, 0, 2));
    assert_eq!(case.server.requests(), ["GET /v2/x/y/manifests/1"]);
    // Another image with the same layer fetches its config alone.
    let twin = Image::new(image.layer.clone(), r#","annotations":{"a":"b"}"#);
    twin.put(&case.server, "z", "2");
    assert_eq!(case.get("z:2").unwrap().moved.copied, 0, "the config is the same, too");
    assert_eq!(case.blob_requests(), Vec::<String>::new());
    assert_eq!(case.names(), ["1", "2"]);
}

/// An index of two platforms with an attestation, and a signature on it; its digest.
fn with_all(server: &RegistryServer) -> (String, String) {
    let images = [Image::new(bytes(1000), ""), Image::new(bytes(2000), "")];
    let mut list = Vec::new();
    for (image, arch) in images.iter().zip(["amd64", "arm64"]) {
        image.put(server, "x/y", arch);
        let platform = format!(r#","platform":{{"os":"linux","architecture":"{arch}"}}"#);
        list.push(descriptor(MANIFEST, &image.manifest, &platform));
    }
    let attestation = Image::new(b"statement".to_vec(), "");
    attestation.put(server, "x/y", "attestation");
    let unknown = r#","platform":{"os":"unknown","architecture":"unknown"}"#;
    list.push(descriptor(MANIFEST, &attestation.manifest, unknown));
    let index = format!(r#"{{"schemaVersion":2,"mediaType":"{INDEX}","manifests":[{}]}}"#, list.join(","));
    let digest = Digest::sha256(index.as_bytes()).to_string();
    for reference in ["1", &digest] {
        server.put_manifest("x/y", reference, INDEX, index.as_bytes());
    }
    let subject = format!(r#","subject":{}"#, descriptor(INDEX, index.as_bytes(), ""));
    let signature = Image::new(b"signature".to_vec(), &subject);
    server.put_blob("x/y", &signature.config);
    server.put_blob("x/y", &signature.layer);
    server.put_manifest("x/y", &signature.digest(), MANIFEST, &signature.manifest);
    (digest, signature.digest())
}

#[test]
fn an_index_comes_whole_with_what_hangs_on_it() {
    for has_api in [true, false] {
        let case = Case::new(Door::Open);
        let (index, signature) = with_all(&case.server);
        case.server.lists_referrers(has_api);
        if !has_api {
            let manifest = case.server.manifest("x/y", &signature).unwrap();
            let list =
                format!(r#"{{"schemaVersion":2,"manifests":[{}]}}"#, descriptor(MANIFEST, &manifest, ""));
            case.server.put_manifest("x/y", &index.replacen(':', "-", 1), INDEX, list.as_bytes());
        }
        let e = case.get("x/y:1").unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Ambiguous { .. }), "{e:?}");
        let done = case.get_all("x/y:1", true).unwrap();
        assert_eq!((done.digest.as_str(), done.media_type.as_str()), (index.as_str(), INDEX));
        assert!(case.stored(&signature).is_some());
        assert_eq!(case.names(), ["1".to_owned(), index.replacen(':', "-", 1)], "{has_api}");
        assert!(case.with(|ctx| ops::store::fsck(false, ctx)).unwrap().findings.is_empty());

        // To another registry, which has an API for them or has none.
        for other_has_api in [true, false] {
            let other = Case {
                server: RegistryServer::new(Door::Open),
                dir: tempfile::tempdir().unwrap(),
                ..Case::new(Door::Open)
            };
            other.server.lists_referrers(other_has_api);
            let src = format!("{}/x/y:1", case.server.host());
            let to = other.name("a/b:2");
            let options = ops::CopyOptions { all: true, platform: None };
            let done = case.with(|ctx| ops::push(&src.parse().unwrap(), &to, &options, ctx)).unwrap();
            assert_eq!(done.digest, index);
            assert_eq!(other.server.manifest("a/b", "2"), case.stored(&index));
            assert_eq!(other.server.manifest("a/b", &signature), case.stored(&signature));
            let list = other.server.manifest("a/b", &index.replacen(':', "-", 1));
            assert_eq!(list.is_some(), !other_has_api, "the list is made where nobody else makes it");
            assert!(list.is_none_or(|list| String::from_utf8(list).unwrap().contains(&signature)));
        }
    }
}

#[test]
fn one_platform_of_an_index() {
    let case = Case::new(Door::Open);
    with_all(&case.server);
    let options = ops::CopyOptions { all: false, platform: Some("linux/arm64".parse().unwrap()) };
    let done = case.with(|ctx| ops::get(&case.name("x/y:1"), None, &options, ctx)).unwrap();
    assert_eq!((done.media_type.as_str(), done.moved.copied), (MANIFEST, 2));
    assert!(case.stored(&done.digest).is_some());
}

#[test]
fn layers_that_stay_with_their_owner() {
    let layer = bytes(1000);
    let case = Case::new(Door::Open);
    let kind = "application/vnd.oci.image.layer.nondistributable.v1.tar+gzip";
    let storage = {
        let layer = layer.clone();
        HttpServer::new(move |_| Reply::new(200, layer.clone()))
    };
    let urls = format!(r#","urls":["http://{}/layer"]"#, storage.host());
    let image = Image::new(layer.clone(), "");
    let text = String::from_utf8(image.manifest.clone()).unwrap();
    let text = text.replace(&descriptor(LAYER, &layer, ""), &descriptor(kind, &layer, &urls));
    case.server.put_blob("x/y", &image.config);
    case.server.put_manifest("x/y", "1", MANIFEST, text.as_bytes());
    // It is not moved, neither here nor there; who reads the image fetches it from its owner.
    assert_eq!(case.get("x/y:1").unwrap().moved.copied, 1);
    assert!(storage.requests().is_empty());
    assert!(case.with(|ctx| ops::store::fsck(false, ctx)).unwrap().findings.is_empty());
}

#[test]
fn tags_come_in_pages() {
    let (case, image) = Case::image();
    for n in 2..=9 {
        image.put(&case.server, "x/y", &n.to_string());
    }
    case.server.page(4);
    let tags = case.with(|ctx| ops::tags(&case.name("x/y"), ctx)).unwrap();
    assert_eq!(tags, ["1", "2", "3", "4", "5", "6", "7", "8", "9"]);
    assert_eq!(case.server.requests().len(), 3);
    let e = case.with(|ctx| ops::tags(&case.name("no"), ctx)).unwrap_err();
    assert!(e.is_no_such_image());
    let away = &[("Link", "<http://198.51.100.1/v2/>; rel=\"next\"")];
    case.server.always("/tags/list", Fault::Headers(away, Box::new(Fault::None)));
    let e = case.with(|ctx| ops::tags(&case.name("x/y"), ctx)).unwrap_err().to_string();
    assert!(e.contains("another server"), "{e}");
}

#[test]
fn mirrors_are_asked_first_and_may_fail() {
    let (mut case, image) = Case::image();
    let mirror = RegistryServer::new(Door::Open);
    let conf = case.dir.path().join("registries.conf");
    let text = format!(
        "[[registry]]\nprefix = \"r.example/team\"\nlocation = \"{}/x\"\ninsecure = true\n\
         [[registry.mirror]]\nlocation = \"{}/m\"\ninsecure = true\n\
         [[registry]]\nlocation = \"bad.example\"\nblocked = true\n",
        case.server.host(),
        mirror.host()
    );
    std::fs::write(&conf, text).unwrap();
    case.conf = vec![conf];
    let get = |name: &str| {
        let name = name.parse().unwrap();
        case.with(|ctx| ops::get(&name, None, &ops::CopyOptions::default(), ctx))
    };
    assert_eq!(get("r.example/team/y:1").unwrap().moved.copied, 2);
    assert_eq!(mirror.requests(), ["GET /v2/m/y/manifests/1"]);
    let newer = Image::new(bytes(100), "");
    newer.put(&mirror, "m/y", "1");
    assert_eq!(get("r.example/team/y:1").unwrap().digest, newer.digest());
    assert_eq!(case.with(ops::store::list).unwrap()[0].name.as_deref(), Some("r.example/team/y"));
    let e = get("bad.example/x").unwrap_err().to_string();
    assert!(e.contains("bad.example is blocked by"), "{e}");
    drop(image);
}
