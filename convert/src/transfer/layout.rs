//! Layouts as targets: a new one appears whole, one that is there gets the image added.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use aurora_engine::fs::{self, DirLock, StagedDir};
use aurora_engine::store::Landing;
use aurora_formats::oci::{Descriptor, Index, OciError, json, layout};

use super::{Attached, Origin, Target, list_of, put, take};
use crate::registry::{Sent, fallback_tag};
use crate::source::oci::digest;
use crate::store::Refs;
use crate::{Ctx, Error, ErrorKind, Result};

/// A layout, and the names that the image gets there.
pub(crate) struct LayoutTarget {
    dir: PathBuf,
    names: Vec<String>,
    /// What it becomes whole from, if it is new.
    staged: Mutex<Option<StagedDir>>,
    /// Keeps two writers from losing each other's names.
    _lock: Option<DirLock>,
}

/// Makes a layout without images, unless there is one.
pub(crate) fn begin_layout(dir: &Path) -> Result<()> {
    let named = |e| Error::io(dir.display().to_string(), e);
    if fs::exists(&dir.join(layout::LAYOUT_FILE)).map_err(named)? {
        return Ok(());
    }
    let target = LayoutTarget::open(dir, &[])?;
    let staged = target.staged.lock().expect("no holder of this lock can panic").take();
    let Some(staged) = staged else { return Ok(()) };
    target.write(layout::INDEX_FILE, &Index::default().to_bytes())?;
    target.write(layout::LAYOUT_FILE, &layout::content())?;
    staged.root().set_mode(b"", 0o755).map_err(named)?;
    staged.commit().map_err(named)
}

impl LayoutTarget {
    /// Opens the layout, or begins a new one.
    pub(crate) fn open(dir: &Path, names: &[&str]) -> Result<Self> {
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::AlreadyExists => {
                ErrorKind::Exists(format!("{} is neither empty nor an OCI layout", dir.display())).into()
            }
            _ => Error::io(dir.display().to_string(), e),
        };
        let is_there = fs::exists(&dir.join(layout::LAYOUT_FILE)).map_err(failed)?;
        let (staged, lock) = match is_there {
            true => (None, Some(DirLock::acquire(dir).map_err(failed)?)),
            false => (Some(StagedDir::create(dir).map_err(failed)?), None),
        };
        let place = staged.as_ref().map_or(dir, StagedDir::path).to_owned();
        if is_there {
            layout::check(&read(&place, layout::LAYOUT_FILE)?)?;
            Refs::parse(&read(&place, layout::INDEX_FILE)?)?;
        }
        let names = names.iter().map(|name| (*name).to_owned()).collect();
        Ok(Self { dir: place, names, staged: Mutex::new(staged), _lock: lock })
    }

    fn land(&self, descriptor: &Descriptor) -> Result<Option<Landing>> {
        let digest = digest(&descriptor.digest)?;
        let path = self.dir.join(layout::blob_path(&descriptor.digest));
        let named = |e| Error::io(path.display().to_string(), e);
        if fs::size_of(&path).map_err(named)? == Some(descriptor.size) {
            return Ok(None);
        }
        let dir = path.parent().expect("a blob lies below the layout");
        fs::create_dir_all(dir).map_err(named)?;
        Landing::beside(&path, &digest, descriptor.size).map(Some).map_err(named)
    }

    fn write(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let path = self.dir.join(name);
        fs::replace_file(&path, bytes).map_err(|e| Error::io(path.display().to_string(), e))
    }
}

fn read(dir: &Path, name: &str) -> Result<Vec<u8>> {
    fs::read_limited(&dir.join(name), json::MAX_LISTING).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => OciError::MissingFile { path: name.to_owned() }.into(),
        _ => Error::io(dir.join(name).display().to_string(), e),
    })
}

impl Target for LayoutTarget {
    fn has_whole(&self, _: &Descriptor) -> Result<bool> {
        Ok(false)
    }

    fn take(&self, descriptor: &Descriptor, origin: &dyn Origin, ctx: &Ctx<'_>) -> Result<Sent> {
        take(self.land(descriptor)?, descriptor, origin, ctx)
    }

    fn put(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<bool> {
        put(self.land(descriptor)?, descriptor, bytes).map(|()| false)
    }

    fn finish(&self, top: &Descriptor, _: &[u8], attached: &Attached) -> Result<Vec<(String, String)>> {
        let named = |e| Error::io(self.dir.display().to_string(), e);
        let staged = self.staged.lock().expect("no holder of this lock can panic").take();
        let old = match &staged {
            Some(_) => Index::default().to_bytes(),
            None => read(&self.dir, layout::INDEX_FILE)?,
        };
        let mut refs = Refs::parse(&old)?;
        for (subject, manifests) in attached {
            let (list, bytes) = list_of(manifests);
            put(self.land(&list)?, &list, &bytes)?;
            refs.set(list, &fallback_tag(subject));
        }
        let was: Vec<String> = self.names.iter().filter_map(|name| refs.set(top.clone(), name)).collect();
        if staged.is_some() {
            self.write(layout::LAYOUT_FILE, &layout::content())?;
        }
        self.write(layout::INDEX_FILE, &refs.to_bytes())?;
        if let Some(staged) = staged {
            // It was its owner's alone while it was incomplete.
            staged.root().set_mode(b"", 0o755).map_err(named)?;
            staged.commit().map_err(named)?;
        }
        let mut facts: Vec<_> = self.names.iter().map(|name| ("name".to_owned(), name.clone())).collect();
        facts.extend(was.into_iter().map(|digest| ("replaced".to_owned(), digest)));
        Ok(facts)
    }
}
