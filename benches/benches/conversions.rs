//! Whole conversions of corpus data. `AURORA_BENCH_IMAGE=oci:DIR:TAG` adds an image of one's own.
#![allow(missing_docs, reason = "criterion's macros make items without")]

use std::path::Path;

use aurora_convert::names::ImageName;
use aurora_convert::sink::{self, WriteOptions};
use aurora_convert::source::{self, ReadOptions};
use aurora_convert::{Cancel, Ctx, NoProgress, Options};
use criterion::{Criterion, criterion_group, criterion_main};

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

criterion_group!(benches, conversions);
criterion_main!(benches);
