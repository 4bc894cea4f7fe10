//! One stage at a time, in bytes a second.
#![allow(missing_docs, reason = "criterion's macros make items without")]

use std::hint::black_box;
use std::io::{Cursor, Read, Write};
use std::sync::Arc;

use aurora_convert::tree::{self, Changeset, FileChange};
use aurora_engine::body::{Body, MemBody, SpoolBudget};
use aurora_engine::codec::{self, Codec, Compression};
use aurora_engine::digest::{Algorithm, Hasher};
use aurora_engine::recipe::{self, Builder};
use aurora_engine::store::{Access, BlobFacts, Store};
use aurora_formats::model::{Entry, EntryPath, Metadata, Node};
use aurora_formats::tar::build::{self, Content};
use aurora_formats::tar::{Event, Limits, Parser};
use aurora_formats::zfs::build::zap;
use aurora_formats::zfs::checksum::Fletcher4;
use aurora_formats::zfs::record::Endian;
use criterion::{Criterion, Throughput, criterion_group, criterion_main};

/// Bytes that compress some three to one, like programs do.
fn data(len: usize) -> Vec<u8> {
    let mut state = 1_u64;
    let mut out = Vec::with_capacity(len + 64);
    while out.len() < len {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        out.extend_from_slice(&state.to_le_bytes()[3..]);
        out.extend_from_slice(&b"the quick brown fox"[..(state >> 60) as usize]);
    }
    out.truncate(len);
    out
}

fn digests(c: &mut Criterion) {
    let bytes = data(8 << 20);
    let mut group = c.benchmark_group("digest");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.bench_function("sha256", |b| {
        b.iter(|| {
            let mut hasher = Hasher::new(Algorithm::Sha256);
            hasher.update(black_box(&bytes));
            hasher.finish()
        });
    });
    group.bench_function("fletcher4", |b| {
        b.iter(|| {
            let mut sum = Fletcher4::new(Endian::Little);
            sum.update(black_box(&bytes));
            sum.sum()
        });
    });
    group.finish();
}

fn codecs(c: &mut Criterion) {
    let bytes = data(8 << 20);
    let mut group = c.benchmark_group("codec");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.sample_size(20);
    for codec in [Codec::Gzip, Codec::Zstd, Codec::Bzip2, Codec::Xz] {
        let pack = |threads| {
            let compression = Compression { codec, level: None };
            let mut encoder = codec::writer(Vec::new(), compression, threads).expect("memory can be written");
            encoder.write_all(&bytes).expect("memory can be written");
            encoder.finish().expect("memory can be written")
        };
        group.bench_function(format!("{} pack", codec.name()), |b| b.iter(|| pack(1)));
        let packed = pack(1);
        group.bench_function(format!("{} unpack", codec.name()), |b| {
            b.iter(|| {
                let inner = Box::new(Cursor::new(packed.clone()));
                let (_, mut reader) = codec::reader(inner, u64::MAX, 1).expect("what was packed unpacks");
                let mut buf = vec![0; 1 << 17];
                let mut total = 0;
                loop {
                    match reader.read(&mut buf).expect("what was packed unpacks") {
                        0 => break total,
                        n => total += n,
                    }
                }
            });
        });
    }
    group.finish();
}

/// An archive of many small files.
fn archive(files: usize) -> Vec<u8> {
    let mut out = Vec::new();
    let meta = Metadata { mode: 0o644, ..Metadata::default() };
    let body = data(2000);
    for n in 0..files {
        let path = format!("usr/share/doc/package-{}/a file of some name {n}", n % 100);
        let stored = build::header(path.as_bytes(), Content::File(body.len() as u64), &meta, &mut out)
            .expect("the entry can be written");
        out.extend_from_slice(&body);
        out.extend_from_slice(build::padding_after(stored));
    }
    out.extend_from_slice(&build::END);
    out
}

fn tars(c: &mut Criterion) {
    let bytes = archive(5000);
    let mut group = c.benchmark_group("tar");
    group.throughput(Throughput::Elements(5000));
    group.bench_function("parse", |b| {
        b.iter(|| {
            let mut parser = Parser::new(Limits::default());
            let (mut rest, mut members) = (&bytes[..], 0);
            loop {
                let step = parser.parse(rest, true).expect("what was built parses");
                rest = &rest[step.consumed..];
                match step.event {
                    Event::Member(_) => members += 1,
                    Event::End(_) => break members,
                    Event::Data(_) | Event::More => {}
                }
            }
        });
    });
    group.bench_function("build", |b| b.iter(|| archive(black_box(5000))));
    group.finish();
}

/// Two layers of many small files, one upon the other, become trees.
fn trees(c: &mut Criterion) {
    let changes = Changeset {
        changes: (0..5000)
            .map(|n| {
                let name = format!("usr/share/doc/package-{}/a file of some name {n}", n % 100);
                let path = EntryPath::parse(name.as_bytes()).expect("it is a plain path");
                let entry = Entry { path, node: Node::File { size: 0 }, meta: Metadata::default() };
                FileChange::Add { entry, content: None, offset: 0 }
            })
            .collect(),
    };
    let lower = tree::apply(None, &changes).expect("there is nothing to refuse");
    let mut group = c.benchmark_group("tree");
    group.throughput(Throughput::Elements(5000));
    group.bench_function("resolve", |b| b.iter(|| tree::apply(Some(&lower), black_box(&changes))));
    group.bench_function("walk", |b| b.iter(|| black_box(&lower).walk()));
    group.finish();
}

fn zaps(c: &mut Criterion) {
    let names: Vec<String> = (0..5000).map(|n| format!("a file of some name {n}")).collect();
    let entries: Vec<(&[u8], u64)> =
        names.iter().zip(128..).map(|(name, id)| (name.as_bytes(), id)).collect();
    let mut group = c.benchmark_group("zap");
    group.throughput(Throughput::Elements(entries.len() as u64));
    group.bench_function("build", |b| {
        b.iter(|| zap::build(black_box(&entries), 1).expect("names of a directory make a ZAP"));
    });
    group.finish();
}

fn stores(c: &mut Criterion) {
    let dir = tempfile::tempdir().expect("a temporary folder can be made");
    let spools = SpoolBudget::new(64 << 20, dir.path());
    let store =
        Store::open(&dir.path().join("s"), Access::Write, &[], &spools).expect("a store can be made there");
    let mut bytes = data(4 << 20);
    let mut group = c.benchmark_group("store");
    group.throughput(Throughput::Bytes(bytes.len() as u64));
    group.sample_size(20);
    let mut number = 0_u64;
    group.bench_function("put, synced", |b| {
        b.iter(|| {
            number += 1;
            bytes[..8].copy_from_slice(&number.to_le_bytes());
            store.put(&bytes).expect("there is room")
        });
    });
    let digest = store.put(&bytes).expect("there is room");
    group.bench_function("get, verified", |b| {
        b.iter(|| {
            let mut reader = store.reader(&digest, bytes.len() as u64).expect("it was put there");
            std::io::copy(&mut reader, &mut std::io::sink()).expect("it is as it was put there")
        });
    });
    group.finish();
    let facts = BlobFacts {
        size: bytes.len() as u64,
        codec: "gzip".to_owned(),
        decoded_digest: digest.to_string(),
        decoded_size: 1 << 30,
    };
    let mut group = c.benchmark_group("index");
    group.throughput(Throughput::Elements(1));
    group.bench_function("record, written and synced", |b| {
        b.iter(|| store.note_facts(&digest, &facts).expect("there is room"));
    });
    group.bench_function("record, read", |b| {
        b.iter(|| store.facts(black_box(&digest)).expect("it was noted"));
    });
    group.finish();
}

fn recipes(c: &mut Criterion) {
    let body: Body = Arc::new(MemBody(data(8 << 20)));
    let mut builder = Builder::new().expect("memory can be written");
    for n in 0..4000_u64 {
        builder.inline(&[0; 512]).expect("memory can be written");
        builder.slice(0, n * 2000, 2000).expect("memory can be written");
    }
    let recipe = builder.finish().expect("memory can be written");
    let mut group = c.benchmark_group("recipe");
    group.throughput(Throughput::Bytes(recipe.length()));
    group.bench_function("replay", |b| {
        b.iter(|| {
            let bodies = [Arc::clone(&body)];
            recipe::replay(&recipe, &bodies, &mut std::io::sink()).expect("it was made of this body");
        });
    });
    group.finish();
}

criterion_group!(benches, digests, codecs, tars, trees, zaps, stores, recipes);
criterion_main!(benches);
