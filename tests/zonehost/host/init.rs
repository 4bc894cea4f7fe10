//! Process 1 of a zone: what it is, and what happens in its namespaces before it is executed.
//!
//! `unshare` makes the namespaces and runs this program again in them, as `zonehost begin`, which mounts what every brand has
//! (/proc and /dev) and then becomes process 1 by way of chroot(8). On illumos the kernel starts it, with no open files and `/`
//! as its working directory; a shell closes the three that there are here.

use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Stdio};

use aurora_zones::Dialect;

use super::failure::{Failure, Result};
use super::mounts::MOUNT;
use super::processes::{Process, run};
use super::zone::Zone;

const UNSHARE: &str = "/usr/bin/unshare";
/// Closes what is open, clears the environment.
const BECOME: &str = "exec /usr/bin/env -i /usr/sbin/chroot \"$@\" <&- >&- 2>&-";
/// zoneadm keeps boot arguments in a buffer of this size (BOOTARGS_MAX, sys/zone.h).
const MAX_BOOTARGS: usize = 256;

/// Devices that every zone has; dev(4FS) shows them.
const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];

/// What is to be executed.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Program {
    pub(crate) path: String,
    pub(crate) args: Vec<String>,
}

/// What becomes process 1: zoneadm(8), `boot`. The brand names it; on SmartOS an attribute of the zone may; `-i` among the boot
/// arguments does. Those of `boot` are taken instead of the zone's own.
pub(crate) fn of_zone(zone: &Zone, dialect: Dialect, given: &str) -> Result<Program> {
    let bootargs = if given.is_empty() { zone.bootargs() } else { given };
    if bootargs.len() >= MAX_BOOTARGS {
        return Err(Failure::error("Boot argument list too long"));
    }
    let attribute = zone.attribute("init-name").filter(|_| dialect == Dialect::SmartOs);
    let of_brand = if zone.brand() == "aurora" { "/.aurora/podinit" } else { "/sbin/init" };
    let mut path = attribute.unwrap_or_else(|| of_brand.to_owned());
    let mut args = Vec::new();
    let mut words = bootargs.split_ascii_whitespace();
    while let Some(word) = words.next() {
        match word {
            "-i" => {
                let altinit = words.next().filter(|path| path.starts_with('/'));
                path = altinit.ok_or_else(|| Failure::error("invalid boot arguments"))?.to_owned();
            }
            "-m" => args.extend([word.to_owned(), words.next().unwrap_or_default().to_owned()]),
            "-s" | "-v" => args.push(word.to_owned()),
            // zoneadmd says so, and boots all the same.
            _ => {}
        }
    }
    Ok(Program { path, args })
}

/// Whether what was process 1 is started again when it ends: brands(7), `restartinit`, which is true unless the brand says
/// otherwise; on SmartOS an attribute may.
pub(crate) fn is_restarted(zone: &Zone, dialect: Dialect) -> bool {
    let attribute = zone.attribute("restart-init").filter(|_| dialect == Dialect::SmartOs);
    attribute.map_or(zone.brand() != "aurora", |value| value != "false")
}

/// "Try to anticipate possible problems": zoneadmd looks from outside, so that a link within the zone is not what it is inside.
pub(crate) fn check(root: &str, path: &str) -> Result<()> {
    use std::os::unix::fs::PermissionsExt;
    let file = format!("{root}{path}");
    let found = fs::metadata(&file)
        .map_err(|_| Failure::error(format!("could not stat {file}: No such file or directory")))?;
    if found.permissions().mode() & 0o100 == 0 {
        return Err(Failure::error(format!("{file} is not executable")));
    }
    Ok(())
}

/// Starts it. What is returned is the process that waits for it, and it itself.
pub(crate) fn start(name: &str, zone: &Zone, command: &Program, console: &str) -> Result<(Child, Process)> {
    let own = std::env::current_exe().map_err(|e| Failure::linux("own path", &e))?;
    let mut unshare = Command::new(UNSHARE);
    unshare.args([
        "--pid",
        "--fork",
        "--kill-child=KILL",
        "--mount",
        "--propagation",
        "private",
        "--uts",
        "--ipc",
    ]);
    if zone.is_exclusive() {
        unshare.arg("--net");
    }
    let mut child = unshare
        .arg("--")
        .arg(&own)
        .args(["begin", &zone.root(), name, console, &command.path])
        .args(&command.args)
        .env_clear()
        .env("LC_ALL", "C")
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(|e| Failure::linux(UNSHARE, &e))?;
    let (mut out, mut err) = (String::new(), String::new());
    // A line comes when all is done but becoming process 1. Both end if something fails; `unshare` has them open until then.
    let read = (|| -> io::Result<()> {
        BufReader::new(child.stdout.take().ok_or(io::ErrorKind::BrokenPipe)?).read_line(&mut out)?;
        if out.is_empty() {
            child.stderr.take().ok_or(io::ErrorKind::BrokenPipe)?.read_to_string(&mut err)?;
        }
        Ok(())
    })();
    read.map_err(|e| Failure::linux("what begins a zone", &e))?;
    let process = serde_json::from_str(out.trim()).ok();
    process
        .map(|process| (child, process))
        .ok_or_else(|| Failure::error(format!("unable to boot zone: {}", err.trim())))
}

/// `zonehost begin ROOT NAME CONSOLE INIT ARG…`, within the namespaces.
pub(crate) fn begin(args: &[String]) -> Result<()> {
    let [root, name, console, init @ ..] = args else {
        return Err(Failure::usage("begin ROOT NAME CONSOLE INIT"));
    };
    // This is still the host's /proc, which has the host's number for us. It stays ours, whatever is executed.
    let own = fs::read_link("/proc/self").map_err(|e| Failure::linux("/proc/self", &e))?;
    let own = own.to_str().and_then(|pid| pid.parse().ok()).and_then(Process::of);
    let own = serde_json::to_string(&own).map_err(|e| Failure::linux("/proc/self", &e.into()))?;
    fs::write("/proc/sys/kernel/hostname", name).map_err(|e| Failure::linux("hostname", &e))?;
    for folder in ["proc", "dev"] {
        let _ = fs::create_dir(format!("{root}/{folder}"));
    }
    let dev = format!("{root}/dev");
    run(MOUNT, &["-t", "proc", "-o", "nosuid,nodev,noexec", "proc", &format!("{root}/proc")])?;
    run(MOUNT, &["-t", "tmpfs", "-o", "mode=755,nosuid,size=1m", "dev", &dev])?;
    for device in DEVICES {
        device_at(&format!("/dev/{device}"), &format!("{dev}/{device}"))?;
    }
    device_at(console, &format!("{dev}/console"))?;
    super::interactive::terminals(root)?;
    let links = [("fd", "/proc/self/fd"), ("stdin", "fd/0"), ("stdout", "fd/1"), ("stderr", "fd/2")];
    for (link, target) in links {
        std::os::unix::fs::symlink(target, Path::new(&dev).join(link))
            .map_err(|e| Failure::linux(link, &e))?;
    }
    let mut out = io::stdout();
    writeln!(out, "{own}").and_then(|()| out.flush()).map_err(|e| Failure::linux("standard output", &e))?;
    let mut words: Vec<OsString> = vec!["-c".into(), BECOME.into(), "sh".into(), root.into()];
    words.extend(init.iter().map(OsString::from));
    Err(Failure::linux("/bin/sh", &Command::new("/bin/sh").args(words).exec()))
}

fn device_at(device: &str, place: &str) -> Result<()> {
    fs::write(place, "").map_err(|e| Failure::linux(place, &e))?;
    run(MOUNT, &["--bind", device, place])
}
