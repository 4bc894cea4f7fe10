//! Reading and writing images in one call each.

use std::path::{Path, PathBuf};

use aurora_convert::names::ImageName;
use aurora_convert::sink::{self, WriteOptions};
use aurora_convert::source::{self, ReadOptions};
use aurora_convert::{Cancel, Ctx, Layers, Loaded, NoProgress, Options, Result};
use tempfile::TempDir;

/// A scratch folder with the options of conversions in it.
pub struct Run {
    dir: TempDir,
    /// Threads for all that is done here.
    pub threads: usize,
    /// Bytes of content held in memory.
    pub memory: u64,
}

impl Default for Run {
    fn default() -> Self {
        let dir = tempfile::tempdir().expect("a temporary folder can be made");
        Self { dir, threads: 1, memory: 64 << 20 }
    }
}

impl Run {
    /// One thread and a fresh folder.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many threads, so much content in memory.
    pub fn with(threads: usize, memory: u64) -> Self {
        Self { threads, memory, ..Self::default() }
    }

    /// A path in the scratch folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    /// `FORM:PATH` in the scratch folder.
    pub fn image(&self, form: &str, name: &str) -> String {
        format!("{form}:{}", self.path(name).display())
    }

    /// Does something with a context of this run's options.
    pub fn with_ctx<T>(&self, work: impl FnOnce(&Ctx<'_>) -> T) -> T {
        let cancel = Cancel::default();
        let mut options = Options::new(self.dir.path().to_owned());
        options.threads = self.threads;
        options.memory = self.memory;
        work(&Ctx::new(options, &NoProgress, &cancel))
    }

    /// Reads an image.
    pub fn read(&self, image: &str, layers: Layers, origins: &[String]) -> Result<Loaded> {
        let origins = origins.iter().map(|o| name(o)).collect();
        let options = ReadOptions { layers, origins, ..ReadOptions::default() };
        self.with_ctx(|ctx| source::read(&name(image), &options, ctx))
    }

    /// Writes an image.
    pub fn write(&self, loaded: &Loaded, image: &str) -> Result<()> {
        self.with_ctx(|ctx| sink::write(loaded, &name(image), &WriteOptions::default(), ctx)).map(drop)
    }

    /// Reads and writes.
    pub fn convert(&self, from: &str, to: &str, layers: Layers) -> Result<()> {
        let loaded = self.read(from, layers, &[])?;
        self.write(&loaded, to)
    }

    /// The listing of an image, squashed.
    pub fn ls(&self, image: &str) -> Vec<serde_json::Value> {
        let loaded = self.read(image, Layers::Squash, &[]).unwrap_or_else(|e| panic!("{image}: {e}"));
        crate::list(&loaded, self)
    }

    /// All bytes of a file, or of every file of a folder with its name, in order.
    pub fn bytes(&self, path: &Path) -> Vec<(String, Vec<u8>)> {
        let mut found = Vec::new();
        gather(path, String::new(), &mut found);
        found.sort();
        found
    }
}

fn gather(path: &Path, name: String, out: &mut Vec<(String, Vec<u8>)>) {
    if path.is_dir() {
        for entry in std::fs::read_dir(path).unwrap() {
            let entry = entry.unwrap();
            gather(&entry.path(), format!("{name}/{}", entry.file_name().to_string_lossy()), out);
        }
    } else {
        out.push((name, std::fs::read(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()))));
    }
}

fn name(text: &str) -> ImageName {
    text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
}

/// The message of what failed; a panic if it did not.
pub fn error_of(what: &str, result: Result<Loaded>) -> String {
    match result {
        Err(error) => error.to_string(),
        Ok(_) => panic!("{what}: was taken"),
    }
}
