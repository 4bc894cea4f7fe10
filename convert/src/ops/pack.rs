//! An image of what is none yet: a tree, a dataset, a disk. The conversion is that of [`super::convert`]; what is added
//! is a manifest to begin with, what is to be left out, and images upon others.

use std::path::{Path, PathBuf};

use aurora_engine::fs;
use aurora_formats::model::Timestamp;
use aurora_formats::smartos::{Json, MAX_DOCUMENT, Manifest, Object};

use super::convert::{check, write_placed};
use super::{ConvertOptions, Converted, placement, read};
use crate::image::Image;
use crate::image::smartos::{Uuid, from_manifest};
use crate::lineage::{Layers, Loaded};
use crate::names::ImageName;
use crate::tree::exclude::Pattern;
use crate::tree::owners::OwnerMap;
use crate::{Ctx, Error, ErrorKind, Result};

mod base;
mod dates;
mod exclude;
mod increment;
mod settings;

pub use settings::Settings;

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
    /// The image to make another upon: its layers stay as they are, and what the source changes is one more.
    pub base: Option<ImageName>,
    /// A manifest to begin with.
    pub manifest: Option<PathBuf>,
    /// An OCI image configuration to begin with.
    pub config: Option<PathBuf>,
    /// What the image is to say of itself.
    pub settings: Settings,
    /// How owners came to be what they are on this host: they are turned back.
    pub owners: OwnerMap,
    /// `SOURCE_DATE_EPOCH`: when the image is made, and the latest time of what it has of its own.
    pub source_date: Option<Timestamp>,
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
        return increment::increment(name, path, given, options, ctx)
            .map_err(|e| e.in_image(src.to_string()));
    }
    if !is_raw_material(src) {
        return Err(Error::usage(format!("an image already, and packed by `convert`: {src}")));
    }
    if options.base.is_some() && !dst.is_oci() {
        let text = "--base is for OCI images; of a clone, `pack -i` makes a SmartOS image upon another";
        return Err(Error::usage(text).in_image(dst.to_string()));
    }
    if let (Some(option), false) = (for_images_only(options), holds_config(dst)) {
        let text = format!("{option} is for forms that say something of an image, and this says nothing");
        return Err(Error::usage(text).in_image(dst.to_string()));
    }
    let mut convert = options.convert.clone();
    let manifest = begin(given, None, &mut convert, dst)?;
    check(src, dst, &convert)?;
    let config = options.config.as_deref().map(settings::read_config).transpose()?;
    let is_change = base::is_change(src, dst, &convert);
    let layers = if is_change { Layers::Keep } else { convert.layers };
    let (base_image, mut base) = base::read(options.base.as_ref(), &convert, ctx)?;
    let mut loaded = read(src, &convert.selection, layers, ctx)?;
    let mut facts = Vec::new();
    match &mut loaded {
        Loaded::Filesystem(lineage) => {
            let from = |e: Error| e.in_image(src.to_string());
            let described = base::describe(config, base_image, ctx);
            if let Some(image) = described {
                lineage.image = image;
                if let Some(manifest) = &manifest {
                    add_to(&mut lineage.image, manifest)?;
                }
            } else if let Some(manifest) = &manifest {
                describe(&mut lineage.image, manifest)?;
            }
            options.settings.apply(&mut lineage.image);
            let removed =
                exclude::leave_out(lineage, base.as_mut(), src, &options.exclude, ctx).map_err(from)?;
            if !options.exclude.is_empty() {
                facts.push(("excluded".to_owned(), removed.to_string()));
            }
            placement::place(lineage, src, dst, convert.placement, ctx).map_err(from)?;
            base::turn_owners_back(lineage, base.as_ref(), &options.owners, ctx).map_err(from)?;
            if is_change {
                base = Some(base::changes_of(lineage, base, ctx).map_err(from)?);
            }
            if let Some(latest) = options.source_date {
                let count = dates::no_later_than(lineage, base.as_ref(), latest);
                lineage.image.created = options.settings.created.or(Some(latest));
                facts.push(("times set to SOURCE_DATE_EPOCH".to_owned(), count.to_string()));
            }
            if base.is_some() {
                lineage.steps.iter_mut().for_each(|step| step.created_by = Some(CREATED_BY.to_owned()));
            }
        }
        Loaded::Volume(volume) => {
            if let Some(option) = for_files_only(options) {
                return Err(Error::usage(format!("{option} is for root file systems, and this is a disk")));
            }
            if let Some(manifest) = &manifest {
                describe(&mut volume.image, manifest)?;
            }
            volume.image.created = options.source_date.or(volume.image.created);
        }
    }
    let mut converted = write_placed(&loaded, dst, &convert, base, ctx)?;
    converted.outcome.facts.extend(facts);
    Ok(converted)
}

/// What the history of an image says of a layer made here.
const CREATED_BY: &str = "imageadm pack";

/// Whether a name means what is no image yet.
fn is_raw_material(src: &ImageName) -> bool {
    matches!(
        src,
        ImageName::Dir { .. }
            | ImageName::Tar { .. }
            | ImageName::Zfs { .. }
            | ImageName::Dataset { .. }
            | ImageName::Raw { .. }
            | ImageName::Qcow2 { .. }
    )
}

/// Whether a form has a place for what an image says of itself.
fn holds_config(dst: &ImageName) -> bool {
    dst.is_oci() || matches!(dst, ImageName::Smartos { .. })
}

/// The first option that means nothing where files alone are kept.
fn for_images_only(options: &PackOptions) -> Option<&'static str> {
    let has_settings = options.settings != Settings::default();
    let settings = has_settings.then_some("what an OCI config is to say (--env, --cmd, --label …)");
    options.config.is_some().then_some("--config").or(settings)
}

/// The first option that means nothing for a disk.
fn for_files_only(options: &PackOptions) -> Option<&'static str> {
    let said = [
        (!options.exclude.is_empty(), "--exclude"),
        (options.base.is_some(), "--base"),
        (options.config.is_some(), "--config"),
        (options.settings != Settings::default(), "what an OCI config is to say (--env, --cmd, --label …)"),
        (options.owners != OwnerMap::Same, "a map of owners"),
    ];
    said.into_iter().find(|(is_said, _)| *is_said).map(|(_, option)| option)
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

/// Adds what a manifest says to an image that says something of itself already.
fn add_to(image: &mut Image, manifest: &Manifest) -> Result<()> {
    let said = from_manifest(manifest)?;
    image.annotations.extend(said.annotations);
    image.author = said.author.or(image.author.take());
    Ok(())
}

/// Puts a manifest to an image that says nothing of itself.
fn describe(image: &mut Image, manifest: &Manifest) -> Result<()> {
    let said = from_manifest(manifest)?;
    let created = said.created.or(image.created);
    *image = Image { created, ..said };
    Ok(())
}
