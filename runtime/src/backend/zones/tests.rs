//! The backend on a host that a rule makes up: every step may fail, before or after it was done, and what is printed may be
//! garbage.

mod own;

use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use aurora_engine::host::{Answer, Recorded};
use serde_json::{Value, json};

use super::*;
use crate::Status;
use crate::state::{Phase, Record};
use crate::{CreateOptions, Id, Runtime};

const GLOBAL: &str = "0:global:running:/::ipkg:shared\n";

/// The only zone of the model, whatever its name is.
const ZONE: &str = "THE_ZONE";

/// What happens to a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Fault {
    /// It fails and has done nothing.
    Before,
    /// It fails and has done its work.
    After,
    /// It ends well, has done its work, and prints what no one understands.
    Garbage,
}

/// What there is on the host.
#[derive(Debug, Default)]
struct Model {
    zone: Option<&'static str>,
    links: Vec<String>,
    is_readonly: bool,
    zonepath: String,
    /// Datasets beside those that are always there.
    datasets: Vec<own::Made>,
    /// Lines of zones that are not ours.
    others: String,
    calls: usize,
    /// Which call, and what happens to it.
    fault: Option<(usize, Fault)>,
}

impl Model {
    fn is_clean(&self) -> bool {
        self.zone.is_none() && self.links.is_empty() && !self.is_readonly && self.datasets.is_empty()
    }

    fn answer(&mut self, line: &str) -> Answer {
        self.calls += 1;
        let fault = self.fault.filter(|(call, _)| *call == self.calls).map(|(_, fault)| fault);
        if fault == Some(Fault::Before) {
            return Answer::failure("it is to fail");
        }
        let answer = self.does(line);
        match fault {
            Some(Fault::After) => Answer::failure("it is to fail"),
            Some(Fault::Garbage) => Answer::output("\u{1b}[31m:what:\t\n"),
            _ => answer,
        }
    }

    /// From one of these states to another one.
    fn turn(&mut self, from: &[&str], to: Option<&'static str>) -> Answer {
        match self.zone {
            Some(state) if from.contains(&state) => {
                self.zone = to;
                Answer::default()
            }
            other => Answer::failure(&format!("not from {other:?}")),
        }
    }

    fn does(&mut self, line: &str) -> Answer {
        let words: Vec<&str> = line.split(' ').collect();
        if let Some(answer) = own::answer(&mut self.datasets, &words) {
            return answer;
        }
        match &words[..] {
            ["/usr/sbin/zoneadm", "list", "-c", "-p"] => {
                let line = |state| format!("-:{ZONE}:{state}:{}::ipkg:excl\n", self.zonepath);
                let zone = self.zone.map(line);
                Answer::output(format!("{GLOBAL}{}{}", zone.unwrap_or_default(), self.others))
            }
            ["/usr/sbin/zonecfg", "-z", _, "-f", _] if self.zone.is_none() => {
                self.zone = Some("configured");
                Answer::default()
            }
            ["/usr/sbin/zonecfg", "-z", _, "delete", "-F"] => self.turn(&["configured", "incomplete"], None),
            ["/usr/sbin/zoneadm", "-z", _, what @ ..] => match what {
                ["attach", "-F"] => self.turn(&["configured"], Some("installed")),
                ["detach", "-F"] => self.turn(&["installed"], Some("configured")),
                ["ready"] => self.turn(&["installed"], Some("ready")),
                ["halt"] => self.turn(&["ready", "running"], Some("installed")),
                _ => Answer::failure(line),
            },
            ["/usr/sbin/dladm", "create-vnic", .., name] if !self.links.iter().any(|link| link == name) => {
                self.links.push((*name).to_owned());
                Answer::default()
            }
            ["/usr/sbin/dladm", "delete-vnic", "-t", name] => {
                let before = self.links.len();
                self.links.retain(|link| link != name);
                if self.links.len() < before { Answer::default() } else { Answer::failure("no such link") }
            }
            ["/usr/sbin/dladm", "show-vnic", ..] => Answer::output(self.links.join("\n")),
            ["/usr/sbin/zfs", "list", .., "name"] => {
                let more: String = self.datasets.iter().map(|made| format!("{}\n", made.name)).collect();
                Answer::output(format!("tank\ntank/web\n{more}"))
            }
            ["/usr/sbin/zfs", "list", ..] => {
                let row = |made: &own::Made| format!("{}\tyes\t{}\n", made.name, made.mountpoint);
                let more: String = self.datasets.iter().map(row).collect();
                let zonepath = &self.zonepath;
                Answer::output(format!("tank\tyes\t/tank\ntank/web\tyes\t{zonepath}\ntank/x\tno\t/x\n{more}"))
            }
            ["/usr/sbin/zfs", "get", ..] => Answer::output("off\tdefault\n"),
            ["/usr/sbin/zfs", "set", "readonly=on", "tank/web"] => {
                self.is_readonly = true;
                Answer::default()
            }
            ["/usr/sbin/zfs", "inherit", "-S", "readonly", "tank/web"] => {
                self.is_readonly = false;
                Answer::default()
            }
            ["/usr/bin/chmod", "700", _] => Answer::default(),
            _ => Answer::failure(&format!("not known: {line}")),
        }
    }
}

/// A bundle on such a host, and a runtime for it.
struct Place {
    dir: tempfile::TempDir,
    model: Arc<Mutex<Model>>,
    programs: Recorded,
    runtime: Runtime,
}

impl Place {
    fn new() -> Self {
        Self::below(None)
    }

    /// Where a dataset is told for those of containers.
    fn below(dataset: Option<&str>) -> Self {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().canonicalize().unwrap();
        std::fs::create_dir_all(here.join("web/root")).unwrap();
        std::fs::write(here.join("podinit"), "a program").unwrap();
        let model = Arc::new(Mutex::new(Model {
            zonepath: here.join("web").display().to_string(),
            ..Model::default()
        }));
        let root = here.join("state");
        let name = aurora_zones::zone_name(&root.display().to_string(), "c");
        let shared = Arc::clone(&model);
        let programs = Recorded::new(move |line| {
            // The model has one zone and no need to know its name.
            let answer = shared.lock().unwrap().answer(line);
            let text = String::from_utf8_lossy(&answer.output).replace(ZONE, &name);
            Answer { output: text.into_bytes(), ..answer }
        });
        let zones = Zones {
            host: Commands::with(Arc::new(programs.clone())),
            options: ZoneOptions {
                dialect: Some(Dialect::Gate),
                podinit: Some(here.join("podinit")),
                dataset: dataset.map(str::to_owned),
            },
            start_monitor: |_, _| Ok(ProcessId { pid: 4711, start: 0 }),
        };
        let runtime = Runtime::new(root, vec![Box::new(zones)], |_| {});
        let place = Self { dir, model, programs, runtime };
        place.config(json!({}));
        place
    }

    fn bundle(&self) -> PathBuf {
        self.dir.path().canonicalize().unwrap().join("web")
    }

    fn config(&self, more: Value) {
        let mut config = json!({"ociVersion": "1.0.2", "root": {"path": "root", "readonly": true},
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["/bin/sh"]},
            "solaris": {"anet": [{"lowerLink": "igb0"}]}});
        config.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        std::fs::write(self.bundle().join("config.json"), config.to_string()).unwrap();
    }

    fn zone(&self) -> String {
        let root = self.dir.path().canonicalize().unwrap().join("state");
        aurora_zones::zone_name(&root.display().to_string(), "c")
    }

    fn create(&self) -> Result<()> {
        self.runtime.create(&id(), &self.bundle(), &CreateOptions::default()).map(drop)
    }

    fn fault(&self, fault: Option<(usize, Fault)>) {
        let mut model = self.model.lock().unwrap();
        (model.calls, model.fault) = (0, fault);
    }

    fn is_clean(&self) -> bool {
        let left = std::fs::read_dir(self.dir.path().join("state")).map_or(0, Iterator::count);
        left == 0 && self.model.lock().unwrap().is_clean()
    }
}

fn id() -> Id {
    "c".parse().unwrap()
}

#[test]
fn what_is_done_and_undone() {
    let place = Place::new();
    place.create().unwrap();
    assert_eq!(place.runtime.seen(&id()).unwrap().status, Status::Created);
    place.runtime.delete(&id(), false).unwrap();
    assert!(place.is_clean());
    let log: Vec<String> = place.programs.log();
    let asks =
        |line: &&String| !["list", "get", "show-vnic"].iter().any(|word| line.contains(&format!(" {word} ")));
    let verbs: Vec<&str> = log
        .iter()
        .filter(asks)
        .map(|line| {
            let words = [
                "chmod",
                "readonly=on",
                "inherit",
                "create-vnic",
                "delete-vnic",
                "-f",
                "delete",
                "attach",
                "detach",
                "ready",
                "halt",
            ];
            *words.iter().find(|word| line.split(' ').any(|w| w.ends_with(**word))).unwrap()
        })
        .collect();
    let want = [
        "chmod",
        "readonly=on",
        "create-vnic",
        "-f",
        "attach",
        "ready",
        "halt",
        "detach",
        "delete",
        "delete-vnic",
        "inherit",
    ];
    assert_eq!(verbs, want);
}

/// Whatever call of `create` fails, before or after it has done its work: nothing is left.
#[test]
fn a_failed_create_leaves_nothing() {
    let whole = Place::new();
    whole.create().unwrap();
    let calls = whole.model.lock().unwrap().calls;
    assert!(calls > 10, "{calls}");
    for call in 1..=calls {
        for fault in [Fault::Before, Fault::After] {
            let place = Place::new();
            place.fault(Some((call, fault)));
            let said = place.create().unwrap_err().to_string();
            assert!(said.contains("it is to fail"), "{call} {fault:?}: {said}");
            assert!(place.is_clean(), "{call} {fault:?}: {:?}", place.model.lock().unwrap());
        }
    }
}

/// Whatever call of `delete` fails: the container stays, and the next `delete --force` removes it.
#[test]
fn a_failed_delete_is_made_good_by_the_next() {
    failed_deletes_are_made_good(|| {
        let place = Place::new();
        place.create().unwrap();
        place
    });
}

/// Whichever call of the host fails: the container stays where `delete` does, and the next `delete --force` leaves nothing.
fn failed_deletes_are_made_good(made: impl Fn() -> Place) {
    let whole = made();
    whole.fault(None);
    whole.runtime.delete(&id(), true).unwrap();
    let calls = whole.model.lock().unwrap().calls;
    for call in 1..=calls {
        for fault in [Fault::Before, Fault::After, Fault::Garbage] {
            let place = made();
            place.fault(Some((call, fault)));
            let first = place.runtime.delete(&id(), true);
            place.fault(None);
            if first.is_err() {
                assert!(!place.is_clean(), "{call} {fault:?}");
                place.runtime.delete(&id(), true).unwrap();
            }
            assert!(place.is_clean(), "{call} {fault:?}: {:?}", place.model.lock().unwrap());
        }
    }
}

/// Whatever `zoneadm list` is not understood: nothing is guessed.
#[test]
fn garbage_is_an_error() {
    let place = Place::new();
    place.create().unwrap();
    place.fault(Some((1, Fault::Garbage)));
    let said = place.runtime.seen(&id()).unwrap_err().to_string();
    assert!(
        said.starts_with("`/usr/sbin/zoneadm list -c -p` printed a line that is not understood: "),
        "{said}"
    );
    place.fault(Some((1, Fault::Garbage)));
    assert!(place.runtime.delete(&id(), false).is_err());
    place.fault(None);
    place.runtime.delete(&id(), false).unwrap();
    assert!(place.is_clean());
}

/// As after a kill: the journal names what was never begun.
#[test]
fn what_was_never_begun_is_undone_without_harm() {
    let place = Place::new();
    place.create().unwrap();
    for state in [None, Some("configured"), Some("installed"), Some("ready"), Some("running")] {
        let (path, record) = {
            let container = place.runtime.open(&id()).unwrap();
            (container.dir().to_owned(), Record { phase: Phase::Creating, ..container.record.clone() })
        };
        place.model.lock().unwrap().zone = state;
        let zones = Zones {
            host: Commands::with(Arc::new(place.programs.clone())),
            options: ZoneOptions::default(),
            start_monitor: |_, _| Err(backend("not asked for")),
        };
        let id = id();
        let at = Handle { id: &id, dir: &path, record: &record };
        for _ in 0..2 {
            zones.destroy(&at).unwrap();
            assert!(place.model.lock().unwrap().is_clean(), "{state:?}");
        }
        assert_eq!(zones.observe(&at).unwrap(), Observed::Absent);
    }
}

#[test]
fn states_of_zones_are_those_of_containers() {
    let cases = [
        (None, Status::Stopped),
        (Some("configured"), Status::Stopped),
        (Some("incomplete"), Status::Stopped),
        (Some("installed"), Status::Stopped),
        (Some("ready"), Status::Created),
        (Some("running"), Status::Running),
        (Some("shutting_down"), Status::Running),
        (Some("down"), Status::Running),
    ];
    let place = Place::new();
    place.create().unwrap();
    let mut container = place.runtime.open(&id()).unwrap();
    container.record.phase = Phase::Started;
    for (state, want) in cases {
        place.model.lock().unwrap().zone = state;
        assert_eq!(container.status().unwrap(), want, "{state:?}");
    }
    place.model.lock().unwrap().zone = Some("mounted");
    let said = container.status().unwrap_err().to_string();
    assert!(said.ends_with(" is not running: mounted"), "{said}");
    // podinit has told of its end, and its brand starts it anew.
    place.model.lock().unwrap().zone = Some("running");
    std::fs::write(container.dir().join("zones/rw/exit"), "{\"code\":0}").unwrap();
    assert_eq!(container.status().unwrap(), Status::Stopped);
}

#[test]
fn what_no_zone_can_be_made_of_is_said_before() {
    let place = Place::new();
    let said = || place.create().unwrap_err().to_string();
    place.config(json!({"root": {"path": "."}}));
    assert!(said().starts_with("config.json: root.path: not the root of a zone, its name is not root: "));
    place.config(json!({"mounts": [{"destination": "/a\"b", "type": "tmpfs"}]}));
    assert!(
        said().contains("config.json: mounts.destination: zonecfg can't express a double quote"),
        "{}",
        said()
    );
    place.config(json!({}));
    place.model.lock().unwrap().zonepath = "/elsewhere".to_owned();
    assert!(said().contains("no dataset is mounted where it lies"));
    assert!(place.is_clean());
    let log = place.programs.log();
    assert!(!log.iter().any(|line| line.contains("zonecfg")), "{log:?}");
    // What is in another zone, or has one in it, is not touched.
    for there in ["web", "web/root/zones/x", "."] {
        let place = Place::new();
        let path = place.dir.path().canonicalize().unwrap().join(there);
        let path = path.display().to_string();
        let path = path.trim_end_matches("/.");
        place.model.lock().unwrap().others = format!("7:other:running:{path}::lx:excl\n");
        let said = place.create().unwrap_err().to_string();
        assert_eq!(said, format!("zones: zone other lies there already, running: {path}"));
        assert!(place.is_clean());
        assert!(!place.programs.log().iter().any(|line| line.contains("chmod")));
    }
    // One of the same name is somebody else's.
    let place = Place::new();
    place.model.lock().unwrap().zone = Some("installed");
    assert!(place.create().unwrap_err().to_string().contains("a zone of its name already, installed: "));
    assert_eq!(place.model.lock().unwrap().zone, Some("installed"));
}
