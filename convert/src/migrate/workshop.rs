//! What the jobs of a run share: files that were fetched, origins that were read, layers that were made.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

use aurora_engine::fs;
use aurora_formats::smartos::Manifest;

use super::{Plan, Planned};
use crate::imgapi::{Ancestor, Server, Url, fetch, with_client};
use crate::names::ImageName;
use crate::sink::Made;
use crate::source::smartos::{Found, Member, hash};
use crate::{Ctx, Error, ErrorKind, Result};

/// Files on their way from servers, in the folder of a migration. They stay through a kill, and are gone on with.
const FILES: &str = "files";

/// Shared by all jobs.
pub(super) struct Workshop<'a> {
    plan: &'a Plan,
    files: PathBuf,
    cells: BTreeMap<&'a str, Cell<'a>>,
}

/// What is known of an image, for those that build on it.
struct Cell<'a> {
    image: &'a Planned,
    /// Read once; whoever comes meanwhile waits.
    member: Mutex<Option<Arc<Member>>>,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    /// Images of this run that build on it and are not done with.
    waiting: usize,
    /// What the target has of it.
    digest: Option<String>,
    /// Its layers, and whether its root file system was lifted out of a zonepath.
    made: Option<(Arc<Vec<Made>>, bool)>,
}

impl<'a> Workshop<'a> {
    /// For the images of a plan, of which `todo` are to be done.
    pub(super) fn new(plan: &'a Plan, dir: &Path, todo: &[usize]) -> Self {
        let cell = |image: &'a Planned| Cell { image, member: Mutex::default(), state: Mutex::default() };
        let shop = Self {
            plan,
            files: dir.join(FILES),
            cells: plan.images.iter().map(|image| (image.id.as_str(), cell(image))).collect(),
        };
        for at in todo {
            if let Some(origin) = shop.plan.images[*at].origin.as_deref().and_then(|id| shop.cells.get(id)) {
                origin.state().waiting += 1;
            }
        }
        shop
    }

    /// The plan.
    pub(super) fn plan(&self) -> &'a Plan {
        self.plan
    }

    /// The image that another one builds on.
    pub(super) fn origin(&self, image: &Planned) -> Option<&'a Planned> {
        self.cells.get(image.origin.as_deref()?).map(|cell| cell.image)
    }

    /// Notes what the target has of an image.
    pub(super) fn is_at_target(&self, id: &str, digest: Option<String>) {
        if let Some(cell) = self.cells.get(id) {
            cell.state().digest = digest;
        }
    }

    /// What the target has of an image.
    pub(super) fn digest(&self, id: &str) -> Option<String> {
        self.cells.get(id).and_then(|cell| cell.state().digest.clone())
    }

    /// Keeps the layers of an image for those that build on it, if there are any.
    pub(super) fn keep_made(&self, id: &str, made: Vec<Made>, is_lifted: bool) {
        if let Some(cell) = self.cells.get(id) {
            let mut state = cell.state();
            if state.waiting > 0 {
                state.made = Some((Arc::new(made), is_lifted));
            }
        }
    }

    /// The layers of an image that were made in this run.
    pub(super) fn made(&self, id: &str) -> Option<(Arc<Vec<Made>>, bool)> {
        self.cells.get(id)?.state().made.clone()
    }

    /// An image as it was read, with all that it builds on.
    pub(super) fn member(&self, image: &Planned, ctx: &Ctx<'_>) -> Result<Arc<Member>> {
        let cell = self.cells.get(image.id.as_str()).expect("images come from the plan, and have a cell");
        let mut member = cell.member.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(read) = &*member {
            return Ok(Arc::clone(read));
        }
        let below = match self.origin(image) {
            None => None,
            Some(origin) => {
                // What is odd about it was told when it was its own turn.
                let ctx = ctx.job(ctx.progress, ctx.options.threads);
                let below = self
                    .member(origin, &ctx)
                    .map_err(|e| e.in_image(format!("{}, its origin", origin.id)))?;
                self.forget_file(origin);
                Some(below)
            }
        };
        let found = self.found(image, ctx)?;
        ctx.progress.phase("reading");
        let read = Arc::new(Member::read(below.as_deref(), &found, ctx)?);
        if cell.state().waiting > 0 {
            *member = Some(Arc::clone(&read));
        }
        Ok(read)
    }

    /// Manifest and file of an image, the file being the one that the manifest means. What is on a server is fetched.
    pub(super) fn found(&self, image: &Planned, ctx: &Ctx<'_>) -> Result<Found> {
        match image.from()? {
            ImageName::Smartos { path } => {
                let found = Found::open(&path)?;
                self.is_meant(image, found.manifest())?;
                if !found.is_installed() {
                    ctx.progress.phase("verifying");
                    found.verified(ctx).map_err(Error::without_image)?;
                }
                Ok(found)
            }
            ImageName::Imgapi { url, uuid } => with_client(ctx, |client| {
                let server = Server::new(url.clone(), client);
                let manifest = server.show(uuid, ctx)?;
                self.is_meant(image, &manifest)?;
                self.fetched(Ancestor { manifest, server }, &url, ctx)
            }),
            other => Err(Error::usage(format!("not a SmartOS image: {other}"))),
        }
    }

    fn fetched(&self, ancestor: Ancestor<'_>, url: &Url, ctx: &Ctx<'_>) -> Result<Found> {
        let path = self.file_of(&ancestor.manifest.uuid()?.to_string());
        fs::create_dir_all(&self.files).map_err(|e| Error::io(self.files.display().to_string(), e))?;
        let found = Found::new(ancestor.manifest.clone(), path.clone());
        // Left by a run that did not come to its end.
        if fs::is_file(&path) {
            match hash(&path, &found.promised()?, ctx) {
                Ok(_) => return Ok(found),
                Err(e) if matches!(e.kind(), ErrorKind::ImageFile(_)) => {
                    fs::remove_file(&path).map_err(|e| Error::io(path.display().to_string(), e))?;
                }
                Err(e) => return Err(e),
            }
        }
        ctx.progress.phase("fetching");
        if let Some(size) = found.promised()?.size {
            ctx.progress.total(size);
        }
        fetch(&ancestor, &path, ctx).map_err(|e| e.in_image(url.to_string()))?;
        Ok(found)
    }

    /// An image that has another file than when the plan was made is another one.
    fn is_meant(&self, image: &Planned, manifest: &Manifest) -> Result<()> {
        let sha1 = manifest.files()?.into_iter().next().and_then(|file| file.sha1);
        let is_same = manifest.uuid()?.to_string() == image.id && sha1 == image.sha1;
        if is_same {
            return Ok(());
        }
        let word = |sha1: &Option<String>| sha1.clone().unwrap_or_else(|| "none".to_owned());
        let text = format!(
            "it is not the image of the plan any more: SHA-1 was {}, is {}",
            word(&image.sha1),
            word(&sha1)
        );
        Err(ErrorKind::Unsupported(text).into())
    }

    fn file_of(&self, uuid: &str) -> PathBuf {
        self.files.join(format!("{uuid}.file"))
    }

    /// A file that was fetched is of no use any more. What was read of it stays readable.
    pub(super) fn forget_file(&self, image: &Planned) {
        if !fs::is_dir(&self.files) {
            return;
        }
        if let Ok(ImageName::Imgapi { uuid, .. }) = image.from() {
            let path = self.file_of(&uuid.to_string());
            for path in [path.with_extension("file.partial"), path] {
                // If it stays, the next run finds it.
                let _ = fs::remove_file(&path);
            }
        }
    }

    /// An image is done with, in this way or that: what only it needed goes.
    pub(super) fn is_over(&self, image: &Planned) {
        let Some(cell) = image.origin.as_deref().and_then(|id| self.cells.get(id)) else { return };
        let mut state = cell.state();
        state.waiting = state.waiting.saturating_sub(1);
        if state.waiting == 0 {
            state.made = None;
            drop(state);
            *cell.member.lock().unwrap_or_else(PoisonError::into_inner) = None;
        }
    }
}

impl Cell<'_> {
    fn state(&self) -> std::sync::MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
