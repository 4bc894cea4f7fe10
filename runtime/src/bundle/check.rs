//! What the specification demands of a config on every platform.

use std::collections::BTreeSet;

use oci_spec::runtime::{Hook, Process, Spec};

use crate::hooks::{HookKind, of_kind};
use crate::{Error, Result};

/// The newest minor version of the specification that this program was written for.
const MINOR: u64 = 3;

/// Checks a whole config.
pub(super) fn spec(spec: &Spec, notes: &mut Vec<String>) -> Result<()> {
    version(spec.version(), notes)?;
    if spec.root().as_ref().is_none_or(|root| root.path().as_os_str().is_empty()) {
        return Err(Error::config("root.path", "missing"));
    }
    let Some(of_spec) = spec.process() else {
        return Err(Error::config("process", "property must not be empty"));
    };
    process(of_spec)?;
    for mount in spec.mounts().iter().flatten() {
        let destination = mount.destination();
        if !destination.is_absolute() {
            // As runc has it for the sake of older callers: taken as if from the root.
            notes.push(format!("mounts: the destination is not absolute: {}", destination.display()));
        }
    }
    for kind in HookKind::ALL {
        for (number, hook) in of_kind(spec.hooks().as_ref(), kind).iter().enumerate() {
            check_hook(hook).map_err(|problem| Error::config(format!("hooks.{kind}[{number}]"), problem))?;
        }
    }
    Ok(())
}

/// `MAJOR.MINOR.PATCH`, of which the first must be known.
fn version(text: &str, notes: &mut Vec<String>) -> Result<()> {
    let parts: Vec<&str> = text.splitn(3, '.').collect();
    let number = |n: usize| parts.get(n).and_then(|part| part.parse::<u64>().ok());
    match (number(0), number(1)) {
        (Some(1), Some(minor)) => {
            if minor > MINOR {
                notes.push(format!("ociVersion: newer than 1.{MINOR}, what is new in it is ignored: {text}"));
            }
            Ok(())
        }
        _ => Err(Error::config("ociVersion", format!("only 1.x is known: {text:?}"))),
    }
}

/// Checks a process: that of the config, or that of `exec`.
pub(crate) fn process(process: &Process) -> Result<()> {
    let field = |name: &str| format!("process.{name}");
    match process.args() {
        Some(args) if args.first().is_some_and(|first| !first.is_empty()) => {}
        _ => return Err(Error::config(field("args"), "must not be empty")),
    }
    if !process.cwd().is_absolute() {
        let cwd = process.cwd().display();
        return Err(Error::config(field("cwd"), format!("must be an absolute path: {cwd:?}")));
    }
    let texts = process.args().iter().flatten().chain(process.env().iter().flatten());
    if let Some(text) = texts.into_iter().find(|text| text.contains('\0')) {
        return Err(Error::config("process", format!("a NUL byte in an argument or variable: {text:?}")));
    }
    let mut seen = BTreeSet::new();
    for limit in process.rlimits().iter().flatten() {
        let name = limit.typ().to_string();
        if limit.soft() > limit.hard() {
            return Err(Error::config(field("rlimits"), format!("{name}: soft is above hard")));
        }
        if !seen.insert(name.clone()) {
            return Err(Error::config(field("rlimits"), format!("twice: {name}")));
        }
    }
    Ok(())
}

fn check_hook(hook: &Hook) -> std::result::Result<(), String> {
    if !hook.path().is_absolute() {
        return Err(format!("path: must be absolute: {}", hook.path().display()));
    }
    if hook.timeout().is_some_and(|seconds| seconds <= 0) {
        return Err("timeout: must be greater than zero".to_owned());
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use crate::bundle::Bundle;

    fn good() -> Value {
        json!({"ociVersion": "1.0.2", "root": {"path": "rootfs"},
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["a"]}})
    }

    #[test]
    fn each_fault_is_named_with_its_field() {
        let limit = |kind: &str| json!({"type": kind, "hard": 2, "soft": 1});
        let cases = [
            ("/ociVersion", json!("2.0.0"), "config.json: ociVersion: only 1.x is known: \"2.0.0\""),
            ("/ociVersion", json!("one"), "ociVersion: only 1.x"),
            ("/root", Value::Null, "root.path: missing"),
            ("/process", Value::Null, "process: property must not be empty"),
            ("/process/args", json!([]), "process.args: must not be empty"),
            ("/process/args", json!(["a", "b\u{0}"]), "a NUL byte"),
            ("/process/cwd", json!("tmp"), "process.cwd: must be an absolute path: \"tmp\""),
            (
                "/process/rlimits",
                json!([limit("RLIMIT_CORE"), limit("RLIMIT_CORE")]),
                "process.rlimits: twice: RLIMIT_CORE",
            ),
            (
                "/process/rlimits",
                json!([{"type": "RLIMIT_CORE", "hard": 1, "soft": 2}]),
                "soft is above hard",
            ),
            ("/process/rlimits", json!([limit("RLIMIT_NONE")]), "unknown variant `RLIMIT_NONE`"),
            ("/process/user/uid", json!(-1), "invalid value"),
            ("/hooks", json!({"prestart": [{"path": "rel"}]}), "hooks.prestart[0]: path: must be absolute"),
            ("/hooks", json!({"poststop": [{"path": "/x", "timeout": 0}]}), "hooks.poststop[0]: timeout"),
        ];
        for (pointer, value, want) in cases {
            let mut config = good();
            let (parent, key) = pointer.rsplit_once('/').unwrap();
            config.pointer_mut(parent).unwrap()[key] = value.clone();
            let e = Bundle::new("/b".into(), config).expect_err(pointer).to_string();
            assert!(e.contains(want), "{pointer}={value}: {e}");
        }
    }

    #[test]
    fn what_is_new_or_unknown_is_no_fault() {
        let mut config = good();
        config["ociVersion"] = json!("1.9.0");
        config["unheardOf"] = json!({"a": 1});
        let bundle = Bundle::new("/b".into(), config).unwrap();
        assert_eq!(bundle.notes, ["ociVersion: newer than 1.3, what is new in it is ignored: 1.9.0"]);
    }
}
