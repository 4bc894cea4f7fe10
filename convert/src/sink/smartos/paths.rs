//! How manifests and files are called.

use std::path::{Path, PathBuf};

use aurora_engine::fs;
use aurora_formats::smartos::{FileCompression, ImageType, Manifest};

use crate::{Error, ErrorKind, Result};

/// What manifests end in.
pub(crate) const MANIFEST_EXTENSION: &str = "imgmanifest";

/// Longest name before the extensions: file systems take 255 bytes, and temporary names are longer than final ones.
const MAX_PREFIX: usize = 180;

/// Where everything goes.
pub(super) struct Paths {
    folder: PathBuf,
    pairs: Vec<(PathBuf, PathBuf)>,
}

impl Paths {
    /// A path that ends in `.imgmanifest` or `.json` is the last image's manifest; any other is a folder, in which
    /// the files are called `NAME-VERSION` as imgadm has it. The images below it are called by their uuids.
    pub(super) fn choose(path: &Path, manifests: &[Manifest], compression: FileCompression) -> Result<Self> {
        let extension = path.extension().and_then(|e| e.to_str());
        let is_manifest = matches!(extension, Some(MANIFEST_EXTENSION | "json")) && !fs::is_dir(path);
        let parent = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
        let folder = if is_manifest { parent } else { path };
        let mut pairs = Vec::new();
        for (number, manifest) in manifests.iter().enumerate() {
            let is_top = number + 1 == manifests.len();
            let kind = if manifest.image_type() == Ok(ImageType::Zvol) { "zvol" } else { "zfs" };
            let file = format!("{kind}{}", compression.extension());
            let prefix = match (is_top, is_manifest) {
                (true, true) => path.file_stem().unwrap_or_default().to_os_string(),
                (true, false) => {
                    let (name, version) = (manifest.name()?, manifest.version()?);
                    clean(&format!("{}-{}", name.unwrap_or_default(), version.unwrap_or_default())).into()
                }
                (false, _) => manifest.uuid()?.to_string().into(),
            };
            let named = |extension: &str| {
                let mut name = prefix.clone();
                name.push(".");
                name.push(extension);
                folder.join(name)
            };
            let manifest = if is_top && is_manifest { path.to_owned() } else { named(MANIFEST_EXTENSION) };
            pairs.push((manifest, named(&file)));
        }
        Ok(Self { folder: folder.to_owned(), pairs })
    }

    /// Where everything is below.
    pub(super) fn folder(&self) -> &Path {
        &self.folder
    }

    /// The manifest of a step.
    pub(super) fn manifest(&self, number: usize) -> &Path {
        &self.pairs[number].0
    }

    /// The file of a step.
    pub(super) fn file(&self, number: usize) -> &Path {
        &self.pairs[number].1
    }

    /// Fails where something bears one of the names already.
    pub(super) fn must_be_free(&self) -> Result<()> {
        for path in self.pairs.iter().flat_map(|(manifest, file)| [manifest, file]) {
            let name = path.display().to_string();
            if fs::exists(path).map_err(|e| Error::io(name.as_str(), e))? {
                return Err(ErrorKind::Exists(name).into());
            }
        }
        Ok(())
    }
}

/// A name for a file: no slash, no space, and nothing that hides or leads elsewhere.
fn clean(name: &str) -> String {
    let name: String =
        name.chars().map(|c| if matches!(c, '/' | ' ') { '-' } else { c }).take(MAX_PREFIX).collect();
    if name.starts_with('.') { format!("_{name}") } else { name }
}
