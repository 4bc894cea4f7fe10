//! What the host has, in a folder: changed under a lock, each change whole or not at all.

use std::collections::BTreeMap;
use std::env;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::path::{Path, PathBuf};

use aurora_zones::Dialect;
use serde::{Deserialize, Serialize};

use super::dladm::Vnic;
use super::failure::{Failure, Result};
use super::zfs::Dataset;
use super::zone::Zone;

/// Unless `ZONEHOST_STATE` names another.
const USUAL: &str = "/run/zonehost";

/// All that is on the host.
#[derive(Debug, Serialize, Deserialize)]
pub(crate) struct Host {
    dialect: String,
    /// The next zone's number: the kernel does not use one again soon.
    pub(crate) next_id: u32,
    /// Physical links.
    pub(crate) links: Vec<String>,
    pub(crate) vnics: BTreeMap<String, Vnic>,
    pub(crate) datasets: BTreeMap<String, Dataset>,
    pub(crate) zones: BTreeMap<String, Zone>,
    /// The root folder of every zone there has been, for `dump` to look for what is left.
    pub(crate) roots: Vec<String>,
}

impl Host {
    pub(crate) fn new(dialect: Dialect, links: Vec<String>) -> Self {
        Self {
            dialect: dialect.name().to_owned(),
            next_id: 1,
            links,
            vnics: BTreeMap::new(),
            datasets: BTreeMap::new(),
            zones: BTreeMap::new(),
            roots: Vec::new(),
        }
    }

    /// Whose programs are stood in for.
    pub(crate) fn dialect(&self) -> Dialect {
        let known = Dialect::ALL.into_iter().find(|dialect| dialect.name() == self.dialect);
        known.unwrap_or(Dialect::Gate)
    }
}

/// The folder.
#[derive(Debug, Clone)]
pub(crate) struct Place(PathBuf);

impl Place {
    /// As the environment says.
    pub(crate) fn of_environment() -> Self {
        Self(env::var_os("ZONEHOST_STATE").map_or_else(|| USUAL.into(), PathBuf::from))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }

    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    /// The folder of what a zone has outside of the host's state, made if it is not there.
    pub(crate) fn of_zone(&self, zone: &str) -> Result<PathBuf> {
        let folder = self.0.join("zones").join(zone);
        fs::create_dir_all(&folder).map_err(|e| Failure::linux(&folder.to_string_lossy(), &e))?;
        Ok(folder)
    }

    /// Waits for a lock of this name.
    pub(crate) fn lock(&self, name: &str) -> Result<File> {
        let path = self.0.join(format!("{name}.lock"));
        let lock = || -> io::Result<File> {
            let file = OpenOptions::new().create(true).append(true).open(&path)?;
            file.lock()?;
            Ok(file)
        };
        lock().map_err(|e| Failure::linux(&path.to_string_lossy(), &e))
    }

    /// A zone's lock, for as long as an operation on it takes. (zoneadmd has one, too.)
    pub(crate) fn lock_zone(&self, zone: &str) -> Result<File> {
        self.of_zone(zone)?;
        self.lock(&format!("zones/{zone}/operation"))
    }

    /// The host's state, as it stays until what is returned is dropped.
    pub(crate) fn hold(&self) -> Result<Held> {
        let lock = self.lock("host")?;
        let path = self.file("host.json");
        let text = fs::read(&path).map_err(|e| {
            Failure::error(format!("zonehost: {}: {e}; zonehost init makes a host", path.display()))
        })?;
        let host = serde_json::from_slice(&text)
            .map_err(|e| Failure::error(format!("zonehost: {}: {e}", path.display())))?;
        Ok(Held { path, host, _lock: lock })
    }

    /// A new host, instead of any that is here.
    pub(crate) fn make(&self, host: Host) -> Result<Held> {
        fs::create_dir_all(&self.0).map_err(|e| Failure::linux(&self.0.to_string_lossy(), &e))?;
        let held = Held { path: self.file("host.json"), host, _lock: self.lock("host")? };
        held.save()?;
        Ok(held)
    }
}

/// The state under its lock.
#[derive(Debug)]
pub(crate) struct Held {
    path: PathBuf,
    pub(crate) host: Host,
    _lock: File,
}

impl Held {
    /// Makes the change lasting.
    pub(crate) fn save(&self) -> Result<()> {
        save(&self.path, &self.host).map_err(|e| Failure::linux(&self.path.to_string_lossy(), &e))
    }
}

/// A document, whole or not at all.
pub(crate) fn save<T: Serialize>(path: &Path, value: &T) -> io::Result<()> {
    let new = path.with_extension("new");
    fs::write(&new, serde_json::to_vec_pretty(value)?)?;
    fs::rename(&new, path)
}
