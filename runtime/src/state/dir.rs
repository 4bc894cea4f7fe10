//! The directory of a container: `ROOT/ID`.
//!
//! It appears whole, by a rename, and disappears by one. Other names in ROOT begin with a colon, which no id has: `:new-ID-N` is being made,
//! `:del-ID-N` is being removed, and either may have been left by a command that was killed.

use std::fs::{self, DirBuilder};
use std::io;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use aurora_engine::fs::replace_private_file;
use serde_json::Value;

use super::Record;
use super::lock::{LockFile, Mode, PATIENCE};
use super::tree::remove_tree;
use crate::{Error, Id, Result};

const LOCK: &str = "lock";
const STATE: &str = "state.json";
const CONFIG: &str = "config.json";
/// Others may look at nothing: configs hold secrets in variables.
pub(crate) const PRIVATE: u32 = 0o700;
/// Callers reach a directory whose name they know.
const SHARED: u32 = 0o711;

/// Where containers are kept unless `--root` says otherwise.
pub fn default_root() -> PathBuf {
    let own = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match own {
        Some(dir) if !rustix::process::geteuid().is_root() => PathBuf::from(dir).join("runz"),
        _ if cfg!(target_os = "linux") => PathBuf::from("/run/runz"),
        // A zone's configuration is there after a reboot, so what undoes it must be, too.
        _ => PathBuf::from("/var/lib/runz"),
    }
}

/// Makes the state directory, if there is none.
pub(crate) fn make_root(root: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(SHARED).create(root)
}

/// A container's directory, locked.
#[derive(Debug)]
pub(crate) struct StateDir {
    path: PathBuf,
    /// Held until this is dropped.
    _lock: LockFile,
}

impl StateDir {
    /// Makes one with what `create` knows. Who comes second finds that there is one already.
    pub(crate) fn create(root: &Path, id: &Id, record: &Record, config: &Value) -> Result<Self> {
        let failed = |what: &Path| {
            let what = what.display().to_string();
            move |e| Error::io(what, e)
        };
        make_root(root).map_err(failed(root))?;
        let path = root.join(id.as_str());
        if path.symlink_metadata().is_ok() {
            return Err(Error::Exists);
        }
        let new = root.join(format!(":new-{id}-{}", std::process::id()));
        remove_tree(&new).map_err(failed(&new))?;
        DirBuilder::new().mode(PRIVATE).create(&new).map_err(failed(&new))?;
        let make = || -> Result<LockFile> {
            let lock = LockFile::open(&new.join(LOCK), Mode::Exclusive).map_err(failed(&new))?;
            let lock = lock.expect("nobody else knows of this directory");
            put(&new.join(CONFIG), config)?;
            put(&new.join(STATE), record)?;
            crate::fail::point("state-written");
            match fs::rename(&new, &path) {
                Ok(()) => Ok(lock),
                Err(e) if is_taken(&e) => Err(Error::Exists),
                Err(e) => Err(failed(&path)(e)),
            }
        };
        match make() {
            Ok(lock) => Ok(Self { path, _lock: lock }),
            Err(e) => Err(e.after(remove_tree(&new).map_err(failed(&new)))),
        }
    }

    /// Opens one, when no other command works on it.
    pub(crate) fn open(root: &Path, id: &Id, mode: Mode) -> Result<(Self, Record)> {
        let path = root.join(id.as_str());
        let name = path.join(LOCK);
        let failed = |e: io::Error| match e.kind() {
            io::ErrorKind::NotFound => Error::NotExist,
            _ => Error::io(name.display().to_string(), e),
        };
        if !path.is_dir() {
            return Err(Error::NotExist);
        }
        let lock = LockFile::open(&name, mode).map_err(failed)?;
        let lock = lock.ok_or_else(|| Error::Busy { id: id.to_string(), seconds: PATIENCE.as_secs() })?;
        // Whoever held it may have removed the directory.
        if !lock.is_at(&name).map_err(failed)? {
            return Err(Error::NotExist);
        }
        let dir = Self { path, _lock: lock };
        let record = dir.record()?;
        Ok((dir, record))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// What is known of one, and whether another command works on it, without waiting for that.
    pub(crate) fn peek(path: &Path) -> Result<(Record, bool)> {
        let busy = match LockFile::is_free(&path.join(LOCK)) {
            Ok(free) => !free,
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Err(Error::NotExist),
            Err(e) => return Err(Error::io(path.display().to_string(), e)),
        };
        Ok((read_record(path)?, busy))
    }

    fn record(&self) -> Result<Record> {
        read_record(&self.path)
    }

    /// Replaces what is known.
    pub(crate) fn save(&self, record: &Record) -> Result<()> {
        put(&self.path.join(STATE), record)
    }

    /// The copy that `create` has made.
    pub(crate) fn config(&self) -> Result<Value> {
        crate::bundle::read_json(&self.path.join(CONFIG))
    }

    /// Removes it, at once for everyone who looks.
    pub(crate) fn remove(self) -> Result<()> {
        let failed = |e| Error::io(self.path.display().to_string(), e);
        let name = self.path.file_name().unwrap_or_default().to_string_lossy();
        let gone = self.path.with_file_name(format!(":del-{name}-{}", std::process::id()));
        fs::rename(&self.path, &gone).map_err(failed)?;
        crate::fail::point("state-renamed");
        remove_tree(&gone).map_err(failed)
    }
}

fn read_record(dir: &Path) -> Result<Record> {
    let path = dir.join(STATE);
    let strange = |problem: String| Error::State { path: path.clone(), problem };
    let bytes = fs::read(&path).map_err(|e| match e.kind() {
        io::ErrorKind::NotFound => Error::NotExist,
        _ => Error::io(path.display().to_string(), e),
    })?;
    let record: Record = serde_json::from_slice(&bytes).map_err(|e| strange(e.to_string()))?;
    match record.version {
        Record::VERSION => Ok(record),
        other => Err(strange(format!("version {other}, and this program knows {}", Record::VERSION))),
    }
}

fn is_taken(e: &io::Error) -> bool {
    matches!(e.kind(), io::ErrorKind::DirectoryNotEmpty | io::ErrorKind::AlreadyExists)
}

/// A document that is whole under its name.
fn put(path: &Path, value: &impl serde::Serialize) -> Result<()> {
    let bytes = serde_json::to_vec(value).expect("what is kept has a JSON form");
    replace_private_file(path, &bytes).map_err(|e| Error::io(path.display().to_string(), e))
}

/// The containers of a state directory, by name.
pub(crate) fn ids(root: &Path) -> Result<Vec<Id>> {
    let failed = |e| Error::io(root.display().to_string(), e);
    let entries = match fs::read_dir(root) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        other => other.map_err(failed)?,
    };
    let mut ids = Vec::new();
    for entry in entries {
        let name = entry.map_err(failed)?.file_name();
        let name = name.to_string_lossy();
        // What is being made or removed is no container; an id may begin with a point, though.
        if is_passing(&name) {
            continue;
        }
        if let Ok(id) = name.parse() {
            ids.push(id);
        }
    }
    ids.sort();
    Ok(ids)
}

fn is_passing(name: &str) -> bool {
    name.starts_with(":new-") || name.starts_with(":del-")
}

/// Removes what killed commands have left of a container beside its directory.
pub(crate) fn sweep(root: &Path, id: &Id) -> Result<()> {
    let failed = |e| Error::io(root.display().to_string(), e);
    let Ok(entries) = fs::read_dir(root) else { return Ok(()) };
    for entry in entries {
        let entry = entry.map_err(failed)?;
        let name = entry.file_name().to_string_lossy().into_owned();
        let of_id = [":new-", ":del-"].iter().any(|prefix| {
            let rest = name.strip_prefix(prefix).and_then(|rest| rest.rsplit_once('-'));
            rest.is_some_and(|(of, number)| of == id.as_str() && number.parse::<u32>().is_ok())
        });
        // One that is locked is at work.
        if of_id && LockFile::is_free(&entry.path().join(LOCK)).unwrap_or(true) {
            remove_tree(&entry.path()).map_err(failed)?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::Phase;
    use serde_json::json;

    fn record(id: &str) -> Record {
        Record {
            version: Record::VERSION,
            id: id.to_owned(),
            backend: "record".to_owned(),
            phase: Phase::Creating,
            process: None,
            bundle: "/b".into(),
            rootfs: "/b/rootfs".into(),
            created: String::new(),
            owner: String::new(),
            annotations: Default::default(),
            systemd: false,
            undo: Vec::new(),
        }
    }

    #[test]
    fn the_first_wins_and_nothing_is_left() {
        let root = tempfile::tempdir().unwrap();
        let id: Id = "a".parse().unwrap();
        let dir = StateDir::create(root.path(), &id, &record("a"), &json!({"x": 1})).unwrap();
        let again = StateDir::create(root.path(), &id, &record("a"), &json!({}));
        assert!(matches!(again, Err(Error::Exists)));
        drop(dir);
        let (dir, mut found) = StateDir::open(root.path(), &id, Mode::Exclusive).unwrap();
        assert_eq!((found.phase, dir.config().unwrap()), (Phase::Creating, json!({"x": 1})));
        found.phase = Phase::Started;
        dir.save(&found).unwrap();
        assert_eq!(dir.record().unwrap().phase, Phase::Started);
        assert_eq!(ids(root.path()).unwrap(), std::slice::from_ref(&id));
        dir.remove().unwrap();
        assert!(matches!(StateDir::open(root.path(), &id, Mode::Shared), Err(Error::NotExist)));
        assert_eq!(fs::read_dir(root.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_killed_commands_left_is_swept() {
        let root = tempfile::tempdir().unwrap();
        for name in [":new-a-1", ":del-a-22", ":new-b-1", ":del-a-b-1", ":new-a-x"] {
            fs::create_dir(root.path().join(name)).unwrap();
        }
        sweep(root.path(), &"a".parse().unwrap()).unwrap();
        let mut left: Vec<_> = fs::read_dir(root.path())
            .unwrap()
            .map(|e| e.unwrap().file_name().into_string().unwrap())
            .collect();
        left.sort();
        assert_eq!(left, [":del-a-b-1", ":new-a-x", ":new-b-1"]);
        assert!(ids(root.path()).unwrap().is_empty());
    }

    #[test]
    fn what_others_wrote_is_refused() {
        let root = tempfile::tempdir().unwrap();
        let id: Id = "a".parse().unwrap();
        drop(StateDir::create(root.path(), &id, &Record { version: 9, ..record("a") }, &json!({})).unwrap());
        let e = StateDir::open(root.path(), &id, Mode::Shared).unwrap_err().to_string();
        assert!(e.ends_with("not the state of a container: version 9, and this program knows 1"), "{e}");
    }
}
