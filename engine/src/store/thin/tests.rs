//! Thin blobs of every encoding, made, read, damaged and removed.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::*;
use crate::body::{Body, MemBody, SpoolBudget};
use crate::codec::{self, Codec, Compression};
use crate::digest::Digest;
use crate::store::{Access, BlobFault, Result, Store, StoreError, SweepOptions};

fn open(dir: &Path, access: Access) -> Store {
    Store::open(dir, access, &[], &SpoolBudget::new(1 << 20, dir.parent().unwrap())).unwrap()
}

/// Words of a language of 4096 words: levels of packing differ on them.
fn noise(seed: u32, len: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(2_654_435_769) | 1;
    let mut next = |below: u32| {
        state ^= state << 13;
        state ^= state >> 17;
        state ^= state << 5;
        state % below
    };
    let words: Vec<Vec<u8>> =
        (0..4096).map(|_| (0..3 + next(9)).map(|_| b'a' + next(26) as u8).collect()).collect();
    let mut out = Vec::with_capacity(len + 16);
    while out.len() < len {
        // Small numbers more often than large ones.
        let number = next(4096).min(next(4096)).min(next(4096));
        out.extend(&words[number as usize]);
        out.push(b' ');
    }
    out.truncate(len);
    out
}

/// A container of headers of 100 bytes and files, as [`split`] takes it apart.
fn container(head: u8, files: &[&[u8]]) -> Vec<u8> {
    let mut out = Vec::new();
    for file in files {
        let mut header = [head; 100];
        header[..8].copy_from_slice(&(file.len() as u64).to_le_bytes());
        out.extend(header);
        out.extend(*file);
    }
    out
}

fn split(container: &mut dyn Read, pieces: &mut dyn Pieces) -> Result<()> {
    let mut bytes = Vec::new();
    container.read_to_end(&mut bytes).unwrap();
    let mut rest = &bytes[..];
    while let Some((header, behind)) = rest.split_at_checked(100) {
        pieces.inline(header).unwrap();
        let len = u64::from_le_bytes(header[..8].try_into().unwrap()) as usize;
        // In odd pieces: it is for the taker to cut.
        let mut offset = 0;
        for part in behind[..len].chunks(77_777) {
            pieces.content(part, offset).unwrap();
            offset += part.len() as u64;
        }
        rest = &behind[len..];
    }
    Ok(())
}

fn packed(bytes: &[u8], codec: Codec, level: u32) -> Vec<u8> {
    let level = (codec != Codec::None).then_some(level);
    let mut out = codec::writer(Vec::new(), Compression { codec, level }, 2).unwrap();
    out.write_all(bytes).unwrap();
    out.finish().unwrap()
}

fn find(blob: &[u8]) -> Option<Encoding> {
    let body: Body = Arc::new(MemBody(blob.to_vec()));
    Encoding::find(&body).unwrap()
}

/// Stores a blob and makes what stands for it.
fn thin_out(store: &Store, blob: &[u8], contents: &mut Contents) -> (Digest, Outcome) {
    let digest = store.put(blob).unwrap();
    let encoding = find(blob).expect("an encoding that is known");
    let done = store.thin_out::<StoreError>(&digest, encoding, 1 << 30, contents, 2, &split).unwrap();
    (digest, done)
}

fn read(store: &Store, digest: &Digest) -> Vec<u8> {
    let body = store.body(digest).unwrap().unwrap();
    let mut out = Vec::new();
    crate::body::Sequential::new(body).read_to_end(&mut out).unwrap();
    out
}

#[test]
fn encoders_are_known_by_what_they_make() {
    // More than a block of either, and less than one.
    for plain in [noise(1, 5 << 20), noise(2, 300_000), Vec::new()] {
        assert_eq!(find(&packed(&plain, Codec::None, 0)), Some(Encoding::Plain));
        for (codec, level) in
            [Codec::Gzip, Codec::Zstd].into_iter().flat_map(|c| [1, 3, 6, 9].map(|n| (c, n)))
        {
            let blob = packed(&plain, codec, level);
            let found = find(&blob).expect("what was packed here is known");
            let is_right = match found {
                Encoding::Gzip(_) => codec == Codec::Gzip,
                Encoding::Zstd(_) => codec == Codec::Zstd,
                _ => false,
            };
            // Some levels do the same.
            let mut again = found.writer(Vec::new(), 1).unwrap();
            again.write_all(&plain).unwrap();
            assert!(is_right && again.finish().unwrap() == blob, "{codec} {level}: {found:?}");
        }
        assert_eq!(find(&packed(&plain, Codec::Bzip2, 7)), Some(Encoding::Bzip2(7)));
        assert_eq!(find(&packed(&plain, Codec::Xz, 1)), None);
        // As a whole, which nobody here does.
        let mut whole = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::new(6));
        whole.write_all(&noise(1, 5 << 20)).unwrap();
        assert_eq!(find(&whole.finish().unwrap()), None);
        assert_eq!(find(&zstd::bulk::compress(&noise(1, 5 << 20), 3).unwrap()), None);
    }
    let gzip = packed(&noise(3, 1 << 20), Codec::Gzip, 6);
    assert_eq!(find(&gzip[..gzip.len() / 2]), None, "cut short");
    assert_eq!(find(b"\x1f\x8b\x08"), None);
}

#[test]
fn contents_are_kept_once_and_blobs_come_back() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path, Access::Write);
    let (one, two, three) = (noise(1, 400_000), noise(2, 250_000), noise(3, 300_000));
    let padded = [&two[..], &[0; 3000]].concat();
    let mut contents = Contents::default();
    let blobs = [
        packed(&container(1, &[&one, &two]), Codec::Gzip, 6),
        packed(&container(2, &[&two, &three]), Codec::Zstd, 3),
        // Zeros behind a file do not make it another one.
        packed(&container(3, &[&three, &padded, &one]), Codec::None, 0),
        packed(&container(4, &[&one, &three]), Codec::Bzip2, 9),
    ];
    let mut saved = 0;
    let mut digests = Vec::new();
    for (n, blob) in blobs.iter().enumerate() {
        let (digest, done) = thin_out(&store, blob, &mut contents);
        let Outcome::Thin { saved: less } = done else { panic!("{n}: {done:?}") };
        saved += less;
        digests.push(digest);
    }
    drop(store);
    let store = open(&path, Access::Alone);
    assert_eq!(store.slim(&digests).unwrap(), digests);
    assert_eq!(store.slim(&digests).unwrap(), [], "they are thin already");
    let sum: usize = blobs.iter().map(Vec::len).sum();
    let room = store.thin_room().unwrap();
    assert_eq!(sum as u64 - saved, room.sum());
    assert!(room.sum() < 600_000, "three files of 950 000 bytes: {room:?}");
    assert!(store.blobs().unwrap().is_empty());
    assert_eq!(store.thin_blobs().unwrap().len(), 4);
    let meta = std::fs::read_to_string(path.join("aurora/meta.json")).unwrap();
    assert!(meta.contains(r#""incompatible":["thin"]"#), "{meta}");
    for (digest, blob) in digests.iter().zip(&blobs) {
        assert_eq!(store.size(digest).unwrap(), Some(blob.len() as u64));
        assert!(store.land(digest, blob.len() as u64).unwrap().is_none(), "it is there");
        assert!(read(&store, digest) == *blob);
        let mut verified = Vec::new();
        store.reader(digest, blob.len() as u64).unwrap().read_to_end(&mut verified).unwrap();
        let plain = store.unpacked(digest).unwrap().unwrap();
        let (_, mut unpacked) =
            codec::reader(Box::new(std::io::Cursor::new(blob.clone())), 1 << 30, 1).unwrap();
        let mut want = Vec::new();
        unpacked.read_to_end(&mut want).unwrap();
        let mut got = Vec::new();
        crate::body::Sequential::new(plain).read_to_end(&mut got).unwrap();
        assert!(got == want);
    }
    assert_eq!(store.check(&|_| true).unwrap().faults, []);
    for digest in &digests {
        assert!(store.fatten(digest, 2).unwrap());
        assert!(!store.fatten(digest, 2).unwrap());
        assert!(store.unpacked(digest).unwrap().is_none());
    }
    let needed: BTreeSet<Digest> = digests.iter().cloned().collect();
    assert_eq!(store.sweep_thin(&needed, false).unwrap(), room.sum());
    assert_eq!(store.thin_room().unwrap(), ThinRoom::default());
    assert_eq!(store.blobs().unwrap().len(), 4);
    let meta = std::fs::read_to_string(path.join("aurora/meta.json")).unwrap();
    assert!(meta.contains(r#""incompatible":[]"#), "{meta}");
}

/// A store of two images: `a`, whose packed bytes can't be made again, and `b`, thin, which takes contents from it.
fn with_source(path: &Path) -> (Digest, Digest) {
    let store = open(path, Access::Write);
    let (one, two) = (noise(1, 300_000), noise(2, 300_000));
    let a = store.put(&packed(&container(1, &[&one]), Codec::Xz, 1)).unwrap();
    let mut contents = Contents::default();
    store.list_contents::<StoreError>(&a, 1 << 30, &mut contents, &split).unwrap();
    assert!(contents.has(BodyKind::Blob, &a) && contents.len() > 1);
    let (b, done) = thin_out(&store, &packed(&container(2, &[&one, &two]), Codec::Gzip, 9), &mut contents);
    assert!(matches!(done, Outcome::Thin { .. }));
    drop(store);
    let made = std::slice::from_ref(&b);
    assert_eq!(open(path, Access::Alone).slim(made).unwrap(), made);
    (a, b)
}

#[test]
fn what_recipes_need_is_no_garbage() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (a, b) = with_source(&path);
    let store = open(&path, Access::Alone);
    let sources: Vec<_> = store.bodies_of([&b]).unwrap().into_iter().map(|body| body.kind).collect();
    assert_eq!(sources, [BodyKind::Blob, BodyKind::Pack]);
    let taken: u64 = store.body_use([&b]).unwrap().values().sum();
    assert_eq!(taken, 600_000);
    // Nobody needs `a` but `b`.
    let needed = BTreeSet::from([b.clone()]);
    let told = store.sweep(&needed, SweepOptions { dry_run: true }).unwrap();
    let done = store.sweep(&needed, SweepOptions::default()).unwrap();
    assert_eq!((told, done.blobs.len(), done.thin), (done.clone(), 0, 0));
    assert!(store.is_fat(&a).unwrap());
    assert_eq!(store.check(&|_| true).unwrap().faults, []);
    // Nobody needs anything.
    let room = store.thin_room().unwrap().sum();
    let done = store.sweep(&BTreeSet::new(), SweepOptions::default()).unwrap();
    assert_eq!((done.blobs.len(), done.thin), (1, room));
    assert_eq!(store.size(&b).unwrap(), None);
}

#[test]
fn a_removed_source_keeps_a_blob_fat() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path, Access::Write);
    let (b, done) = thin_out(
        &store,
        &packed(&container(2, &[&noise(1, 300_000)]), Codec::None, 0),
        &mut Contents::default(),
    );
    assert!(matches!(done, Outcome::Thin { .. }));
    drop(store);
    // Somebody has collected garbage in between.
    let store = open(&path, Access::Alone);
    store.sweep(&BTreeSet::from([b.clone()]), SweepOptions::default()).unwrap();
    assert_eq!(store.slim(std::slice::from_ref(&b)).unwrap(), []);
    assert!(store.is_fat(&b).unwrap());
}

#[test]
fn little_gain_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let store = open(&path, Access::Write);
    let mut contents = Contents::default();
    let blob = packed(&container(2, &[&noise(1, 300_000)]), Codec::Zstd, 19);
    let (_, done) = thin_out(&store, &blob, &mut contents);
    assert_eq!(done, Outcome::NoGain);
    assert!(contents.is_empty());
    assert_eq!(store.thin_room().unwrap(), ThinRoom::default());
    // An encoding that fits the first block alone is found out.
    let plain = container(2, &[&noise(1, 3 << 20)]);
    let mut lie = packed(&plain, Codec::Gzip, 6);
    let other = packed(&plain, Codec::Gzip, 9);
    let encoding = find(&lie).unwrap();
    lie = other;
    let digest = store.put(&lie).unwrap();
    let done = store.thin_out::<StoreError>(&digest, encoding, 1 << 30, &mut contents, 2, &split).unwrap();
    assert_eq!(done, Outcome::NotTheSame);
    assert_eq!(store.thin_room().unwrap(), ThinRoom::default());
    assert_eq!(std::fs::read_dir(path.join("aurora/partial")).unwrap().count(), 0);
}

fn only_file(dir: PathBuf) -> PathBuf {
    let mut dir = dir;
    loop {
        let names = crate::fs::read_dir(&dir).unwrap();
        assert_eq!(names.len(), 1, "{}", dir.display());
        dir = names.into_iter().next().unwrap();
        if dir.is_file() {
            return dir;
        }
    }
}

type Damage = fn(&mut Vec<u8>);

#[test]
fn damage_to_what_stands_for_a_blob_is_found() {
    let changes: [(&str, Damage); 3] = [
        ("cut", |bytes| bytes.truncate(bytes.len() - 1)),
        ("flipped", |bytes| {
            let at = bytes.len() / 2;
            bytes[at] ^= 4;
        }),
        ("extended", |bytes| bytes.push(0)),
    ];
    for (name, change) in changes.map(|(n, c)| (n, Some(c))).into_iter().chain([("deleted", None)]) {
        for what in ["thin", "packs", "blob", "contents"] {
            let dir = tempfile::tempdir().unwrap();
            let path = dir.path().join("s");
            let (a, b) = with_source(&path);
            let victim = match what {
                "blob" => open(&path, Access::Read).blob_path(&a),
                "contents" => {
                    let (list, hex) = (path.join("aurora/contents/sha256"), a.hex().to_owned());
                    list.join(&hex[..2]).join(hex)
                }
                what => only_file(path.join("aurora").join(what)),
            };
            let mut bytes = std::fs::read(&victim).unwrap();
            std::fs::remove_file(&victim).unwrap();
            if let Some(change) = change {
                change(&mut bytes);
                std::fs::write(&victim, bytes).unwrap();
            }
            let store = open(&path, Access::Read);
            let found = store.check(&|_| true).unwrap();
            let case = format!("{what} {name}: {found:?}");
            let is_thin_fault = |fault: &BlobFault| matches!(fault, BlobFault::Thin { .. });
            let thin_faults = found.faults.iter().filter(|(_, fault)| is_thin_fault(fault)).count();
            match what {
                "contents" => {
                    assert_eq!(found.faults, [], "{case}");
                    assert_eq!(found.records.len(), usize::from(change.is_some()), "{case}");
                    assert_eq!(store.size(&b).unwrap(), Some(read(&store, &b).len() as u64));
                }
                "thin" => {
                    assert_eq!(thin_faults, usize::from(change.is_some()), "{case}");
                    assert_eq!(store.size(&b).unwrap(), None, "{case}");
                }
                _ => {
                    assert_eq!(thin_faults, 1, "{case}");
                    let body = store.body(&b).unwrap().unwrap();
                    let mut bytes = vec![0; body.len() as usize];
                    let e = body.read_exact_at(&mut bytes, 0).err();
                    let is_wrong = e.is_some() || Digest::sha256(&bytes) != b;
                    assert!(is_wrong, "{case}");
                    assert!(store.unpacked(&b).unwrap().is_some());
                    drop(store);
                    assert!(open(&path, Access::Write).fatten(&b, 1).is_err(), "{case}");
                    assert!(!open(&path, Access::Read).is_fat(&b).unwrap(), "{case}");
                }
            }
        }
    }
}

#[test]
fn hostile_records_do_no_harm() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("s");
    let (_, b) = with_source(&path);
    let store = open(&path, Access::Write);
    let good = store.thin_record(&b).unwrap();
    let mut bad = vec![ThinRecord { recipe: b"x".to_vec(), ..good.clone() }];
    bad.push(ThinRecord { bodies: good.bodies[..1].to_vec(), ..good.clone() });
    bad.push(ThinRecord { size: good.size + 1, ..good.clone() });
    bad.push(ThinRecord { encoding: Encoding::Gzip(77), ..good.clone() });
    let mut elsewhere = good.clone();
    elsewhere.bodies[0] = BodyRef::named(BodyKind::Pack, "sha256:../../x", 300_000);
    bad.push(elsewhere);
    let mut endless = good.clone();
    endless.bodies[0] = BodyRef::new(BodyKind::Pack, &Digest::sha256(b"none"), 1 << 60);
    bad.push(endless);
    for (n, record) in bad.into_iter().enumerate() {
        store.save(crate::store::record::Kind::Thin, &b, &record).unwrap();
        assert!(store.fatten(&b, 1).is_err(), "{n}");
        assert!(!store.is_fat(&b).unwrap(), "{n}");
    }
}
