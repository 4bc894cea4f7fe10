//! What has to be done on the host, as data: for `--dry-run`, and for the journal.
//!
//! A step has what does it and what undoes it. What undoes a step is written into the journal before the step
//! is done, and the journal is played backwards; so each undoing has to do for a step that was never begun,
//! too, and the caller takes no harm from what it says in that case.

use std::fmt;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use crate::bundle::CONTROL;
use crate::{Dialect, OwnDataset, Zone};

/// Programs by their full paths, so that nobody's PATH decides.
const ZONECFG: &str = "/usr/sbin/zonecfg";
const ZONEADM: &str = "/usr/sbin/zoneadm";
const DLADM: &str = "/usr/sbin/dladm";
pub(crate) const ZFS: &str = "/usr/sbin/zfs";
const CHMOD: &str = "/usr/bin/chmod";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub enum Action {
    /// A program, with `LC_ALL=C` and nothing on standard input. There is no shell.
    Run(Vec<String>),
    /// A folder for root alone.
    MakeDir(String),
    /// A folder with everything in it. None there is fine.
    RemoveDir(String),
    /// A file, whole or not at all.
    WriteFile(String, String),
    /// A program's file, copied, for all to execute.
    CopyProgram(String, String),
    /// A named pipe, for root alone.
    MakePipe(String),
}

/// What is done, and what undoes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name in the journal.
    pub kind: StepKind,
    /// What it makes or changes, by a name.
    pub object: String,
    /// In this order.
    pub actions: Vec<Action>,
    /// In this order.
    pub undo: Vec<Action>,
}

/// What a step is about, which says how to find out whether there is anything to undo.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum StepKind {
    /// A dataset is cloned.
    Dataset,
    /// An adopted dataset becomes read-only.
    Readonly,
    /// A zone's path is for root alone and has the control directories' mount points, and stays so.
    Zonepath,
    /// The run directory, which the zone's root can write to, gets a dataset of its own.
    RunDir,
    /// The control directories.
    Control,
    /// A network interface.
    Vnic,
    /// The zone is configured.
    Configure,
    /// It is installed, by being attached.
    Attach,
    /// It is ready.
    Ready,
}

impl StepKind {
    /// Its word.
    pub fn name(self) -> &'static str {
        match self {
            Self::Dataset => "dataset",
            Self::Readonly => "readonly",
            Self::Zonepath => "zonepath",
            Self::RunDir => "rundir",
            Self::Control => "control",
            Self::Vnic => "vnic",
            Self::Configure => "configure",
            Self::Attach => "attach",
            Self::Ready => "ready",
        }
    }
}

impl fmt::Display for StepKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}

/// Where the zone's root comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dataset {
    /// It is there, mounted at the zone's path, and stays when the zone goes.
    Adopt {
        /// It is read-only while the zone is there.
        readonly: Option<Readonly>,
    },
    /// A clone is made of a snapshot, and goes with the zone.
    Clone {
        /// The snapshot.
        origin: String,
        /// The clone's name.
        name: String,
        /// Whether it is read-only.
        readonly: bool,
    },
}

/// A dataset that becomes read-only.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Readonly {
    /// Its name.
    pub dataset: String,
    /// What it has been told itself; else what it has received or inherits is restored.
    pub before: Option<String>,
}

/// Where the control directories are, and what is in them.
#[derive(Debug, Clone, Copy)]
pub struct Control<'a> {
    /// The folder that has `ro` and `rw`.
    pub dir: &'a str,
    /// The file of podinit, for the zone's system.
    pub podinit: &'a str,
    /// What bounds `rw`; without, the zone's root can fill the file system that the folder is in.
    pub dataset: Option<&'a OwnDataset>,
}

/// The steps that make a zone, ready to boot.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Plan {
    zone: String,
    steps: Vec<Step>,
}

pub(crate) fn run(words: &[&str]) -> Action {
    Action::Run(words.iter().map(|word| (*word).to_owned()).collect())
}

impl Plan {
    /// Everything from the dataset to the state `ready`, which is what the runtime specification calls
    /// created: file systems are mounted, the network is there, and no process runs.
    pub fn create(zone: &Zone, dataset: &Dataset, control: Control<'_>, dialect: Dialect) -> Self {
        let name = zone.name.as_str();
        let path = zone.zonepath.as_str();
        let mut steps = Vec::new();
        let mut step = |kind, object: &str, actions, undo| {
            steps.push(Step { kind, object: object.to_owned(), actions, undo });
        };
        match dataset {
            Dataset::Clone { origin, name: clone, readonly } => {
                let mountpoint = format!("mountpoint={path}");
                let mut words = vec![ZFS, "clone", "-o", &mountpoint, "-o", "devices=off"];
                if *readonly {
                    words.extend(["-o", "readonly=on"]);
                }
                words.extend([origin.as_str(), clone]);
                step(StepKind::Dataset, clone, vec![run(&words)], vec![run(&[ZFS, "destroy", "-r", clone])]);
            }
            Dataset::Adopt { readonly } => {
                // zoneadm refuses a path that others may look into. Mount points have to be there before the dataset can
                // become read-only.
                let mut actions = vec![run(&[CHMOD, "700", path])];
                actions.extend(CONTROL.map(|(_, dir)| Action::MakeDir(format!("{path}/root{dir}"))));
                step(StepKind::Zonepath, path, actions, Vec::new());
                if let Some(Readonly { dataset, before }) = readonly {
                    let undo = match before {
                        Some(value) => run(&[ZFS, "set", &format!("readonly={value}"), dataset]),
                        // Without -S, a value that was received would be masked.
                        None => run(&[ZFS, "inherit", "-S", "readonly", dataset]),
                    };
                    let set = run(&[ZFS, "set", "readonly=on", dataset]);
                    step(StepKind::Readonly, dataset, vec![set], vec![undo]);
                }
            }
        }
        let Control { dir, podinit, dataset } = control;
        if let Some(own) = dataset {
            // The folder around it first: zfs would make one for all to look into.
            let actions =
                vec![Action::MakeDir(dir.to_owned()), own.create(), run(&[CHMOD, "700", &own.mountpoint])];
            step(StepKind::RunDir, &own.name, actions, vec![OwnDataset::destroy(&own.name)]);
        }
        let mut actions = Vec::new();
        if dataset.is_none() {
            actions.extend([Action::MakeDir(dir.to_owned()), Action::MakeDir(format!("{dir}/rw"))]);
        }
        actions.extend([
            Action::MakeDir(format!("{dir}/ro")),
            Action::CopyProgram(podinit.to_owned(), format!("{dir}/ro/podinit")),
            Action::WriteFile(format!("{dir}/ro/config.json"), format!("{:#}\n", zone.podinit)),
        ]);
        if !zone.has_terminal() {
            let pipe = |name| Action::MakePipe(format!("{dir}/rw/{name}"));
            actions.extend(["stdin", "stdout", "stderr"].map(pipe));
        }
        step(StepKind::Control, dir, actions, vec![Action::RemoveDir(dir.to_owned())]);
        if !dialect.makes_vnics() {
            for net in &zone.nets {
                let (actions, undo) = vnic(net);
                step(StepKind::Vnic, net.physical.as_str(), actions, undo);
            }
        }
        let script = format!("{dir}/zonecfg");
        step(
            StepKind::Configure,
            name,
            vec![
                Action::WriteFile(script.clone(), zone.script(dialect)),
                run(&[ZONECFG, "-z", name, "-f", &script]),
            ],
            vec![run(&[ZONECFG, "-z", name, "delete", "-F"])],
        );
        // Never `uninstall`, which destroys the dataset: one that is ours goes with its own step.
        step(
            StepKind::Attach,
            name,
            vec![run(&[ZONEADM, "-z", name, "attach", "-F"])],
            vec![run(&[ZONEADM, "-z", name, "detach", "-F"])],
        );
        step(
            StepKind::Ready,
            name,
            vec![run(&[ZONEADM, "-z", name, "ready"])],
            vec![run(&[ZONEADM, "-z", name, "halt"])],
        );
        Self { zone: zone.name.clone(), steps }
    }

    /// The zone's name.
    pub fn zone(&self) -> &str {
        &self.zone
    }

    /// The steps, in order.
    pub fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// What has to be undone when the journal names the first `begun` of them, in this order. With all of
    /// them it is how the zone is deleted, by force if it runs.
    pub fn undo(&self, begun: usize) -> impl Iterator<Item = &Action> {
        self.steps[..begun.min(self.steps.len())].iter().rev().flat_map(|step| &step.undo)
    }

    /// The zone's program is started.
    pub fn start(&self) -> Action {
        run(&[ZONEADM, "-z", &self.zone, "boot"])
    }

    /// Every process of the zone is ended, unconditionally.
    pub fn kill(&self) -> Action {
        run(&[ZONEADM, "-z", &self.zone, "halt"])
    }

    /// What zones there are, for a program: `id:name:state:…` on a line. Of all, so that a zone that is not there is no
    /// failure, which would have to be told from others by what zoneadm says.
    pub fn list() -> Action {
        run(&[ZONEADM, "list", "-c", "-p"])
    }

    /// The names of all VNICs, one a line.
    pub fn links() -> Action {
        run(&[DLADM, "show-vnic", "-p", "-o", "link"])
    }

    /// The steps as one could type them into a shell, with what undoes them, and what starts the program, as comments.
    pub fn dry_run(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let _ = writeln!(text, "# {}", step.kind);
            for action in &step.actions {
                let _ = writeln!(text, "{}", action.shell());
            }
            for action in &step.undo {
                let _ = writeln!(text, "#   undone by: {}", action.shell());
            }
        }
        let _ = writeln!(text, "# start: {}", self.start().shell());
        text
    }
}

fn vnic(net: &crate::Net) -> (Vec<Action>, Vec<Action>) {
    let name = net.physical.as_str();
    let mut words = vec![DLADM, "create-vnic", "-t"];
    if let Some(lower) = &net.lower {
        words.extend(["-l", lower.as_str()]);
    }
    if let Some(mac) = &net.mac {
        words.extend(["-m", mac.as_str()]);
    }
    words.push(name);
    let mut actions = vec![run(&words)];
    if let Some(protection) = &net.protection {
        let property = format!("protection={}", protection.as_str());
        actions.push(run(&[DLADM, "set-linkprop", "-t", "-p", &property, name]));
    }
    (actions, vec![run(&[DLADM, "delete-vnic", "-t", name])])
}

impl Action {
    /// As one could type it.
    pub(crate) fn shell(&self) -> String {
        match self {
            Self::Run(words) => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
            Self::MakeDir(path) => format!("mkdir -p -m 700 {}", quote(path)),
            Self::RemoveDir(path) => format!("rm -rf {}", quote(path)),
            Self::CopyProgram(from, to) => format!("install -m 755 {} {}", quote(from), quote(to)),
            Self::MakePipe(path) => format!("mkfifo -m 600 {}", quote(path)),
            Self::WriteFile(path, text) => format!("cat >{} <<'END'\n{text}END", quote(path)),
        }
    }
}

fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+=,-".contains(c);
    if !word.is_empty() && word.chars().all(plain) {
        word.to_owned()
    } else {
        format!("'{}'", word.replace('\'', "'\\''"))
    }
}
