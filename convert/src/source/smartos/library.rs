//! Manifests in a folder.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aurora_engine::fs;
use aurora_formats::smartos::{Json, MAX_DOCUMENT, Manifest, Record, Uuid};

use crate::store::Original;
use crate::{Error, ErrorKind, Result};

/// What manifests and records are called.
const EXTENSIONS: &[&str] = &["imgmanifest", "dsmanifest", "manifest", "json"];
/// Manifests in one folder: more than any server has images.
const MAX_MANIFESTS: usize = 100_000;

/// A manifest and where it is.
#[derive(Debug, Clone)]
pub(super) struct Entry {
    /// What it says.
    pub(super) manifest: Manifest,
    /// The file it is in.
    pub(super) path: PathBuf,
    /// Of an installed image: the dataset it is in.
    pub(super) dataset: Option<String>,
    /// The file, where it is known from the start: of an image in the local store.
    pub(super) file: Option<PathBuf>,
}

impl From<Original> for Entry {
    fn from(original: Original) -> Self {
        let Original { manifest, path, file } = original;
        Self { manifest, path, dataset: None, file: Some(file) }
    }
}

/// The manifests beside one another.
pub(super) struct Library {
    folder: PathBuf,
    entries: BTreeMap<PathBuf, Entry>,
    by_uuid: BTreeMap<Uuid, PathBuf>,
}

impl Library {
    /// Reads the manifests of a folder, or of the folder of a manifest. What is none is passed over, but for the
    /// path itself.
    pub(super) fn open(path: &Path) -> Result<Self> {
        let is_folder = fs::is_dir(path);
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = if is_folder { path } else { parent }.to_owned();
        let mut library = Self { folder, entries: BTreeMap::new(), by_uuid: BTreeMap::new() };
        if !is_folder {
            library.add(entry(path)?);
        }
        let failed = |e| Error::io(library.folder.display().to_string(), e);
        for found in fs::read_dir(&library.folder).map_err(failed)? {
            let is_candidate = found.extension().is_some_and(|e| EXTENSIONS.iter().any(|known| e == *known));
            if !is_candidate || found == path || !fs::is_file(&found) {
                continue;
            }
            if library.entries.len() >= MAX_MANIFESTS {
                let what = "manifests in a folder";
                return Err(ErrorKind::Limit { what, limit: MAX_MANIFESTS as u64 }.into());
            }
            // Other documents lie about in folders, too.
            if let Ok(entry) = entry(&found) {
                library.add(entry);
            }
        }
        Ok(library)
    }

    fn add(&mut self, entry: Entry) {
        if let Ok(uuid) = entry.manifest.uuid() {
            self.by_uuid.entry(uuid).or_insert_with(|| entry.path.clone());
        }
        self.entries.insert(entry.path.clone(), entry);
    }

    /// The image that a path means: the manifest, or in a folder the only image that no other builds on.
    pub(super) fn pick(&self, path: &Path) -> Result<&Entry> {
        if let Some(entry) = self.entries.get(path) {
            return Ok(entry);
        }
        let origins: BTreeSet<Uuid> =
            self.entries.values().filter_map(|entry| entry.manifest.origin().ok().flatten()).collect();
        let is_top = |entry: &&Entry| !entry.manifest.uuid().is_ok_and(|uuid| origins.contains(&uuid));
        let tops: Vec<&Entry> = self.entries.values().filter(is_top).collect();
        match tops.as_slice() {
            [one] => Ok(one),
            [] => Err(ErrorKind::NoSuchImage(format!("no manifest in {}", self.folder.display())).into()),
            several => Err(ErrorKind::Ambiguous {
                name: path.display().to_string(),
                candidates: several.iter().take(20).map(|e| e.path.display().to_string()).collect(),
            }
            .into()),
        }
    }

    /// All of them, by their paths.
    pub(super) fn entries(&self) -> impl Iterator<Item = &Entry> {
        self.entries.values()
    }

    /// The image of that uuid.
    pub(super) fn find(&self, uuid: Uuid) -> Option<&Entry> {
        self.entries.get(self.by_uuid.get(&uuid)?)
    }
}

/// Reads one manifest, or the record of an installed image.
pub(super) fn entry(path: &Path) -> Result<Entry> {
    let named = |e: Error| e.in_image(path.display().to_string());
    let bytes = match fs::read_limited(path, MAX_DOCUMENT as u64) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
            return Err(ErrorKind::NoSuchImage(path.display().to_string()).into());
        }
        read => read.map_err(|e| Error::io(path.display().to_string(), e))?,
    };
    let parse = || -> Result<Entry> {
        // A plain manifest keeps its bytes.
        let json = Json::parse(&bytes)?;
        let (manifest, dataset) = match Record::from_json(&json) {
            Some(record) => {
                let manifest = Manifest::from_json(record.manifest.into())?;
                let dataset = record.zpool.map(|pool| Ok::<_, Error>(format!("{pool}/{}", manifest.uuid()?)));
                (manifest, dataset.transpose()?)
            }
            None => (Manifest::parse(&bytes)?, None),
        };
        manifest.uuid()?;
        Ok(Entry { manifest, path: path.to_owned(), dataset, file: None })
    };
    parse().map_err(named)
}
