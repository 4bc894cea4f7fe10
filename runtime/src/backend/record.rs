//! A backend that does nothing and remembers what it was asked: what is above backends is tested with it.

use std::cell::RefCell;
use std::rc::Rc;

use oci_spec::runtime::Process;

use super::{Backend, Handle, Hooks, Io, Observed, Plan, Request};
use crate::state::ProcessId;
use crate::{Error, HookKind, Result, Signal};

/// What the backend was asked, and what it is to answer. Copies share it.
#[derive(Debug, Clone, Default)]
pub struct Recording(Rc<RefCell<Told>>);

#[derive(Debug)]
struct Told {
    calls: Vec<String>,
    observed: Observed,
    failing: Vec<&'static str>,
}

impl Default for Told {
    fn default() -> Self {
        Self { calls: Vec::new(), observed: Observed::Absent, failing: Vec::new() }
    }
}

impl Recording {
    /// What was asked since the last time.
    pub fn calls(&self) -> Vec<String> {
        std::mem::take(&mut self.0.borrow_mut().calls)
    }

    /// What is to be seen from now on.
    pub fn see(&self, observed: Observed) {
        self.0.borrow_mut().observed = observed;
    }

    /// The calls that fail from now on.
    pub fn fail(&self, calls: &[&'static str]) {
        self.0.borrow_mut().failing = calls.to_vec();
    }

    fn called(&self, call: &'static str, what: &str) -> Result<()> {
        let mut told = self.0.borrow_mut();
        told.calls.push(format!("{call} {what}").trim_end().to_owned());
        if told.failing.contains(&call) {
            return Err(Error::Backend { backend: "record", problem: format!("{call} is to fail") });
        }
        Ok(())
    }
}

impl Backend for Recording {
    fn name(&self) -> &'static str {
        "record"
    }

    fn plan(&self, request: &Request<'_>) -> Result<Plan> {
        let args = request.bundle.process().args().as_deref().unwrap_or_default().join(" ");
        let undo = vec![format!("environment {}", request.id)];
        Ok(Plan { undo, steps: vec![format!("run {args}")], ..Plan::default() })
    }

    fn create(&self, at: &Handle<'_>, plan: &Plan, _: &Io, hooks: &dyn Hooks) -> Result<ProcessId> {
        self.called("create", &format!("{}: {}", at.id, plan.steps.join(", ")))?;
        let process = ProcessId { pid: 4711, start: 1 };
        for kind in [HookKind::Prestart, HookKind::CreateRuntime, HookKind::CreateContainer] {
            hooks.call(kind, Some(process)).run()?;
        }
        self.see(Observed::Waiting);
        Ok(process)
    }

    fn start(&self, at: &Handle<'_>) -> Result<()> {
        self.called("start", at.id.as_str())?;
        self.see(Observed::Running);
        Ok(())
    }

    fn signal(&self, _: &Handle<'_>, signal: Signal, all: bool) -> Result<()> {
        self.called("signal", &format!("{signal}{}", if all { " all" } else { "" }))
    }

    fn observe(&self, _: &Handle<'_>) -> Result<Observed> {
        Ok(self.0.borrow().observed)
    }

    fn exec(&self, _: &Handle<'_>, process: &Process, _: &Io) -> Result<ProcessId> {
        self.called("exec", &process.args().as_deref().unwrap_or_default().join(" "))?;
        Ok(ProcessId { pid: 4712, start: 2 })
    }

    fn destroy(&self, at: &Handle<'_>) -> Result<()> {
        self.called("destroy", &at.record.undo.join(", "))?;
        self.see(Observed::Absent);
        Ok(())
    }

    fn pause(&self, _: &Handle<'_>) -> Result<()> {
        self.called("pause", "")?;
        self.see(Observed::Paused);
        Ok(())
    }

    fn resume(&self, _: &Handle<'_>) -> Result<()> {
        self.called("resume", "")?;
        self.see(Observed::Running);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::path::{Path, PathBuf};

    use serde_json::{Value, json};

    use super::*;
    use crate::{CreateOptions, ExecOptions, Id, ProcessChange, Runtime, Status};

    struct Place {
        dir: tempfile::TempDir,
        told: Recording,
        runtime: Runtime,
    }

    impl Place {
        fn new() -> Self {
            let dir = tempfile::tempdir().unwrap();
            let told = Recording::default();
            let runtime = Runtime::new(dir.path().join("root"), vec![Box::new(told.clone())], |_| {});
            let place = Self { dir, told, runtime };
            std::fs::create_dir_all(place.bundle().join("rootfs")).unwrap();
            place.config(json!({}));
            place
        }

        fn bundle(&self) -> PathBuf {
            self.dir.path().canonicalize().unwrap().join("bundle")
        }

        fn config(&self, more: Value) {
            let mut config = json!({"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "annotations": {"k": "v"},
                "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh", "-i"]}});
            let members = config.as_object_mut().unwrap();
            members.extend(more.as_object().unwrap().clone());
            std::fs::write(self.bundle().join("config.json"), config.to_string()).unwrap();
        }

        fn create(&self) -> Result<()> {
            self.runtime.create(&id(), &self.bundle(), &CreateOptions::default()).map(drop)
        }

        fn status(&self) -> Status {
            self.runtime.seen(&id()).unwrap().status
        }

        fn left(&self) -> usize {
            std::fs::read_dir(self.dir.path().join("root")).map_or(0, Iterator::count)
        }
    }

    fn id() -> Id {
        "c".parse().unwrap()
    }

    fn text<T>(result: Result<T>) -> String {
        result.err().expect("it is to fail").to_string()
    }

    #[test]
    fn a_life_from_end_to_end() {
        let place = Place::new();
        place.create().unwrap();
        assert_eq!(place.told.calls(), ["create c: run sh -i"]);
        let seen = place.runtime.seen(&id()).unwrap();
        assert_eq!((seen.status, seen.pid, &*seen.annotations["k"]), (Status::Created, 4711, "v"));
        assert_eq!((seen.bundle, seen.rootfs), (place.bundle(), place.bundle().join("rootfs")));
        assert_eq!(text(place.create()), "container with given ID already exists");
        place.runtime.open(&id()).unwrap().start().unwrap();
        assert_eq!(place.status(), Status::Running);
        let said = text(place.runtime.open(&id()).unwrap().start());
        assert_eq!(said, "cannot start an already running container");
        assert_eq!(
            text(place.runtime.delete(&id(), false)),
            "cannot delete container c that is not stopped: running"
        );
        let change = ProcessChange { args: vec!["ls".into()], ..Default::default() };
        let options = ExecOptions { change, ..Default::default() };
        let container = place.runtime.look(&id()).unwrap();
        let process = container.process_of(&options).unwrap();
        assert_eq!(container.exec(&process, &options).unwrap().pid, 4712);
        assert_eq!(text(container.resume()), "container not paused");
        container.pause().unwrap();
        assert_eq!(text(container.exec(&process, &options)), Error::ExecPaused.to_string());
        assert_eq!(text(container.pause()), "container not running");
        container.resume().unwrap();
        container.kill("TERM".parse().unwrap(), false).unwrap();
        place.told.see(Observed::Ended);
        assert_eq!(text(container.kill(Signal::KILL, false)), "container not running");
        container.kill(Signal::KILL, true).unwrap();
        assert_eq!(text(container.exec(&process, &options)), "cannot exec in a stopped container");
        drop(container);
        let said = text(place.runtime.open(&id()).unwrap().start());
        assert_eq!(said, "cannot start a container that has stopped");
        assert_eq!((place.status(), place.runtime.seen(&id()).unwrap().pid), (Status::Stopped, 0));
        place.runtime.delete(&id(), false).unwrap();
        let calls = [
            "start c",
            "exec ls",
            "pause",
            "resume",
            "signal SIGTERM",
            "signal SIGKILL all",
            "destroy environment c",
        ];
        assert_eq!((place.told.calls(), place.left()), (calls.map(str::to_owned).to_vec(), 0));
    }

    #[test]
    fn what_is_not_there_is_said_and_force_does_not_mind() {
        let place = Place::new();
        assert_eq!(text(place.runtime.seen(&id())), "container does not exist");
        assert_eq!(text(place.runtime.open(&id())), "container does not exist");
        assert_eq!(text(place.runtime.delete(&id(), false)), "container does not exist");
        place.runtime.delete(&id(), true).unwrap();
        assert!(place.runtime.list().unwrap().is_empty());
        place.create().unwrap();
        assert_eq!(place.runtime.list().unwrap().len(), 1);
        // One that was only created can go without force, as with runc.
        place.runtime.delete(&id(), false).unwrap();
        assert_eq!(place.left(), 0);
    }

    #[test]
    fn a_failed_create_leaves_nothing() {
        let place = Place::new();
        place.told.fail(&["create"]);
        assert_eq!(text(place.create()), "record: create is to fail");
        assert_eq!(place.told.calls(), ["create c: run sh -i", "destroy environment c"]);
        assert_eq!(place.left(), 0);
        let pid_file = Some(place.dir.path().join("nowhere/pid"));
        place.told.fail(&[]);
        let options = CreateOptions { pid_file, ..Default::default() };
        let said = text(place.runtime.create(&id(), &place.bundle(), &options));
        assert!(said.starts_with("pid file "), "{said}");
        assert_eq!((place.told.calls().len(), place.left()), (2, 0));
        // The reason is told first, whatever else goes wrong.
        place.told.fail(&["create", "destroy"]);
        let said = text(place.create());
        let want =
            "record: create is to fail; what there is of it could not be removed: record: destroy is to fail";
        assert_eq!((said.as_str(), place.left()), (want, 1));
        place.told.fail(&[]);
        place.runtime.delete(&id(), true).unwrap();
        assert_eq!(place.left(), 0);
    }

    /// A hook that notes its kind and the state that it was told.
    fn note(log: &Path, kind: &str, script: &str) -> Value {
        let script = format!("(printf '{kind} '; cat; echo) >>{}; {script}", log.display());
        json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}])
    }

    #[test]
    fn hooks_run_in_their_order_with_their_state() {
        let place = Place::new();
        let log = place.dir.path().join("log");
        let hooks: serde_json::Map<_, _> = HookKind::ALL
            .iter()
            .map(|kind| (kind.name().to_owned(), note(&log, kind.name(), "true")))
            .collect();
        place.config(json!({"hooks": hooks}));
        place.create().unwrap();
        // What is changed after `create` is not looked at.
        place.config(json!({}));
        place.runtime.open(&id()).unwrap().start().unwrap();
        place.runtime.delete(&id(), true).unwrap();
        let lines: Vec<(String, Value)> = std::fs::read_to_string(&log)
            .unwrap()
            .lines()
            .map(|line| {
                line.split_once(' ')
                    .map(|(kind, state)| (kind.to_owned(), serde_json::from_str(state).unwrap()))
                    .unwrap()
            })
            .collect();
        let told: Vec<(&str, &str)> =
            lines.iter().map(|(kind, state)| (kind.as_str(), state["status"].as_str().unwrap())).collect();
        let want = [
            ("prestart", "creating"),
            ("createRuntime", "creating"),
            ("createContainer", "creating"),
            ("poststart", "running"),
            ("poststop", "stopped"),
        ];
        assert_eq!(told, want);
        assert_eq!(lines[0].1["bundle"], place.bundle().display().to_string());
        assert_eq!(lines[0].1["pid"], 4711);
    }

    #[test]
    fn a_failing_hook_ends_the_container() {
        let place = Place::new();
        let log = place.dir.path().join("log");
        let hooks = |kind: &str| json!({kind: note(&log, kind, "exit 5"), "poststop": note(&log, "poststop", "exit 6")});
        place.config(json!({"hooks": hooks("createRuntime")}));
        let said = text(place.create());
        assert!(said.starts_with("error running createRuntime hook #0: /bin/sh: exit status 5"), "{said}");
        assert_eq!(place.left(), 0);
        let kinds = |log: &Path| -> Vec<String> {
            let text = std::fs::read_to_string(log).unwrap();
            text.lines().map(|line| line.split(' ').next().unwrap().to_owned()).collect()
        };
        assert_eq!(kinds(&log), ["createRuntime", "poststop"]);
        place.config(json!({"hooks": hooks("poststart")}));
        place.create().unwrap();
        place.told.calls();
        let said = text(place.runtime.open(&id()).unwrap().start());
        assert!(said.starts_with("error running poststart hook #0"), "{said}");
        assert_eq!(place.told.calls(), ["start c", "signal SIGKILL all"]);
    }

    #[test]
    fn a_terminal_needs_its_other_end() {
        let place = Place::new();
        let io = |console: Option<&str>, detached| Io {
            console: console.map(Into::into),
            preserve_fds: 0,
            detached,
        };
        let create = |io: Io| {
            text(place.runtime.create(&id(), &place.bundle(), &CreateOptions { io, ..Default::default() }))
        };
        assert!(create(io(Some("/s"), true)).starts_with("cannot use console socket if"));
        place.config(
            json!({"process": {"terminal": true, "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sh"]}}),
        );
        assert!(create(io(None, true)).starts_with("cannot allocate tty if"));
        assert_eq!(place.left(), 0);
    }
}
