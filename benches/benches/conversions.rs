//! Forms read and written, and whole conversions of corpus data. `AURORA_BENCH_IMAGE=oci:DIR:TAG` adds an image of one's own.
#![allow(missing_docs, reason = "criterion's macros make items without")]

use std::path::Path;

use aurora_convert::names::ImageName;
use aurora_convert::sink::{self, WriteOptions};
use aurora_convert::source::{self, ReadOptions};
use aurora_convert::{Cancel, Ctx, Loaded, NoProgress, Options};
use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};

fn convert(from: &str, to: &str, temp: &Path) {
    let cancel = Cancel::default();
    let mut options = Options::new(temp.to_owned());
    options.threads = std::thread::available_parallelism().map_or(1, usize::from);
    let ctx = Ctx::new(options, &NoProgress, &cancel);
    let name = |text: &str| text.parse::<ImageName>().expect("a benchmark's name is valid");
    let loaded = source::read(&name(from), &ReadOptions::default(), &ctx).expect("the corpus reads");
    let write = WriteOptions { force: true, ..WriteOptions::default() };
    sink::write(&loaded, &name(to), &write, &ctx).expect("the corpus can be written");
}

/// Files of a tree that is read and written form by form.
const FILES: usize = 10_000;

/// Reading and writing apart from each other: a tree of many small files, in entries a second.
fn forms(c: &mut Criterion) {
    let temp = tempfile::tempdir().expect("a temporary folder can be made");
    let path = |name: &str| temp.path().join(name);
    for n in 0..FILES {
        let dir = path("tree").join(format!("dir-{}", n % 100));
        std::fs::create_dir_all(&dir).expect("the folder is ours");
        std::fs::write(dir.join(format!("file-{n}")), vec![b'x'; n % 4000]).expect("there is room");
    }
    let cancel = Cancel::default();
    let mut options = Options::new(temp.path().to_owned());
    options.threads = std::thread::available_parallelism().map_or(1, usize::from);
    let ctx = Ctx::new(options, &NoProgress, &cancel);
    let name = |form: &str, file: &str| {
        format!("{form}:{}", path(file).display()).parse::<ImageName>().expect("a benchmark's name is valid")
    };
    let read = |from: &ImageName| {
        source::read(from, &ReadOptions::default(), &ctx).expect("what was written can be read")
    };
    let write = |loaded: &Loaded, to: &ImageName| {
        let options = WriteOptions { force: true, ..WriteOptions::default() };
        sink::write(loaded, to, &options, &ctx).expect("there is room");
    };
    let tree = read(&name("dir", "tree"));
    let mut group = c.benchmark_group("form");
    group.throughput(Throughput::Elements(FILES as u64));
    group.sample_size(10);
    for form in ["tar", "zfs", "oci-archive"] {
        let file = name(form, form);
        group.bench_function(format!("{form}, written"), |b| b.iter(|| write(&tree, &file)));
        group.bench_function(format!("{form}, read"), |b| b.iter(|| read(&file)));
    }
    group.bench_function("dir, read", |b| b.iter(|| read(&name("dir", "tree"))));
    let mut number = 0;
    group.bench_function("dir, written", |b| {
        b.iter_batched(
            || {
                let _ = std::fs::remove_dir_all(path(&format!("out-{number}")));
                number += 1;
                name("dir", &format!("out-{number}"))
            },
            |to| write(&tree, &to),
            BatchSize::PerIteration,
        );
    });
    group.finish();
}

fn conversions(c: &mut Criterion) {
    let corpus = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let temp = tempfile::tempdir().expect("a temporary folder can be made");
    let mut sources = vec![
        ("fatzap stream".to_owned(), format!("zfs:{}", corpus.join("zfs/fatzap.zfs.gz").display())),
        ("increments' base".to_owned(), format!("zfs:{}", corpus.join("zfs/inc-full-a.zfs.gz").display())),
        ("128 layers".to_owned(), format!("oci:{}:manifest-128-layers", corpus.join("oci/quirks").display())),
    ];
    if let Ok(image) = std::env::var("AURORA_BENCH_IMAGE") {
        sources.push((image.clone(), image));
    }
    let mut group = c.benchmark_group("convert");
    group.sample_size(10);
    for (name, from) in &sources {
        for form in ["zfs", "oci-archive", "tar"] {
            let to = format!("{form}:{}", temp.path().join(form).display());
            group.bench_function(format!("{name} to {form}"), |b| b.iter(|| convert(from, &to, temp.path())));
        }
    }
    group.finish();
}

criterion_group!(benches, forms, conversions);
criterion_main!(benches);
