//! Volumes of an image as datasets below that of the image.

use std::sync::Arc;

use aurora_engine::host::Property;
use aurora_formats::model::EntryPath;
use serde_json::Value;

use crate::image::Image;
use crate::lineage::{Lineage, Step};
use crate::names::DatasetName;
use crate::sink::dataset::Child;
use crate::tree::place::Placement;
use crate::tree::volumes::{VolumeSpec, below, split};
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// The annotation of an image with its volumes and their properties: a JSON object of objects,
/// `{"/var/lib/db": {"recordsize": "16K"}}`.
pub const VOLUMES: &str = "org.aurora-images.volumes";

/// What an image may ask for. Nothing that says where something is mounted or shared, or what may be done there.
const ALLOWED: &[&str] = &[
    "compression",
    "recordsize",
    "copies",
    "checksum",
    "atime",
    "quota",
    "reservation",
    "refquota",
    "refreservation",
    "sync",
    "logbias",
    "primarycache",
    "snapdir",
    "xattr",
    "acltype",
];

/// Longest name of a child: with those of image and snapshot it is to fit into 255 bytes.
const MAX_NAME: usize = 80;
/// Longest mount point. (ZAP_MAXVALUELEN)
const MAX_MOUNTPOINT: usize = 1024;
/// Most volumes that an image may name.
const MAX_NAMED: usize = 256;

/// The volumes that an image names: those of its annotation, and of `Volumes` in its config.
pub(super) fn of_image(
    image: &Image,
    fit: &dyn Fn(&EntryPath) -> Result<()>,
    ctx: &Ctx<'_>,
) -> Vec<VolumeSpec> {
    let annotation = image.annotations.get(VOLUMES).map(|text| serde_json::from_str::<Value>(text));
    let annotated = match annotation {
        None => Default::default(),
        Some(Ok(Value::Object(members))) => members,
        Some(_) => {
            lose(ctx, format!("the annotation {VOLUMES} is no JSON object"));
            Default::default()
        }
    };
    let config = image.config.get("Volumes").and_then(Value::as_object);
    let mut specs: Vec<VolumeSpec> = Vec::new();
    let no_properties = Value::Null;
    let of_config = config.into_iter().flatten().map(|(path, _)| (path, &no_properties));
    for (path, properties) in annotated.iter().chain(of_config) {
        if specs.len() == MAX_NAMED {
            lose(ctx, format!("volumes of the image beyond the first {MAX_NAMED}"));
            break;
        }
        let properties = properties.as_object().into_iter().flatten();
        let properties = properties.filter_map(|(name, value)| allowed(path, name, value, ctx)).collect();
        match VolumeSpec::new(path, properties) {
            Ok(spec) if specs.iter().any(|other| other.path == spec.path) => {}
            Ok(spec) => match fit(&spec.path) {
                Ok(()) => specs.push(spec),
                Err(why) => lose(ctx, format!("a volume of the image: {why}")),
            },
            Err(why) => lose(ctx, format!("a volume of the image: {why}")),
        }
    }
    specs
}

fn allowed(path: &str, name: &str, value: &Value, ctx: &Ctx<'_>) -> Option<Property> {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    let property = Property::new(name, &text).filter(|property| ALLOWED.contains(&property.name()));
    if property.is_none() {
        lose(ctx, format!("a property that no image may set: {name:?} of the volume {path:?}"));
    }
    property
}

fn lose(ctx: &Ctx<'_>, detail: String) {
    ctx.lose(Loss { path: None, kind: LossKind::Property, detail });
}

/// Cuts a lineage: what is in the volumes goes into the children.
pub(super) fn cut(
    lineage: &mut Lineage,
    mut specs: Vec<VolumeSpec>,
    placement: Placement,
    dataset: &DatasetName,
    properties: &[Property],
    ctx: &Ctx<'_>,
) -> Result<Vec<Child>> {
    if specs.is_empty() {
        return Ok(Vec::new());
    }
    specs.sort_by(|a, b| a.path.cmp(&b.path));
    let full = |path: &EntryPath| in_dataset(placement, path);
    let paths: Vec<EntryPath> = specs.iter().map(|spec| full(&spec.path)).collect();
    let trees: Vec<_> = lineage.steps.iter().map(|step| step.tree.clone()).collect();
    let done = split(&trees, &paths)?;
    for path in done.copied {
        let detail = "a hard link into a volume, or out of one: it is a copy".to_owned();
        ctx.lose(Loss { path: Some(path), kind: LossKind::Type, detail });
    }
    let base = mountpoint(dataset, properties, ctx)?;
    if base.is_none() {
        let detail =
            format!("{dataset} has no mount point below which its volumes could be mounted: set theirs");
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    let mut children: Vec<Child> = Vec::new();
    for ((spec, path), trees) in specs.into_iter().zip(paths).zip(done.volumes) {
        let steps = lineage.steps.iter().zip(trees).map(|(step, tree)| {
            let mut step = Step {
                tree: Arc::new(tree),
                chain_id: step.chain_id.clone(),
                snapshot: None,
                created: step.created,
                created_by: None,
            };
            step.become_other(format_args!("what is in /{path}"));
            step
        });
        let image = Image { created: lineage.image.created, ..Image::default() };
        let mut properties = spec.properties;
        if properties.iter().all(|property| property.name() != "mountpoint") {
            // Of one in another, where that is.
            let outer = children.iter().rev().filter(|outer| path.starts_with(&full(&outer.path)));
            let outer =
                outer.filter_map(|outer| Some((full(&outer.path), mount_of(&outer.properties)?))).next();
            let (above, base) =
                outer.map_or((EntryPath::root(), base.clone()), |(at, base)| (at, Some(base)));
            if let Some(base) = base {
                let skip = if above.is_root() { 0 } else { above.as_bytes().len() + 1 };
                let relative = String::from_utf8_lossy(&path.as_bytes()[skip..]);
                let mountpoint = format!("{}/{relative}", base.trim_end_matches('/'));
                let property =
                    Property::new("mountpoint", &mountpoint).filter(|_| mountpoint.len() < MAX_MOUNTPOINT);
                properties.push(property.ok_or_else(|| {
                    Error::from(ErrorKind::Unsupported("the mount point of a volume is too long".into()))
                        .at_entry(&path)
                })?);
            }
        }
        let name = free_name(&spec.path, &children);
        children.push(Child {
            path: spec.path,
            name,
            properties,
            lineage: Lineage { image, steps: steps.collect() },
        });
    }
    let all: Vec<String> = children.iter().map(|child| format!("/{}", child.path)).collect();
    for (step, tree) in lineage.steps.iter_mut().zip(done.trees) {
        step.tree = Arc::new(tree);
        step.become_other(format_args!("without what is in {}", all.join(" ")));
    }
    Ok(children)
}

/// A path of the image in its dataset.
pub(super) fn in_dataset(placement: Placement, path: &EntryPath) -> EntryPath {
    let root = EntryPath::root();
    below(&if placement == Placement::Root { root.join(b"root") } else { root }, path)
}

/// Where the dataset will be mounted, if it says so or its parent does.
fn mountpoint(dataset: &DatasetName, properties: &[Property], ctx: &Ctx<'_>) -> Result<Option<String>> {
    let is_path = |path: &String| path.starts_with('/');
    let trimmed = |path: String| path.trim_end_matches('/').to_owned();
    if let Some(own) = properties.iter().find(|property| property.name() == "mountpoint") {
        return Ok(Some(own.value().to_owned()).filter(is_path).map(trimmed));
    }
    let Some((parent, name)) = dataset.dataset().rsplit_once('/') else { return Ok(None) };
    let Some(above) = ctx.zfs().property(parent, "mountpoint")?.filter(is_path) else { return Ok(None) };
    // What is told has the pool's other root in front, which is put there again.
    let pool = parent.split('/').next().unwrap_or_default();
    let altroot = ctx.zfs().altroot(pool)?.map(trimmed).filter(|root| !root.is_empty());
    let inside = altroot.as_deref().and_then(|root| above.strip_prefix(root)).unwrap_or(&above);
    Ok(Some(format!("{}/{name}", inside.trim_end_matches('/'))))
}

/// Where properties say that something is mounted.
fn mount_of(properties: &[Property]) -> Option<String> {
    let found = properties.iter().find(|property| property.name() == "mountpoint")?;
    found.value().starts_with('/').then(|| found.value().to_owned())
}

/// The path as one component of a dataset's name.
fn free_name(path: &EntryPath, taken: &[Child]) -> String {
    let letter = |byte: &u8| match byte {
        b'/' => '-',
        byte if byte.is_ascii_alphanumeric() || b"_-.:".contains(byte) => char::from(*byte),
        _ => '_',
    };
    let plain: String = path.as_bytes().iter().take(MAX_NAME).map(letter).collect();
    let mut name = plain.clone();
    for n in 2.. {
        if taken.iter().all(|child| child.name != name) {
            break;
        }
        name = format!("{plain}-{n}");
    }
    name
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::{Cancel, NoProgress, Options};

    #[test]
    fn images_name_volumes_and_may_not_ask_for_everything() {
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
        let mut image = Image::default();
        image.config.insert("Volumes".into(), json!({"/data": {}, "/db": {}, "../up": {}}));
        let annotation =
            json!({"/db": {"recordsize": "16K", "copies": 2, "sharenfs": "on", "mountpoint": "/etc"}});
        image.annotations.insert(VOLUMES.into(), annotation.to_string());
        let specs = of_image(&image, &|_| Ok(()), &ctx);
        let shown = |spec: &VolumeSpec| {
            let properties: Vec<String> = spec.properties.iter().map(Property::to_string).collect();
            format!("{} {}", spec.path, properties.join(","))
        };
        let shown: Vec<String> = specs.iter().map(shown).collect();
        assert_eq!(shown, ["db copies=2,recordsize=16K", "data "]);
        assert_eq!(ctx.losses().len(), 3, "{:?}", ctx.losses());
    }

    #[test]
    fn names_of_children_are_all_different() {
        let path = |text: &str| VolumeSpec::new(text, Vec::new()).unwrap().path;
        let lineage = || Lineage { image: Image::default(), steps: Vec::new() };
        let mut children: Vec<Child> = Vec::new();
        for at in ["/var/lib", "/var-lib", "/a b\u{e9}"] {
            let name = free_name(&path(at), &children);
            children.push(Child { path: path(at), name, properties: Vec::new(), lineage: lineage() });
        }
        let names: Vec<&str> = children.iter().map(|child| &*child.name).collect();
        assert_eq!(names, ["var-lib", "var-lib-2", "a_b__"]);
    }
}
