//! Mounts, as resources `fs`.

use oci_spec::runtime::{Mount, Spec};

use crate::bundle::absolute;
use crate::word::Word;
use crate::{Fs, Options, Refusal, Result, Zone};

/// What the brand mounts itself. Engines ask for all of them in every container.
const BY_BRAND: [&str; 6] = ["proc", "sysfs", "devpts", "mqueue", "cgroup", "cgroup2"];

/// Below these nothing can be mounted: the brand has something of its own there.
const BRANDS_OWN: [&str; 3] = ["/dev", "/proc", "/sys"];

/// The control directories.
const OURS: [&str; 2] = ["/.aurora", "/.aurora-run"];

/// What a tmpfs is made of has no name that means anything, but zoneadm looks whether it is there, as it does with everything
/// that is mounted; `swap`, which is usual, would be looked for wherever zoneadm was started.
const NOTHING: &str = "/dev/null";

/// Options that say how a zone is anyway: nothing that is mounted in it or outside of it appears on the other
/// side; times of access are the dataset's.
const ANYWAY: [&str; 9] =
    ["rprivate", "private", "rslave", "slave", "relatime", "strictatime", "defaults", "rw", "async"];

pub(crate) fn apply(zone: &mut Zone, spec: &Spec, options: &Options) -> Result<()> {
    let mut made: Vec<String> = Vec::new();
    for mount in spec.mounts().iter().flatten() {
        let Some(fs) = one(zone, mount, options)? else { continue };
        let dir = fs.dir.as_str().to_owned();
        if made.contains(&dir) {
            return Err(value("mounts.destination", "twice", &dir));
        }
        if let Some(earlier) = made.iter().find(|earlier| is_below(earlier, &dir)) {
            return Err(Refusal::MountOrder { earlier: earlier.clone(), later: dir });
        }
        made.push(dir);
        zone.fs.push(fs);
    }
    Ok(())
}

fn is_below(path: &str, above: &str) -> bool {
    path.strip_prefix(above).is_some_and(|rest| rest.starts_with('/'))
}

fn value(field: &str, problem: &'static str, value: &str) -> Refusal {
    Refusal::Value { field: field.to_owned(), problem, value: value.to_owned() }
}

fn text<'a>(field: &str, path: &'a std::path::Path) -> Result<&'a str> {
    path.to_str().ok_or_else(|| Refusal::Text {
        field: field.to_owned(),
        what: "a path that is not UTF-8",
        value: path.to_string_lossy().into_owned(),
    })
}

fn one(zone: &mut Zone, mount: &Mount, options: &Options) -> Result<Option<Fs>> {
    let destination = text("mounts.destination", mount.destination())?;
    let dir = absolute("mounts.destination", destination.strip_suffix('/').unwrap_or(destination))?;
    let kind = mount.typ().as_deref().unwrap_or("bind");
    let is_brands = |own: &str| destination == own || is_below(destination, own);
    if BY_BRAND.contains(&kind) || (kind == "tmpfs" && BRANDS_OWN.iter().any(|own| is_brands(own))) {
        zone.note_done(format!("mounts: {destination}"), "the brand mounts it");
        return Ok(None);
    }
    if BRANDS_OWN.iter().any(|own| is_brands(own)) {
        return Err(value("mounts.destination", "the brand has something of its own there", destination));
    }
    if OURS.contains(&dir.as_str()) || OURS.iter().any(|own| is_below(dir.as_str(), own)) {
        return Err(value("mounts.destination", "podinit's own", destination));
    }
    if mount.uid_mappings().is_some() || mount.gid_mappings().is_some() {
        return Err(Refusal::Unsupported {
            field: format!("mounts: {destination}: uidMappings, gidMappings"),
        });
    }
    let given: Vec<&str> = mount.options().iter().flatten().map(String::as_str).collect();
    match kind {
        "bind" | "rbind" | "none" => lofs(mount, dir, &given, options).map(Some),
        "tmpfs" => tmpfs(dir, &given).map(Some),
        other => Err(value("mounts.type", "a zone can't mount it", other)),
    }
}

fn lofs(mount: &Mount, dir: Word, given: &[&str], options: &Options) -> Result<Fs> {
    let Some(source) = mount.source() else {
        return Err(value("mounts.source", "missing for", dir.as_str()));
    };
    let source = text("mounts.source", source)?;
    let source = match source.strip_prefix('/') {
        Some(_) => source.to_owned(),
        None => format!("{}/{source}", options.bundle),
    };
    let special = absolute("mounts.source", &source)?;
    // rbind, or a type of that name, takes what is mounted below along; lofs always does unless told not to.
    let mut all = given.contains(&"rbind") || mount.typ().as_deref() == Some("rbind");
    let mut words = Vec::new();
    for option in given {
        match *option {
            "bind" => {}
            "rbind" => all = true,
            other => words.extend(common(other)?),
        }
    }
    if !all {
        words.push(Word::fixed("nosub"));
    }
    Ok(Fs { dir, special, kind: "lofs", options: words })
}

fn tmpfs(dir: Word, given: &[&str]) -> Result<Fs> {
    let mut words = Vec::new();
    for option in given {
        let sized = option.split_once('=').filter(|(name, _)| ["size", "mode"].contains(name));
        match sized {
            Some((_, number)) if number.starts_with(|c: char| c.is_ascii_digit()) => {
                words.push(Word::new("mounts.options", option)?);
            }
            Some(_) => return Err(value("mounts.options", "not a number", option)),
            None => words.extend(common(option)?),
        }
    }
    Ok(Fs { dir, special: Word::fixed(NOTHING), kind: "tmpfs", options: words })
}

/// Options of any file system; none for those that say how it is anyway.
fn common(option: &str) -> Result<Option<Word>> {
    Ok(Some(Word::fixed(match option {
        "ro" => "ro",
        "noexec" => "noexec",
        "nodev" => "nodevices",
        "nosuid" => "nosetuid",
        "dev" => "devices",
        "suid" => "setuid",
        "exec" => "exec",
        anyway if ANYWAY.contains(&anyway) => return Ok(None),
        other => return Err(value("mounts.options", "a zone can't mount so", other)),
    })))
}
