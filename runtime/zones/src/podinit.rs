//! What process 1 of the zone is told: `config.json` of its control directory (docs/podinit.md).

use oci_spec::runtime::{Process, Spec};
use serde_json::{Map, Value, json};

use crate::{Options, Refusal, Result, Zone};

/// Where a zone's console is: the terminal of a program that is to have one.
const CONSOLE: &str = "/dev/console";

/// Where the pipes are that others read and write, within the zone.
const PIPES: &str = "/.aurora-run";

/// Members of `process` that engines send for every container, and that mean nothing in a zone.
const LEFT_OUT: [(&str, &str); 2] = [
    ("apparmorProfile", "a zone has privileges instead"),
    ("oomScoreAdj", "a zone has a cap of memory instead"),
];

/// Members that podinit can't apply.
const REFUSED: [&str; 5] = ["selinuxLabel", "scheduler", "ioPriority", "execCPUAffinity", "commandLine"];

/// Limits that illumos has.
const RLIMITS: [&str; 7] = [
    "RLIMIT_AS",
    "RLIMIT_CORE",
    "RLIMIT_CPU",
    "RLIMIT_DATA",
    "RLIMIT_FSIZE",
    "RLIMIT_NOFILE",
    "RLIMIT_STACK",
];

/// Puts the document together, without what podinit would refuse; what it must not be without is refused now, and not
/// when the zone boots.
pub(crate) fn apply(zone: &mut Zone, spec: &Spec, options: &Options, is_lx: bool) -> Result<()> {
    let Some(process) = spec.process() else {
        return Err(Refusal::Unsupported { field: "process: missing".to_owned() });
    };
    let process = members(process, is_lx, &mut |field, why| zone.note(field, why))?;
    zone.note_done("process", "podinit applies it");
    // Programs of Linux can't halt a zone. SmartOS is told by an attribute that init is not to be started again.
    let halt = !is_lx && !options.dialect.has_init_attributes();
    let (streams, place) = match process.get("terminal") {
        Some(Value::Bool(true)) => ("console", CONSOLE),
        _ => ("stdio", PIPES),
    };
    let mut config = json!({
        "ociVersion": spec.version(),
        "process": process,
        // Brands start their init anew when it ends.
        "aurora": { streams: place, "once": true, "halt": halt },
    });
    let by_podinit = !zone.attrs.iter().any(|(name, _)| *name == "hostname");
    if let Some(hostname) = spec.hostname().as_ref().filter(|_| by_podinit) {
        config["hostname"] = json!(hostname);
    }
    let hooks = spec.hooks().as_ref().and_then(|hooks| hooks.start_container().as_ref());
    if let Some(hooks) = hooks.filter(|hooks| !hooks.is_empty()) {
        config["hooks"] = json!({ "startContainer": hooks });
        config["aurora"]["state"] =
            json!({ "ociVersion": spec.version(), "id": options.id, "bundle": options.bundle });
        if let Some(annotations) = spec.annotations().as_ref().filter(|all| !all.is_empty()) {
            // Sorted by the way.
            config["aurora"]["state"]["annotations"] = json!(annotations);
        }
    }
    zone.podinit = config;
    Ok(())
}

/// What podinit is told of a process more: it runs it as it does the first one, and leaves what it tells in a folder
/// `run_dir` of the zone. A terminal is the one that it is started with.
pub fn exec_document(process: &Process, is_lx: bool, run_dir: &str) -> Result<Value> {
    let process = members(process, is_lx, &mut |_, _| ())?;
    Ok(json!({ "process": process, "aurora": { "runDir": run_dir } }))
}

/// Of a process, what podinit can apply.
fn members(
    process: &Process,
    is_lx: bool,
    note: &mut dyn FnMut(String, &'static str),
) -> Result<Map<String, Value>> {
    let process = serde_json::to_value(process).expect("it was read from JSON");
    let Value::Object(mut process) = process else { unreachable!("a structure is an object") };
    for (name, why) in LEFT_OUT {
        if process.remove(name).is_some_and(|value| says_something(&value)) {
            note(format!("process.{name}"), why);
        }
    }
    for name in REFUSED {
        if process.remove(name).is_some_and(|value| says_something(&value)) {
            return Err(Refusal::Unsupported { field: format!("process.{name}") });
        }
    }
    if !is_lx {
        native(&mut process, note)?;
    }
    Ok(process)
}

/// What only Linux can do.
fn native(process: &mut Map<String, Value>, note: &mut dyn FnMut(String, &'static str)) -> Result<()> {
    if process.remove("capabilities").is_some_and(|value| says_something(&value)) {
        note("process.capabilities".to_owned(), "a zone has privileges instead");
    }
    if process.remove("noNewPrivileges") == Some(Value::Bool(true)) {
        let why = "the zone's privileges bound what any program of it can gain";
        note("process.noNewPrivileges".to_owned(), why);
    }
    for limit in process.get("rlimits").and_then(Value::as_array).into_iter().flatten() {
        let name = limit["type"].as_str().unwrap_or_default();
        if !RLIMITS.contains(&name) {
            return Err(Refusal::Value {
                field: "process.rlimits".to_owned(),
                problem: "illumos has no such limit",
                value: name.to_owned(),
            });
        }
    }
    Ok(())
}

fn says_something(value: &Value) -> bool {
    match value {
        Value::Null => false,
        Value::String(text) => !text.is_empty(),
        Value::Object(members) => members.values().any(says_something),
        Value::Array(items) => !items.is_empty(),
        Value::Bool(_) | Value::Number(_) => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process(more: Value) -> Process {
        let mut process = json!({ "user": { "uid": 7, "gid": 8 }, "cwd": "/", "args": ["sh"] });
        process.as_object_mut().unwrap().extend(more.as_object().unwrap().clone());
        serde_json::from_value(process).unwrap()
    }

    #[test]
    fn a_process_more() {
        let size = json!({ "height": 24, "width": 80 });
        let asked = process(json!({ "terminal": true, "consoleSize": size, "oomScoreAdj": 5 }));
        let got = exec_document(&asked, true, "/.aurora-run/exec-1").unwrap();
        assert_eq!(got["aurora"], json!({ "runDir": "/.aurora-run/exec-1" }));
        assert_eq!((&got["process"]["terminal"], &got["process"]["consoleSize"]), (&json!(true), &size));
        assert_eq!(got["process"].get("oomScoreAdj"), None);
        let refused = exec_document(&process(json!({ "selinuxLabel": "x" })), true, "/r").unwrap_err();
        assert!(refused.to_string().contains("process.selinuxLabel"), "{refused}");
    }
}
