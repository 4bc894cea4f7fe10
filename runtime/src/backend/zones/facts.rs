//! What plans depend on of a host of zones, and of a bundle's place on it.

use std::path::{Path, PathBuf};

use aurora_zones::{Dialect, Readonly};

use super::commands::Commands;
use crate::bundle::Bundle;
use crate::{Error, Result};

/// What a system says that it is.
const RELEASE: &str = "/etc/release";

/// What is known of a host beyond what every plan asks for.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Facts {
    /// Whose zonecfg is to read what is written; none where that is not known.
    pub dialect: Option<Dialect>,
    /// The root file system without links on the way.
    pub root: PathBuf,
    /// What is mounted at the zone's path.
    pub dataset: Option<Mounted>,
    /// Why that is not known.
    pub problem: Option<String>,
    /// Below which dataset containers are to have those of their own.
    pub parent: Option<String>,
    /// podinit for programs of this system, and for those of Linux.
    pub podinit: Podinit,
}

/// The dataset that a bundle's root file system lies in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Mounted {
    /// Its name.
    pub name: String,
    /// Whether it is read-only.
    pub is_readonly: bool,
    /// What it was told itself about that.
    pub readonly: Option<String>,
}

impl Mounted {
    /// What has to be done to have it read-only.
    pub(super) fn to_readonly(&self) -> Option<Readonly> {
        let readonly = Readonly { dataset: self.name.clone(), before: self.readonly.clone() };
        (!self.is_readonly).then_some(readonly)
    }
}

/// Files of podinit.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Podinit {
    /// For programs of this system.
    pub native: PathBuf,
    /// For those of Linux.
    pub linux: PathBuf,
}

impl Podinit {
    /// Beside this program, unless another one is named. A host of zones has two.
    pub(super) fn find(named: Option<&Path>, program: &Path) -> Self {
        let beside = |name: &str| program.with_file_name(name);
        let linux = if cfg!(target_os = "linux") { "podinit" } else { "podinit-linux" };
        match named {
            Some(path) => Self { native: path.to_owned(), linux: path.to_owned() },
            None => Self { native: beside("podinit"), linux: beside(linux) },
        }
    }
}

/// The dialect of this system.
pub(super) fn dialect() -> Option<Dialect> {
    let name = rustix::system::uname();
    let release = std::fs::read_to_string(RELEASE).unwrap_or_default();
    Dialect::of_host(&name.sysname().to_string_lossy(), &name.version().to_string_lossy(), &release)
}

/// What is mounted at the path of a bundle's zone.
pub(super) fn dataset(root: &Path, host: &Commands) -> Result<Option<Mounted>> {
    let Some(path) = root.parent().and_then(Path::to_str) else { return Ok(None) };
    let all = host.mounted()?;
    let Some((name, _)) = all.into_iter().find(|(_, at)| at == path) else { return Ok(None) };
    let (is_readonly, readonly) = host.readonly(&name)?;
    Ok(Some(Mounted { name, is_readonly, readonly }))
}

/// The root of a bundle, by its real name: a zone's path has no links in it.
pub(super) fn root(bundle: &Bundle) -> Result<PathBuf> {
    let root = bundle.root();
    root.canonicalize().map_err(|e| Error::io(root.display().to_string(), e))
}
