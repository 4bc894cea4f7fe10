//! The images that a source has.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};

use aurora_engine::fs;
use aurora_formats::oci::media::{self, Kind};
use aurora_formats::oci::{Manifest as OciManifest, reference};
use aurora_formats::smartos::{Manifest, Uuid};

use super::list::{self, MAX_LIST};
use super::names::Registry;
use super::template::Fields;
use super::{Filters, Source};
use crate::image::select::Documents;
use crate::imgapi::{MAX_ORIGINS, Server, Url, with_client};
use crate::names::ImageName;
use crate::registry::Remote;
use crate::source::oci::Store;
use crate::source::smartos::{self, Found};
use crate::{Ctx, Error, Result};

/// An image of a source.
#[derive(Debug, Clone)]
pub(super) struct Candidate {
    /// Where it is.
    pub(super) from: ImageName,
    /// What it may be called by.
    pub(super) fields: Fields,
    /// Of a SmartOS image.
    pub(super) manifest: Option<Manifest>,
    /// Bytes of its files, where they are told.
    pub(super) bytes: Option<u64>,
    /// Whether it was asked for, and not only needed by others.
    pub(super) is_wanted: bool,
    /// The origin that it should have, if that is nowhere.
    pub(super) lost_origin: Option<String>,
}

impl Candidate {
    fn smartos(from: ImageName, manifest: Manifest, filters: &Filters) -> Result<Self> {
        // What is wrong with it is told when it is its turn; the others are not to wait for that.
        let file = manifest.files().ok().and_then(|files| files.into_iter().next()).unwrap_or_default();
        let text = |field: &str| manifest.text(field).ok().flatten().unwrap_or_default();
        let fields = Fields {
            name: text("name"),
            version: text("version"),
            uuid: manifest.uuid()?.to_string(),
            image_type: text("type"),
            os: text("os"),
            owner: text("owner"),
            published: text("published_at"),
        };
        let is_wanted = filters.fit(&manifest);
        Ok(Self { from, fields, bytes: file.size, manifest: Some(manifest), is_wanted, lost_origin: None })
    }

    fn other(from: ImageName, name: &str, version: &str, bytes: Option<u64>, filters: &Filters) -> Self {
        let fields = Fields {
            name: name.to_owned(),
            version: version.to_owned(),
            image_type: from.transport().to_owned(),
            ..Fields::default()
        };
        let is_wanted = filters.fit_fields(&fields);
        Self { from, fields, manifest: None, bytes, is_wanted, lost_origin: None }
    }

    /// The image that it builds on.
    pub(super) fn origin(&self) -> Result<Option<Uuid>> {
        Ok(self.manifest.as_ref().map(Manifest::origin).transpose()?.flatten())
    }
}

/// All images of a source, and what they build on as far as it can be found.
pub(super) fn find(source: &Source, filters: &Filters, ctx: &Ctx<'_>) -> Result<Vec<Candidate>> {
    ctx.progress.phase("finding images");
    match source {
        Source::Imgapi(url) => of_server(url, filters, ctx),
        Source::Folder(dir) | Source::Imgadm(dir) => of_folder(dir, filters),
        Source::List(file) => of_list(file, filters, ctx),
        Source::Layout(dir) => of_layout(dir, filters, ctx),
        Source::Registry(registry) => of_registry(registry, filters, ctx),
    }
}

fn of_server(url: &Url, filters: &Filters, ctx: &Ctx<'_>) -> Result<Vec<Candidate>> {
    with_client(ctx, |client| {
        let server = Server::new(url.clone(), client);
        let mut found = Vec::new();
        // All of them, as those that the filters leave out may be origins of others.
        for manifest in server.list(&filters.for_servers(), ctx)? {
            found.push(at_server(url, manifest, filters)?);
        }
        origins_of(&server, &mut found, filters, ctx)?;
        Ok(found)
    })
}

fn at_server(url: &Url, manifest: Manifest, filters: &Filters) -> Result<Candidate> {
    let from = ImageName::Imgapi { url: url.clone(), uuid: manifest.uuid()? };
    Candidate::smartos(from, manifest, filters)
}

/// Adds the origins that are not among what was listed: inactive ones, and those of other channels.
fn origins_of(
    server: &Server<'_>,
    found: &mut Vec<Candidate>,
    filters: &Filters,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let known =
        |all: &[Candidate]| -> BTreeSet<String> { all.iter().map(|c| c.fields.uuid.clone()).collect() };
    let mut asked = known(found);
    let mut next = 0;
    for _ in 0..MAX_ORIGINS {
        let missing: BTreeSet<Uuid> = found[next..]
            .iter()
            .filter(|candidate| candidate.is_wanted || next > 0)
            .filter_map(|candidate| candidate.origin().ok().flatten())
            .filter(|origin| !asked.contains(&origin.to_string()))
            .collect();
        next = found.len();
        for origin in &missing {
            ctx.check()?;
            asked.insert(origin.to_string());
            match server.show(*origin, ctx) {
                Ok(manifest) => {
                    let candidate = at_server(server.url(), manifest, filters)?;
                    found.push(Candidate { is_wanted: false, ..candidate });
                }
                // The image that builds on it says so.
                Err(e) if e.is_no_such_image() => {}
                Err(e) => return Err(e),
            }
        }
        if missing.is_empty() {
            break;
        }
    }
    Ok(())
}

fn of_folder(dir: &Path, filters: &Filters) -> Result<Vec<Candidate>> {
    if !fs::is_dir(dir) {
        return Err(crate::ErrorKind::NoSuchImage(format!("no directory: {}", dir.display())).into());
    }
    let mut seen = BTreeSet::new();
    let mut found = Vec::new();
    for (path, manifest) in smartos::all(dir)? {
        // The same image twice is one image: what is found by its uuid is the first.
        if seen.insert(manifest.uuid()?) {
            found.push(Candidate::smartos(ImageName::Smartos { path }, manifest, filters)?);
        }
    }
    Ok(found)
}

fn of_list(file: &Path, filters: &Filters, ctx: &Ctx<'_>) -> Result<Vec<Candidate>> {
    let shown = file.display().to_string();
    let bytes = fs::read_limited(file, MAX_LIST).map_err(|e| Error::io(shown.as_str(), e))?;
    let mut found: Vec<Candidate> = Vec::new();
    let mut shelves: BTreeMap<PathBuf, Vec<(PathBuf, Manifest)>> = BTreeMap::new();
    let mut servers: BTreeMap<String, Url> = BTreeMap::new();
    for listed in list::parse(&shown, &bytes)? {
        ctx.check()?;
        let mut candidate = match &listed.image {
            ImageName::Imgapi { url, uuid } => with_client(ctx, |client| {
                servers.insert(url.to_string(), url.clone());
                at_server(url, Server::new(url.clone(), client).show(*uuid, ctx)?, filters)
            })?,
            ImageName::Smartos { path } if fs::is_file(path) => {
                let folder = path.parent().filter(|p| !p.as_os_str().is_empty()).unwrap_or(Path::new("."));
                if !shelves.contains_key(folder) {
                    shelves.insert(folder.to_owned(), smartos::all(folder)?);
                }
                let manifest = Found::open(path)?.manifest().clone();
                Candidate::smartos(listed.image.clone(), manifest, filters)?
            }
            other => {
                let (name, version) = words(other);
                Candidate::other(other.clone(), &name, &version, None, filters)
            }
        };
        if let Some(name) = listed.name {
            candidate.fields.name = name;
        }
        if let Some(version) = listed.version {
            candidate.fields.version = version;
        }
        found.push(candidate);
    }
    // Origins that lie beside the images, and then those that the servers have.
    let mut known: BTreeSet<String> = found.iter().map(|c| c.fields.uuid.clone()).collect();
    let beside: BTreeMap<Uuid, (PathBuf, Manifest)> = shelves
        .into_values()
        .flatten()
        .filter_map(|(path, manifest)| Some((manifest.uuid().ok()?, (path, manifest))))
        .collect();
    let mut at = 0;
    while at < found.len() {
        if let Some(origin) = found[at].origin()?
            && let Some((path, manifest)) = beside.get(&origin)
            && known.insert(origin.to_string())
        {
            let from = ImageName::Smartos { path: path.clone() };
            let candidate = Candidate::smartos(from, manifest.clone(), filters)?;
            found.push(Candidate { is_wanted: false, ..candidate });
        }
        at += 1;
    }
    for url in servers.into_values() {
        with_client(ctx, |client| origins_of(&Server::new(url.clone(), client), &mut found, filters, ctx))?;
    }
    Ok(found)
}

/// Name and version of what has no manifest, by its own name.
fn words(image: &ImageName) -> (String, String) {
    let stem = |path: &Path| path.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let of_reference = |text: &str| match reference::tag_of(text) {
        Some(tag) => (text.strip_suffix(&format!(":{tag}")).unwrap_or(text).to_owned(), tag.to_owned()),
        None => ("image".to_owned(), text.to_owned()),
    };
    match image {
        ImageName::Docker { name } => (name.repository.clone(), name.tag().to_owned()),
        ImageName::Stored(name) => of_reference(&name.to_string()),
        ImageName::Oci { reference: Some(text), .. }
        | ImageName::OciArchive { reference: Some(text), .. }
        | ImageName::DockerArchive { reference: Some(text), .. } => of_reference(text),
        ImageName::Dataset { name } => {
            let last = name.dataset().rsplit('/').next().unwrap_or_default().to_owned();
            (last, name.snapshot().unwrap_or("latest").to_owned())
        }
        other => (other.path().map(stem).unwrap_or_default(), "latest".to_owned()),
    }
}

fn of_layout(dir: &Path, filters: &Filters, ctx: &Ctx<'_>) -> Result<Vec<Candidate>> {
    let store = Store::open(&ImageName::Oci { dir: dir.to_owned(), reference: None }, ctx)?;
    let mut found = Vec::new();
    for descriptor in store.listed() {
        ctx.check()?;
        let Some(name) = descriptor.ref_name().filter(|_| is_image(&descriptor.media_type)) else { continue };
        let bytes = match media::kind(&descriptor.media_type) {
            Kind::Manifest => size_of(&descriptor.digest, &store.document(descriptor)?),
            _ => None,
        };
        let from = ImageName::Oci { dir: dir.to_owned(), reference: Some(name.to_owned()) };
        let (name, version) = words(&from);
        found.push(Candidate::other(from, &name, &version, bytes, filters));
    }
    Ok(found)
}

fn of_registry(registry: &Registry, filters: &Filters, ctx: &Ctx<'_>) -> Result<Vec<Candidate>> {
    let mut found = Vec::new();
    for repository in Remote::catalog(&registry.host, ctx)? {
        if !registry.holds(&repository) {
            continue;
        }
        let name = format!("//{}/{repository}", registry.host);
        // Not one that could be asked for, whatever the registry says.
        let Ok(name) = name.parse::<crate::registry::RegistryName>() else { continue };
        let tags = match Remote::any(&name, ctx, |remote| remote.tags(ctx)) {
            // The catalogue goes on naming what has been deleted.
            Err(e) if e.is_no_such_image() => continue,
            tags => tags.map_err(|e| e.in_image(format!("docker:{name}")))?,
        };
        let below = repository.strip_prefix(&registry.prefix).unwrap_or(&repository).trim_start_matches('/');
        let below = if below.is_empty() { repository.as_str() } else { below };
        for tag in tags {
            ctx.check()?;
            let image = format!("//{}/{repository}:{tag}", registry.host);
            let Ok(image) = image.parse::<crate::registry::RegistryName>() else { continue };
            let mut candidate =
                Candidate::other(ImageName::Docker { name: image.clone() }, below, &tag, None, filters);
            if candidate.is_wanted {
                let (_, top, bytes) =
                    Remote::reach(&image, ctx).map_err(|e| e.in_image(format!("docker:{image}")))?;
                candidate.bytes = size_of(&top.digest, &bytes);
            }
            found.push(candidate);
        }
    }
    Ok(found)
}

fn is_image(media_type: &str) -> bool {
    matches!(media::kind(media_type), Kind::Index | Kind::Manifest)
}

/// Bytes of the layers of a manifest; those of an index are not asked for one by one.
fn size_of(digest: &str, bytes: &[u8]) -> Option<u64> {
    let manifest = OciManifest::parse(digest, None, bytes).ok()?.value;
    Some(manifest.layers.iter().fold(0, |sum: u64, layer| sum.saturating_add(layer.size)))
}
