//! Bundles: a directory with `config.json`, and the root file system that it names.

mod check;

use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Capability, Process, Spec};
use serde_json::Value;

use crate::{Error, Result};

pub(crate) use check::process as check_process;

/// The document of a bundle.
pub const CONFIG: &str = "config.json";
/// Those of real containers have some 20 KiB.
const MAX_CONFIG: u64 = 16 << 20;

/// What `create` is given: read once, and never looked at again.
#[derive(Debug, Clone)]
pub struct Bundle {
    /// Where it is: absolute, without links.
    pub dir: PathBuf,
    /// The document, without what nobody knows.
    pub config: Value,
    /// The same as what the specification says.
    pub spec: Spec,
    /// What of it was left out.
    pub notes: Vec<String>,
}

impl Bundle {
    /// Reads it and checks what the specification demands of every platform.
    pub fn open(dir: &Path) -> Result<Self> {
        let no_bundle = |source| Error::NoBundle { path: dir.to_owned(), source };
        let dir = dir.canonicalize().map_err(no_bundle)?;
        if !dir.is_dir() {
            return Err(no_bundle(std::io::ErrorKind::NotADirectory.into()));
        }
        let path = dir.join(CONFIG);
        let config = read_json(&path)?;
        let bundle = Self::new(dir, config).map_err(|e| match e {
            Error::Json { source, .. } => Error::Json { path, source },
            other => other,
        })?;
        let root = bundle.root();
        match root.metadata() {
            Ok(found) if found.is_dir() => Ok(bundle),
            Ok(_) => Err(Error::config("root.path", format!("no directory: {}", root.display()))),
            Err(e) => {
                Err(Error::config("root.path", format!("{}: {}", root.display(), crate::error::plain(&e))))
            }
        }
    }

    /// The same of a document, without looking at any file.
    pub fn new(dir: PathBuf, mut config: Value) -> Result<Self> {
        let mut notes = Vec::new();
        if let Some(sets) = config.pointer_mut("/process/capabilities") {
            known_capabilities(sets, "process.capabilities", &mut notes);
        }
        let spec: Spec = serde_json::from_value(config.clone())
            .map_err(|source| Error::Json { path: PathBuf::from(CONFIG), source })?;
        check::spec(&spec, &mut notes)?;
        Ok(Self { dir, config, spec, notes })
    }

    /// The root file system.
    pub fn root(&self) -> PathBuf {
        let root = self.spec.root().as_ref().map(|root| root.path().clone()).unwrap_or_default();
        self.dir.join(root)
    }

    /// What is run in it.
    pub fn process(&self) -> &Process {
        self.spec.process().as_ref().expect("checked when the bundle was made")
    }
}

/// A JSON document of bounded length.
pub(crate) fn read_json(path: &Path) -> Result<Value> {
    let failed = |e| Error::io(format!("open {}", path.display()), e);
    let mut bytes = Vec::new();
    File::open(path).map_err(failed)?.take(MAX_CONFIG + 1).read_to_end(&mut bytes).map_err(failed)?;
    if bytes.len() as u64 > MAX_CONFIG {
        return Err(failed(std::io::ErrorKind::FileTooLarge.into()));
    }
    serde_json::from_slice(&bytes).map_err(|source| Error::Json { path: path.to_owned(), source })
}

/// A process as `exec --process` gives it.
pub(crate) fn parse_process(mut value: Value, path: &Path, notes: &mut Vec<String>) -> Result<Process> {
    if let Some(sets) = value.get_mut("capabilities") {
        known_capabilities(sets, "capabilities", notes);
    }
    let process: Process =
        serde_json::from_value(value).map_err(|source| Error::Json { path: path.to_owned(), source })?;
    check_process(&process)?;
    Ok(process)
}

/// Capabilities that this program does not know are left out with a word: newer kernels have more, and the
/// specification makes this the one exception from refusing.
fn known_capabilities(sets: &mut Value, field: &str, notes: &mut Vec<String>) {
    let Some(sets) = sets.as_object_mut() else { return };
    for (set, names) in sets {
        let Some(names) = names.as_array_mut() else { continue };
        names.retain(|name| {
            let known = serde_json::from_value::<Capability>(name.clone()).is_ok();
            if !known {
                notes.push(format!("{field}.{set}: unknown, left out: {name}"));
            }
            known
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_is_not_there_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let here = dir.path().canonicalize().unwrap();
        let said = |path: &Path| Bundle::open(path).unwrap_err().to_string();
        assert_eq!(said(Path::new("/nonexistent/b")), "chdir /nonexistent/b: no such file or directory");
        let config = here.join(CONFIG);
        assert_eq!(said(&here), format!("open {}: no such file or directory", config.display()));
        std::fs::write(&config, "{").unwrap();
        assert!(said(&here).starts_with(&format!("{}: EOF while parsing", config.display())));
        std::fs::write(&config, r#"{"ociVersion":"1.0.2","root":{"path":3}}"#).unwrap();
        assert!(said(&here).contains("invalid type: integer"), "{}", said(&here));
        let good = json!({"ociVersion": "1.0.2", "root": {"path": "r"},
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["a"]}});
        std::fs::write(&config, good.to_string()).unwrap();
        let root = here.join("r");
        assert_eq!(
            said(&here),
            format!("config.json: root.path: {}: no such file or directory", root.display())
        );
        std::fs::write(&root, "").unwrap();
        assert_eq!(said(&here), format!("config.json: root.path: no directory: {}", root.display()));
        std::fs::remove_file(&root).unwrap();
        std::fs::create_dir(&root).unwrap();
        assert_eq!(Bundle::open(&here).unwrap().root(), root);
    }

    #[test]
    fn capabilities_of_newer_kernels_are_noted() {
        let config = json!({"ociVersion": "1.0.2", "root": {"path": "r"},
            "process": {"user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["a"],
                "capabilities": {"bounding": ["CAP_CHOWN", "CAP_NEXT"]}}});
        let bundle = Bundle::new("/b".into(), config).unwrap();
        assert_eq!(bundle.notes, ["process.capabilities.bounding: unknown, left out: \"CAP_NEXT\""]);
        assert_eq!(bundle.config["process"]["capabilities"]["bounding"], json!(["CAP_CHOWN"]));
    }
}
