//! A store's life: made, filled, checked, swept, damaged.

use std::collections::BTreeSet;
use std::io::{Read, Write};
use std::path::Path;

use super::*;
use crate::body::SpoolBudget;
use crate::digest::{Algorithm, Digest};

fn open(dir: &Path, access: Access) -> Result<Store> {
    let spools = SpoolBudget::new(1 << 20, std::env::temp_dir().as_path());
    Store::open(dir, access, &[("index", b"{}".to_vec()), ("mark", b"1".to_vec())], &spools)
}

fn all(store: &Store) -> Checked {
    store.check(&|_| true).unwrap()
}

#[test]
fn blobs_are_named_by_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("a/store");
    assert!(matches!(open(&path, Access::Read), Err(StoreError::Missing { .. })));
    let store = open(&path, Access::Write).unwrap();
    let one = store.put(b"one").unwrap();
    assert_eq!(store.put(b"one").unwrap(), one);
    let mut upload = store.begin(Algorithm::Sha512).unwrap();
    upload.write_all(b"two").unwrap();
    let (two, size) = upload.commit().unwrap();
    assert_eq!((two.algorithm(), size), (Algorithm::Sha512, 3));
    let big = vec![7; 3 << 20];
    let big_digest = store.put(&big).unwrap();
    let mut read = Vec::new();
    store.reader(&big_digest, big.len() as u64).unwrap().read_to_end(&mut read).unwrap();
    assert!(read == big);
    assert!(store.reader(&big_digest, 5).unwrap().read_to_end(&mut read).is_err(), "longer than promised");
    assert_eq!(store.blobs().unwrap().len(), 3);
    assert!(matches!(store.reader(&Digest::sha256(b"no"), 2), Err(StoreError::NoBlob { .. })));

    let mut wrong = store.begin(Algorithm::Sha256).unwrap();
    wrong.write_all(b"thrEe").unwrap();
    let e = wrong.commit_expected(&Digest::sha256(b"three"), 5).unwrap_err();
    assert!(e.to_string().contains("does not match"), "{e}");
    assert_eq!(store.blobs().unwrap().len(), 3);
    assert!(all(&store).faults.is_empty());
    assert_eq!(std::fs::read_dir(path.join("aurora/partial")).unwrap().count(), 0);
}

#[test]
fn a_directory_of_other_things_is_none() {
    let dir = tempfile::tempdir().unwrap();
    std::fs::write(dir.path().join("letter"), "x").unwrap();
    assert!(matches!(open(dir.path(), Access::Write), Err(StoreError::NotALayout { .. })));
    assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 1, "nothing was made");
    // A layout of another program, and a store whose making was cut short.
    std::fs::write(dir.path().join("mark"), "1").unwrap();
    assert!(!open(dir.path(), Access::Read).unwrap().is_ours());
    assert!(open(dir.path(), Access::Write).unwrap().is_ours());
    std::fs::remove_file(dir.path().join("mark")).unwrap();
    open(dir.path(), Access::Write).unwrap();
    assert!(dir.path().join("mark").exists());
}

#[test]
fn sweeping_leaves_what_is_needed() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Access::Alone).unwrap();
    let (kept, gone) = (store.put(b"kept").unwrap(), store.put(b"gone").unwrap());
    let facts =
        |n| BlobFacts { size: n, codec: "none".into(), decoded_digest: kept.to_string(), decoded_size: n };
    let memo = |of: &Digest| Memo { outputs: vec![(of.to_string(), 4)], payload: "p".into() };
    for of in [&kept, &gone] {
        store.note_facts(of, &facts(4)).unwrap();
        store.note_memo(of, &memo(of)).unwrap();
    }
    let needed = BTreeSet::from([kept.clone()]);
    let told = store.sweep(&needed, SweepOptions { dry_run: true }).unwrap();
    assert_eq!(told, Swept { blobs: vec![(gone.clone(), 4)], kept: 1, records: 2, thin: 0 });
    assert!(store.memo(&gone).is_some(), "nothing was removed");
    assert_eq!(store.sweep(&needed, SweepOptions::default()).unwrap(), told);
    assert_eq!((store.size(&kept).unwrap(), store.size(&gone).unwrap()), (Some(4), None));
    assert_eq!((store.facts(&kept), store.facts(&gone)), (Some(facts(4)), None));
    assert_eq!((store.memo(&kept), store.memo(&gone)), (Some(memo(&kept)), None));
}

#[test]
fn every_damage_is_found_and_put_aside() {
    let dir = tempfile::tempdir().unwrap();
    let store = open(dir.path(), Access::Alone).unwrap();
    let bytes = vec![9; 5000];
    let digest = store.put(&bytes).unwrap();
    let facts = BlobFacts {
        size: 5000,
        codec: "none".into(),
        decoded_digest: digest.to_string(),
        decoded_size: 5000,
    };
    store.note_facts(&digest, &facts).unwrap();
    let path = store.blob_path(&digest);
    let mut flipped = bytes.clone();
    flipped[4999] ^= 0x10;
    let extended = [&bytes[..], b"\0"].concat();
    for (n, damaged) in [&bytes[..4999], b"", &flipped, &extended].into_iter().enumerate() {
        std::fs::remove_file(&path).unwrap();
        std::fs::write(&path, damaged).unwrap();
        let found = all(&store);
        assert!(matches!(found.faults[..], [(_, BlobFault::Content { .. })]), "{n}: {found:?}");
        let aside = store.quarantine(&found.faults[0].0).unwrap();
        assert!(dir.path().join(aside).exists() && !path.exists());
        assert_eq!(all(&store).records.len(), 1, "facts about a blob that is not there");
        store.put(&bytes).unwrap();
        assert_eq!(all(&store), Checked { blobs: 1, bytes: 5000, ..Checked::default() });
    }
    assert_eq!(std::fs::read_dir(dir.path().join("aurora/quarantine")).unwrap().count(), 4);

    // One of another size is replaced by whoever brings the right one.
    std::fs::remove_file(&path).unwrap();
    std::fs::write(&path, &bytes[..10]).unwrap();
    store.put(&bytes).unwrap();
    assert!(all(&store).faults.is_empty());

    // Damaged records are no records, and no errors.
    let record = store.record_path(super::record::Kind::Blob, &digest);
    std::fs::remove_file(&record).unwrap();
    std::fs::write(&record, b"rubbish").unwrap();
    assert_eq!(store.facts(&digest), None);
    let found = all(&store);
    assert_eq!((found.faults.len(), found.records.len()), (0, 1));
    store.forget(&found.records[0]).unwrap();
    store.note_facts(&digest, &facts).unwrap();
    assert_eq!((store.facts(&digest), all(&store).records.len()), (Some(facts), 0));

    std::fs::write(dir.path().join("blobs/sha256/README"), "x").unwrap();
    assert_eq!(all(&store).faults.len(), 1);
    std::fs::remove_dir_all(dir.path().join("aurora")).unwrap();
    drop(store);
    assert!(all(&open(dir.path(), Access::Write).unwrap()).records.is_empty());
}

#[test]
fn who_removes_is_alone() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), Access::Write).unwrap());
    let other = std::fs::File::open(dir.path().join("aurora/lock")).unwrap();
    for access in [Access::Read, Access::Write] {
        let store = open(dir.path(), access).unwrap();
        assert!(other.try_lock().is_err(), "{access:?}: somebody could remove what it needs");
        assert!(other.try_lock_shared().is_ok(), "{access:?}: others may do the same");
        other.unlock().unwrap();
        drop(store);
    }
    let store = open(dir.path(), Access::Alone).unwrap();
    assert!(other.try_lock_shared().is_err());
    drop(store);
    assert!(other.try_lock().is_ok());
}

#[test]
fn leftovers_are_gone_at_the_next_start() {
    let dir = tempfile::tempdir().unwrap();
    drop(open(dir.path(), Access::Write).unwrap());
    std::fs::write(dir.path().join("aurora/partial/1-1"), "of a process that was killed").unwrap();
    let store = open(dir.path(), Access::Write).unwrap();
    let upload = store.begin(Algorithm::Sha256).unwrap();
    assert_eq!(std::fs::read_dir(dir.path().join("aurora/partial")).unwrap().count(), 1);
    let other = open(dir.path(), Access::Write).unwrap();
    assert!(upload.commit().is_ok(), "one that is being written is no leftover");
    assert_eq!(std::fs::read_dir(other.dir().join("aurora/partial")).unwrap().count(), 0);
}

#[test]
fn updates_of_one_file_do_not_get_lost() {
    let dir = tempfile::tempdir().unwrap();
    let update = |store: &Store| {
        store.update("index", 1 << 20, |old| {
            let mut bytes = old.unwrap_or_default();
            bytes.push(b'x');
            Ok::<_, StoreError>(Some(bytes))
        })
    };
    std::thread::scope(|scope| {
        for _ in 0..4 {
            scope.spawn(|| (0..25).for_each(|_| update(&open(dir.path(), Access::Write).unwrap()).unwrap()));
        }
    });
    let store = open(dir.path(), Access::Read).unwrap();
    assert_eq!(store.read("index", 1 << 20).unwrap().unwrap(), [b"{}".to_vec(), vec![b'x'; 100]].concat());
    assert!(store.read("index", 5).is_err() && store.read("none", 5).unwrap().is_none());
}
