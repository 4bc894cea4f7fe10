//! An image of what is none yet: a tree, a dataset, a disk. The conversion is that of [`super::convert`]; what is added
//! is a manifest to begin with, what is to be left out, and images upon others.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurora_engine::digest::{Algorithm, Hasher};
use aurora_engine::fs;
use aurora_formats::model::EntryPath;
use aurora_formats::smartos::{Json, MAX_DOCUMENT, Manifest, Object};

use super::convert::{check, place_and_write};
use super::{ConvertOptions, Converted, origin, read};
use crate::image::Image;
use crate::image::smartos::{Uuid, from_manifest};
use crate::lineage::{Layers, Lineage, Loaded};
use crate::names::{DatasetName, ImageName};
use crate::sink::smartos::{Increment, write_increment};
use crate::sink::{Target, WriteOptions, refuse_losses};
use crate::source::dataset::{Dataset, TemporarySnapshot};
use crate::tree::Tree;
use crate::tree::exclude::{Pattern, exclude};
use crate::tree::place::{self, Placement};
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// What an incremental image has from its origin, where nothing else is said. (`docs/smartos-images.md` §2.)
const INHERITED: &[&str] = &[
    "type",
    "os",
    "requirements",
    "users",
    "generate_passwords",
    "billing_tags",
    "traits",
    "inherited_directories",
    "nic_driver",
    "disk_driver",
    "cpu_type",
    "image_size",
];

/// What tunes it.
#[derive(Debug, Clone, Default)]
pub struct PackOptions {
    /// As for any conversion. Its origins are, for an incremental image, the image to build upon.
    pub convert: ConvertOptions,
    /// A manifest to begin with.
    pub manifest: Option<PathBuf>,
    /// What is left out of the root file system.
    pub exclude: Vec<Pattern>,
    /// Only what changed since the image that the dataset is a clone of.
    pub incremental: bool,
    /// Most images below an incremental one.
    pub max_origin_depth: Option<u64>,
}

/// Makes an image.
pub fn pack(src: &ImageName, dst: &ImageName, options: &PackOptions, ctx: &Ctx<'_>) -> Result<Converted> {
    let given = options.manifest.as_deref().map(read_manifest).transpose()?;
    if options.incremental {
        let (ImageName::Dataset { name }, ImageName::Smartos { path }) = (src, dst) else {
            return Err(Error::usage(
                "--incremental makes an image smartos:PATH of a clone, dataset:POOL/NAME",
            ));
        };
        return increment(name, path, given, options, ctx).map_err(|e| e.in_image(src.to_string()));
    }
    let plain = match src {
        ImageName::Dir { .. }
        | ImageName::Tar { .. }
        | ImageName::Zfs { .. }
        | ImageName::Dataset { .. }
        | ImageName::Raw { .. }
        | ImageName::Qcow2 { .. } => &options.convert,
        _ => return Err(Error::usage(format!("an image already, and packed by `convert`: {src}"))),
    };
    let mut convert = plain.clone();
    let manifest = begin(given, None, &mut convert, dst)?;
    check(src, dst, &convert)?;
    let mut loaded = read(src, &convert.selection, convert.layers, ctx)?;
    let mut facts = Vec::new();
    match &mut loaded {
        Loaded::Filesystem(lineage) => {
            if let Some(manifest) = &manifest {
                describe(&mut lineage.image, manifest)?;
            }
            let removed = leave_out(lineage, src, &options.exclude, ctx);
            if !options.exclude.is_empty() {
                facts.push(("excluded".to_owned(), removed.to_string()));
            }
        }
        Loaded::Volume(volume) => {
            if !options.exclude.is_empty() {
                return Err(Error::usage("--exclude is for root file systems, and this is a disk"));
            }
            if let Some(manifest) = &manifest {
                describe(&mut volume.image, manifest)?;
            }
        }
    }
    let mut converted = place_and_write(loaded, src, dst, &convert, ctx)?;
    converted.outcome.facts.extend(facts);
    Ok(converted)
}

/// A manifest as people write them, without what the image will say itself.
fn read_manifest(path: &Path) -> Result<Object> {
    let parse = || -> Result<Object> {
        let bytes = match fs::read_limited(path, MAX_DOCUMENT as u64) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(ErrorKind::NoSuchImage(path.display().to_string()).into());
            }
            read => read.map_err(|e| Error::io("manifest", e))?,
        };
        let mut json = Json::parse(&bytes)?;
        if let Json::Object(object) = &mut json
            && object.get("v").is_none()
            && object.get("creator_uuid").is_none()
        {
            // imgadm adds it as well.
            object.set("v", 2);
        }
        Ok(Manifest::from_json(json)?.object().clone())
    };
    let mut object = parse().map_err(|e| e.in_image(path.display().to_string()))?;
    for field in ["files", "origin", "state", "activated"] {
        object.remove(field);
    }
    Ok(object)
}

/// The manifest to begin with: what was given, then what the origin has. Where the result is no SmartOS image, what
/// the options say is put in as well, so that it goes where other forms have a place for it. `None` if nothing is said.
fn begin(
    given: Option<Object>,
    origin: Option<&Manifest>,
    convert: &mut ConvertOptions,
    dst: &ImageName,
) -> Result<Option<Manifest>> {
    let mut manifest = Manifest::new(given.unwrap_or_default());
    for field in INHERITED {
        let value = origin.and_then(|origin| origin.object().get(field));
        let is_empty = value.is_some_and(|value| value.as_array().is_some_and(<[Json]>::is_empty));
        if let (Some(value), None, false) = (value, manifest.object().get(field), is_empty) {
            manifest.set(field, value.clone());
        }
    }
    if !matches!(dst, ImageName::Smartos { .. }) {
        let said = std::mem::take(&mut convert.smartos);
        let uuid = |uuid: Option<Uuid>| uuid.map(|uuid| uuid.to_string());
        let texts = [
            ("uuid", uuid(said.uuid)),
            ("owner", uuid(said.owner)),
            ("name", said.name),
            ("version", said.version),
            ("description", said.description),
            ("homepage", said.homepage),
            ("os", said.os.map(|os| os.name().to_owned())),
            ("type", said.image_type.map(|kind| kind.name().to_owned())),
        ];
        for (field, text) in texts {
            text.into_iter().for_each(|text| manifest.set(field, text));
        }
        if !said.tags.is_empty() {
            let tags = manifest.object().get("tags").and_then(Json::as_object).cloned();
            let mut tags = tags.unwrap_or_default();
            said.tags.into_iter().for_each(|(tag, value)| tags.set(tag, value));
            manifest.set("tags", tags);
        }
    } else if !manifest.object().is_empty() {
        // What a manifest says of these is meant, whatever the source looks like.
        if manifest.object().get("type").is_some() {
            convert.smartos.image_type = convert.smartos.image_type.or(Some(manifest.image_type()?));
        }
        convert.smartos.os = convert.smartos.os.or(manifest.os()?);
    }
    if manifest.object().is_empty() {
        return Ok(None);
    }
    manifest.set("v", 2);
    Ok(Some(manifest))
}

/// Puts a manifest to an image that says nothing of itself.
fn describe(image: &mut Image, manifest: &Manifest) -> Result<()> {
    let said = from_manifest(manifest)?;
    let created = said.created.or(image.created);
    *image = Image { created, ..said };
    Ok(())
}

/// Takes out what is excluded, and what lies beside `root/` of a zonepath: state of the zone, and its secrets. How
/// many names the user has excluded.
fn leave_out(lineage: &mut Lineage, src: &ImageName, patterns: &[Pattern], ctx: &Ctx<'_>) -> usize {
    let is_zone =
        src.is_zfs() && lineage.steps.last().is_some_and(|last| place::detect(&last.tree) == Placement::Root);
    let top = if is_zone { EntryPath::root().join(b"root") } else { EntryPath::root() };
    let (mut count, mut is_used) = (0, vec![false; patterns.len()]);
    for step in &mut lineage.steps {
        let mut tree = Tree::clone(&step.tree);
        let (excluded, used) = exclude(&mut tree, &top, patterns);
        count = excluded.len();
        is_used.iter_mut().zip(used).for_each(|(is_used, used)| *is_used |= used);
        let beside = if is_zone { take_beside(&mut tree, ctx) } else { Vec::new() };
        if excluded.is_empty() && beside.is_empty() {
            continue;
        }
        // Another tree is another image, and no snapshot that there was.
        let mut hasher = Hasher::new(Algorithm::Sha256);
        hasher.update(format!("aurora: left out of {}", step.chain_id).as_bytes());
        for path in excluded.iter().chain(&beside) {
            hasher.update(b"\0");
            hasher.update(path.as_bytes());
        }
        (step.tree, step.chain_id, step.snapshot) = (Arc::new(tree), hasher.finish(), None);
    }
    for (pattern, _) in patterns.iter().zip(is_used).filter(|(_, is_used)| !is_used) {
        let detail = format!("nothing is there to be excluded by {:?}", pattern.as_str());
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    count
}

fn take_beside(tree: &mut Tree, ctx: &Ctx<'_>) -> Vec<EntryPath> {
    let names = tree.children(Tree::ROOT).into_iter().flat_map(|children| children.keys());
    let beside: Vec<_> = names.filter(|name| ***name != *b"root").cloned().collect();
    let mut removed = Vec::new();
    for name in beside {
        tree.unlink(Tree::ROOT, &name);
        let path = EntryPath::root().join(&name);
        let detail = "beside root/ of the zonepath, and left out".to_owned();
        ctx.lose(Loss { path: Some(path.clone()), kind: LossKind::Oddity, detail });
        removed.push(path);
    }
    removed
}

/// An image upon the one that a dataset is a clone of.
fn increment(
    name: &DatasetName,
    path: &Path,
    given: Option<Object>,
    options: &PackOptions,
    ctx: &Ctx<'_>,
) -> Result<Converted> {
    ctx.progress.phase("reading dataset");
    if options.convert.layers == Layers::Keep {
        return Err(Error::usage("an incremental image is one image; leave out --layers keep"));
    }
    let dataset = Dataset::open(name.dataset(), ctx)?;
    dataset.tell_children(ctx);
    if dataset.is_volume() {
        let text = "incremental images of volumes; pack it whole, without --incremental".to_owned();
        return Err(ErrorKind::Unsupported(text).into());
    }
    let mut convert = options.convert.clone();
    let origin = origin::find(name, &dataset, &convert.selection.origins, ctx)?;
    if let Some(limit) = options.max_origin_depth
        && origin::depth(&origin, ctx)? > limit
    {
        return Err(
            ErrorKind::Limit { what: "images below an incremental one (--max-origin-depth)", limit }.into()
        );
    }
    let dst = ImageName::Smartos { path: path.to_owned() };
    convert.selection.origins.clear();
    let manifest = begin(given, origin.manifest.as_ref(), &mut convert, &dst)?;
    check(&ImageName::Dataset { name: name.clone() }, &dst, &convert)?;
    let mut image = Image::default();
    if let Some(manifest) = &manifest {
        describe(&mut image, manifest)?;
    }
    if convert.selection.platform.is_some() {
        image.platform = convert.selection.platform.clone();
    }
    let temporary = match name.snapshot() {
        None => Some(TemporarySnapshot::take(name.dataset(), ctx)?),
        Some(_) => None,
    };
    let snapshot = match (name.snapshot(), &temporary) {
        (None, Some(temporary)) => Dataset::open(name.dataset(), ctx)?.snapshot(&temporary.name)?.clone(),
        (snapshot, _) => dataset.snapshot(snapshot.unwrap_or_default())?.clone(),
    };
    if convert.strict {
        refuse_losses(ctx)?;
    }
    let increment =
        Increment { image: &image, origin: origin.uuid, from_guid: origin.guid, to_guid: snapshot.guid };
    let write = WriteOptions {
        compression: convert.compression,
        strict: convert.strict,
        smartos: convert.smartos,
        ..WriteOptions::default()
    };
    if Target::HOST != Target::Illumos {
        let detail =
            "the stream is this system's own: extended attributes may be kept where illumos has none"
                .to_owned();
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    let open = || Ok(ctx.zfs().send(Some(&origin.snapshot), &snapshot.name)?);
    let outcome = write_increment(&increment, open, path, &write, ctx)?;
    drop(temporary);
    Ok(Converted { outcome, losses: ctx.losses() })
}
