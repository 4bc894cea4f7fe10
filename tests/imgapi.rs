//! The client of image servers against one that does everything wrong: what it says, and what it leaves on disk.
#![allow(clippy::unwrap_used)]

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use aurora_convert::imgapi::{Catalog, ImportOptions, Imported, Server, import, with_client};
use aurora_convert::{Cancel, ClientOptions, Ctx, ErrorKind, NoProgress, Options, Result};
use aurora_engine::digest::{Sha1, Sha1Writer};
use aurora_engine::remote::RemoteError;
use aurora_tests::{Fault, FaultServer, NoWait};

const BASE: &str = "01b2c898-945f-11e1-a523-af1afbe22822";
const TOP: &str = "1f9b7958-289e-4ea3-8f88-5486a40d6823";

fn sha1(bytes: &[u8]) -> Sha1 {
    let mut writer = Sha1Writer::new(Vec::new());
    std::io::Write::write_all(&mut writer, bytes).unwrap();
    writer.finish().1
}

fn bytes(len: usize) -> Vec<u8> {
    (0..len).map(|i| (i * 7 % 251) as u8).collect()
}

fn manifest(uuid: &str, name: &str, file: &[u8], more: &str) -> String {
    format!(
        "{{\"v\":2,\"uuid\":\"{uuid}\",\"name\":\"{name}\",\"version\":\"1.0\",\"type\":\"zone-dataset\",\
         \"os\":\"smartos\",\"published_at\":\"2020-01-01T00:00:00.000Z\",{more}\"files\":[{{\"sha1\":\"{}\",\
         \"size\":{},\"compression\":\"gzip\"}}]}}",
        sha1(file),
        file.len()
    )
}

/// A server with one image, and a folder to bring it to.
struct Case {
    server: FaultServer,
    pace: Arc<NoWait>,
    dir: tempfile::TempDir,
    file: Vec<u8>,
}

impl Case {
    fn new() -> Self {
        let file = bytes(3_000_000);
        let server = FaultServer::new();
        server.add(TOP, manifest(TOP, "web", &file, ""), file.clone());
        Self { server, pace: Arc::default(), dir: tempfile::tempdir().unwrap(), file }
    }

    fn folder(&self) -> PathBuf {
        self.dir.path().join("images")
    }

    fn with_ctx<T>(&self, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
        let mut options = Options::new(self.dir.path().to_owned());
        options.remote = ClientOptions {
            pace: self.pace.clone(),
            use_proxy: false,
            idle: Duration::from_millis(300),
            ..ClientOptions::default()
        };
        let cancel = Cancel::default();
        work(&Ctx::new(options, &NoProgress, &cancel))
    }

    fn with_catalog<T>(&self, work: impl FnOnce(&Catalog<'_>, &Ctx<'_>) -> Result<T>) -> Result<T> {
        self.with_ctx(|ctx| {
            with_client(ctx, |client| {
                let server = Server::new(self.server.url().parse().unwrap(), client);
                work(&Catalog::new(vec![server]), ctx)
            })
        })
    }

    fn import(&self, uuid: &str) -> Result<Vec<Imported>> {
        let options = ImportOptions { folder: self.folder(), jobs: 4 };
        self.with_catalog(|catalog, ctx| {
            import(catalog, uuid.parse().unwrap(), &options, &mut Vec::new(), ctx)
        })
    }

    fn waits(&self) -> Vec<u64> {
        self.pace.waits()
    }

    /// It came, as it is, under its name, and nothing else lies about.
    #[track_caller]
    fn assert_whole(&self) {
        assert_eq!(names(&self.folder()), ["web-1.0.imgmanifest", "web-1.0.zfs.gz"]);
        assert!(std::fs::read(self.folder().join("web-1.0.zfs.gz")).unwrap() == self.file, "other bytes");
    }

    /// It did not come, and nothing has a final name; what there is, is these.
    #[track_caller]
    fn assert_nothing_but(&self, left: &[&str]) {
        assert_eq!(names(&self.folder()), left);
    }
}

fn names(folder: &Path) -> Vec<String> {
    let Ok(entries) = std::fs::read_dir(folder) else { return Vec::new() };
    let mut names: Vec<String> =
        entries.map(|e| e.unwrap().file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

#[test]
fn faults_that_pass_are_mended() {
    type Case_ = (&'static str, &'static str, Vec<Fault>, &'static [&'static str], &'static [u64]);
    let etag = &[("ETag", "\"a\"")];
    let cases: Vec<Case_> = vec![
        ("nothing wrong", "/file", vec![], &[""], &[]),
        ("cut", "/file", vec![Fault::Cut(1_500_000)], &["", " range: bytes=1500000-"], &[500]),
        (
            "cut twice, with an etag",
            "/file",
            vec![
                Fault::Headers(etag, Box::new(Fault::Cut(10))),
                Fault::Headers(etag, Box::new(Fault::Cut(10))),
                Fault::Headers(etag, Box::new(Fault::None)),
            ],
            &["", " range: bytes=10- if-range: \"a\"", " range: bytes=20- if-range: \"a\""],
            &[500, 1000],
        ),
        ("no ranges", "/file", vec![Fault::Cut(1000), Fault::NoRange], &["", " range: bytes=1000-"], &[500]),
        (
            "a range of another place",
            "/file",
            vec![Fault::Cut(1000), Fault::OtherRange],
            &["", " range: bytes=1000-", ""],
            &[500, 1000],
        ),
        (
            "another file by now",
            "/file",
            vec![
                Fault::Headers(etag, Box::new(Fault::Cut(1000))),
                Fault::Headers(&[("ETag", "\"b\"")], Box::new(Fault::None)),
            ],
            &["", " range: bytes=1000- if-range: \"a\"", ""],
            &[500, 1000],
        ),
        (
            "another Content-MD5 by now",
            "/file",
            vec![
                Fault::Headers(&[("Content-MD5", "AAAA")], Box::new(Fault::Cut(1000))),
                Fault::Headers(&[("Content-MD5", "BBBB")], Box::new(Fault::None)),
            ],
            &["", " range: bytes=1000-", ""],
            &[500, 1000],
        ),
        ("closed", "/file", vec![Fault::Close], &["", ""], &[500]),
        (
            "500 twice",
            "/file",
            vec![Fault::Status(500, &[], "x"), Fault::Status(500, &[], "x")],
            &["", "", ""],
            &[500, 1000],
        ),
        ("slow", "/file", vec![Fault::Drip], &[""], &[]),
        ("stalled", "/file", vec![Fault::Stall], &["", ""], &[500]),
        (
            "busy, in seconds",
            "/file",
            vec![Fault::Status(429, &[("Retry-After", "7")], "")],
            &["", ""],
            &[7000],
        ),
        (
            "busy, with a date",
            "/file",
            vec![Fault::Status(503, &[("Retry-After", "Sun, 06 Nov 1994 08:49:47 GMT")], "")],
            &["", ""],
            &[10_000],
        ),
        ("the manifest's server stumbles", TOP, vec![Fault::Status(502, &[], "")], &[""], &[500]),
    ];
    for (what, path, faults, requests, waits) in cases {
        let case = Case::new();
        case.server.next(path, faults);
        if let Err(e) = case.import(TOP) {
            panic!("{what}: {e}");
        }
        case.assert_whole();
        let file = format!("/images/{TOP}/file");
        let log = case.server.requests();
        let got: Vec<&str> = log.iter().filter_map(|line| line.strip_prefix(&file)).collect();
        assert_eq!(got, requests, "{what}");
        assert_eq!(case.waits(), waits, "{what}");
    }
}

#[test]
fn faults_that_stay_are_told_and_leave_no_name() {
    let other = bytes(3_000_001)[1..].to_vec();
    let cases: Vec<(&str, &str, Fault, &str, &[&str])> = vec![
        ("other bytes", "/file", Fault::Body(other), "does not match its sha1", &[]),
        ("announced longer", "/file", Fault::Length(3_000_001), "announces 3000001", &[]),
        ("announced shorter", "/file", Fault::Length(10), "announces 10", &[]),
        ("another length", "/file", Fault::Body(vec![0; 10]), "announces 10", &[]),
        ("longer", "/file", Fault::Longer(vec![0]), "sends more", &[]),
        ("without end", "/file", Fault::Endless, "sends more", &[]),
        ("always cut", "/file", Fault::Cut(1000), "broke off after 6000 bytes", &["web-1.0.zfs.gz.partial"]),
        ("no file", "/file", Fault::Status(404, &[], "nowhere"), "404: nowhere", &["web-1.0.zfs.gz.partial"]),
        (
            "refused",
            "/file",
            Fault::Status(403, &[], r#"{"code":"OperatorOnly","message":"go away"}"#),
            "OperatorOnly: go away",
            &["web-1.0.zfs.gz.partial"],
        ),
        (
            "busy for ever",
            "/file",
            Fault::Status(429, &[("Retry-After", "86400")], ""),
            "seconds: 86400",
            &["web-1.0.zfs.gz.partial"],
        ),
        ("always 500", "/file", Fault::Status(500, &[], "<html>"), "says 500", &["web-1.0.zfs.gz.partial"]),
        (
            "in circles",
            "/file",
            Fault::Redirect(format!("/images/{TOP}/file")),
            "redirected more than 10 times",
            &["web-1.0.zfs.gz.partial"],
        ),
        ("garbage", TOP, Fault::Body(b"<html>hello".to_vec()), "no JSON", &[]),
        ("no manifest", TOP, Fault::Body(b"{}".to_vec()), "no field", &[]),
        ("an endless manifest", TOP, Fault::Endless, "more bytes than 4194304", &[]),
        (
            "another image's manifest",
            TOP,
            Fault::Body(manifest(BASE, "web", b"x", "").into_bytes()),
            "of another image: 01b2c898",
            &[],
        ),
        (
            "a manifest that imgadm refuses",
            TOP,
            Fault::Body(manifest(TOP, "../../etc/\\u0000", b"x", "").into_bytes()),
            "imgadm would refuse",
            &[],
        ),
        (
            "a circle of origins",
            TOP,
            Fault::Body(manifest(TOP, "web", b"x", &format!("\"origin\":\"{TOP}\",")).into_bytes()),
            "circle",
            &[],
        ),
        (
            "an origin that is nowhere",
            TOP,
            Fault::Body(manifest(TOP, "web", b"x", &format!("\"origin\":\"{BASE}\",")).into_bytes()),
            "no such image: 01b2c898",
            &[],
        ),
        (
            "a disabled image",
            TOP,
            Fault::Body(manifest(TOP, "web", b"x", "\"state\":\"disabled\",").into_bytes()),
            "not active but disabled",
            &[],
        ),
    ];
    for (what, path, fault, want, left) in cases {
        let case = Case::new();
        case.server.always(path, fault);
        let e = case.import(TOP).expect_err(what);
        assert!(e.to_string().contains(want), "{what}: {e}");
        case.assert_nothing_but(left);
        assert!(case.waits().len() <= 5, "{what}: tried for ever");
    }
}

#[test]
fn a_download_goes_on_the_next_time() {
    let case = Case::new();
    case.server.next("/file", [Fault::Cut(2_000_000), Fault::Status(404, &[], "")]);
    assert!(case.import(TOP).is_err());
    case.assert_nothing_but(&["web-1.0.zfs.gz.partial"]);
    case.server.requests();
    let imported = case.import(TOP).unwrap();
    assert!(!imported[0].was_there);
    case.assert_whole();
    let log = case.server.requests();
    assert!(log.iter().any(|line| line.ends_with("/file range: bytes=2000000-")), "{log:?}");

    // And is not begun again.
    let imported = case.import(TOP).unwrap();
    assert!(imported[0].was_there);
    assert!(case.server.requests().iter().all(|line| !line.contains("/file")));
}

#[test]
fn what_lies_there_is_believed_only_if_it_is_right() {
    // The beginning of another file.
    let case = Case::new();
    std::fs::create_dir_all(case.folder()).unwrap();
    for (stale, requests) in [(vec![9; 1000], 2), (vec![9; 3_000_000], 1), (vec![9; 4_000_000], 1)] {
        std::fs::write(case.folder().join("web-1.0.zfs.gz.partial"), stale).unwrap();
        case.import(TOP).unwrap();
        case.assert_whole();
        let log = case.server.requests();
        assert_eq!(log.iter().filter(|line| line.contains("/file")).count(), requests, "{log:?}");
        std::fs::remove_dir_all(case.folder()).unwrap();
        std::fs::create_dir_all(case.folder()).unwrap();
    }
    // A whole one that was only never renamed needs no request.
    std::fs::write(case.folder().join("web-1.0.zfs.gz.partial"), &case.file).unwrap();
    case.import(TOP).unwrap();
    case.assert_whole();
    assert!(case.server.requests().iter().all(|line| !line.contains("/file")));
    // A file of that name with other bytes is somebody's and stays.
    std::fs::write(case.folder().join("web-1.0.zfs.gz"), "precious").unwrap();
    let e = case.import(TOP).unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Exists(_)), "{e}");
    assert_eq!(std::fs::read(case.folder().join("web-1.0.zfs.gz")).unwrap(), b"precious");
}

#[test]
fn only_without_a_sha1_the_servers_own_checksum_counts() {
    const RIGHT: &[(&str, &str)] = &[("Content-MD5", "kAFQmDzST7DWlj99KOF/cg==")];
    const WRONG: &[(&str, &str)] = &[("Content-MD5", "AAAAAAAAAAAAAAAAAAAAAA==")];
    let with_sha1 = manifest(TOP, "web", b"abc", "");
    let start = with_sha1.find("\"sha1\"").unwrap();
    let end = with_sha1.find("\"size\"").unwrap();
    let without = format!("{}{}", &with_sha1[..start], &with_sha1[end..]);
    let cases = [
        (&with_sha1, WRONG, ""),
        (&without, RIGHT, ""),
        (&without, WRONG, "does not match its Content-MD5"),
        (&without, &[][..], "neither manifest nor server"),
    ];
    for (manifest, headers, want) in cases {
        let case = Case::new();
        case.server.add(TOP, manifest.clone(), b"abc".to_vec());
        case.server.always("/file", Fault::Headers(headers, Box::new(Fault::None)));
        match case.import(TOP) {
            Ok(_) => assert_eq!(want, ""),
            Err(e) => {
                assert!(!want.is_empty() && e.to_string().contains(want), "{e}");
                case.assert_nothing_but(&[]);
            }
        }
    }
}

#[test]
fn chains_come_base_first_and_stop_at_what_fails() {
    let case = Case::new();
    let base = bytes(1000);
    case.server.add(BASE, manifest(BASE, "web", &base, ""), base);
    let top = manifest(TOP, "web", &case.file, &format!("\"origin\":\"{BASE}\","));
    case.server.add(TOP, top, case.file.clone());

    case.server.always(&format!("{BASE}/file"), Fault::Status(404, &[], ""));
    assert!(case.import(TOP).is_err());
    let left = names(&case.folder());
    assert!(
        left.iter().all(|name| !name.ends_with(".imgmanifest")),
        "no manifest above what is missing: {left:?}"
    );

    case.server.always(&format!("{BASE}/file"), Fault::None);
    let imported = case.import(TOP).unwrap();
    let uuids: Vec<String> = imported.iter().map(|image| image.uuid.to_string()).collect();
    assert_eq!(uuids, [BASE, TOP]);
    // The same name and version twice.
    let names = names(&case.folder());
    let second = format!("web-1.0-{TOP}");
    assert_eq!(names.len(), 4, "{names:?}");
    for name in [
        "web-1.0.imgmanifest",
        "web-1.0.zfs.gz",
        &format!("{second}.imgmanifest"),
        &format!("{second}.zfs.gz"),
    ] {
        assert!(names.iter().any(|n| n == name), "{name}: {names:?}");
    }
    assert!(case.import(TOP).unwrap().iter().all(|image| image.was_there));
}

#[test]
fn lists_come_in_pages() {
    let case = Case::new();
    let uuid = |n: usize| format!("00000000-0000-4000-8000-{n:012}");
    for n in 0..2500 {
        let text = manifest(&uuid(n), "many", b"x", "");
        let date = format!("2021-01-01T00:{:02}:{:02}.000Z", n / 60, n % 60);
        case.server.add(&uuid(n), text.replace("2020-01-01T00:00:00.000Z", &date), b"x".to_vec());
    }
    let list = |filters: &[&str]| {
        let filters: Vec<_> = filters.iter().map(|f| f.parse().unwrap()).collect();
        case.with_catalog(|catalog, ctx| {
            let mut missed = Vec::new();
            let found = catalog.list(&filters, &mut missed, ctx)?;
            Ok((found.len(), missed.into_iter().map(|m| m.error.to_string()).collect::<Vec<_>>()))
        })
    };
    assert_eq!(list(&[]).unwrap(), (2501, vec![]));
    let log = case.server.requests();
    let markers: Vec<&str> = log.iter().map(|line| line.split("marker=").nth(1).unwrap_or("")).collect();
    // The marker's own row comes first again.
    assert_eq!(markers, ["", &uuid(998), &uuid(1997)]);
    // One that does not filter is filtered for.
    assert_eq!(list(&["version=2.0"]).unwrap(), (0, vec![]));
    assert_eq!(list(&["name=web"]).unwrap().0, 1);

    // The same page for ever.
    let page: Vec<String> = (0..1000).map(|n| manifest(&uuid(n), "many", b"x", "")).collect();
    case.server.always("/images", Fault::Body(format!("[{}]", page.join(",")).into_bytes()));
    let (found, missed) = list(&[]).unwrap();
    assert_eq!((found, missed.len()), (0, 1));
    assert!(missed[0].contains("has no end"), "{missed:?}");
    for (body, want) in [(&b"{}"[..], "no array"), (b"[{}]", "no field"), (b"[", "no JSON")] {
        case.server.always("/images", Fault::Body(body.to_vec()));
        let missed = list(&[]).unwrap().1;
        assert!(missed[0].contains(want), "{missed:?}");
    }
}

#[test]
fn one_bad_source_hides_no_other() {
    let case = Case::new();
    let bad = FaultServer::new();
    bad.always("/images", Fault::Status(500, &[], ""));
    bad.always(TOP, Fault::Status(500, &[], ""));
    let (found, listed, missed) = case
        .with_ctx(|ctx| {
            with_client(ctx, |client| {
                let server = |url: String| Server::new(url.parse().unwrap(), client);
                let catalog = Catalog::new(vec![server(bad.url()), server(case.server.url())]);
                let mut missed = Vec::new();
                let found = catalog.find(TOP.parse().unwrap(), &mut missed, ctx)?;
                let listed = catalog.list(&[], &mut missed, ctx)?.len();
                // Nowhere is not said while one could have it.
                let missing = BASE.parse().unwrap();
                bad.always(BASE, Fault::Status(500, &[], ""));
                let e = catalog.find(missing, &mut Vec::new(), ctx).err().unwrap();
                assert!(!e.is_no_such_image(), "{e}");
                bad.always(BASE, Fault::None);
                assert!(catalog.find(missing, &mut Vec::new(), ctx).err().unwrap().is_no_such_image());
                Ok((found.server.url().to_string(), listed, missed))
            })
        })
        .unwrap();
    assert_eq!((found, listed), (case.server.url(), 1));
    assert_eq!(missed.iter().map(|m| m.source.as_str()).collect::<Vec<_>>(), [bad.url(), bad.url()]);
}

#[test]
fn users_are_sent_and_never_told() {
    let case = Case::new();
    case.server.always(TOP, Fault::Status(401, &[], "who are you"));
    let url = case.server.url().replace("http://", "http://me:secret@");
    let e = case
        .with_ctx(|ctx| {
            with_client(ctx, |client| {
                Server::new(url.parse().unwrap(), client).show(TOP.parse().unwrap(), ctx)
            })
        })
        .unwrap_err();
    assert!(matches!(e.kind(), ErrorKind::Remote(RemoteError::Status { status: 401, .. })), "{e}");
    assert!(!format!("{e} {e:?}").contains("secret"), "{e:?}");
    let log = case.server.requests();
    assert!(log[0].ends_with("authorization: Basic bWU6c2VjcmV0"), "{log:?}");
}
