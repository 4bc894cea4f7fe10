//! One stage at a time, in bytes a second.
#![allow(missing_docs, reason = "criterion's macros make items without")]

use std::hint::black_box;
use std::io::{Cursor, Read, Write};

use aurora_engine::codec::{self, Codec, Compression};
use aurora_engine::digest::{Algorithm, Hasher};
use aurora_formats::model::Metadata;
use aurora_formats::tar::build::{self, Content};
use aurora_formats::tar::{Event, Limits, Parser};
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
                let (_, mut reader) = codec::reader(inner, u64::MAX).expect("what was packed unpacks");
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

criterion_group!(benches, digests, codecs, tars);
criterion_main!(benches);
