//! The file of a manifest: where it is, and whether it is the one that is meant.

use std::io::{self, Read};
use std::path::{Path, PathBuf};

use aurora_engine::codec::{self, Codec, DETECT_LEN};
use aurora_engine::digest::Sha1Reader;
use aurora_engine::fs;
use aurora_formats::smartos::{FileCompression, ImageFile};
use aurora_formats::zfs::format::{HEADER_COMPOUND, HEADER_TYPE_MASK};
use aurora_formats::zfs::record::{Endian, Header, RECORD_LEN};

use super::library::Entry;
use super::odd;
use crate::names::FileName;
use crate::source::zfs;
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// What files are called behind the manifest's own name.
const ENDINGS: &[&str] = &[
    ".zfs.gz",
    ".zfs.bz2",
    ".zfs.xz",
    ".zfs",
    ".zvol.gz",
    ".zvol.bz2",
    ".zvol.xz",
    ".zvol",
    "-file.zfs.gz",
    "-file.zfs.bz2",
    "-file.zfs.xz",
    "-file.zfs",
    "-file.zvol.gz",
    ".file",
    ".tar.gz",
    ".tar",
    ".layer",
    ".gz",
    ".bz2",
    ".xz",
];

/// What the manifest says of its file; nothing for an image that was never uploaded.
pub(super) fn promised(entry: &Entry) -> Result<ImageFile> {
    Ok(entry.manifest.files()?.into_iter().next().unwrap_or_default())
}

/// Where the file is: beside the manifest, under its name, its uuid or its name and version; or else the only file
/// there of the size that the manifest tells.
pub(super) fn locate(entry: &Entry) -> Result<PathBuf> {
    if let Some(file) = &entry.file {
        return Ok(file.clone());
    }
    let folder = entry.path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
    let manifest = &entry.manifest;
    let mut stems = Vec::new();
    stems.extend(entry.path.file_stem().and_then(|s| s.to_str()).map(str::to_owned));
    stems.push(manifest.uuid()?.to_string());
    if let (Some(name), Some(version)) = (manifest.name()?, manifest.version()?) {
        stems.push(format!("{name}-{version}").replace(['/', ' '], "-"));
    }
    for stem in &stems {
        for ending in ENDINGS {
            let path = folder.join(format!("{stem}{ending}"));
            if fs::is_file(&path) {
                return Ok(path);
            }
        }
    }
    let failed = |e| Error::io(folder.display().to_string(), e);
    if let Some(size) = promised(entry)?.size {
        let mut fitting = Vec::new();
        for path in fs::read_dir(folder).map_err(failed)? {
            if path != entry.path && fs::is_file(&path) && length(&path)? == size {
                fitting.push(path);
            }
        }
        if let [only] = fitting.as_slice() {
            return Ok(only.clone());
        }
    }
    let text = match &entry.dataset {
        Some(dataset) => format!(
            "{} is installed and has no file here; write one with `zfs send {dataset}@final > {}.zfs`",
            dataset, stems[0]
        ),
        None => format!("the file of {}, beside it", entry.path.display()),
    };
    Err(ErrorKind::NoSuchImage(text).into())
}

fn length(path: &Path) -> Result<u64> {
    let failed = |e| Error::io(path.display().to_string(), e);
    Ok(fs::open_input(path).and_then(|file| file.metadata()).map_err(failed)?.len())
}

/// The file, after its size and SHA-1 were found to be those of the manifest.
pub(super) fn verified(entry: &Entry, ctx: &Ctx<'_>) -> Result<PathBuf> {
    let path = locate(entry)?;
    let promised = promised(entry)?;
    let found = hash(&path, &promised, ctx)?;
    if let Some(text) = packed_otherwise(promised.compression, found) {
        odd(text, ctx);
    }
    Ok(path)
}

/// Reads the file and compares; how it is packed by its content.
pub(crate) fn hash(path: &Path, promised: &ImageFile, ctx: &Ctx<'_>) -> Result<Codec> {
    let failed = |e| Error::io(path.display().to_string(), e);
    let file = fs::open_input(path).map_err(failed)?;
    let sha1 = promised.sha1.as_ref().and_then(|s| s.parse().ok());
    // A size that is wrong from the start needs no reading.
    let actual = file.metadata().map_err(failed)?.len();
    let size = promised.size.filter(|size| *size > 0);
    if let Some(expected) = size.filter(|expected| *expected > actual) {
        return Err(aurora_engine::digest::Sha1Error::TooShort { expected, actual }.into());
    }
    let mut reader = Sha1Reader::new(file, sha1, size);
    let (mut prefix, mut buf) = (Vec::new(), vec![0; 1 << 18]);
    loop {
        ctx.check()?;
        match reader.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => {
                ctx.progress.count(Counter::BytesRead, n as u64);
                let missing = DETECT_LEN.saturating_sub(prefix.len()).min(n);
                prefix.extend_from_slice(&buf[..missing]);
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(codec::detect(&prefix))
}

/// imgadm believes the manifest about compression, and so fails where it is wrong.
pub(super) fn packed_otherwise(said: Option<FileCompression>, found: Codec) -> Option<String> {
    let said = said?;
    let is_same = matches!(
        (said, found),
        (FileCompression::None, Codec::None)
            | (FileCompression::Gzip, Codec::Gzip)
            | (FileCompression::Bzip2, Codec::Bzip2)
            | (FileCompression::Xz, Codec::Xz)
    );
    (!is_same).then(|| format!("the manifest says compression {said}, the file is packed with {found}"))
}

/// Of a package (`zfs send -R`) of an image with children `root` and `vroot`: the snapshot with the root file
/// system. `None` for a plain stream, and for a package without such a child.
pub(super) fn root_of_package(path: &Path, ctx: &Ctx<'_>) -> Result<Option<String>> {
    let failed = |e| Error::io(path.display().to_string(), e);
    let file = fs::open_input(path).map_err(failed)?;
    let (_, mut reader) = codec::reader(Box::new(file), ctx.options.max_decoded, 1).map_err(failed)?;
    let mut head = [0; RECORD_LEN];
    if reader.read_exact(&mut head).is_err() {
        // Too short to be anything: reading it says so.
        return Ok(None);
    }
    let begin = Endian::detect(&head).and_then(|endian| Header::parse(&head, endian).ok());
    let Some(Header::Begin(begin)) = begin else { return Ok(None) };
    if begin.version_info & HEADER_TYPE_MASK != HEADER_COMPOUND {
        return Ok(None);
    }
    let streams = zfs::survey(&FileName::Path(path.to_owned()), ctx)?;
    let dataset = |name: &str| name.split_once('@').map_or(name, |(dataset, _)| dataset).to_owned();
    let Some(first) = streams.first().map(|s| dataset(&s.name)) else { return Ok(None) };
    let child = format!("{first}/root");
    Ok(streams.iter().rev().find(|s| dataset(&s.name) == child).map(|s| s.name.clone()))
}
