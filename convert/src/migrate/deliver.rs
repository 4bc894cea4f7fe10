//! OCI images to where they go, with the names that the plan gives them.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, OnceLock};

use aurora_engine::body::{Body, MemBody};
use aurora_engine::digest::Digest;
use aurora_engine::remote::Destination;
use aurora_formats::oci::{self, Descriptor, OciError, media};

use super::Planned;
use crate::names::ImageName;
use crate::ops::registry_target;
use crate::registry::{Purpose, RegistryName, Remote};
use crate::sink::Made;
use crate::transfer::{LayoutTarget, LocalOrigin, Move, Moved, Origin, RegistryOrigin, Target, transfer};
use crate::{Counter, Ctx, Error, ErrorKind, Result};

/// Moves an image to the target. `from` is a repository of the same registry that has some of its blobs.
pub(super) fn deliver(
    image: &Planned,
    origin: &dyn Origin,
    top: &Descriptor,
    from: Option<&RegistryName>,
    ctx: &Ctx<'_>,
) -> Result<Moved> {
    let target = target(image, from, ctx)?;
    let jobs = ctx.options.registries.jobs;
    let job = Move { origin, target: &*target, top: top.clone(), with_referrers: false, jobs };
    Ok(transfer(&job, ctx)?.0)
}

fn target(image: &Planned, from: Option<&RegistryName>, ctx: &Ctx<'_>) -> Result<Box<dyn Target>> {
    let bad = |text: &str| Error::from(ErrorKind::Plan(format!("{}: {text}", image.id)));
    let further: Vec<ImageName> =
        image.also.iter().map(|name| name.parse().map_err(|_| bad("no name"))).collect::<Result<_>>()?;
    match image.to()? {
        ImageName::Docker { name } => {
            let mut tags = Vec::new();
            for other in &further {
                match other {
                    ImageName::Docker { name: other } if other.path() == name.path() => {
                        tags.push(other.tag())
                    }
                    _ => return Err(bad("further names must be tags of the same repository")),
                }
            }
            Ok(Box::new(registry_target(&name, &tags, from, ctx)?))
        }
        ImageName::Oci { dir, reference: Some(reference) } => {
            let mut names = vec![reference.as_str()];
            for other in &further {
                match other {
                    ImageName::Oci { dir: other, reference: Some(name) } if *other == dir => names.push(name),
                    _ => return Err(bad("further names must be of the same layout")),
                }
            }
            for name in &names {
                oci::reference::check_ref_name(name)?;
            }
            Ok(Box::new(LayoutTarget::open(&dir, &names)?))
        }
        _ => Err(bad("layers and artifacts go to docker://HOST/NAME:TAG or oci:DIR:NAME")),
    }
}

/// An image whose new layers are at hand, and whose others the target has, under the name of another image.
pub(super) struct Grown<'a> {
    /// What was made now.
    local: LocalOrigin,
    /// Digests of the rest, and the image that has it.
    made: BTreeSet<String>,
    below: Option<(&'a Planned, String)>,
    /// Where a registry has that image.
    repository: Option<RegistryName>,
    /// The same, opened when something has to be fetched: most registries take blobs over by themselves.
    far: OnceLock<RegistryOrigin>,
}

impl<'a> Grown<'a> {
    /// `below` is the image that has the layers, and its digest.
    pub(super) fn new(local: LocalOrigin, made: &[Made], below: Option<(&'a Planned, String)>) -> Self {
        let made: BTreeSet<String> = made.iter().map(|made| made.descriptor.digest.clone()).collect();
        let repository = below.as_ref().and_then(|(image, _)| match image.to() {
            Ok(ImageName::Docker { name }) if !made.is_empty() => Some(name),
            _ => None,
        });
        Self { local, made, below, repository, far: OnceLock::new() }
    }

    /// Who gives a blob that the target turns out not to have.
    fn of(&self, descriptor: &Descriptor, ctx: &Ctx<'_>) -> Result<&dyn Origin> {
        let (Some((image, digest)), Some(_)) = (&self.below, &self.repository) else {
            return Ok(&self.local);
        };
        if !self.made.contains(&descriptor.digest) {
            return Ok(&self.local);
        }
        if self.far.get().is_none()
            && let (_, Some(origin)) = made(image, digest, ctx)?
        {
            // Whoever was faster has opened the same.
            let _ = self.far.set(origin);
        }
        Ok(self.far.get().map_or(&self.local as &dyn Origin, |far| far))
    }
}

impl Origin for Grown<'_> {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.local.document(descriptor)
    }

    fn send(&self, descriptor: &Descriptor, to: &mut dyn Destination, ctx: &Ctx<'_>) -> Result<()> {
        self.of(descriptor, ctx)?.send(descriptor, to, ctx)
    }

    fn body(&self, descriptor: &Descriptor, ctx: &Ctx<'_>) -> Result<Body> {
        self.of(descriptor, ctx)?.body(descriptor, ctx)
    }

    fn referrers(&self, _: &str) -> Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }

    fn repository(&self) -> Option<&RegistryName> {
        self.repository.as_ref()
    }
}

/// Blobs at hand: of an artifact.
pub(super) struct Blobs(BTreeMap<String, Body>);

impl Blobs {
    pub(super) fn new() -> Self {
        Self(BTreeMap::new())
    }

    /// Adds a blob that was hashed.
    pub(super) fn add(&mut self, digest: &Digest, body: Body) {
        self.0.insert(digest.to_string(), body);
    }

    /// Adds a small one; its digest.
    pub(super) fn put(&mut self, bytes: &[u8]) -> Digest {
        let digest = Digest::sha256(bytes);
        self.add(&digest, Arc::new(MemBody(bytes.to_vec())));
        digest
    }
}

impl Origin for Blobs {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        oci::json::check_size(&descriptor.digest, descriptor.size)?;
        let body = self.find(descriptor)?;
        let mut bytes = vec![0; body.len() as usize];
        body.read_exact_at(&mut bytes, 0).map_err(|e| Error::io(descriptor.digest.clone(), e))?;
        Ok(bytes)
    }

    fn send(&self, descriptor: &Descriptor, to: &mut dyn Destination, ctx: &Ctx<'_>) -> Result<()> {
        let body = self.find(descriptor)?;
        let named = |e| Error::io(descriptor.digest.clone(), e);
        let (mut at, mut buf) = (0, vec![0; 1 << 18]);
        while at < body.len() {
            ctx.check()?;
            let n = (body.len() - at).min(buf.len() as u64) as usize;
            body.read_exact_at(&mut buf[..n], at).map_err(named)?;
            to.append(&buf[..n]).map_err(named)?;
            ctx.progress.count(Counter::BytesWritten, n as u64);
            at += n as u64;
        }
        Ok(())
    }

    fn body(&self, descriptor: &Descriptor, _: &Ctx<'_>) -> Result<Body> {
        self.find(descriptor).cloned()
    }

    fn referrers(&self, _: &str) -> Result<Vec<Descriptor>> {
        Ok(Vec::new())
    }
}

impl Blobs {
    fn find(&self, descriptor: &Descriptor) -> Result<&Body> {
        let path = || oci::layout::blob_path(&descriptor.digest);
        self.0.get(&descriptor.digest).ok_or_else(|| OciError::MissingFile { path: path() }.into())
    }
}

/// An image at the target that others build on: its layers, told by its documents, and where a registry has them.
pub(super) fn made(
    image: &Planned,
    digest: &str,
    ctx: &Ctx<'_>,
) -> Result<(Vec<Made>, Option<RegistryOrigin>)> {
    let named = |e: Error| e.in_image(image.to.clone());
    let read = || -> Result<(Vec<Made>, Option<RegistryOrigin>)> {
        match image.to()? {
            ImageName::Docker { name } => {
                let (remote, top, bytes) = at_registry(&name, digest, ctx)?;
                let origin = RegistryOrigin::new(remote, &top, bytes);
                Ok((layers(&origin, &top)?, Some(origin)))
            }
            ImageName::Oci { dir, .. } => {
                let store = crate::source::oci::Store::open(&ImageName::Oci { dir, reference: None }, ctx)?;
                let listed = store.listed().to_vec();
                let top = listed.iter().find(|found| found.digest == digest).cloned();
                let missing = || OciError::MissingFile { path: oci::layout::blob_path(digest) };
                let mut top = top.ok_or_else(missing)?;
                top.annotations.clear();
                Ok((layers(&LocalOrigin::new(store, Vec::new()), &top)?, None))
            }
            other => Err(Error::usage(format!("no OCI image: {other}"))),
        }
    };
    read().map_err(named)
}

fn at_registry(name: &RegistryName, digest: &str, ctx: &Ctx<'_>) -> Result<(Remote, Descriptor, Vec<u8>)> {
    let endpoints = Remote::endpoints(name, Purpose::Push, ctx)?;
    let endpoint = endpoints.last().expect("a registry is asked for at its own place at least");
    let remote = Remote::open(endpoint, Purpose::Pull, None, ctx)?;
    let found = remote.manifest(digest)?;
    let (top, bytes) = found.ok_or_else(|| remote.missing(digest))?;
    Ok((remote, top, bytes))
}

/// The layers of an image.
pub(super) fn layers(origin: &dyn Origin, top: &Descriptor) -> Result<Vec<Made>> {
    let manifest = oci::Manifest::parse(&top.digest, Some(&top.media_type), &origin.document(top)?)?.value;
    if media::kind(&top.media_type) != media::Kind::Manifest || manifest.artifact().is_some() {
        return Ok(Vec::new());
    }
    let config = oci::Config::parse(&manifest.config.digest, &origin.document(&manifest.config)?)?.value;
    if config.diff_ids.len() != manifest.layers.len() {
        let (expected, actual) = (manifest.layers.len().to_string(), config.diff_ids.len().to_string());
        return Err(ErrorKind::DiffId { expected, actual }.into());
    }
    let pairs = manifest.layers.into_iter().zip(&config.diff_ids);
    pairs
        .map(|(descriptor, diff_id)| {
            let diff_id = crate::source::oci::digest(diff_id)?;
            Ok(Made { descriptor, diff_id })
        })
        .collect()
}
