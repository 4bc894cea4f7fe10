//! The folder in which whoever started podinit finds what has become of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::error::{Error, Result};
use crate::supervise::End;

/// Where the host finds what podinit tells it, unless the document says otherwise.
pub(crate) const DEFAULT: &str = "/.aurora-run";
/// Of the socket for requests.
pub(crate) const SOCKET: &str = "podinit.sock";
/// Appears when every unit is up, or has done its work.
const READY: &str = "ready";
/// How the main unit ended.
const EXIT: &str = "exit";
/// The container's state, which hooks read.
const STATE: &str = "state.json";

/// An existing folder.
#[derive(Clone)]
pub(crate) struct RunDir(PathBuf);

impl RunDir {
    /// Opens one, without what a former run has left in it; or, where there is to be one run only, not after one that has
    /// ended. None where there is no such folder: nobody is waiting then.
    pub(crate) fn open(path: &Path, once: bool) -> Result<Option<Self>> {
        if !path.is_dir() {
            return Ok(None);
        }
        let exit = path.join(EXIT);
        if once && exit.symlink_metadata().is_ok() {
            return Err(Error::Ended { path: exit });
        }
        for name in [READY, EXIT, SOCKET] {
            let path = path.join(name);
            match fs::remove_file(&path) {
                Err(source) if source.kind() != io::ErrorKind::NotFound => {
                    return Err(Error::Write { path, source });
                }
                _ => {}
            }
        }
        Ok(Some(Self(path.to_owned())))
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.0.join(name)
    }

    pub(crate) fn write_ready(&self) -> Result<()> {
        self.put(READY, b"")
    }

    /// With why, where the main unit's program could not be run.
    pub(crate) fn write_exit(&self, end: End, why: Option<&str>) -> Result<()> {
        let mut document = json!({ "code": end.code() });
        if let Some(why) = why {
            document["error"] = why.into();
        }
        if let Some(signal) = end.signal() {
            document["signal"] = signal.into();
        }
        self.put(EXIT, format!("{document}\n").as_bytes())
    }

    /// A file to read the state from: no pipe, which holds only so much while nobody reads.
    pub(crate) fn state(&self, bytes: &[u8]) -> Result<File> {
        self.put(STATE, bytes)?;
        let path = self.path(STATE);
        File::open(&path).map_err(|source| Error::Read { path, source })
    }

    fn put(&self, name: &str, bytes: &[u8]) -> Result<()> {
        let (path, new) = (self.path(name), self.path(&format!(".{name}.new")));
        fs::write(&new, bytes)
            .and_then(|()| fs::rename(&new, &path))
            .map_err(|source| Error::Write { path, source })
    }
}

/// Tells that nothing was run, where someone waits for that and it was not told before: a brand may start its init again and
/// again.
pub(crate) fn tell_failure(path: &Path, code: u8, why: &str) {
    let dir = RunDir(path.to_owned());
    if !path.is_dir() || dir.path(EXIT).symlink_metadata().is_ok() {
        return;
    }
    let document = json!({ "code": code, "error": why });
    // The reason for which we end is the one to be told.
    let _ = dir.put(EXIT, format!("{document}\n").as_bytes());
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_failure_is_told() {
        let dir = tempfile::tempdir().unwrap();
        tell_failure(&dir.path().join("nowhere"), 125, "x");
        tell_failure(dir.path(), 125, "can't read \"it\"");
        tell_failure(dir.path(), 125, "can't go on");
        let told = fs::read_to_string(dir.path().join("exit")).unwrap();
        assert_eq!(told, "{\"code\":125,\"error\":\"can't read \\\"it\\\"\"}\n");
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 1);
    }
}
