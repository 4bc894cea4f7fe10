//! What has to be done on the host, as data: for `--dry-run`, and for the journal.
//!
//! A step has what does it and what undoes it. What undoes a step is written into the journal before the step
//! is done, and the journal is played backwards; so each undoing has to do for a step that was never begun,
//! too, and the caller takes no harm from what it says in that case.

use std::fmt::Write as _;

use crate::{Dialect, Zone};

/// Programs by their full paths, so that nobody's PATH decides.
const ZONECFG: &str = "/usr/sbin/zonecfg";
const ZONEADM: &str = "/usr/sbin/zoneadm";
const DLADM: &str = "/usr/sbin/dladm";
const ZFS: &str = "/usr/sbin/zfs";

/// One thing to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    /// A program, with `LC_ALL=C` and nothing on standard input. There is no shell.
    Run(Vec<String>),
    /// A folder for root alone.
    MakeDir(String),
    /// A folder with everything in it. None there is fine.
    RemoveDir(String),
    /// A file, whole or not at all.
    WriteFile(String, String),
}

/// What is done, and what undoes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// A word for the journal.
    pub name: &'static str,
    /// In this order.
    pub actions: Vec<Action>,
    /// In this order.
    pub undo: Vec<Action>,
}

/// Where the zone's root comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Dataset {
    /// It is there, mounted at the zone's path, and stays when the zone goes.
    Adopt,
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

/// The steps that make a zone, ready to boot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    zone: String,
    steps: Vec<Step>,
}

fn run(words: &[&str]) -> Action {
    Action::Run(words.iter().map(|word| (*word).to_owned()).collect())
}

impl Plan {
    /// Everything from the dataset to the state `ready`, which is what the runtime specification calls
    /// created: file systems are mounted, the network is there, and no process runs. `control` is the folder
    /// of the control directories.
    pub fn create(zone: &Zone, dataset: &Dataset, control: &str, dialect: Dialect) -> Self {
        let name = zone.name.as_str();
        let path = zone.zonepath.as_str();
        let mut steps = Vec::new();
        if let Dataset::Clone { origin, name: clone, readonly } = dataset {
            let mountpoint = format!("mountpoint={path}");
            let mut words = vec![ZFS, "clone", "-o", &mountpoint, "-o", "devices=off"];
            if *readonly {
                words.extend(["-o", "readonly=on"]);
            }
            words.extend([origin.as_str(), clone]);
            steps.push(Step {
                name: "dataset",
                actions: vec![run(&words)],
                undo: vec![run(&[ZFS, "destroy", "-r", clone])],
            });
        }
        let script = format!("{control}/zonecfg");
        steps.push(Step {
            name: "control",
            actions: vec![
                Action::MakeDir(control.to_owned()),
                Action::MakeDir(format!("{control}/ro")),
                Action::MakeDir(format!("{control}/rw")),
                Action::WriteFile(format!("{control}/ro/config.json"), format!("{:#}\n", zone.podinit)),
            ],
            undo: vec![Action::RemoveDir(control.to_owned())],
        });
        if !dialect.makes_vnics() {
            steps.extend(zone.nets.iter().map(vnic));
        }
        steps.push(Step {
            name: "configure",
            actions: vec![
                Action::WriteFile(script.clone(), zone.script(dialect)),
                run(&[ZONECFG, "-z", name, "-f", &script]),
            ],
            undo: vec![run(&[ZONECFG, "-z", name, "delete", "-F"])],
        });
        // Never `uninstall`, which destroys the dataset: one that is ours goes with its own step.
        steps.push(Step {
            name: "attach",
            actions: vec![run(&[ZONEADM, "-z", name, "attach", "-F"])],
            undo: vec![run(&[ZONEADM, "-z", name, "detach", "-F"])],
        });
        steps.push(Step {
            name: "ready",
            actions: vec![run(&[ZONEADM, "-z", name, "ready"])],
            undo: vec![run(&[ZONEADM, "-z", name, "halt"])],
        });
        Self { zone: zone.name.clone(), steps }
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

    /// What the zone's state is, for a program: `id:name:state:…` on a line.
    pub fn state(&self) -> Action {
        run(&[ZONEADM, "-z", &self.zone, "list", "-p"])
    }

    /// The steps as one could type them into a shell, with what undoes them as comments.
    pub fn dry_run(&self) -> String {
        let mut text = String::new();
        for step in &self.steps {
            let _ = writeln!(text, "# {}", step.name);
            for action in &step.actions {
                let _ = writeln!(text, "{}", action.shell());
            }
            for action in &step.undo {
                let _ = writeln!(text, "#   undone by: {}", action.shell());
            }
        }
        text
    }
}

fn vnic(net: &crate::Net) -> Step {
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
    Step { name: "vnic", actions, undo: vec![run(&[DLADM, "delete-vnic", "-t", name])] }
}

impl Action {
    /// As one could type it.
    fn shell(&self) -> String {
        match self {
            Self::Run(words) => words.iter().map(|word| quote(word)).collect::<Vec<_>>().join(" "),
            Self::MakeDir(path) => format!("mkdir -m 700 {}", quote(path)),
            Self::RemoveDir(path) => format!("rm -rf {}", quote(path)),
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
