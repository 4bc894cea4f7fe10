//! Holding all processes of a control group. Not by libcgroups, which makes the group where there is none: one that is
//! removed while its processes are held for a signal would be there again, and nobody would remove it.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// How long processes may take: what waits for a disk is held when that has answered.
const PATIENCE: Duration = Duration::from_secs(10);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(2);

/// The files of a version of control groups.
struct Freezer {
    /// Where it is said what is to be,
    file: &'static str,
    held: &'static str,
    free: &'static str,
    /// and where what is, as a line of it.
    told: &'static str,
    is_held: &'static str,
}

const FREEZERS: [Freezer; 2] = [
    Freezer {
        file: "freezer.state",
        held: "FROZEN",
        free: "THAWED",
        told: "freezer.state",
        is_held: "FROZEN",
    },
    Freezer { file: "cgroup.freeze", held: "1", free: "0", told: "cgroup.events", is_held: "frozen 1" },
];

/// Holds the processes of a group, or lets them go on. Whether it can: in hierarchies without a freezer it cannot, nor in a
/// group that is gone.
pub(super) fn set(dir: &Path, held: bool) -> io::Result<bool> {
    for freezer in &FREEZERS {
        match put(dir, freezer, held) {
            Err(e) if e.kind() == io::ErrorKind::NotFound || !dir.is_dir() => {}
            other => return other.map(|()| true),
        }
    }
    Ok(false)
}

/// Whether they are held, or about to be.
pub(super) fn is_held(dir: &Path) -> bool {
    let says = |file: &str, held: &[&str]| {
        fs::read_to_string(dir.join(file)).is_ok_and(|text| held.contains(&text.trim()))
    };
    says("freezer.state", &["FROZEN", "FREEZING"]) || says("cgroup.freeze", &["1"])
}

fn put(dir: &Path, freezer: &Freezer, held: bool) -> io::Result<()> {
    let write =
        |text: &str| File::options().write(true).open(dir.join(freezer.file))?.write_all(text.as_bytes());
    if !held {
        return write(freezer.free);
    }
    let begun = Instant::now();
    loop {
        // Once more each time: in the first version a process that was born meanwhile may have escaped.
        write(freezer.held)?;
        let told = fs::read_to_string(dir.join(freezer.told))?;
        if told.lines().any(|line| line == freezer.is_held) {
            return Ok(());
        }
        if begun.elapsed() > PATIENCE {
            write(freezer.free)?;
            return Err(io::Error::new(io::ErrorKind::TimedOut, "its processes cannot be held"));
        }
        sleep(PAUSE);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_group_that_is_gone_is_not_made() {
        let dir = tempfile::tempdir().unwrap();
        let gone = dir.path().join("gone");
        assert!(!set(&gone, true).unwrap() && !set(&gone, false).unwrap() && !is_held(&gone));
        assert!(!gone.exists());
        // One without a freezer gets no file.
        assert!(!set(dir.path(), true).unwrap());
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
    }

    #[test]
    fn either_version_is_told() {
        let dir = tempfile::tempdir().unwrap();
        let file = |name: &str| dir.path().join(name);
        fs::write(file("freezer.state"), "THAWED").unwrap();
        assert!(set(dir.path(), true).unwrap() && is_held(dir.path()));
        assert!(set(dir.path(), false).unwrap() && !is_held(dir.path()));
        fs::remove_file(file("freezer.state")).unwrap();
        fs::write(file("cgroup.freeze"), "0").unwrap();
        fs::write(file("cgroup.events"), "populated 1\nfrozen 1\n").unwrap();
        assert!(set(dir.path(), true).unwrap() && is_held(dir.path()));
    }
}
