//! The rules that keep the crates apart, checked on what cargo says and on the sources' text.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;

/// Which of our crates may name which. Everything else is a finding, for tests of a crate as well.
const MAY_USE: [(&str, &[&str]); 10] = [
    ("aurora-formats", &[]),
    ("aurora-engine", &[]),
    ("aurora-convert", &["aurora-formats", "aurora-engine"]),
    ("aurora-runtime", &["aurora-convert", "aurora-engine", "aurora-zones"]),
    // They run, or are to be used, where nothing else of ours is.
    ("aurora-podinit", &[]),
    ("aurora-zones", &[]),
    ("aurora-cli", &["aurora-convert", "aurora-runtime"]),
    ("aurora-benches", &["aurora-formats", "aurora-engine", "aurora-convert"]),
    ("aurora-tests", &["aurora-formats", "aurora-engine", "aurora-convert", "aurora-zones"]),
    ("xtask", &[]),
];

/// Modules that may hold unsafe code. A name here wants a reason in ARCHITECTURE.md.
const MAY_BE_UNSAFE: [&str; 4] = [
    "engine/src/fs/mapped.rs",
    "runtime/podinit/src/sys.rs",
    "runtime/src/backend/linux/sys.rs",
    "runtime/src/backend/zones/sys.rs",
];

/// Beyond this a file holds more than one noun.
const MAX_LINES: usize = 600;

/// What breaks a rule, one line each.
pub(crate) fn check(top: &Path) -> Result<Vec<String>, String> {
    let mut findings = crates(&metadata(top)?);
    findings.extend(sources(top)?);
    Ok(findings)
}

fn metadata(top: &Path) -> Result<Value, String> {
    let out = super::cargo(top)
        .args(["metadata", "--no-deps", "--format-version", "1"])
        .output()
        .map_err(|e| format!("can't run cargo metadata: {e}"))?;
    if !out.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&out.stderr)));
    }
    serde_json::from_slice(&out.stdout).map_err(|e| format!("cargo metadata: {e}"))
}

fn crates(metadata: &Value) -> Vec<String> {
    let empty = Vec::new();
    let packages = metadata["packages"].as_array().unwrap_or(&empty);
    let names: Vec<&str> = packages.iter().filter_map(|p| p["name"].as_str()).collect();
    let mut findings = Vec::new();
    for package in packages {
        let name = package["name"].as_str().unwrap_or_default();
        let Some((_, allowed)) = MAY_USE.iter().find(|(n, _)| *n == name) else {
            findings.push(format!("a crate without a dependency rule: {name}"));
            continue;
        };
        for dependency in package["dependencies"].as_array().unwrap_or(&empty) {
            let on = dependency["name"].as_str().unwrap_or_default();
            if names.contains(&on) && !allowed.contains(&on) {
                findings.push(format!("{name} must not depend on {on}"));
            }
        }
    }
    findings
}

fn sources(top: &Path) -> Result<Vec<String>, String> {
    let mut files = Vec::new();
    for folder in ["formats", "engine", "convert", "runtime", "cli", "benches", "tests", "xtask"] {
        rust_files(&top.join(folder), &mut files).map_err(|e| format!("{folder}: {e}"))?;
    }
    files.sort();
    let mut findings = Vec::new();
    for file in files {
        let text = fs::read_to_string(&file).map_err(|e| format!("{}: {e}", file.display()))?;
        let name = file.strip_prefix(top).unwrap_or(&file).to_string_lossy().into_owned();
        findings.extend(source(&name, &text));
    }
    Ok(findings)
}

fn source(name: &str, text: &str) -> Vec<String> {
    let mut findings = Vec::new();
    let lines = text.lines().count();
    if lines > MAX_LINES {
        findings.push(format!("{name}: longer than {MAX_LINES} lines: {lines}"));
    }
    // Split, so that this file does not find itself.
    let escape = concat!("allow(", "unsafe_code");
    if text.contains(escape) && !MAY_BE_UNSAFE.contains(&name) {
        findings.push(format!("{name}: unsafe code is not allowed here"));
    }
    findings
}

fn rust_files(folder: &Path, out: &mut Vec<PathBuf>) -> std::io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let path = entry?.path();
        if path.is_dir() {
            if path.file_name().is_some_and(|n| n != "target") {
                rust_files(&path, out)?;
            }
        } else if path.extension().is_some_and(|e| e == "rs") {
            out.push(path);
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn package(name: &str, on: &[&str]) -> Value {
        let dependencies: Vec<Value> = on.iter().map(|d| serde_json::json!({ "name": d })).collect();
        serde_json::json!({ "name": name, "dependencies": dependencies })
    }

    #[test]
    fn crates_depend_downwards_only() {
        let all = [
            package("aurora-formats", &["aurora-engine", "serde"]),
            package("aurora-engine", &["sha2"]),
            package("aurora-convert", &["aurora-formats", "aurora-engine"]),
            package("aurora-cli", &["aurora-convert", "aurora-formats"]),
            package("aurora-new", &[]),
        ];
        assert_eq!(
            crates(&serde_json::json!({ "packages": all })),
            [
                "aurora-formats must not depend on aurora-engine",
                "aurora-cli must not depend on aurora-formats",
                "a crate without a dependency rule: aurora-new",
            ]
        );
    }

    #[test]
    fn sources_are_short_and_safe() {
        assert_eq!(source("a.rs", &"\n".repeat(601)), ["a.rs: longer than 600 lines: 601"]);
        let text = concat!("#![allow(", "unsafe_code)]");
        assert_eq!(source("a.rs", text), ["a.rs: unsafe code is not allowed here"]);
        assert!(source("a.rs", "fn main() {}\n").is_empty());
    }
}
