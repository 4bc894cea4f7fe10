//! From a config to the one that libcontainer is given, and what we do ourselves.

use std::path::{Path, PathBuf};

use aurora_engine::digest::Digest;
use oci_spec::runtime::{LinuxDeviceCgroup, LinuxNamespaceType, LinuxResources, LinuxSeccomp, Process, Spec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::{backend, cgroup, named, seccomp};
use crate::backend::{Hooks, Plan, Request};
use crate::{Error, HookCall, HookKind, Result};

/// Below the container's directory, what libcontainer has to do with.
pub(super) const FOLDER: &str = "linux";
/// The config that it reads there.
pub(super) const CONFIG: &str = "config.json";
/// What it does not do.
pub(super) const OURS: &str = "ours.json";
/// Begins the name of a group that the config names no place for. Not in a group for all, which nobody would remove.
const GROUP: &str = "/runz-";
/// Digits of the hash that tells state directories apart.
const HASH: usize = 8;

/// What is done by us and not by libcontainer.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Ours {
    /// Limits, directory, program, capabilities.
    pub(super) process: Process,
    /// The filter for system calls.
    pub(super) seccomp: Option<LinuxSeccomp>,
    /// Whether the root is entered in another way.
    pub(super) no_pivot: bool,
    /// Whether systemd makes the control group.
    pub(super) systemd: bool,
    /// Whether its processes have a session keyring of their own.
    #[serde(default)]
    pub(super) new_keyring: bool,
    /// Rules for devices, where libcgroups has nothing to apply them with.
    #[serde(default)]
    pub(super) devices: Option<Vec<LinuxDeviceCgroup>>,
    /// What may not be written, inside.
    #[serde(default)]
    pub(super) readonly_paths: Vec<PathBuf>,
    /// What may not be seen.
    #[serde(default)]
    pub(super) masked_paths: Vec<PathBuf>,
    /// What tmpfs mounts begin with.
    #[serde(default)]
    pub(super) copy_up: Vec<CopyUp>,
    /// What runs hooks: this program.
    pub(super) program: PathBuf,
}

/// A tmpfs that begins with what the image has at its place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CopyUp {
    /// Where.
    pub(super) at: PathBuf,
    /// Mode and owner of the place itself, too: the mount names none.
    pub(super) with_mode: bool,
}

/// Of mounts, an extension of runc.
const COPY_UP: &str = "tmpcopyup";

/// The plan; a pure function.
pub(super) fn plan(request: &Request<'_>) -> Result<Plan> {
    let bundle = request.bundle;
    check(&bundle.spec, request)?;
    let linux = bundle.spec.linux().as_ref().expect("it was checked that there is one");
    let mut notes = seccomp::check(linux.seccomp().as_ref(), request.host.arch)?;
    let mut devices = match request.host.unified {
        true => devices(linux.resources().as_ref())?,
        false => None,
    };
    if request.host.uid != 0 && devices.take().is_some() {
        // The kernel takes programs from root alone, and a user has no devices to lose.
        notes.push("linux.resources.devices: not applied without root".to_owned());
    }
    let ours = Ours {
        process: bundle.process().clone(),
        seccomp: linux.seccomp().clone(),
        no_pivot: request.options.no_pivot,
        systemd: request.options.systemd,
        new_keyring: !request.options.no_new_keyring,
        devices,
        readonly_paths: linux.readonly_paths().iter().flatten().map(PathBuf::from).collect(),
        masked_paths: linux.masked_paths().iter().flatten().map(PathBuf::from).collect(),
        copy_up: copy_up(&bundle.spec)?,
        program: request.host.program.clone(),
    };
    let group = group(&bundle.spec, request)?;
    let mut config = bundle.config.clone();
    config["root"]["path"] = json!(bundle.root());
    config["process"] = for_library(&ours.process);
    config["linux"]["cgroupsPath"] = json!(group);
    let members = config.as_object_mut().expect("a config that was parsed is an object");
    members.remove("hooks");
    if let Some(linux) = members.get_mut("linux").and_then(Value::as_object_mut) {
        linux.remove("seccomp");
        linux.remove("readonlyPaths");
        linux.remove("maskedPaths");
    }
    for mount in config["mounts"].as_array_mut().into_iter().flatten() {
        if let Some(destination) = mount["destination"].as_str().filter(|text| !text.starts_with('/')) {
            mount["destination"] = json!(format!("/{destination}"));
        }
        if let Some(options) = mount["options"].as_array_mut() {
            options.retain(|option| option != COPY_UP);
        }
    }
    let file = |name: &str, value: &Value| (format!("{FOLDER}/{name}"), value.to_string().into_bytes());
    let ours = serde_json::to_value(&ours).expect("it has a JSON form");
    Ok(Plan {
        undo: vec![cgroup::undo(&group)],
        steps: steps(&bundle.spec, &group),
        files: vec![file(CONFIG, &config), file(OURS, &ours)],
        notes,
    })
}

/// A process without what is done by us, as soon as it is in its surroundings.
pub(super) fn for_library(process: &Process) -> Value {
    let mut value = serde_json::to_value(process).expect("a process has a JSON form");
    let members = value.as_object_mut().expect("a process is an object");
    for done in ["capabilities", "rlimits", "consoleSize"] {
        members.remove(done);
    }
    members.insert("cwd".to_owned(), json!("/"));
    value
}

/// A hook of ours for each kind that the config has hooks of: libcontainer would tell them a state in which our copy of
/// the config is the bundle. What they are to run comes to them with the state that it tells, on standard input: everyone
/// sees arguments, which are short besides, and in a user namespace no file of ours can be opened.
pub(super) fn insert_hooks(config: &mut Value, hooks: &dyn Hooks, program: &Path) {
    let mut calls = serde_json::Map::new();
    for kind in [HookKind::Prestart, HookKind::CreateRuntime, HookKind::CreateContainer] {
        let call = hooks.call(kind, None);
        if !call.hooks.is_empty() {
            let call = serde_json::to_value(&call).expect("a call has a JSON form");
            calls.insert(kind.name().to_owned(), call);
            config["hooks"][kind.name()] = json!([{"path": program, "args": ["runz", "hook", kind.name()]}]);
        }
    }
    if !calls.is_empty() {
        config["annotations"] = json!({ HookCall::ANNOTATION: Value::from(calls).to_string() });
    }
}

/// Refuses what would not be honoured.
fn check(spec: &Spec, request: &Request<'_>) -> Result<()> {
    if request.host.uid != 0 && !request.host.unified {
        // libcontainer has no way around the group there, and nobody but root may make one.
        return Err(Error::Usage(
            "without root, control groups of the second version are needed, and this host has the first"
                .to_owned(),
        ));
    }
    let Some(linux) = spec.linux() else {
        return Err(Error::config("linux", "missing: this host runs Linux"));
    };
    let namespaces = linux.namespaces().as_deref().unwrap_or_default();
    if !namespaces.iter().any(|namespace| namespace.typ() == LinuxNamespaceType::Mount) {
        // Its mounts would be the host's.
        return Err(Error::config("linux.namespaces", "one of type mount is required"));
    }
    for (at, namespace) in namespaces.iter().enumerate() {
        if namespaces[..at].iter().any(|other| other.typ() == namespace.typ()) {
            return Err(Error::config("linux.namespaces", format!("twice: {}", name(namespace.typ()))));
        }
    }
    let process = spec.process().as_ref().expect("checked when the bundle was made");
    let labels = [
        ("process.selinuxLabel", process.selinux_label().as_deref()),
        ("linux.mountLabel", linux.mount_label().as_deref()),
    ];
    for (field, label) in labels {
        if label.is_some_and(|label| !label.is_empty()) {
            return Err(Error::config(field, "SELinux labels are not supported"));
        }
    }
    if let Some(score) = process.oom_score_adj().filter(|score| *score < 0 && !request.host.may_raise) {
        let problem = format!("lowering it needs CAP_SYS_RESOURCE, which this process lacks: {score}");
        return Err(Error::config("process.oomScoreAdj", problem));
    }
    Ok(())
}

/// The rules for devices, if they are some.
fn devices(resources: Option<&LinuxResources>) -> Result<Option<Vec<LinuxDeviceCgroup>>> {
    let Some(rules) = resources.and_then(|resources| resources.devices().as_ref()) else { return Ok(None) };
    super::devices::program(rules).map_err(|problem| Error::config("linux.resources.devices", problem))?;
    Ok(Some(rules.clone()))
}

/// The mounts with [`COPY_UP`].
fn copy_up(spec: &Spec) -> Result<Vec<CopyUp>> {
    let mut all = Vec::new();
    for mount in spec.mounts().iter().flatten() {
        let options = mount.options().as_deref().unwrap_or_default();
        if !options.iter().any(|option| option == COPY_UP) {
            continue;
        }
        if mount.typ().as_deref() != Some("tmpfs") {
            let problem = format!("{COPY_UP} is for tmpfs: {}", mount.destination().display());
            return Err(Error::config("mounts", problem));
        }
        let with_mode = !options.iter().any(|option| option.starts_with("mode="));
        all.push(CopyUp { at: Path::new("/").join(mount.destination()), with_mode });
    }
    Ok(all)
}

/// Where the control group is.
fn group(spec: &Spec, request: &Request<'_>) -> Result<String> {
    let named = spec.linux().as_ref().and_then(|linux| linux.cgroups_path().as_ref());
    let named = named.map(|path| path.to_string_lossy().into_owned()).filter(|path| !path.is_empty());
    let systemd = request.options.systemd;
    if systemd && !request.host.systemd {
        return Err(Error::Usage(
            "systemd cgroup flag passed, but systemd support for managing cgroups is not available"
                .to_owned(),
        ));
    }
    let path = match named {
        Some(path) if systemd && path.split(':').count() != 3 => {
            let problem = format!("with --systemd-cgroup it is SLICE:PREFIX:NAME: {path:?}");
            return Err(Error::config("linux.cgroupsPath", problem));
        }
        Some(path) if systemd => path,
        // From the top of each hierarchy; libcontainer would look for it elsewhere in some.
        Some(path) => format!("/{}", path.trim_start_matches('/')),
        None => {
            // The same id may be in use in another state directory. No id has an @.
            let hash =
                |root: &PathBuf| Digest::sha256(root.as_os_str().as_encoded_bytes()).hex()[..HASH].to_owned();
            let other = request.host.other_root.as_ref().map(hash);
            match (systemd, other) {
                (false, None) => format!("{GROUP}{}", request.id),
                (false, Some(hash)) => format!("{GROUP}{}@{hash}", request.id),
                (true, None) => format!(":runz:{}", request.id),
                (true, Some(hash)) => format!(":runz-{hash}:{}", request.id),
            }
        }
    };
    if Path::new(&path).components().any(|part| part == std::path::Component::ParentDir) {
        return Err(Error::config("linux.cgroupsPath", format!("leads upwards: {path:?}")));
    }
    if path.trim_matches('/').is_empty() {
        return Err(Error::config("linux.cgroupsPath", "the root of all groups"));
    }
    Ok(path)
}

/// As configs have it; the type's own text is that of `/proc/PID/ns`.
fn name(namespace: LinuxNamespaceType) -> String {
    match serde_json::to_value(namespace) {
        Ok(Value::String(name)) => name,
        _ => namespace.to_string(),
    }
}

/// For `--dry-run`.
fn steps(spec: &Spec, group: &str) -> Vec<String> {
    let mut steps = vec![format!("cgroup {group}")];
    let linux = spec.linux().as_ref();
    for namespace in linux.and_then(|linux| linux.namespaces().as_ref()).into_iter().flatten() {
        steps.push(match namespace.path() {
            Some(path) => format!("namespace {} {}", name(namespace.typ()), path.display()),
            None => format!("namespace {}", name(namespace.typ())),
        });
    }
    for mount in spec.mounts().iter().flatten() {
        let source = mount.source().as_ref().map_or_else(|| "none".into(), |source| source.to_string_lossy());
        let kind = mount.typ().as_deref().unwrap_or("none");
        let options = mount.options().as_deref().unwrap_or_default().join(",");
        steps.push(
            format!("mount {kind} {source} {} {options}", mount.destination().display())
                .trim_end()
                .to_owned(),
        );
    }
    let process = spec.process().as_ref().expect("checked when the bundle was made");
    steps.push(format!("user {}:{}", process.user().uid(), process.user().gid()));
    if linux.is_some_and(|linux| linux.seccomp().is_some()) {
        steps.push("seccomp".to_owned());
    }
    steps.push(format!("exec {:?}", process.args().as_deref().unwrap_or_default()));
    steps
}

/// A document of a plan.
pub(super) fn read<T: DeserializeOwned>(plan: &Plan, name: &str) -> Result<T> {
    let name = format!("{FOLDER}/{name}");
    let bytes = plan.files.iter().find(|(file, _)| *file == name).map(|(_, bytes)| bytes);
    let bytes = bytes.ok_or_else(|| backend(&format!("the plan has no {name}")))?;
    serde_json::from_slice(bytes).map_err(|source| Error::Json { path: name.into(), source })
}

/// The same where the plan was carried out.
pub(super) fn read_file<T: DeserializeOwned>(path: &Path) -> Result<T> {
    let bytes = std::fs::read(path).map_err(|e| named(path, e))?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CreateOptions;
    use crate::backend::Host;
    use crate::bundle::Bundle;

    fn config() -> Value {
        json!({"ociVersion": "1.0.2", "root": {"path": "rootfs"}, "hooks": {"prestart": [{"path": "/h"}]},
            "mounts": [{"destination": "proc", "type": "proc", "source": "proc"},
                {"destination": "/run", "type": "tmpfs", "source": "tmpfs", "options": ["tmpcopyup", "ro"]}],
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/srv", "args": ["a"],
                "rlimits": [{"type": "RLIMIT_CORE", "hard": 1, "soft": 1}],
                "capabilities": {"bounding": ["CAP_KILL"]}},
            "linux": {"namespaces": [{"type": "mount"}, {"type": "pid"}], "readonlyPaths": ["/proc/sys"]}})
    }

    fn planned(config: Value, options: &CreateOptions, host: &Host) -> Result<Plan> {
        let bundle = Bundle::new("/b".into(), config)?;
        let id = "c".parse().unwrap();
        plan(&Request { id: &id, bundle: &bundle, options, root: Path::new("/run/runz"), host })
    }

    #[test]
    fn libcontainer_is_given_what_it_does_well() {
        let plan = planned(config(), &CreateOptions::default(), &Host::default()).unwrap();
        assert_eq!(plan.undo, ["cgroup /runz-c"]);
        let given: Value = read(&plan, CONFIG).unwrap();
        assert_eq!(given["root"]["path"], "/b/rootfs");
        assert_eq!(given["linux"]["cgroupsPath"], "/runz-c");
        assert_eq!(
            (&given["process"]["cwd"], &given["mounts"][0]["destination"]),
            (&json!("/"), &json!("/proc"))
        );
        for ours in ["capabilities", "rlimits"] {
            assert!(given["process"].get(ours).is_none(), "{ours}");
        }
        assert!(given.get("hooks").is_none() && given["linux"].get("readonlyPaths").is_none());
        assert_eq!(given["mounts"][1]["options"], json!(["ro"]));
        let ours: Ours = read(&plan, OURS).unwrap();
        assert_eq!(ours.copy_up, [CopyUp { at: "/run".into(), with_mode: true }]);
        assert_eq!(ours.process.cwd(), Path::new("/srv"));
        assert_eq!(ours.readonly_paths, [Path::new("/proc/sys")]);
        let steps = [
            "cgroup /runz-c",
            "namespace mount",
            "namespace pid",
            "mount proc proc proc",
            "mount tmpfs tmpfs /run tmpcopyup,ro",
            "user 0:0",
            "exec [\"a\"]",
        ];
        assert_eq!(plan.steps, steps);
    }

    #[test]
    fn what_would_not_be_honoured_is_refused() {
        let cases: [(&str, Value, &str); 9] = [
            ("/linux", Value::Null, "linux: missing"),
            ("/linux/namespaces", json!([{"type": "pid"}]), "one of type mount is required"),
            ("/linux/namespaces", json!([{"type": "mount"}, {"type": "mount"}]), "twice: mount"),
            ("/linux/mountLabel", json!("system_u"), "linux.mountLabel: SELinux"),
            ("/process/selinuxLabel", json!("system_u"), "process.selinuxLabel: SELinux"),
            ("/process/oomScoreAdj", json!(-998), "process.oomScoreAdj: lowering it needs CAP_SYS_RESOURCE"),
            ("/linux/cgroupsPath", json!("/a/../../b"), "leads upwards"),
            ("/linux/cgroupsPath", json!("/"), "the root of all groups"),
            ("/linux/seccomp", json!({"defaultAction": "SCMP_ACT_NOTIFY"}), "linux.seccomp"),
        ];
        for (pointer, value, want) in cases {
            let mut config = config();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            config.pointer_mut(parent).unwrap()[key] = value;
            let host = Host { arch: "x86_64", ..Host::default() };
            let e = planned(config, &CreateOptions::default(), &host).expect_err(pointer).to_string();
            assert!(e.contains(want), "{pointer}: {e}");
        }
    }

    #[test]
    fn without_root_the_host_must_be_a_new_one() {
        let user = |unified| Host { uid: 1000, unified, ..Host::default() };
        let e = planned(config(), &CreateOptions::default(), &user(false)).unwrap_err().to_string();
        assert!(e.starts_with("without root, control groups of the second version"), "{e}");
        planned(config(), &CreateOptions::default(), &user(true)).unwrap();
    }

    #[test]
    fn another_state_directory_has_other_groups() {
        let undo = |config, root: Option<&str>, systemd| {
            let host = Host { other_root: root.map(Into::into), systemd: true, ..Host::default() };
            planned(config, &CreateOptions { systemd, ..CreateOptions::default() }, &host).unwrap().undo
        };
        let [own, a, b] = [None, Some("/a"), Some("/b")].map(|root| undo(config(), root, false));
        assert_eq!(own, ["cgroup /runz-c"]);
        assert!(a[0].starts_with("cgroup /runz-c@") && a[0].len() == b[0].len() && a != b, "{a:?} {b:?}");
        let hash = a[0].rsplit('@').next().unwrap();
        assert_eq!(undo(config(), Some("/a"), true), [format!("cgroup :runz-{hash}:c")]);
        // Who names one is taken at his word.
        let mut named = config();
        named["linux"]["cgroupsPath"] = json!("/x");
        assert_eq!(undo(named, Some("/a"), false), ["cgroup /x"]);
    }

    /// What everyone can see of a process tells nothing of what its hooks are given.
    #[test]
    fn hooks_are_told_with_the_state() {
        struct One;
        impl Hooks for One {
            fn call(&self, kind: HookKind, _: Option<crate::state::ProcessId>) -> HookCall {
                let state = json!({"ociVersion": "1", "id": "c", "pid": 0, "status": "creating", "bundle": "/b",
                    "rootfs": "/r", "created": "", "owner": "", "annotations": {"own": "1"}});
                let hooks = if kind == HookKind::Prestart {
                    json!([{"path": "/h", "env": ["A=secret"]}])
                } else {
                    json!([])
                };
                let call = json!({"kind": kind, "state": state, "hooks": hooks});
                serde_json::from_value(call).unwrap()
            }
        }
        let mut given = json!({"annotations": {"own": "1"}});
        insert_hooks(&mut given, &One, Path::new("/runz"));
        assert_eq!(
            given["hooks"],
            json!({"prestart": [{"path": "/runz", "args": ["runz", "hook", "prestart"]}]})
        );
        let call = HookCall::of_state("prestart", &given).unwrap();
        assert_eq!(
            (call.hooks[0].env().as_ref().unwrap()[0].as_str(), &*call.state.annotations["own"]),
            ("A=secret", "1")
        );
        assert!(
            HookCall::of_state("createRuntime", &given).is_err()
                && HookCall::of_state("prestart", &json!({})).is_err()
        );
    }

    #[test]
    fn rules_for_devices_are_ours_where_nobody_has_them() {
        let mut config = config();
        config["linux"]["resources"] = json!({"devices": [{"allow": false, "access": "rwm"}]});
        let of = |config: &Value, host: Host| -> Result<(Option<usize>, Vec<String>)> {
            let plan = planned(config.clone(), &CreateOptions::default(), &host)?;
            Ok((read::<Ours>(&plan, OURS)?.devices.map(|rules| rules.len()), plan.notes))
        };
        assert_eq!(of(&config, Host::default()).unwrap(), (None, vec![]));
        assert_eq!(of(&config, Host { unified: true, ..Host::default() }).unwrap(), (Some(1), vec![]));
        let note = "linux.resources.devices: not applied without root".to_owned();
        assert_eq!(
            of(&config, Host { unified: true, uid: 1, ..Host::default() }).unwrap(),
            (None, vec![note])
        );
        config["linux"]["resources"]["devices"][0]["access"] = json!("rx");
        let e = of(&config, Host { unified: true, ..Host::default() }).unwrap_err().to_string();
        assert_eq!(e, "config.json: linux.resources.devices: [0]: access: of r, w and m: \"rx\"");
    }

    #[test]
    fn systemd_is_asked_where_it_is() {
        let options = CreateOptions { systemd: true, ..CreateOptions::default() };
        let e = planned(config(), &options, &Host::default()).unwrap_err().to_string();
        assert!(e.starts_with("systemd cgroup flag passed, but"), "{e}");
        let host = Host { systemd: true, ..Host::default() };
        assert_eq!(planned(config(), &options, &host).unwrap().undo, ["cgroup :runz:c"]);
        let mut named = config();
        named["linux"]["cgroupsPath"] = json!("a/b");
        assert_eq!(planned(named.clone(), &CreateOptions::default(), &host).unwrap().undo, ["cgroup /a/b"]);
        assert!(
            planned(named.clone(), &options, &host).unwrap_err().to_string().contains("SLICE:PREFIX:NAME")
        );
        named["linux"]["cgroupsPath"] = json!("system.slice:p:n");
        assert_eq!(planned(named, &options, &host).unwrap().undo, ["cgroup system.slice:p:n"]);
    }
}
