//! Images out of registries, into them, and between them.

use std::sync::Arc;

use aurora_engine::fs::ScratchDir;
use aurora_engine::store::Access;
use aurora_formats::oci::media::{self, Kind};
use aurora_formats::oci::{Descriptor, Index, reference};

use super::must_exist;
use crate::image::Platform;
use crate::image::select::{self, DEFAULT_NAME, Documents, Wanted};
use crate::names::ImageName;
use crate::registry::{RegistryName, Remote, Secret};
use crate::sink::oci::archive;
use crate::source::oci::Store;
use crate::store::{Local, StoredName};
pub use crate::transfer::Moved;
use crate::transfer::{
    LayoutTarget, LocalOrigin, Move, Origin, RegistryOrigin, RegistryTarget, StoredTarget, Target, transfer,
};
use crate::{Ctx, Error, ErrorKind, Result};

/// What tunes a copy.
#[derive(Debug, Clone, Default)]
pub struct CopyOptions {
    /// The whole index, and what hangs on it: signatures, bills of materials.
    pub all: bool,
    /// Which image of an index.
    pub platform: Option<Platform>,
}

/// What was copied.
#[derive(Debug, Clone)]
pub struct Copied {
    /// Digest of the manifest or index.
    pub digest: String,
    /// What it is.
    pub media_type: String,
    /// What was moved.
    pub moved: Moved,
    /// For people: names.
    pub facts: Vec<(String, String)>,
}

/// Brings an image of a registry into the local store, under its own name or another one.
pub fn get(
    name: &RegistryName,
    to: Option<&StoredName>,
    options: &CopyOptions,
    ctx: &Ctx<'_>,
) -> Result<Copied> {
    let named = |e: Error| e.in_image(format!("docker:{name}"));
    let to = match to {
        Some(to) => Some(to.full().ok_or_else(by_digest)?),
        None => own_name(name),
    };
    let (remote, top, bytes) = Remote::reach(name, ctx).map_err(named)?;
    let origin = RegistryOrigin::new(remote, &top, bytes);
    let local = Local::open(Access::Write, ctx)?;
    let target = StoredTarget::new(&local, to, family(name));
    let index = Index { manifests: vec![top], ..Index::default() };
    run(&origin, &target, &index, None, options, ctx).map_err(named)
}

/// Sends an image into a registry with the bytes it has.
pub fn push(src: &ImageName, to: &RegistryName, options: &CopyOptions, ctx: &Ctx<'_>) -> Result<Copied> {
    copy(src, &ImageName::Docker { name: to.clone() }, options, ctx)
}

/// Copies an image from place to place with the bytes it has.
pub fn copy(src: &ImageName, dst: &ImageName, options: &CopyOptions, ctx: &Ctx<'_>) -> Result<Copied> {
    must_exist(src)?;
    let from = |e: Error| e.in_image(src.to_string());
    if let (ImageName::Docker { name }, ImageName::Stored(to)) = (src, dst) {
        return get(name, Some(to), options, ctx);
    }
    if let ImageName::Docker { name } = src {
        let (remote, top, bytes) = Remote::reach(name, ctx).map_err(from)?;
        let origin = RegistryOrigin::new(remote, &top, bytes);
        let index = Index { manifests: vec![top], ..Index::default() };
        return into(dst, &origin, &index, None, options, ctx);
    }
    let reference = match src {
        ImageName::Oci { reference, .. } | ImageName::OciArchive { reference, .. } => reference.as_deref(),
        ImageName::Stored(_) => None,
        _ => {
            let text = "an image is copied with the bytes it has from docker://, oci:, oci-archive: or the local store";
            return Err(from(Error::usage(format!(
                "{text}; `imageadm convert` makes one of any other form"
            ))));
        }
    };
    let (store, listed) = match src {
        ImageName::Stored(name) => {
            let local = Arc::new(
                Local::open_if_any(ctx)?
                    .ok_or_else(|| from(ErrorKind::NoSuchImage("there is no local store".into()).into()))?,
            );
            let listed = local.refs()?.entries().iter().map(|e| e.descriptor.clone()).collect();
            (Store::stored_in(local, name)?, listed)
        }
        _ => {
            let store = Store::open(src, ctx).map_err(from)?;
            let listed = store.listed().to_vec();
            (store, listed)
        }
    };
    let index = Index { manifests: store.listed().to_vec(), ..Index::default() };
    let origin = LocalOrigin::new(store, listed);
    into(dst, &origin, &index, reference, options, ctx).map_err(|e| {
        // What the target refuses is not the source's fault, and says whose it is.
        if matches!(e.kind(), ErrorKind::Registry(_) | ErrorKind::Remote(_)) { e } else { from(e) }
    })
}

fn into(
    dst: &ImageName,
    origin: &dyn Origin,
    index: &Index,
    reference: Option<&str>,
    options: &CopyOptions,
    ctx: &Ctx<'_>,
) -> Result<Copied> {
    match dst {
        ImageName::Docker { name } => {
            let target = registry_target(name, &[], origin.repository(), ctx)?;
            run(origin, &target, index, reference, options, ctx)
        }
        ImageName::Oci { dir, reference: name } => {
            let name = name.as_deref().unwrap_or(DEFAULT_NAME);
            reference::check_ref_name(name)?;
            let target = LayoutTarget::open(dir, &[name])?;
            run(origin, &target, index, reference, options, ctx)
        }
        ImageName::OciArchive { file, reference: name } => {
            let name = name.as_deref().unwrap_or(DEFAULT_NAME);
            reference::check_ref_name(name)?;
            let out = archive::open(file, false)?;
            // A tar tells how long its members are before the first byte of them: first all is brought here.
            let scratch = ScratchDir::create(&ctx.options.temp_dir);
            let scratch = scratch.map_err(|e| Error::io("cannot make a temporary folder", e))?;
            let dir = scratch.path().join("layout");
            let target = LayoutTarget::open(&dir, &[name])?;
            let copied = run(origin, &target, index, reference, options, ctx)?;
            archive::pack(&dir, out, file, ctx).map_err(|e| e.in_image(dst.to_string()))?;
            Ok(copied)
        }
        ImageName::Stored(name) => {
            let StoredName::Tagged { name: family, .. } = name else { return Err(by_digest()) };
            let local = Local::open(Access::Write, ctx)?;
            let target = StoredTarget::new(&local, name.full(), family.clone());
            run(origin, &target, index, reference, options, ctx)
        }
        other => Err(Error::usage(
            "an image is copied with the bytes it has to docker://, oci:DIR, oci-archive:FILE or the local store; \
             `imageadm convert` writes every other form",
        )
        .in_image(other.to_string())),
    }
}

/// A repository that is written to. The image gets its tag there, and before that these further ones: what has the tag
/// has all of them.
pub(crate) fn registry_target(
    name: &RegistryName,
    more: &[&str],
    from: Option<&RegistryName>,
    ctx: &Ctx<'_>,
) -> Result<RegistryTarget> {
    use crate::registry::Purpose;
    let named = |e: Error| e.in_image(format!("docker:{name}"));
    let endpoints = Remote::endpoints(name, Purpose::Push, ctx).map_err(named)?;
    let endpoint = endpoints.last().expect("a registry is asked for at its own place at least");
    let from = from.filter(|from| from.host == endpoint.name.host);
    let remote = Remote::open(endpoint, Purpose::Push, from, ctx).map_err(named)?;
    let tags = more.iter().copied().chain(name.written_tag()).map(str::to_owned).collect();
    Ok(RegistryTarget::new(remote, tags))
}

fn run(
    origin: &dyn Origin,
    target: &dyn Target,
    index: &Index,
    reference: Option<&str>,
    options: &CopyOptions,
    ctx: &Ctx<'_>,
) -> Result<Copied> {
    let mut top = chosen(origin, index, reference, options)?;
    // Where it comes from it may have a name, which it has not where it goes.
    top.annotations.clear();
    let (digest, media_type) = (top.digest.clone(), top.media_type.clone());
    let jobs = ctx.options.registries.jobs;
    let (moved, facts) = transfer(&Move { origin, target, top, with_referrers: options.all, jobs }, ctx)?;
    Ok(Copied { digest, media_type, moved, facts })
}

/// What is to be copied: one image, or, with all, whatever the name means.
fn chosen(
    origin: &dyn Origin,
    index: &Index,
    reference: Option<&str>,
    options: &CopyOptions,
) -> Result<Descriptor> {
    if !options.all {
        let wanted = Wanted { reference, platform: options.platform.as_ref() };
        return Ok(select::select(index, wanted, &Fetched(origin))?.descriptor);
    }
    let mut found = select::listed(index, reference);
    let is_image = |d: &&Descriptor| matches!(media::kind(&d.media_type), Kind::Index | Kind::Manifest);
    if reference.is_none() && found.len() > 1 {
        let named: Vec<_> = found.iter().copied().filter(|d| d.ref_name() == Some(DEFAULT_NAME)).collect();
        if !named.is_empty() {
            found = named;
        }
    }
    found.retain(is_image);
    found.dedup_by(|a, b| a.digest == b.digest);
    match found[..] {
        [one] => Ok(one.clone()),
        [] => Err(ErrorKind::NoSuchImage(reference.unwrap_or("nothing is listed").to_owned()).into()),
        _ => {
            let name = reference.unwrap_or("this layout").to_owned();
            let shown = |d: &&Descriptor| d.ref_name().unwrap_or(&d.digest).to_owned();
            Err(ErrorKind::Ambiguous { name, candidates: found.iter().map(shown).collect() }.into())
        }
    }
}

struct Fetched<'a>(&'a dyn Origin);

impl Documents for Fetched<'_> {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        self.0.document(descriptor)
    }
}

fn by_digest() -> Error {
    Error::usage("an image is stored under NAME[:TAG], not by digest")
}

/// `HOST/NAME` as people type it.
fn family(name: &RegistryName) -> String {
    reference::familiar(&name.path()).to_owned()
}

/// The name in the store of what comes without another one; none for a digest alone.
fn own_name(name: &RegistryName) -> Option<String> {
    name.written_tag().map(|tag| format!("{}:{tag}", family(name)))
}

/// The tags of a repository, sorted as the registry sorts them.
pub fn tags(name: &RegistryName, ctx: &Ctx<'_>) -> Result<Vec<String>> {
    ctx.progress.phase("tags");
    Remote::any(name, ctx, |remote| remote.tags(ctx)).map_err(|e| e.in_image(format!("docker:{name}")))
}

/// Finds out whether a registry takes a user and a password, and keeps them; says where.
pub fn login(key: &str, user: &str, password: &str, ctx: &Ctx<'_>) -> Result<String> {
    let probe = if key.contains('/') { key.to_owned() } else { format!("{key}/x") };
    let name: RegistryName = probe.parse().map_err(|e| Error::usage(format!("{e}")))?;
    let secret = Secret::Password(user.to_owned(), password.to_owned());
    Remote::check(&name, secret, ctx)?;
    ctx.options.registries.credentials.login(key, user, password, ctx.programs())
}

/// Forgets users and passwords, of one registry or of all; whose.
pub fn logout(key: Option<&str>, ctx: &Ctx<'_>) -> Result<Vec<String>> {
    ctx.options.registries.credentials.logout(key, ctx.programs())
}
