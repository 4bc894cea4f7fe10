//! Chooses one image of an index. A pure function of the documents: nothing about this host is asked.
//!
//! 1. *Name.* With a reference, the descriptors of `index.json` that bear it: first by
//!    `org.opencontainers.image.ref.name`, else by `io.containerd.image.name`, else by the tag of a full name, else
//!    by digest. Without one: those named `latest`, if there are several images and such a name; else all.
//! 2. *Platform.* Nested indexes are opened, attestations and unknown types skipped. With a platform, the first
//!    image of each named descriptor that fits; without one, all.
//! 3. What is left must be one image (several names of one digest are one). None is [`ErrorKind::NoSuchImage`],
//!    several are [`ErrorKind::Ambiguous`]: nothing is guessed.

use std::collections::BTreeMap;

use aurora_formats::oci::descriptor::CONTAINERD_NAME;
use aurora_formats::oci::media::{self, Kind};
use aurora_formats::oci::{Config, Descriptor, Index, Manifest, OciError, PlatformSpec, reference};

use super::{Platform, oci};
use crate::{ErrorKind, Result};

/// Indexes within indexes: real ones have one level, the corpus two.
const MAX_NESTING: usize = 8;
/// Images behind one index.
const MAX_IMAGES: usize = 10_000;
/// Candidates that an error lists.
const MAX_LISTED: usize = 40;
/// The name taken where none is given.
pub const DEFAULT_NAME: &str = "latest";

/// Fetches documents by descriptor, verified.
pub trait Documents {
    /// The bytes of a document.
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>>;
}

/// What is wanted of an index.
#[derive(Debug, Clone, Copy, Default)]
pub struct Wanted<'a> {
    /// By name.
    pub reference: Option<&'a str>,
    /// By platform.
    pub platform: Option<&'a Platform>,
}

/// An image that an index leads to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Candidate {
    /// The name of the descriptor of `index.json` that led there.
    pub name: Option<String>,
    /// Of its manifest.
    pub descriptor: Descriptor,
}

/// Chooses.
pub fn select(index: &Index, wanted: Wanted<'_>, documents: &dyn Documents) -> Result<Candidate> {
    let named = by_name(index, wanted.reference);
    let mut fitting: BTreeMap<String, (usize, Candidate, Option<Platform>)> = BTreeMap::new();
    let mut order = 0;
    for top in named {
        let images = images_of(top, documents)?;
        for candidate in images {
            let platform = match wanted.platform {
                None => None,
                Some(_) => platform_of(&candidate.descriptor, documents)?,
            };
            if wanted.platform.is_some_and(|w| !platform.as_ref().is_some_and(|p| fits(w, p))) {
                continue;
            }
            order += 1;
            fitting.entry(candidate.descriptor.digest.clone()).or_insert((order, candidate, platform));
            if wanted.platform.is_some() {
                break;
            }
        }
    }
    let mut found: Vec<_> = fitting.into_values().collect();
    found.sort_by_key(|(order, ..)| *order);
    // Things beside an image (signatures, bills of materials) don't make it ambiguous.
    if found.iter().any(|(_, c, _)| c.descriptor.artifact_type.is_none()) {
        found.retain(|(_, c, _)| c.descriptor.artifact_type.is_none());
    }
    if found.len() > 1 {
        let name = wanted.reference.unwrap_or("this index").to_owned();
        let mut candidates: Vec<_> =
            found.iter().take(MAX_LISTED).map(|(_, c, p)| describe(c, p.as_ref())).collect();
        if found.len() > MAX_LISTED {
            candidates.push(format!("and {} more", found.len() - MAX_LISTED));
        }
        return Err(ErrorKind::Ambiguous { name, candidates }.into());
    }
    match found.pop() {
        Some((_, candidate, _)) => Ok(candidate),
        None => Err(ErrorKind::NoSuchImage(missing(index, wanted)).into()),
    }
}

/// The descriptors of `index.json` that a reference means.
fn by_name<'a>(index: &'a Index, wanted: Option<&str>) -> Vec<&'a Descriptor> {
    let all = |test: &dyn Fn(&Descriptor) -> bool| -> Vec<&'a Descriptor> {
        index.manifests.iter().filter(|d| test(d)).collect()
    };
    let Some(wanted) = wanted else {
        let images = all(&|d| is_image_or_index(d));
        let latest: Vec<_> = images.iter().copied().filter(|d| d.ref_name() == Some(DEFAULT_NAME)).collect();
        return if images.len() > 1 && !latest.is_empty() { latest } else { images };
    };
    let tests: [&dyn Fn(&Descriptor) -> bool; 4] = [
        &|d| d.ref_name() == Some(wanted),
        &|d| {
            let name = d.annotations.get(CONTAINERD_NAME);
            name.is_some_and(|n| n == wanted || reference::familiar(n) == reference::familiar(wanted))
        },
        &|d| d.ref_name().and_then(reference::tag_of) == Some(wanted),
        &|d| d.digest == wanted.trim_start_matches('@'),
    ];
    tests.iter().map(|test| all(test)).find(|found| !found.is_empty()).unwrap_or_default()
}

/// The descriptors that a listing is to show: those that a reference means, or all.
pub fn listed<'a>(index: &'a Index, wanted: Option<&str>) -> Vec<&'a Descriptor> {
    match wanted {
        Some(_) => by_name(index, wanted),
        None => index.manifests.iter().collect(),
    }
}

fn is_image_or_index(descriptor: &Descriptor) -> bool {
    media::kind(&descriptor.media_type) != Kind::Other && !descriptor.is_attestation()
}

/// All images that a descriptor of `index.json` leads to, in order.
pub fn images_of(top: &Descriptor, documents: &dyn Documents) -> Result<Vec<Candidate>> {
    let name = top.ref_name().or(top.annotations.get(CONTAINERD_NAME).map(String::as_str)).map(str::to_owned);
    let mut found = Vec::new();
    collect(top, 0, documents, &mut found)?;
    Ok(found.into_iter().map(|descriptor| Candidate { name: name.clone(), descriptor }).collect())
}

fn collect(
    descriptor: &Descriptor,
    depth: usize,
    documents: &dyn Documents,
    out: &mut Vec<Descriptor>,
) -> Result<()> {
    if descriptor.is_attestation() {
        return Ok(());
    }
    match media::kind(&descriptor.media_type) {
        Kind::Manifest if out.len() < MAX_IMAGES => out.push(descriptor.clone()),
        Kind::Manifest => {
            return Err(ErrorKind::Limit { what: "images in an index", limit: MAX_IMAGES as u64 }.into());
        }
        Kind::Index if depth >= MAX_NESTING => return Err(OciError::Nesting { limit: MAX_NESTING }.into()),
        Kind::Index => {
            let bytes = documents.document(descriptor)?;
            let index = Index::parse(&descriptor.digest, Some(&descriptor.media_type), &bytes)?;
            for inner in &index.value.manifests {
                collect(inner, depth + 1, documents, out)?;
            }
        }
        Kind::Schema1 => return Err(OciError::Schema1 { document: descriptor.digest.clone() }.into()),
        Kind::Other => {}
    }
    Ok(())
}

/// What an image runs on: as its descriptor says, else as its config does; `None` for what has no config.
pub fn platform_of(descriptor: &Descriptor, documents: &dyn Documents) -> Result<Option<Platform>> {
    if let Some(PlatformSpec { os, architecture, variant, .. }) = &descriptor.platform
        && !os.is_empty()
        && !architecture.is_empty()
    {
        let (os, architecture, variant) = (os.clone(), architecture.clone(), variant.clone());
        return Ok(Some(Platform { os, architecture, variant }));
    }
    let bytes = documents.document(descriptor)?;
    let manifest = Manifest::parse(&descriptor.digest, Some(&descriptor.media_type), &bytes)?.value;
    if manifest.artifact().is_some() {
        return Ok(None);
    }
    let config = documents.document(&manifest.config)?;
    Ok(oci::platform(&Config::parse(&manifest.config.digest, &config)?.value))
}

/// Whether an image runs on what is wanted. A variant counts only if both sides name one; `v8` is what every arm64
/// is.
fn fits(wanted: &Platform, image: &Platform) -> bool {
    let variant = |p: &Platform| match (&p.variant, p.architecture.as_str()) {
        (None, "arm64") => Some("v8".to_owned()),
        (variant, _) => variant.clone(),
    };
    wanted.os == image.os
        && wanted.architecture == image.architecture
        && (wanted.variant.is_none() || variant(image).is_none() || variant(wanted) == variant(image))
}

fn describe(candidate: &Candidate, platform: Option<&Platform>) -> String {
    let said = candidate.descriptor.platform.as_ref().map(|p| {
        let variant = p.variant.as_ref().map(|v| format!("/{v}")).unwrap_or_default();
        format!("{}/{}{variant}", p.os, p.architecture)
    });
    let platform = platform.map(Platform::to_string).or(said);
    let name = candidate.name.as_deref().unwrap_or(&candidate.descriptor.digest);
    platform.map_or_else(|| name.to_owned(), |p| format!("{name} ({p})"))
}

/// The text of an error that names what is not there.
fn missing(index: &Index, wanted: Wanted<'_>) -> String {
    let mut text = wanted.reference.unwrap_or("the layout holds no image").to_owned();
    if let Some(platform) = wanted.platform {
        text.push_str(&format!(" for {platform}"));
    }
    let names: Vec<_> = index.manifests.iter().filter_map(Descriptor::ref_name).collect();
    if wanted.reference.is_some() && !names.is_empty() {
        let listed = names.iter().take(MAX_LISTED).copied().collect::<Vec<_>>().join(", ");
        text.push_str(&format!(" (there is: {listed}{})", if names.len() > MAX_LISTED { ", …" } else { "" }));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_engine::digest::Digest;
    use aurora_formats::oci::descriptor::{DOCKER_REFERENCE_TYPE, REF_NAME};

    #[derive(Default)]
    struct Memory(BTreeMap<String, Vec<u8>>);

    impl Documents for Memory {
        fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
            let path = descriptor.digest.clone();
            Ok(self.0.get(&descriptor.digest).cloned().ok_or(OciError::MissingFile { path })?)
        }
    }

    /// A descriptor of a manifest that is told apart by `id`.
    fn image(id: u8, name: Option<&str>, platform: Option<&str>) -> Descriptor {
        let digest = Digest::sha256(&[id]).to_string();
        let mut out = Descriptor::new(media::MANIFEST, digest, 1);
        out.annotations.extend(name.map(|n| (REF_NAME.to_owned(), n.to_owned())));
        out.platform = platform.map(|p| {
            let p: Platform = p.parse().unwrap();
            PlatformSpec { os: p.os, architecture: p.architecture, variant: p.variant, ..Default::default() }
        });
        out
    }

    fn nested(documents: &mut Memory, name: Option<&str>, inner: Vec<Descriptor>) -> Descriptor {
        let bytes = Index { manifests: inner, ..Index::default() }.to_bytes();
        let digest = Digest::sha256(&bytes).to_string();
        let mut out = Descriptor::new(media::INDEX, digest.clone(), bytes.len() as u64);
        out.annotations.extend(name.map(|n| (REF_NAME.to_owned(), n.to_owned())));
        documents.0.insert(digest, bytes);
        out
    }

    fn chosen(documents: &Memory, manifests: &[Descriptor], name: &str, platform: &str) -> String {
        let index = Index { manifests: manifests.to_vec(), ..Index::default() };
        let platform: Option<Platform> = (!platform.is_empty()).then(|| platform.parse().unwrap());
        let reference = (!name.is_empty()).then_some(name);
        match select(&index, Wanted { reference, platform: platform.as_ref() }, documents) {
            Ok(found) => {
                let id = (0..=255).find(|id| Digest::sha256(&[*id]).to_string() == found.descriptor.digest);
                format!("{}", id.unwrap())
            }
            Err(e) => match e.kind() {
                ErrorKind::NoSuchImage(_) => "none".into(),
                ErrorKind::Ambiguous { candidates, .. } => candidates.join(","),
                other => other.to_string(),
            },
        }
    }

    #[test]
    fn by_name_and_platform() {
        let mut docs = Memory::default();
        let amd = || image(1, None, Some("linux/amd64"));
        let arm = || image(2, None, Some("linux/arm64/v8"));
        let mut attestation = image(3, None, Some("unknown/unknown"));
        attestation.annotations.insert(DOCKER_REFERENCE_TYPE.into(), "attestation-manifest".into());
        let multi = nested(&mut docs, Some("m"), vec![amd(), arm(), attestation.clone()]);
        let single = nested(&mut docs, Some("s"), vec![attestation, amd()]);
        let deep = nested(&mut docs, None, vec![single.clone()]);
        let deep = nested(&mut docs, Some("deep"), vec![deep]);
        let mut full = image(4, Some("latest"), None);
        full.annotations.insert(CONTAINERD_NAME.into(), "docker.io/library/box:latest".into());
        let other = Descriptor::new("application/xml", Digest::sha256(b"xml").to_string(), 1);
        let all = [multi, single, deep, full.clone(), other.clone(), image(5, Some("host/x:v5"), None)];
        let (a, b) =
            (image(6, Some("twice"), Some("linux/amd64")), image(7, Some("twice"), Some("linux/arm64")));
        let cases: &[(&[Descriptor], &str, &str, &str)] = &[
            (&all, "s", "", "1"),
            (&all, "deep", "", "1"),
            (&all, "m", "linux/arm64", "2"),
            (&all, "m", "linux/arm64/v8", "2"),
            (&all, "m", "linux/arm64/v9", "none"),
            (&all, "m", "", "m (linux/amd64),m (linux/arm64/v8)"),
            (&all, "m", "illumos/amd64", "none"),
            (&all, "", "", "4"),
            (&all, "box", "", "4"),
            (&all, "docker.io/library/box:latest", "", "4"),
            (&all, "v5", "", "5"),
            (&all, &Digest::sha256(&[5]).to_string(), "", "5"),
            (&all, "nothing", "", "none"),
            (&[other, image(5, None, None)], "", "", "5"),
            (&[a.clone(), b.clone()], "twice", "linux/arm64", "7"),
            (&[a.clone(), b], "twice", "", "twice (linux/amd64),twice (linux/arm64)"),
            (&[a.clone(), a], "twice", "", "6"),
            (&[], "", "", "none"),
        ];
        for (manifests, name, platform, want) in cases {
            assert_eq!(chosen(&docs, manifests, name, platform), *want, "{name} {platform}");
        }
    }

    #[test]
    fn nesting_ends() {
        let mut docs = Memory::default();
        let mut top = image(1, None, None);
        for _ in 0..=MAX_NESTING {
            top = nested(&mut docs, None, vec![top]);
        }
        assert!(chosen(&docs, &[top], "", "").contains("nested deeper than 8"));
    }
}
