//! From a bundle to a zone: what will be done, found out without touching anything.

use std::path::{Path, PathBuf};

use aurora_zones::{
    Control, Dataset, Dialect, Note, Options, OwnDataset, Plan as ZonePlan, StepKind, Zone, zone_name,
};
use serde::{Deserialize, Serialize};

use super::control::FOLDER;
use crate::backend::{Plan, Request};
use crate::{Error, Result};

/// What is kept between commands, in [`FOLDER`].
pub(super) const OURS: &str = "zones/plan.json";
/// What has to be undone besides the steps of the zone's plan.
pub(super) const MONITOR: &str = "monitor";
/// The name that a zone's root has below its path.
const ROOT: &str = "root";
/// What images and bundles say of their system.
const OS: &str = "org.opencontainers.image.os";

/// A zone, as it is made and undone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(super) struct Ours {
    /// The steps.
    pub(super) plan: ZonePlan,
    /// The container's id.
    #[serde(default)]
    pub(super) id: String,
    /// Whether it runs Linux programs.
    pub(super) is_lx: bool,
    /// Its root file system.
    pub(super) root: PathBuf,
    /// Whether a dataset is mounted where that lies.
    pub(super) has_dataset: bool,
    /// Why that is not known.
    pub(super) problem: Option<String>,
}

impl Ours {
    pub(super) fn zone(&self) -> &str {
        self.plan.zone()
    }
}

/// Makes the plan.
pub(super) fn plan(request: &Request<'_>) -> Result<Plan> {
    let facts = request.host.zones.as_ref().expect("this backend has looked before it plans");
    let dialect = facts.dialect.ok_or_else(|| {
        Error::Usage("whose zonecfg is this for? say it by --zone-dialect gate|omnios|smartos".to_owned())
    })?;
    if request.options.io.preserve_fds > 0 {
        return Err(Error::Usage("--preserve-fds: a zone can't be given open files".to_owned()));
    }
    let zonepath = zonepath(&facts.root)?;
    let spec = &request.bundle.spec;
    let wants_readonly = spec.root().as_ref().and_then(|root| root.readonly()).unwrap_or(false);
    let dir = text(&request.root.join(request.id.as_str()).join(FOLDER))?;
    let options = Options {
        dialect,
        name: zone_name(&text(request.root)?, request.id.as_str()),
        id: request.id.to_string(),
        zonepath: zonepath.clone(),
        bundle: text(&request.bundle.dir)?,
        brand: brand(request, dialect),
        control: dir.clone(),
    };
    let zone = Zone::of_bundle(spec, &options)?;
    let podinit = if zone.is_lx() { &facts.podinit.linux } else { &facts.podinit.native };
    let readonly = facts.dataset.as_ref().filter(|_| wants_readonly).and_then(|found| found.to_readonly());
    let own = |parent: &String| OwnDataset::of_run_dir(parent, &options.name, &options.id, &dir);
    let run_dir = facts.parent.as_ref().map(own);
    let plan = ZonePlan::create(
        &zone,
        &Dataset::Adopt { readonly },
        Control { dir: &dir, podinit: &text(podinit)?, dataset: run_dir.as_ref() },
        dialect,
    );
    let mut steps: Vec<String> = Vec::new();
    if facts.dataset.is_none() && !request.host.is_shown {
        steps.push(format!("# nothing is mounted at {zonepath}: create will refuse"));
        if wants_readonly {
            steps.push("# root.readonly: zfs set readonly=on, of what is mounted there then".to_owned());
        }
    }
    steps.extend(plan.dry_run().lines().map(str::to_owned));
    let undo = undo(&plan);
    let shown = |note: &Note| format!("{}: {}", note.field, note.why);
    steps.extend(zone.notes().iter().map(|note| format!("# {}", shown(note))));
    // What is so all the same is no news to whoever makes a container.
    let notes = zone.notes().iter().filter(|note| !note.is_done).map(shown).collect();
    let ours = Ours {
        plan,
        id: request.id.to_string(),
        is_lx: zone.is_lx(),
        root: facts.root.clone(),
        has_dataset: facts.dataset.is_some(),
        problem: facts.problem.clone(),
    };
    let bytes = serde_json::to_vec(&ours).expect("it has a JSON form");
    Ok(Plan { undo, files: vec![(OURS.to_owned(), bytes)], steps, notes })
}

/// The journal. The control directory goes with the container's own, which has to be there until all else is undone.
fn undo(plan: &ZonePlan) -> Vec<String> {
    let steps = plan.steps().iter().filter(|step| !step.undo.is_empty() && step.kind != StepKind::Control);
    steps.map(|step| format!("{} {}", step.kind, step.object)).chain([MONITOR.to_owned()]).collect()
}

/// Where the dataset is mounted whose folder `root` is the bundle's.
fn zonepath(root: &Path) -> Result<String> {
    match (root.file_name(), root.parent()) {
        (Some(name), Some(parent)) if name == ROOT && parent != Path::new("/") => text(parent),
        _ => Err(Error::NoZoneRoot { path: root.to_owned(), problem: "its name is not root" }),
    }
}

fn brand(request: &Request<'_>, dialect: Dialect) -> String {
    let annotations = request.bundle.spec.annotations().as_ref();
    let os = annotations.and_then(|all| all.get(OS)).map(String::as_str);
    // A config that says nothing, but has a section of Linux, is one of Linux.
    let is_linux = os.map_or(request.bundle.spec.linux().is_some(), |os| os == "linux");
    dialect.brand(is_linux).to_owned()
}

/// A path as zones can have it.
pub(super) fn text(path: &Path) -> Result<String> {
    let not_text = || Error::Usage(format!("a zone can't have a path that is not UTF-8: {}", path.display()));
    path.to_str().map(str::to_owned).ok_or_else(not_text)
}

/// What a plan has for this backend, before it is written.
pub(super) fn read(plan: &Plan) -> Result<Ours> {
    let (_, bytes) = plan.files.iter().find(|(name, _)| name == OURS).expect("this backend has planned it");
    serde_json::from_slice(bytes).map_err(|source| Error::Json { path: OURS.into(), source })
}

/// The same of a container; none where `create` has not come so far.
pub(super) fn of_container(dir: &Path) -> Result<Option<Ours>> {
    let path = dir.join(OURS);
    match std::fs::read(&path) {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => Ok(None),
        Err(e) => Err(Error::io(path.display().to_string(), e)),
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Json { path, source }),
    }
}
