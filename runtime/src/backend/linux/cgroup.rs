//! A container's control group: all its processes, also those that nobody remembers.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use libcgroups::common::{
    AnyCgroupManager, CgroupConfig, CgroupManager, ControllerOpt, FreezerState, create_cgroup_manager,
};
use libcgroups::stats::Stats;
use oci_spec::runtime::LinuxResources;

use super::{backend, freezer, proc, shown, sys};
use crate::backend::Handle;
use crate::{Error, Result, Signal};

/// Begins the entry of the undo list that names it.
const UNDO: &str = "cgroup ";
/// How long the kernel may take to forget the processes of a group that has none any more.
const PATIENCE: Duration = Duration::from_secs(5);

/// The entry of the undo list.
pub(super) fn undo(path: &str) -> String {
    format!("{UNDO}{path}")
}

/// The group of a container.
pub(super) struct Group {
    /// As the config has it: a path below each hierarchy, or `SLICE:PREFIX:NAME` for systemd.
    path: String,
    systemd: bool,
    container: String,
}

impl Group {
    pub(super) fn of(at: &Handle<'_>) -> Self {
        Self::in_list(&at.record.undo, at.record.systemd)
    }

    /// The one that an undo list names.
    pub(super) fn in_list(undo: &[String], systemd: bool) -> Self {
        let path = undo.iter().find_map(|entry| entry.strip_prefix(UNDO)).unwrap_or_default();
        Self { path: path.to_owned(), systemd, container: super::NAME.to_owned() }
    }

    /// For messages.
    pub(super) fn name(&self) -> &str {
        &self.path
    }

    fn is_systemds(&self) -> bool {
        self.systemd && self.path.contains(':')
    }

    fn manager(&self) -> Result<AnyCgroupManager> {
        let config = CgroupConfig {
            cgroup_path: PathBuf::from(&self.path),
            systemd_cgroup: self.systemd,
            container_name: self.container.clone(),
        };
        create_cgroup_manager(config).map_err(|e| self.failed(&e))
    }

    fn failed(&self, e: &dyn std::error::Error) -> Error {
        backend(&format!("cgroup {}: {e}", self.path))
    }

    /// Its directory in every hierarchy that has one.
    fn dirs(&self) -> Vec<PathBuf> {
        let below = self.path.trim_start_matches('/');
        // A path that is the hierarchy itself is no group of ours.
        if below.is_empty() || self.is_systemds() {
            return Vec::new();
        }
        let mounts = proc::cgroup_mounts().into_iter();
        mounts.map(|mount| Path::new(&mount.at).join(below)).filter(|dir| dir.is_dir()).collect()
    }

    /// Its processes, those of groups below it too.
    pub(super) fn pids(&self) -> Result<Vec<i32>> {
        if self.is_systemds() {
            let pids = self.manager()?.get_all_pids();
            return Ok(pids.map_or_else(|_| Vec::new(), |pids| pids.iter().map(|pid| pid.as_raw()).collect()));
        }
        let mut pids = BTreeSet::new();
        for dir in self.dirs() {
            pids_below(&dir, &mut pids);
        }
        Ok(pids.into_iter().collect())
    }

    /// Sends a signal to all; none may be born meanwhile that does not get it.
    pub(super) fn signal(&self, signal: Signal) -> Result<()> {
        let was_frozen = self.is_frozen();
        let froze = !was_frozen && !self.dirs().is_empty() && self.freeze().is_ok();
        let sent = self.pids().and_then(|pids| {
            pids.into_iter().try_for_each(|pid| {
                sys::kill(pid, signal).map_err(|e| Error::io(format!("signal {signal} to {pid}"), e))
            })
        });
        if froze {
            self.thaw()?;
        }
        sent
    }

    /// Kills all; returns how many were there.
    pub(super) fn kill(&self) -> Result<usize> {
        let pids = self.pids()?;
        for pid in &pids {
            sys::kill(*pid, Signal::KILL).map_err(|e| Error::io(format!("signal SIGKILL to {pid}"), e))?;
        }
        if !pids.is_empty() && self.is_frozen() {
            self.thaw()?;
        }
        Ok(pids.len())
    }

    /// Removes it, with the groups that its processes have made below.
    pub(super) fn remove(&self) -> Result<()> {
        if self.is_systemds() {
            return self.manager()?.remove().map_err(|e| self.failed(&e));
        }
        let begun = Instant::now();
        for dir in self.dirs() {
            loop {
                match remove_below(&dir) {
                    Ok(()) => break,
                    Err(e) if e.kind() == io::ErrorKind::NotFound => break,
                    Err(e) if begun.elapsed() > PATIENCE => return Err(backend(&shown(&dir, &e))),
                    Err(_) => std::thread::sleep(Duration::from_millis(10)),
                }
            }
        }
        Ok(())
    }

    /// Whether it is held.
    pub(super) fn is_frozen(&self) -> bool {
        self.dirs().iter().any(|dir| freezer::is_held(dir))
    }

    pub(super) fn freeze(&self) -> Result<()> {
        if self.is_systemds() {
            return self.manager()?.freeze(FreezerState::Frozen).map_err(|e| self.failed(&e));
        }
        match self.set_held(true)? {
            true => Ok(()),
            false => Err(self.failed(&io::Error::other("no freezer has it"))),
        }
    }

    pub(super) fn thaw(&self) -> Result<()> {
        if self.is_systemds() {
            return self.manager()?.freeze(FreezerState::Thawed).map_err(|e| self.failed(&e));
        }
        self.set_held(false).map(drop)
    }

    fn set_held(&self, held: bool) -> Result<bool> {
        let mut any = false;
        for dir in self.dirs() {
            any |= freezer::set(&dir, held).map_err(|e| backend(&shown(&dir, &e)))?;
        }
        Ok(any)
    }

    pub(super) fn stats(&self) -> Result<Stats> {
        self.manager()?.stats().map_err(|e| self.failed(&e))
    }

    pub(super) fn apply(&self, resources: &LinuxResources) -> Result<()> {
        let options = ControllerOpt {
            resources,
            freezer_state: None,
            oom_score_adj: None,
            disable_oom_killer: resources
                .memory()
                .as_ref()
                .and_then(|m| m.disable_oom_killer())
                .unwrap_or(false),
        };
        self.manager()?.apply(&options).map_err(|e| self.failed(&e))
    }
}

/// What goes away meanwhile has no processes.
fn pids_below(dir: &Path, out: &mut BTreeSet<i32>) {
    let text = fs::read_to_string(dir.join("cgroup.procs")).unwrap_or_default();
    // 0 stands for a process that this namespace does not see.
    out.extend(text.lines().filter_map(|line| line.parse::<i32>().ok()).filter(|pid| *pid > 0));
    for entry in fs::read_dir(dir).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            pids_below(&entry.path(), out);
        }
    }
}

fn remove_below(dir: &Path) -> io::Result<()> {
    for entry in fs::read_dir(dir)? {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            remove_below(&entry.path())?;
        }
    }
    fs::remove_dir(dir)
}
