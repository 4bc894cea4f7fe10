//! A folder of images: what they are called there, and which of them are there.

use std::path::{Path, PathBuf};

use aurora_engine::fs;
use aurora_formats::smartos::{ImageFile, ImageType, Manifest, Uuid};

use crate::source::smartos::{Shelf, hash};
use crate::{Ctx, Error, ErrorKind, Result};

/// Longest name before the extensions: file systems take 255 bytes, and temporary names are longer than final ones.
const MAX_PREFIX: usize = 180;

/// Where an image is or goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) manifest: PathBuf,
    pub(super) file: PathBuf,
    /// Whether manifest and file are there and are those of the image.
    pub(super) is_there: bool,
}

/// Finds the place of an image in a folder: the one that it has, or `NAME-VERSION` as imgadm calls it, with the uuid
/// behind that where another image is called so. A file that is there is only left as it is or used, never replaced.
pub(super) fn place(
    folder: &Path,
    shelf: &Shelf,
    manifest: &Manifest,
    promised: &ImageFile,
    ctx: &Ctx<'_>,
) -> Result<Place> {
    let uuid = manifest.uuid()?;
    let found = shelf.find(uuid).map(Path::to_owned);
    let manifest_path = match &found {
        Some(path) => path.clone(),
        None => new_name(folder, manifest, uuid)?,
    };
    let mut name = manifest_path.file_stem().unwrap_or_default().to_os_string();
    name.push(extension(manifest, promised)?);
    let file = manifest_path.with_file_name(name);
    let mut is_file_there = false;
    if fs::exists(&file).map_err(|e| Error::io(file.display().to_string(), e))? {
        match hash(&file, promised, ctx) {
            Ok(_) => is_file_there = true,
            Err(e) if matches!(e.kind(), ErrorKind::ImageFile(_)) => {
                let text = format!("{}, which is not the file of {uuid} ({})", file.display(), e.kind());
                return Err(ErrorKind::Exists(text).into());
            }
            Err(e) => return Err(e),
        }
    }
    Ok(Place { is_there: found.is_some() && is_file_there, manifest: manifest_path, file })
}

fn new_name(folder: &Path, manifest: &Manifest, uuid: Uuid) -> Result<PathBuf> {
    let (name, version) = (manifest.name()?.unwrap_or_default(), manifest.version()?.unwrap_or_default());
    let plain = clean(&format!("{name}-{version}"));
    for stem in [plain.clone(), format!("{plain}-{uuid}")] {
        let path = folder.join(format!("{stem}.imgmanifest"));
        if !fs::exists(&path).map_err(|e| Error::io(path.display().to_string(), e))? {
            return Ok(path);
        }
    }
    let path = folder.join(format!("{plain}-{uuid}.imgmanifest"));
    Err(ErrorKind::Exists(format!("{}, which is not the manifest of that image", path.display())).into())
}

/// What `source::smartos` looks for behind the manifest's name.
fn extension(manifest: &Manifest, file: &ImageFile) -> Result<String> {
    let kind = match manifest.image_type()? {
        ImageType::Zvol => ".zvol",
        ImageType::Docker => ".tar",
        _ => ".zfs",
    };
    Ok(format!("{kind}{}", file.compression.map_or("", |c| c.extension())))
}

/// A name for a file, whatever a server says: letters that need no care, and nothing that hides or leads elsewhere.
fn clean(name: &str) -> String {
    let letter = |c: char| if c.is_ascii_alphanumeric() || "._+-".contains(c) { c } else { '-' };
    let name: String = name.chars().map(letter).take(MAX_PREFIX).collect();
    if name.starts_with('.') { format!("_{name}") } else { name }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_leads_elsewhere() {
        let cases = [
            ("base-64-18.1.0", "base-64-18.1.0"),
            ("../../etc/passwd-1", "_..-..-etc-passwd-1"),
            ("a/b c\n\u{1b}é-1", "a-b-c----1"),
        ];
        for (name, want) in cases {
            assert_eq!(clean(name), want);
        }
        assert_eq!(clean(&"x".repeat(1000)).len(), MAX_PREFIX);
    }
}
