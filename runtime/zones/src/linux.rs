//! The section `linux` of a configuration: what a zone has, what it is anyway, and what it can't have.

use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::{Refusal, Result, Zone};

/// What is done about a member.
enum Rule {
    /// Another file here applies it.
    Elsewhere,
    /// Engines send it for every container. A zone is no worse without.
    Note(&'static str),
    /// The same, and it is so in a zone anyway.
    Anyway(&'static str),
    /// Refused unless it is empty.
    Refuse,
}

/// Every member by its name; what is not here is refused, so that what the specification gets in future is as
/// well.
const RULES: [(&str, Rule); 11] = [
    ("resources", Rule::Elsewhere),
    ("namespaces", Rule::Elsewhere),
    ("cgroupsPath", Rule::Note("a zone has caps instead")),
    ("seccomp", Rule::Note("a zone has privileges instead")),
    ("maskedPaths", Rule::Anyway("the brand shows no such files")),
    ("readonlyPaths", Rule::Anyway("the brand shows no such files")),
    ("rootfsPropagation", Rule::Anyway("nothing mounted on one side appears on the other")),
    ("devices", Rule::Refuse),
    ("sysctl", Rule::Refuse),
    ("uidMappings", Rule::Refuse),
    ("gidMappings", Rule::Refuse),
];

/// One that podman sends for every container, and that means nothing without namespaces of users.
const PING: (&str, &str) = ("net.ipv4.ping_group_range", "0 0");

pub(crate) fn apply(zone: &mut Zone, spec: &Spec) -> Result<()> {
    let Some(linux) = spec.linux() else { return Ok(()) };
    let linux = serde_json::to_value(linux).expect("it was read from JSON");
    for (name, value) in linux.as_object().into_iter().flatten() {
        if is_empty(value) {
            continue;
        }
        let refused = || Err(Refusal::Unsupported { field: format!("linux.{name}") });
        match RULES.iter().find(|(known, _)| known == name).map(|(_, rule)| rule) {
            Some(Rule::Elsewhere) => {}
            Some(Rule::Note(why)) => zone.note(format!("linux.{name}"), why),
            Some(Rule::Anyway(why)) => zone.note_done(format!("linux.{name}"), why),
            Some(Rule::Refuse) if name == "sysctl" && is_default_sysctl(value) => {
                zone.note("linux.sysctl", "a zone's processes may ping");
            }
            Some(Rule::Refuse) | None => return refused(),
        }
    }
    namespaces(&linux["namespaces"])
}

fn is_empty(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(members) => members.is_empty(),
        Value::Bool(_) | Value::Number(_) => false,
    }
}

fn is_default_sysctl(value: &Value) -> bool {
    let (name, want) = PING;
    value.as_object().is_some_and(|all| all.len() == 1 && all.get(name).is_some_and(|v| v == want))
}

/// Each has to be a new one: a zone is all of them at once.
fn namespaces(value: &Value) -> Result<()> {
    for namespace in value.as_array().into_iter().flatten() {
        if let Some(path) = namespace["path"].as_str() {
            return Err(Refusal::Value {
                field: "linux.namespaces".to_owned(),
                problem: "a zone can't join what exists",
                value: path.to_owned(),
            });
        }
    }
    Ok(())
}
