//! What zoneadm looks at before it does anything with a zone: zoneadm(8), `verify`. Every transition up begins with it.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use super::failure::{Failure, Result};
use super::state::Host;
use super::zone::{State, Zone};

/// Whether a zone can be what it is configured to be. All that is wrong is said.
pub(crate) fn verify(host: &Host, name: &str, zone: &Zone) -> Result<()> {
    let mut wrong = zonepath(zone.path());
    wrong.extend(overlap(host, name, zone));
    wrong.extend(file_systems(zone));
    if wrong.is_empty() {
        return Ok(());
    }
    wrong.push(format!("zoneadm: zone {name} failed to verify"));
    Err(Failure::error(wrong.join("\n")))
}

/// "zonepath and its parent directory exist and are owned by root with appropriate modes. The appropriate modes are that
/// zonepath is 700, its parent is not group or world-writable and so forth. … zonepath cannot be a symbolic link." Here root is
/// whoever runs the stand-in.
fn zonepath(path: &str) -> Vec<String> {
    let mut wrong = Vec::new();
    let owner = rustix::process::geteuid().as_raw();
    match fs::canonicalize(path) {
        Err(e) => return vec![format!("{path}: {e}")],
        Ok(resolved) if resolved != Path::new(path) => {
            return vec![format!("{path}: must be a fully resolved path")];
        }
        Ok(_) => {}
    }
    let parent = Path::new(path).parent().unwrap_or(Path::new("/"));
    for (folder, own) in [(Path::new(path), true), (parent, false)] {
        let shown = folder.display();
        let Ok(found) = fs::metadata(folder) else {
            wrong.push(format!("{shown}: No such file or directory"));
            continue;
        };
        if !found.is_dir() {
            wrong.push(format!("{shown} is not a directory."));
        }
        if found.uid() != owner {
            wrong.push(format!("{shown} is not owned by root."));
        }
        let bits: &[(u32, &str)] = if own {
            &[
                (0o040, "group readable"),
                (0o020, "group writable"),
                (0o010, "group executable"),
                (0o004, "world readable"),
                (0o002, "world writable"),
                (0o001, "world executable"),
            ]
        } else {
            &[(0o020, "group writable"), (0o002, "world writable")]
        };
        let set = bits.iter().filter(|(bit, _)| found.mode() & bit != 0);
        wrong.extend(set.map(|(_, what)| format!("{shown} must not be {what}.")));
    }
    wrong
}

/// No zone lives within another that is installed.
fn overlap(host: &Host, name: &str, zone: &Zone) -> Vec<String> {
    let others = host.zones.iter().filter(|(known, other)| *known != name && other.state >= State::Installed);
    let within = |a: &str, b: &str| format!("{a}/").starts_with(&format!("{b}/"));
    others
        .filter(|(_, other)| within(zone.path(), other.path()) || within(other.path(), zone.path()))
        .map(|(known, other)| {
            format!("{name} zonepath ({}) and {known} zonepath ({}) overlap.", zone.path(), other.path())
        })
        .collect()
}

/// "An error is reported if the value is one of proc, mntfs, autofs, or nfs". What is mounted has to be there, whatever the type:
/// zoneadm asks stat(2), also of the `swap` of a tmpfs, which is a name relative to where zoneadm was started. Those of
/// type zfs are names of datasets.
fn file_systems(zone: &Zone) -> Vec<String> {
    let mut wrong = Vec::new();
    let configured = zone.configured();
    for resource in configured.of("fs") {
        let get =
            |name| resource.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
        let (dir, special, kind) = (get("dir"), get("special"), get("type"));
        if ["proc", "mntfs", "autofs", "nfs"].contains(&kind) {
            wrong.push(format!("cannot verify fs {dir}: type {kind} is not allowed."));
        } else if !["lofs", "tmpfs", "zfs"].contains(&kind) {
            let why = "No such file or directory";
            wrong
                .push(format!("could not verify fs {dir}: could not access /usr/lib/fs/{kind}/mount: {why}"));
        } else if kind != "zfs"
            && let Err(e) = fs::metadata(special)
        {
            let why = if e.kind() == std::io::ErrorKind::NotFound {
                "No such file or directory".to_owned()
            } else {
                e.to_string()
            };
            wrong.push(format!("could not verify fs {dir}: could not access {special}: {why}"));
        }
    }
    wrong
}
