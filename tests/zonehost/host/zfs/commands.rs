//! What is done to datasets.

use std::collections::BTreeMap;

use super::dataset::{
    Dataset, add, attach, change, check_name, descendants, destroy_all, detach, folder, may_mount, missing,
    mounted_at, point, value,
};
use super::print::{get, list};
use crate::host::failure::{Failure, Result};
use crate::host::mounts;
use crate::host::options::Options;
use crate::host::processes::run;
use crate::host::state::{Host, Place};
use crate::host::zoneadm::Said;

pub(super) const USAGE: &str = "usage: zfs command args ...";

pub(crate) fn zfs(place: &Place, args: &[String]) -> Result<Said> {
    let Some((command, rest)) = args.split_first() else { return Err(Failure::usage(USAGE)) };
    let mut held = place.hold()?;
    let host = &mut held.host;
    match command.as_str() {
        "list" => return list(host, rest).map(Said::out),
        "get" => return get(host, rest).map(Said::out),
        "create" => create(place, host, rest)?,
        "snapshot" => snapshot(place, host, rest)?,
        "clone" => clone(place, host, rest)?,
        "destroy" => destroy(host, rest)?,
        "set" => set(host, rest)?,
        "inherit" => inherit(host, rest)?,
        "mount" => mount(host, rest)?,
        "unmount" | "umount" => unmount_one(host, rest)?,
        other => return Err(Failure::usage(format!("unrecognized command '{other}'\n{USAGE}"))),
    }
    held.save()?;
    Ok(Said::default())
}

pub(super) fn options<'a>(args: &'a [String], known: &str) -> Result<Options<'a>> {
    Options::read(args, known).map_err(|e| Failure::usage(format!("{}\n{USAGE}", e.message)))
}

fn properties<'a>(options: &Options<'a>) -> Result<BTreeMap<String, String>> {
    let pair = |text: &'a str| {
        let (name, value) = text
            .split_once('=')
            .ok_or_else(|| Failure::usage(format!("missing '=' for property=value argument\n{USAGE}")))?;
        Ok((name.to_owned(), value.to_owned()))
    };
    let all = options.all('o').map(pair).collect::<Result<BTreeMap<_, _>>>()?;
    all.iter().try_for_each(|(name, value)| check_value(name, value))?;
    Ok(all)
}

fn check_value(name: &str, value: &str) -> Result<()> {
    let switch = ["on", "off"];
    let right = match name {
        "readonly" | "devices" | "exec" | "setuid" | "atime" | "zoned" => switch.contains(&value),
        "canmount" => switch.contains(&value) || value == "noauto",
        "mountpoint" => value.starts_with('/') || ["none", "legacy"].contains(&value),
        "quota" | "refquota" | "compression" | "recordsize" | "reservation" => !value.is_empty(),
        // User properties: zfsprops(7).
        _ => name.contains(':'),
    };
    if right {
        return Ok(());
    }
    Err(Failure::error(format!("bad property list: invalid property '{name}={value}'")))
}

fn check_new(host: &Host, name: &str, what: &str) -> Result<()> {
    check_name(name, what)?;
    if name.contains('@') {
        return Err(Failure::error(format!(
            "cannot {what} '{name}': snapshot delimiter '@' is not expected here"
        )));
    }
    if host.datasets.contains_key(name) {
        return Err(Failure::error(format!("cannot {what} '{name}': dataset already exists")));
    }
    match name.rsplit_once('/') {
        Some((parent, _)) if host.datasets.contains_key(parent) => Ok(()),
        Some(_) => Err(Failure::error(format!("cannot {what} '{name}': parent does not exist"))),
        None => Err(Failure::error(format!("cannot {what} '{name}': no such pool '{name}'"))),
    }
}

fn create(place: &Place, host: &mut Host, args: &[String]) -> Result<()> {
    let options = options(args, "po:u")?;
    let [name] = options.operands else { return Err(Failure::usage(USAGE)) };
    if options.has('p') {
        let above: Vec<_> = name.match_indices('/').map(|(at, _)| name[..at].to_owned()).collect();
        for parent in
            above.iter().filter(|parent| !host.datasets.contains_key(*parent)).cloned().collect::<Vec<_>>()
        {
            check_new(host, &parent, "create")?;
            add(place, host, &parent, BTreeMap::new(), None)?;
        }
        if host.datasets.contains_key(name) {
            return Ok(());
        }
    }
    check_new(host, name, "create")?;
    add(place, host, name, properties(&options)?, None)
}

fn snapshot(place: &Place, host: &mut Host, args: &[String]) -> Result<()> {
    let options = options(args, "o:")?;
    if options.operands.is_empty() {
        return Err(Failure::usage(USAGE));
    }
    for name in options.operands {
        check_name(name, "create snapshot")?;
        let Some((dataset, _)) = name.split_once('@') else {
            return Err(Failure::error(format!("cannot create snapshot '{name}': missing '@' delimiter")));
        };
        if host.datasets.contains_key(name) {
            return Err(Failure::error(format!("cannot create snapshot '{name}': dataset already exists")));
        }
        let from = host.datasets.get(dataset).ok_or_else(|| missing(dataset))?.folder.clone();
        let folder = folder(place, name);
        run("/usr/bin/cp", &["--archive", "--reflink=auto", &from, &folder])?;
        let mut made = Dataset::new(folder);
        made.properties = properties(&options)?;
        host.datasets.insert(name.clone(), made);
    }
    Ok(())
}

fn clone(place: &Place, host: &mut Host, args: &[String]) -> Result<()> {
    let options = options(args, "po:")?;
    let [origin, name] = options.operands else { return Err(Failure::usage(USAGE)) };
    if !host.datasets.contains_key(origin) || !origin.contains('@') {
        return Err(missing(origin));
    }
    check_new(host, name, "create")?;
    if origin.split(['/', '@']).next() != name.split('/').next() {
        return Err(Failure::error(format!("cannot create '{name}': source and target pools differ")));
    }
    add(place, host, name, properties(&options)?, Some(origin))
}

fn destroy(host: &mut Host, args: &[String]) -> Result<()> {
    let options = options(args, "frR")?;
    let [name] = options.operands else { return Err(Failure::usage(USAGE)) };
    if !host.datasets.contains_key(name) {
        return Err(missing(name));
    }
    let below = descendants(host, name);
    if !below.is_empty() && !options.has('r') && !options.has('R') {
        let list = below.join("\n");
        let why = format!("filesystem has children\nuse '-r' to destroy the following datasets:\n{list}");
        return Err(Failure::error(format!("cannot destroy '{name}': {why}")));
    }
    let all: Vec<_> = below.iter().chain([name]).collect();
    let clone_of = |dataset: &Dataset| dataset.origin.as_ref().is_some_and(|origin| all.contains(&origin));
    let clone = host.datasets.iter().find(|(known, dataset)| clone_of(dataset) && !all.contains(known));
    if let Some((clone, _)) = clone {
        let why =
            format!("filesystem has dependent clones\nuse '-R' to destroy the following datasets:\n{clone}");
        return Err(Failure::error(format!("cannot destroy '{name}': {why}")));
    }
    let force = options.has('f');
    // All are looked at before the first is destroyed.
    for dataset in &all {
        let point = point(host, dataset).filter(|_| host.datasets.get(*dataset).is_some_and(|d| d.mounted));
        if let Some(point) = point.filter(|_| may_mount() && !force) {
            let own: Vec<_> = all.iter().filter_map(|name| super::dataset::point(host, name)).collect();
            if mounts::below(&point)?.iter().any(|other| !own.contains(other)) {
                return Err(Failure::error(format!("cannot unmount '{point}': Device busy")));
            }
        }
    }
    destroy_all(host, name)
}

fn set(host: &mut Host, args: &[String]) -> Result<()> {
    let [assigned @ .., name] = args else { return Err(Failure::usage(USAGE)) };
    if assigned.is_empty() {
        return Err(Failure::usage(USAGE));
    }
    if !host.datasets.contains_key(name) {
        return Err(missing(name));
    }
    for pair in assigned {
        let Some((property, text)) = pair.split_once('=') else {
            return Err(Failure::usage(format!("missing '=' for property=value argument\n{USAGE}")));
        };
        check_value(property, text).map_err(|_| {
            Failure::error(format!("cannot set property for '{name}': invalid property '{pair}'"))
        })?;
        change(host, name, property, Some(text))?;
    }
    Ok(())
}

/// "Clears the specified property, causing it to be inherited from an ancestor, restored to default if no ancestor has the
/// property set". What was received is masked, unless `-S` is there: it is taken again then. (Here what is masked is gone.)
fn inherit(host: &mut Host, args: &[String]) -> Result<()> {
    let options = options(args, "rS")?;
    let [property, names @ ..] = options.operands else { return Err(Failure::usage(USAGE)) };
    if names.is_empty() {
        return Err(Failure::usage(USAGE));
    }
    for name in names {
        if !host.datasets.contains_key(name) {
            return Err(missing(name));
        }
        let below = if options.has('r') { descendants(host, name) } else { Vec::new() };
        for dataset in below.iter().chain([name]) {
            if let Some(dataset) = host.datasets.get_mut(dataset).filter(|_| !options.has('S')) {
                dataset.received.remove(property);
            }
            change(host, dataset, property, None)?;
        }
    }
    Ok(())
}

fn mount(host: &mut Host, args: &[String]) -> Result<()> {
    let options = options(args, "o:O")?;
    let [name] = options.operands else { return Err(Failure::usage(USAGE)) };
    let dataset = host.datasets.get(name).ok_or_else(|| missing(name))?;
    if dataset.mounted {
        return Err(Failure::error(format!("cannot mount '{name}': filesystem already mounted")));
    }
    if point(host, name).is_none() || value(host, name, "canmount").0 == "off" {
        return Err(Failure::error(format!("cannot mount '{name}': no mountpoint set")));
    }
    attach(host, name)
}

fn unmount_one(host: &mut Host, args: &[String]) -> Result<()> {
    let options = options(args, "f")?;
    let [name] = options.operands else { return Err(Failure::usage(USAGE)) };
    let name = if name.starts_with('/') {
        mounted_at(host, name)
            .ok_or_else(|| Failure::error(format!("cannot unmount '{name}': not currently mounted")))?
    } else {
        name.clone()
    };
    if !host.datasets.get(&name).ok_or_else(|| missing(&name))?.mounted {
        return Err(Failure::error(format!("cannot unmount '{name}': not currently mounted")));
    }
    detach(host, &name, options.has('f'))
}
