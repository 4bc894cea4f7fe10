//! Datasets that a container has for itself: made for it, marked as its own, and destroyed with it.

use crate::Action;
use crate::plan::{ZFS, run};

/// A property of the user's that each has, from the moment it is there: the container's id. It is inherited, so that only where it
/// is a dataset's own it says anything.
const MARK: &str = "aurora:container";
/// What podinit and runz put into a run directory is named pipes and small files, at most a document and a few of these for each
/// process: this is far above it, and nothing that a host would miss.
const RUN_QUOTA: &str = "64M";

/// One of them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OwnDataset {
    /// Its name.
    pub name: String,
    /// Where it is mounted, also after the host was started anew: a zone that is installed is detached with its path there.
    pub mountpoint: String,
    /// The container.
    pub id: String,
    /// Most that it may take.
    quota: Option<String>,
    /// Whether programs in it may give the rights of their owners.
    has_setuid: bool,
}

impl OwnDataset {
    /// One below `parent` for what an image is unpacked to. It is called as the zone is: ids are longer than names of datasets,
    /// and have other letters.
    pub fn of_image(parent: &str, zone: &str, id: &str, mountpoint: &str, quota: Option<u64>) -> Self {
        Self {
            name: format!("{parent}/{zone}"),
            mountpoint: mountpoint.to_owned(),
            id: id.to_owned(),
            quota: quota.map(|bytes| bytes.to_string()),
            has_setuid: true,
        }
    }

    /// One for the run directory, in the folder of the control directories.
    pub fn of_run_dir(parent: &str, zone: &str, id: &str, control: &str) -> Self {
        Self {
            name: format!("{parent}/{zone}-run"),
            mountpoint: format!("{control}/rw"),
            id: id.to_owned(),
            quota: Some(RUN_QUOTA.to_owned()),
            has_setuid: false,
        }
    }

    /// Makes and mounts it.
    pub fn create(&self) -> Action {
        let (mountpoint, mark) = (format!("mountpoint={}", self.mountpoint), format!("{MARK}={}", self.id));
        let quota = self.quota.as_ref().map(|quota| format!("quota={quota}"));
        // Device nodes of an image would be those of the host.
        let mut words = vec![ZFS, "create", "-o", &mountpoint, "-o", "devices=off"];
        if !self.has_setuid {
            words.extend(["-o", "setuid=off"]);
        }
        words.extend(quota.iter().flat_map(|quota| ["-o", quota]));
        words.extend(["-o", &mark, &self.name]);
        run(&words)
    }

    /// Destroys one, with its snapshots: some hosts take them of everything, by the clock. Whoever stands in it is in nobody's way.
    pub fn destroy(name: &str) -> Action {
        run(&[ZFS, "destroy", "-rf", name])
    }

    /// Whose it is: the id and where that is from, with a tab between.
    pub fn mark(name: &str) -> Action {
        run(&[ZFS, "get", "-H", "-o", "value,source", MARK, name])
    }

    /// The datasets that would go with it, itself included, one a line.
    pub fn below(name: &str) -> Action {
        run(&[ZFS, "list", "-H", "-r", "-t", "filesystem,volume", "-o", "name", name])
    }

    /// The names of all datasets, one a line.
    pub fn all() -> Action {
        run(&[ZFS, "list", "-H", "-t", "filesystem,volume", "-o", "name"])
    }

    /// As one could type it, with what undoes it as a comment.
    pub fn dry_run(&self) -> String {
        let undo = Self::destroy(&self.name).shell();
        format!("# dataset\n{}\n#   undone by: {undo}\n", self.create().shell())
    }
}
