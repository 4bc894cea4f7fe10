//! The file systems of a zone: resources `fs`, mounted when it becomes ready. mount(8) and umount(8) of Linux do it.

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

use super::failure::{Failure, Result};
use super::language::Configured;
use super::processes::run;
use super::state::Host;

pub(crate) const MOUNT: &str = "/usr/bin/mount";
const UMOUNT: &str = "/usr/bin/umount";

/// A resource `fs`.
struct Fs<'a> {
    dir: &'a str,
    special: &'a str,
    kind: &'a str,
    options: Vec<&'a str>,
}

fn of(configured: &Configured) -> Vec<Fs<'_>> {
    let mut all: Vec<Fs<'_>> = configured
        .of("fs")
        .map(|all| {
            let get =
                |name| all.iter().find(|(known, _)| known == name).map_or("", |(_, value)| value.as_str());
            let options = all.iter().filter(|(name, _)| name == "options").map(|(_, value)| value.as_str());
            Fs { dir: get("dir"), special: get("special"), kind: get("type"), options: options.collect() }
        })
        .collect();
    // zoneadmd mounts in the order of paths, whatever the order of the resources.
    all.sort_by_key(|fs| fs.dir);
    all
}

/// Mounts all of them below a root. After a failure, what was mounted has to be unmounted.
pub(crate) fn mount_all(host: &Host, configured: &Configured, root: &str) -> Result<()> {
    for fs in of(configured) {
        let target = point(root, fs.dir)?;
        let target = target.to_string_lossy();
        match fs.kind {
            "lofs" => lofs(&fs, &target)?,
            "tmpfs" => tmpfs(&fs, &target)?,
            "zfs" => {
                let dataset =
                    host.datasets.get(fs.special).filter(|dataset| dataset.get("mountpoint") == "legacy");
                let dataset = dataset.ok_or_else(|| {
                    Failure::error(format!(
                        "could not verify fs {}: zfs '{}' mountpoint is not \"legacy\"",
                        fs.dir, fs.special
                    ))
                })?;
                run(MOUNT, &["--bind", &dataset.folder, &target])?;
            }
            other => {
                return Err(Failure::error(format!(
                    "cannot mount {} on {target}: no such type: {other}",
                    fs.special
                )));
            }
        }
    }
    Ok(())
}

/// Options of mount(8) for those of illumos: mount(8), mount_lofs(8).
fn option(option: &str) -> Result<Option<&str>> {
    Ok(match option {
        "ro" => Some("ro"),
        "nodevices" | "nodev" => Some("nodev"),
        "nosetuid" => Some("nosuid"),
        // "Equivalent to nosetuid and nodevices"
        "nosuid" => Some("nosuid,nodev"),
        "noexec" => Some("noexec"),
        "rw" | "devices" | "setuid" | "suid" | "exec" | "nosub" => None,
        other => return Err(Failure::error(format!("mount: unknown option: {other}"))),
    })
}

fn lofs(fs: &Fs<'_>, target: &str) -> Result<()> {
    let mut options = vec!["remount", "bind"];
    for one in &fs.options {
        options.extend(option(one)?);
    }
    // What is mounted below comes along: mount_lofs(8), `nosub`.
    let how = if fs.options.contains(&"nosub") { "--bind" } else { "--rbind" };
    run(MOUNT, &[how, "--make-private", fs.special, target])?;
    if options.len() > 2 { run(MOUNT, &["-o", &options.join(","), target]) } else { Ok(()) }
}

/// mount_tmpfs(8): `size` and `mode` are as Linux has them.
fn tmpfs(fs: &Fs<'_>, target: &str) -> Result<()> {
    let mut options = vec!["rw"];
    for one in &fs.options {
        match one.split_once('=') {
            Some(("size" | "mode", _)) => options.push(one),
            _ => options.extend(option(one)?),
        }
    }
    run(MOUNT, &["-t", "tmpfs", "-o", &options.join(","), fs.special, target])
}

/// Where `dir` is below the root, made as a folder if nothing is there. zoneadmd wants no link anywhere in it, so that
/// nothing of the zone can lead out of it; a mount point that is missing becomes a folder, also for a file.
fn point(root: &str, dir: &str) -> Result<PathBuf> {
    let mut path = PathBuf::from(root);
    for component in Path::new(dir).components() {
        match component {
            Component::RootDir => continue,
            Component::Normal(name) => path.push(name),
            _ => return Err(Failure::error(format!("{root}{dir} is not a valid mount point"))),
        }
        match fs::symlink_metadata(&path) {
            Ok(found) if found.is_symlink() => {
                let why = format!("{} is a symlink\n{root}{dir} is not a valid mount point", path.display());
                return Err(Failure::error(why));
            }
            Ok(_) => {}
            Err(_) => fs::DirBuilder::new().mode(0o755).create(&path).map_err(|e| {
                Failure::error(format!("failed to create mount point: {}: {e}", path.display()))
            })?,
        }
    }
    Ok(path)
}

/// Everything that is mounted below a folder, outermost first.
pub(crate) fn below(folder: &str) -> Result<Vec<String>> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(|e| Failure::linux("mountinfo", &e))?;
    let inside = format!("{folder}/");
    let points = text.lines().filter_map(|line| line.split(' ').nth(4)).map(unescape);
    Ok(points.filter(|point| point.starts_with(&inside)).collect())
}

/// Whether something is mounted exactly there.
pub(crate) fn is_point(folder: &str) -> Result<bool> {
    let text = fs::read_to_string("/proc/self/mountinfo").map_err(|e| Failure::linux("mountinfo", &e))?;
    Ok(text.lines().filter_map(|line| line.split(' ').nth(4)).any(|point| unescape(point) == folder))
}

/// proc_pid_mountinfo(5): blanks, tabs, line ends and backslashes are octal numbers.
fn unescape(point: &str) -> String {
    let codes = [("\\040", " "), ("\\011", "\t"), ("\\012", "\n"), ("\\134", "\\")];
    codes.iter().fold(point.to_owned(), |text, (code, plain)| text.replace(code, plain))
}

/// Unmounts everything below a root. What is in use goes from sight, as by the forced unmount of zoneadmd.
pub(crate) fn unmount_all(root: &str) -> Result<()> {
    for point in below(root)?.iter().rev() {
        unmount(point)?;
    }
    Ok(())
}

/// Unmounts one.
pub(crate) fn unmount(point: &str) -> Result<()> {
    run(UMOUNT, &[point]).or_else(|_| run(UMOUNT, &["--lazy", point]))
}
