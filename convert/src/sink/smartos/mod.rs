//! Writes SmartOS images: manifest and file as `imgadm install` takes them, one pair for each step.
//!
//! The stream is of the plainest kind: one snapshot, `zones/UUID@final`, no features, records of at most 128 KiB. The
//! root file system lies below `root/`; whoever calls has placed it there. The files get their names when all of
//! them are whole, manifests after streams and origins before what builds on them, so that what has a name can be
//! installed.

mod increment;
mod output;
mod paths;

use std::path::Path;

use aurora_engine::codec::{Codec, Compression};
use aurora_engine::fs;
use aurora_formats::smartos::{
    FileCompression, ImageFile, ImageType, Json, Manifest, Object, Profile, Uuid, to_iso, validate,
};

pub(crate) use self::increment::{Increment, write_increment};
use self::output::{Finished, Output};
use self::paths::Paths;
use crate::image::smartos::{Payload, default_uuid, layer_uuid, to_manifest};
use crate::lineage::{Lineage, Loaded, Volume};
use crate::sink::zfs::{write_apart, write_volumes_apart};
use crate::sink::{Outcome, Target, WriteOptions};
use crate::{Ctx, Error, ErrorKind, Result};

/// Where SmartOS has its images; receivers put another pool in its place.
const POOL: &str = "zones";

/// What a manifest's owner, name and rights are, for the steps below the last.
const INHERITED: &[&str] = &[
    "owner",
    "disabled",
    "public",
    "published_at",
    "type",
    "os",
    "requirements",
    "nic_driver",
    "disk_driver",
    "cpu_type",
];

/// Writes an image.
pub fn write(loaded: &Loaded, path: &Path, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let compression = compression(options)?;
    check_type(matches!(loaded, Loaded::Volume(_)), options)?;
    let chain = match loaded {
        Loaded::Volume(volume) => states(volume),
        Loaded::Filesystem(_) => Vec::new(),
    };
    let mut manifests = match loaded {
        Loaded::Filesystem(lineage) => of_lineage(lineage, options, ctx)?,
        Loaded::Volume(volume) => of_volumes(&chain, volume, options, ctx)?,
    };
    for manifest in &manifests {
        acceptable(manifest)?;
    }
    let paths = Paths::choose(path, &manifests, compression)?;
    if !options.force {
        paths.must_be_free()?;
    }
    let folder = fs::NewDirs::create(paths.folder())
        .map_err(|e| Error::io(paths.folder().display().to_string(), e))?;

    ctx.progress.phase("writing images");
    let mut names = Vec::new();
    for manifest in &manifests {
        names.push(format!("{POOL}/{}@final", manifest.uuid()?).into_bytes());
    }
    let mut finished: Vec<Finished> = Vec::new();
    let packing = Compression { codec: codec(compression), level: options.compression.and_then(|c| c.level) };
    let mut each =
        |number: usize, guid: u64, stream: &mut dyn FnMut(&mut dyn std::io::Write) -> Result<()>| {
            let mut output = Output::create(paths.file(number), packing, ctx)?;
            stream(&mut output)?;
            let done = output.finish()?;
            promise(&mut manifests[number], &done, compression, guid);
            finished.push(done);
            Ok(())
        };
    match loaded {
        Loaded::Filesystem(lineage) => write_apart(lineage, &names, Target::Illumos, ctx, &mut each)?,
        Loaded::Volume(_) => write_volumes_apart(&chain, &names, ctx, &mut each)?,
    }
    options.may_commit(ctx)?;
    let outcome = commit(&paths, &manifests, finished)?;
    folder.keep();
    Ok(outcome)
}

/// What the manifest says of its file.
fn promise(manifest: &mut Manifest, done: &Finished, compression: FileCompression, guid: u64) {
    let file = ImageFile {
        sha1: Some(done.sha1.to_string()),
        size: Some(done.size),
        compression: Some(compression),
        dataset_guid: Some(guid),
        ..ImageFile::default()
    };
    manifest.set("files", vec![file.to_json()]);
}

/// A type that was asked for must be one of what is written.
fn check_type(is_volume: bool, options: &WriteOptions) -> Result<()> {
    let (allowed, what): (&[ImageType], _) = match is_volume {
        true => (&[ImageType::Zvol], "a disk is of the type zvol"),
        false => (
            &[ImageType::ZoneDataset, ImageType::LxDataset, ImageType::Other],
            "a root file system is of the type zone-dataset, lx-dataset or other",
        ),
    };
    match options.smartos.image_type {
        Some(said) if !allowed.contains(&said) => Err(Error::usage(format!("{what}, not {said}"))),
        _ => Ok(()),
    }
}

fn commit(paths: &Paths, manifests: &[Manifest], finished: Vec<Finished>) -> Result<Outcome> {
    let mut facts = Vec::new();
    let count = manifests.len();
    let mut written = Vec::new();
    for (number, manifest) in manifests.iter().enumerate() {
        let path = paths.manifest(number);
        let failed = |e| Error::io(path.display().to_string(), e);
        let mut file = fs::AtomicFile::create(path).map_err(failed)?;
        std::io::Write::write_all(&mut file, &manifest.to_bytes()).map_err(failed)?;
        written.push(file);
    }
    for (number, (done, manifest)) in finished.into_iter().zip(written).enumerate() {
        let (sha1, size) = (done.sha1, done.size);
        done.commit()?;
        manifest.commit().map_err(|e| Error::io(paths.manifest(number).display().to_string(), e))?;
        if number + 1 == count {
            let uuid = manifests[number].uuid()?;
            facts.push(("uuid".to_owned(), uuid.to_string()));
            facts.push(("manifest".to_owned(), paths.manifest(number).display().to_string()));
            facts.push(("file".to_owned(), paths.file(number).display().to_string()));
            facts.push(("size".to_owned(), size.to_string()));
            facts.push(("sha1".to_owned(), sha1.to_string()));
        }
    }
    if count > 1 {
        facts.push(("images".to_owned(), count.to_string()));
    }
    Ok(Outcome { facts })
}

/// gzip unless another is asked for; zstd is no legal value in a manifest.
fn compression(options: &WriteOptions) -> Result<FileCompression> {
    match options.compression.map(|c| c.codec) {
        None | Some(Codec::Gzip) => Ok(FileCompression::Gzip),
        Some(Codec::None) => Ok(FileCompression::None),
        Some(Codec::Bzip2) => Ok(FileCompression::Bzip2),
        Some(Codec::Xz) => Ok(FileCompression::Xz),
        Some(Codec::Zstd) => Err(Error::usage("SmartOS images are packed with none, gzip, bzip2 or xz")),
    }
}

fn codec(compression: FileCompression) -> Codec {
    match compression {
        FileCompression::None => Codec::None,
        FileCompression::Gzip => Codec::Gzip,
        FileCompression::Bzip2 => Codec::Bzip2,
        FileCompression::Xz => Codec::Xz,
    }
}

/// The states of a volume, the oldest first.
fn states(volume: &Volume) -> Vec<&Volume> {
    let mut chain = vec![volume];
    while let Some(base) = chain.last().and_then(|last| last.base.as_deref()) {
        chain.push(base);
    }
    chain.reverse();
    chain
}

/// One manifest a step, each the origin of the next. Where the digests of the layers are known, the uuids are those
/// that Triton gives these layers.
fn of_lineage(lineage: &Lineage, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Vec<Manifest>> {
    let mut image = lineage.image.clone();
    if options.platform.is_some() {
        image.platform = options.platform.clone();
    }
    let mut top = to_manifest(&image, Payload::Filesystem, &options.smartos, ctx);
    let steps = &lineage.steps;
    let layers = (steps.len() > 1 && image.layers.len() == steps.len()).then_some(&image.layers);
    let mut manifests: Vec<Manifest> = Vec::new();
    for (number, step) in steps.iter().enumerate() {
        let triton = layers.and_then(|all| layer_uuid(all.iter().take(number + 1).map(String::as_str)).ok());
        let is_top = number + 1 == steps.len();
        let mut manifest =
            if is_top { std::mem::replace(&mut top, Manifest::new(Object::default())) } else { below(&top) };
        if !is_top {
            manifest.set("name", "layer");
            let id =
                layers.and_then(|all| all[number].strip_prefix("sha256:")).unwrap_or(step.chain_id.hex());
            manifest.set("version", id.get(..12).unwrap_or(id));
            if let Some(created) = step.created {
                manifest.set("published_at", to_iso(created));
            }
            if let Some(line) = &step.created_by {
                manifest.set("description", line.chars().take(10_240).collect::<String>());
            }
        }
        if let Some(layers) = layers {
            tag(&mut manifest, "docker:id", layers[number].as_str());
        }
        if let Some(origin) = manifests.last() {
            manifest.set("origin", origin.uuid()?.to_string());
        }
        let given = options.smartos.uuid.filter(|_| is_top).or(triton);
        name(&mut manifest, given, |m| default_uuid(m, &step.chain_id));
        manifests.push(manifest);
    }
    Ok(manifests)
}

/// As [`of_lineage`]. What tells states of a volume apart is their snapshot, or else their content.
fn of_volumes(
    chain: &[&Volume],
    volume: &Volume,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Vec<Manifest>> {
    let payload = |volume: &Volume| Payload::Volume { size: volume.content.size };
    let top = to_manifest(&volume.image, payload(volume), &options.smartos, ctx);
    let mut manifests: Vec<Manifest> = Vec::new();
    for (number, state) in chain.iter().enumerate() {
        let is_top = number + 1 == chain.len();
        let id = output::volume_id(state, ctx)?;
        let mut manifest = if is_top { top.clone() } else { below(&top) };
        if !is_top {
            manifest.set("name", "layer");
            manifest.set("version", id.hex().get(..12).unwrap_or_default());
            manifest.set("image_size", state.content.size.div_ceil(1 << 20));
        }
        if let Some(origin) = manifests.last() {
            manifest.set("origin", origin.uuid()?.to_string());
        }
        let given = options.smartos.uuid.filter(|_| is_top);
        name(&mut manifest, given, |m| default_uuid(m, &id));
        manifests.push(manifest);
    }
    Ok(manifests)
}

/// The manifest of a step below the last: of the same kind and owner, and without a name of its own.
fn below(top: &Manifest) -> Manifest {
    let mut object = Object::default();
    object.set("v", 2);
    for field in INHERITED {
        if let Some(value) = top.object().get(field) {
            object.set(*field, value.clone());
        }
    }
    Manifest::new(object)
}

fn tag(manifest: &mut Manifest, name: &str, value: &str) {
    let mut tags = manifest.object().get("tags").and_then(Json::as_object).cloned().unwrap_or_default();
    tags.set(name, value);
    manifest.set("tags", tags);
}

/// Gives a manifest the uuid that is wanted, or else leaves it the one it has, or else derives one; in front, where
/// people look for it.
fn name(manifest: &mut Manifest, given: Option<Uuid>, derive: impl Fn(&Manifest) -> Uuid) {
    let uuid = given.or_else(|| manifest.uuid().ok()).unwrap_or_else(|| derive(manifest));
    if manifest.object().get("uuid").is_some() {
        manifest.set("uuid", uuid.to_string());
        return;
    }
    let mut object = Object::default();
    object.set("v", 2);
    object.set("uuid", uuid.to_string());
    for (field, value) in manifest.object().iter().filter(|(field, _)| *field != "v") {
        object.set(field, value.clone());
    }
    *manifest = Manifest::new(object);
}

/// `imgadm install` would refuse it: better now.
fn acceptable(manifest: &Manifest) -> Result<()> {
    let findings = validate(manifest.object(), Profile::Minimal);
    match findings.first() {
        None => Ok(()),
        Some(first) => Err(ErrorKind::Usage(format!("imgadm would refuse the manifest: {first}")).into()),
    }
}

#[cfg(test)]
mod tests;
