//! Datasets, each a folder. A clone is a copy. What is mounted is bound to its place, where whoever runs this may mount. A quota
//! that a dataset is made with is the size of a tmpfs on its folder.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use serde::{Deserialize, Serialize};

use crate::host::failure::{Failure, Result};
use crate::host::mounts::{MOUNT, below, is_point, unmount};
use crate::host::processes::run;
use crate::host::state::{Host, Place};

/// A file system or snapshot.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Dataset {
    /// Where its files are.
    pub(crate) folder: String,
    /// The snapshot that it is a clone of.
    pub(super) origin: Option<String>,
    /// Set here, and not got from above.
    pub(super) properties: BTreeMap<String, String>,
    /// What came with a stream.
    #[serde(default)]
    pub(super) received: BTreeMap<String, String>,
    pub(super) mounted: bool,
}

impl Dataset {
    pub(crate) fn new(folder: String) -> Self {
        Self { folder, origin: None, properties: BTreeMap::new(), received: BTreeMap::new(), mounted: false }
    }

    /// A property that is set here.
    pub(crate) fn get(&self, name: &str) -> &str {
        self.properties.get(name).map_or("", String::as_str)
    }
}

pub(super) fn missing(name: &str) -> Failure {
    Failure::error(format!("cannot open '{name}': dataset does not exist"))
}

/// `zonehost receive DATASET PROPERTY VALUE`: as if a stream had brought it.
pub(crate) fn receive(host: &mut Host, args: &[String]) -> Result<()> {
    let [name, property, value] = args else { return Err(Failure::usage("receive DATASET PROPERTY VALUE")) };
    let dataset = host.datasets.get_mut(name).ok_or_else(|| missing(name))?;
    dataset.received.insert(property.clone(), value.clone());
    Ok(())
}

/// A pool of this name, mounted below the root folder where that is possible.
pub(crate) fn make_pool(place: &Place, host: &mut Host, name: &str) -> Result<()> {
    let (name, mountpoint) = name.split_once('=').map_or((name, None), |(name, path)| (name, Some(path)));
    check_name(name, "create")?;
    let properties = mountpoint.map(|path| ("mountpoint".to_owned(), path.to_owned()));
    add(place, host, name, properties.into_iter().collect(), None)
}

/// Whether this process may mount; without, datasets are only remembered as mounted.
pub(super) fn may_mount() -> bool {
    rustix::process::geteuid().is_root()
}

/// zfs(8): components of letters, digits and `_-.:`, and blanks, with one `@` before a snapshot's own name.
pub(super) fn check_name(name: &str, what: &str) -> Result<()> {
    let fits = |part: &str| {
        !part.is_empty() && part.chars().all(|c| c.is_ascii_alphanumeric() || "_-.: ".contains(c))
    };
    let (dataset, snapshot) = name.split_once('@').map_or((name, None), |(d, s)| (d, Some(s)));
    if dataset.split('/').all(fits) && snapshot.is_none_or(fits) && name.len() < 256 {
        return Ok(());
    }
    Err(Failure::error(format!("cannot {what} '{name}': invalid dataset name")))
}

pub(super) fn folder(place: &Place, name: &str) -> String {
    let file = name.replace('%', "%25").replace('/', "%2f");
    place.file("datasets").join(file).to_string_lossy().into_owned()
}

/// zfsprops(7).
const NOT_INHERITED: [&str; 5] = ["canmount", "quota", "refquota", "reservation", "refreservation"];

/// A property, of the dataset or of what is above it; and where from, in the words of `zfs get`.
pub(super) fn value(host: &Host, name: &str, property: &str) -> (String, String) {
    let Some(dataset) = host.datasets.get(name) else { return ("-".into(), "-".into()) };
    let own = |text: &str| (text.to_owned(), "-".to_owned());
    match property {
        "name" => return own(name),
        "type" => return own(if name.contains('@') { "snapshot" } else { "filesystem" }),
        "origin" => return own(dataset.origin.as_deref().unwrap_or("-")),
        "mounted" if name.contains('@') => return own("-"),
        "mounted" => return own(if dataset.mounted { "yes" } else { "no" }),
        "used" | "referenced" | "refer" | "available" | "avail" => return own("0"),
        _ => {}
    }
    if let Some(set) = dataset.properties.get(property) {
        return (set.clone(), "local".to_owned());
    }
    if let Some(received) = dataset.received.get(property) {
        return (received.clone(), "received".to_owned());
    }
    let mut above = if NOT_INHERITED.contains(&property) { "" } else { name };
    while let Some((next, _)) = above.rsplit_once(['/', '@']) {
        let set = |dataset: &'_ Dataset| {
            dataset.properties.get(property).or(dataset.received.get(property)).cloned()
        };
        let from = host.datasets.get(next).and_then(set);
        if let Some(found) = from {
            let below = name[next.len()..].trim_start_matches(['/', '@']);
            let is_path = property == "mountpoint" && !["none", "legacy"].contains(&found.as_str());
            let text = if is_path { format!("{}/{below}", found.trim_end_matches('/')) } else { found };
            return (text, format!("inherited from {next}"));
        }
        above = next;
    }
    let usual = match property {
        "mountpoint" => format!("/{name}"),
        "readonly" | "zoned" => "off".to_owned(),
        "canmount" | "devices" | "exec" | "setuid" | "atime" => "on".to_owned(),
        "quota" | "reservation" | "refquota" => "none".to_owned(),
        _ => "-".to_owned(),
    };
    let from = if usual == "-" { "-" } else { "default" };
    (usual, from.to_owned())
}

/// Where it is mounted when it is; none if it is not to be mounted by itself.
pub(super) fn point(host: &Host, name: &str) -> Option<String> {
    let (path, _) = value(host, name, "mountpoint");
    Some(path).filter(|path| path.starts_with('/') && !name.contains('@'))
}

/// The file system that is mounted exactly there.
pub(crate) fn mounted_at(host: &Host, path: &str) -> Option<String> {
    let mounted = host.datasets.iter().filter(|(_, dataset)| dataset.mounted);
    mounted.map(|(name, _)| name).find(|name| point(host, name).as_deref() == Some(path)).cloned()
}

pub(super) fn attach(host: &mut Host, name: &str) -> Result<()> {
    let Some(point) = point(host, name) else { return Ok(()) };
    let readonly = value(host, name, "readonly").0 == "on";
    let Some(dataset) = host.datasets.get_mut(name) else { return Err(missing(name)) };
    fs::create_dir_all(&point).map_err(|e| Failure::error(format!("cannot mount '{point}': {e}")))?;
    if may_mount() {
        run(MOUNT, &["--bind", "--make-private", &dataset.folder, &point])?;
        if readonly {
            run(MOUNT, &["-o", "remount,bind,ro", &point])?;
        }
    }
    dataset.mounted = true;
    Ok(())
}

pub(super) fn detach(host: &mut Host, name: &str, force: bool) -> Result<()> {
    let point = point(host, name);
    let Some(dataset) = host.datasets.get_mut(name) else { return Err(missing(name)) };
    let Some(point) = point.filter(|_| dataset.mounted) else { return Ok(()) };
    if may_mount() && is_point(&point)? {
        // What is mounted below, be it a zone's, keeps it busy.
        if !force && !below(&point)?.is_empty() {
            return Err(Failure::error(format!("cannot unmount '{point}': Device busy")));
        }
        unmount(&point)?;
    }
    dataset.mounted = false;
    // zfs removes what it has made for this, if it is empty.
    let _ = fs::remove_dir(&point);
    Ok(())
}

pub(super) fn add(
    place: &Place,
    host: &mut Host,
    name: &str,
    properties: BTreeMap<String, String>,
    origin: Option<&str>,
) -> Result<()> {
    let folder = folder(place, name);
    let parent = Path::new(&folder).parent().unwrap_or(Path::new("/"));
    fs::create_dir_all(parent).map_err(|e| Failure::linux(&folder, &e))?;
    match origin.and_then(|origin| host.datasets.get(origin)) {
        Some(from) => run("/usr/bin/cp", &["--archive", "--reflink=auto", &from.folder, &folder])?,
        None => fs::create_dir(&folder).map_err(|e| Failure::linux(&folder, &e))?,
    }
    if let Some(quota) = properties.get("quota").filter(|quota| *quota != "none" && may_mount()) {
        run(MOUNT, &["-t", "tmpfs", "-o", &format!("mode=755,size={quota}"), "zonehost", &folder])?;
    }
    let mut dataset = Dataset::new(folder);
    dataset.properties = properties;
    dataset.origin = origin.map(str::to_owned);
    host.datasets.insert(name.to_owned(), dataset);
    let (wanted, _) = value(host, name, "canmount");
    if wanted == "on" { attach(host, name) } else { Ok(()) }
}

/// Below a dataset: children and snapshots, and theirs.
pub(super) fn descendants(host: &Host, name: &str) -> Vec<String> {
    let below = |known: &&String| known.strip_prefix(name).is_some_and(|rest| rest.starts_with(['/', '@']));
    host.datasets.keys().filter(below).cloned().collect()
}

/// A dataset with all that is below it.
pub(crate) fn destroy_all(host: &mut Host, name: &str) -> Result<()> {
    let mut all = descendants(host, name);
    // Deepest first.
    all.reverse();
    all.push(name.to_owned());
    for dataset in all {
        detach(host, &dataset, true)?;
        let folder = host.datasets.get(&dataset).ok_or_else(|| missing(&dataset))?.folder.clone();
        if may_mount() && is_point(&folder)? {
            unmount(&folder)?;
        }
        fs::remove_dir_all(&folder).map_err(|e| Failure::linux(&folder, &e))?;
        host.datasets.remove(&dataset);
    }
    Ok(())
}

/// Sets a property, or has it inherited, and does to what is mounted what this means.
pub(super) fn change(host: &mut Host, name: &str, property: &str, text: Option<&str>) -> Result<()> {
    let mounted = host.datasets.get(name).is_some_and(|dataset| dataset.mounted);
    if mounted && property == "mountpoint" {
        detach(host, name, false)?;
    }
    let Some(dataset) = host.datasets.get_mut(name) else { return Err(missing(name)) };
    match text {
        Some(text) => dataset.properties.insert(property.to_owned(), text.to_owned()),
        None => dataset.properties.remove(property),
    };
    if mounted && property == "mountpoint" {
        attach(host, name)?;
    } else if let Some(point) = point(host, name).filter(|_| mounted && property == "readonly" && may_mount())
    {
        let how = if value(host, name, "readonly").0 == "on" { "remount,bind,ro" } else { "remount,bind,rw" };
        run(MOUNT, &["-o", how, &point])?;
    }
    Ok(())
}
