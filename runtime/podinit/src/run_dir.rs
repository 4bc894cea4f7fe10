//! The folder in which whoever started podinit finds what has become of it.

use std::fs::{self, File};
use std::io;
use std::path::{Path, PathBuf};

use serde_json::json;

use crate::error::{Error, Result};
use crate::supervise::End;

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
    /// Opens one, without what a former run has left in it. None where there is no such folder: nobody is
    /// waiting then.
    pub(crate) fn open(path: &Path) -> Result<Option<Self>> {
        if !path.is_dir() {
            return Ok(None);
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

    pub(crate) fn write_exit(&self, end: End) -> Result<()> {
        let mut document = json!({ "code": end.code() });
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
