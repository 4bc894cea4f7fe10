//! Layers by hand for the rules, and every layer of the corpus for its contents.

use std::path::Path;

use aurora_engine::body::MemBody;
use aurora_engine::codec;
use aurora_formats::model::Metadata;
use aurora_formats::tar::build;

use super::*;
use crate::ErrorKind;
use crate::ctx::{Cancel, NoProgress, Options};

fn with_ctx<T>(work: impl FnOnce(&Ctx<'_>) -> T) -> (T, Vec<Loss>) {
    let (dir, cancel) = (tempfile::tempdir().unwrap(), Cancel::default());
    let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
    let done = work(&ctx);
    (done, ctx.losses())
}

fn layer(members: &[(&str, build::Content<'_>)]) -> Vec<u8> {
    let mut out = Vec::new();
    for (path, content) in members {
        let len = build::header(path.as_bytes(), *content, &Metadata::default(), &mut out).unwrap();
        out.extend(vec![b'd'; len as usize]);
        out.extend(build::padding_after(len));
    }
    out.extend(build::END);
    out
}

fn path(text: &str) -> EntryPath {
    EntryPath::parse(text.as_bytes()).unwrap()
}

fn lines(changes: &Changeset) -> Vec<String> {
    let line = |change: &FileChange| match change {
        FileChange::Add { entry, content, .. } => {
            let content = content.as_ref().map(|c| c.size);
            format!("+{} {:?} {content:?}", entry.path, entry.node)
        }
        FileChange::Remove(path) => format!("-{path}"),
        FileChange::Opaque(path) => format!("={path}"),
    };
    changes.changes.iter().map(line).collect()
}

#[test]
fn names_and_whiteouts_are_understood() {
    use build::Content::{Dir, File, Hardlink, Symlink};
    let bytes = layer(&[
        ("./a//b/", Dir),
        ("/a/../../c", File(3)),
        ("a/.wh.x", File(9)),
        ("a/.wh.y", Hardlink(b"a/.wh.x")),
        (".wh..wh..opq", File(0)),
        (".wh..wh.plnk", Dir),
        (".wh..wh.plnk/1.2", File(1)),
        ("h", Hardlink(b"../c")),
        ("s", Symlink(b"../../up")),
    ]);
    let (taken, losses) = with_ctx(|ctx| ingest(&mut &bytes[..], None, ctx).unwrap());
    let want = [
        "+a/b Dir None",
        "+c File { size: 3 } Some(3)",
        "-a/x",
        "-a/y",
        "=/",
        "+h Hardlink(\"c\") None",
        "+s Symlink([46, 46, 47, 46, 46, 47, 117, 112]) None",
    ];
    assert_eq!(lines(&taken.changes), want);
    assert_eq!(taken.bytes, bytes.len() as u64);
    assert_eq!(
        losses.iter().filter_map(|l| l.path.clone()).collect::<Vec<_>>(),
        [path(".wh..wh.plnk"), path(".wh..wh.plnk/1.2")]
    );

    let (plain, _) = with_ctx(|ctx| ingest_rootfs(&mut &bytes[..], None, ctx).unwrap());
    assert_eq!(lines(&plain.changes)[2], "+a/.wh.x File { size: 9 } Some(9)");
}

#[test]
fn what_is_no_whiteout_is_refused_where_it_stands() {
    for name in [".wh.", "a/.wh...", ".wh.d/x"] {
        let bytes = layer(&[("first", build::Content::Fifo), (name, build::Content::File(0))]);
        let (error, _) = with_ctx(|ctx| ingest(&mut &bytes[..], None, ctx).map(|_| ()).unwrap_err());
        assert_eq!(error.location().offset, Some(512), "{name}: {error}");
        assert!(matches!(error.kind(), ErrorKind::Whiteout(_)), "{name}: {error}");
    }
    let bytes = layer(&[(".wh.dir", build::Content::Dir)]);
    assert!(with_ctx(|ctx| ingest(&mut &bytes[..], None, ctx).is_err()).0);
}

#[test]
fn damage_says_where() {
    let mut bytes = layer(&[("a", build::Content::File(700)), ("b", build::Content::Fifo)]);
    bytes[3 * 512] = b'x';
    let (error, _) = with_ctx(|ctx| ingest(&mut &bytes[..], None, ctx).map(|_| ()).unwrap_err());
    assert!(error.to_string().starts_with("at 0x600: tar header checksum"), "{error}");
}

/// Every layer of the corpus, spooled and in place, has the same contents.
#[test]
fn contents_are_the_same_wherever_they_are() {
    let blobs = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus/oci/quirks/blobs/sha256");
    let mut layers = 0;
    for blob in aurora_engine::fs::read_dir(&blobs).unwrap() {
        let stored = aurora_engine::fs::read_limited(&blob, 1 << 26).unwrap();
        let mut bytes = Vec::new();
        let (_, mut plain) = codec::reader(Box::new(std::io::Cursor::new(stored)), 1 << 26, 1).unwrap();
        plain.read_to_end(&mut bytes).unwrap();
        if bytes.first() == Some(&b'{') {
            continue;
        }
        let whole: Body = Arc::new(MemBody(bytes.clone()));
        let contents = [None, Some(&whole)].map(|in_place| {
            let (taken, _) = with_ctx(|ctx| ingest(&mut &bytes[..], in_place, ctx).unwrap());
            assert_eq!(taken.bytes, bytes.len() as u64);
            let read = |change: &FileChange| {
                let FileChange::Add { content: Some(content), .. } = change else { return None };
                let mut read = Vec::new();
                content.reader().read_to_end(&mut read).unwrap();
                assert_eq!(read.len() as u64, content.size);
                Some(read)
            };
            taken.changes.changes.iter().map(read).collect::<Vec<_>>()
        });
        assert!(contents[0] == contents[1], "{}", blob.display());
        layers += 1;
    }
    assert!(layers > 100, "few layers: {layers}");
}

#[test]
fn a_stop_is_told_as_one() {
    struct Stopping<'a>(&'a Cancel);
    impl Read for Stopping<'_> {
        fn read(&mut self, _: &mut [u8]) -> std::io::Result<usize> {
            self.0.set();
            Err(std::io::Error::other("stopped"))
        }
    }
    let (dir, cancel) = (tempfile::tempdir().unwrap(), Cancel::default());
    let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
    let error = ingest(&mut Stopping(&cancel), None, &ctx).map(|_| ()).unwrap_err();
    assert!(matches!(error.kind(), ErrorKind::Interrupted), "{error}");
}
