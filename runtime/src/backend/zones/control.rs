//! The control directory from outside: what podinit leaves in it (docs/podinit.md, "the run directory").

use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use crate::{Error, Result, Signal};

/// The folder of this backend in a container's directory; the control directories `ro` and `rw` are in it.
pub(super) const FOLDER: &str = "zones";
/// Where the zone sees `rw`.
pub(super) const INSIDE: &str = "/.aurora-run";
/// Where it sees `ro`.
pub(super) const INSIDE_RO: &str = "/.aurora";
/// Far above what podinit writes. Root of the zone can write there, too.
const MAX_EXIT: u64 = 64 << 10;

/// The pipes of a program without a terminal.
pub(super) const PIPES: [&str; 3] = ["stdin", "stdout", "stderr"];

/// Where podinit leaves what it tells: `rw` itself, or a folder in it for a process more.
#[derive(Debug, Clone)]
pub(super) struct RunDir(PathBuf);

/// How the program has ended.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub(super) struct Exit {
    /// Its status, or 128 and the signal.
    pub(super) code: u8,
    /// The name of the signal that has ended it.
    pub(super) signal: Option<String>,
    /// Why it could not be run.
    pub(super) error: Option<String>,
}

impl Exit {
    /// The signal by its number here, as far as it has one.
    pub(super) fn signal(&self) -> Option<Signal> {
        self.signal.as_ref().and_then(|name| name.parse().ok())
    }
}

impl RunDir {
    /// Of the zone's first program.
    pub(super) fn of(container: &Path) -> Self {
        Self(container.join(FOLDER).join("rw"))
    }

    /// Of a process more.
    pub(super) fn of_exec(container: &Path, name: &str) -> Self {
        Self(container.join(FOLDER).join("rw").join(name))
    }

    pub(super) fn path(&self) -> &Path {
        &self.0
    }

    /// Whether the program has begun.
    pub(super) fn is_ready(&self) -> bool {
        is_there(&self.0.join("ready"))
    }

    /// Whether podinit has taken the pipes.
    pub(super) fn has_pipes(&self) -> bool {
        PIPES.iter().any(|name| is_there(&self.0.join(name)))
    }

    /// How it has ended; none as long as it has not. The zone's root may write anything there: it must not make us wait or
    /// read without end, and what is no end that podinit would tell is an error.
    pub(super) fn exit(&self) -> Result<Option<Exit>> {
        let path = self.0.join("exit");
        match is_file(&path) {
            Ok(true) => {}
            Ok(false) => return Err(failed(&path)(io::Error::other("not a regular file"))),
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(e) => return Err(failed(&path)(e)),
        }
        let flags = rustix::fs::OFlags::RDONLY
            | rustix::fs::OFlags::NONBLOCK
            | rustix::fs::OFlags::NOFOLLOW
            | rustix::fs::OFlags::CLOEXEC;
        let file = rustix::fs::open(&path, flags, rustix::fs::Mode::empty());
        let file = File::from(file.map_err(|e| failed(&path)(e.into()))?);
        let mut bytes = Vec::new();
        file.take(MAX_EXIT + 1).read_to_end(&mut bytes).map_err(failed(&path))?;
        if bytes.len() as u64 > MAX_EXIT {
            return Err(failed(&path)(io::ErrorKind::FileTooLarge.into()));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Json { path, source })
    }
}

fn failed(path: &Path) -> impl Fn(io::Error) -> Error {
    let path = path.display().to_string();
    move |e| Error::io(path.clone(), e)
}

fn is_there(path: &Path) -> bool {
    path.symlink_metadata().is_ok()
}

fn is_file(path: &Path) -> io::Result<bool> {
    Ok(path.symlink_metadata()?.is_file())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_as_podinit_tells_it() {
        let dir = tempfile::tempdir().unwrap();
        let run_dir = RunDir::of(dir.path());
        std::fs::create_dir_all(run_dir.path()).unwrap();
        let path = run_dir.path().join("exit");
        assert_eq!(run_dir.exit().unwrap(), None);
        let tell = |text: &str| {
            std::fs::write(&path, text).unwrap();
            run_dir.exit().map_err(|e| e.to_string())
        };
        let end = tell("{\"code\":137,\"signal\":\"KILL\"}\n").unwrap().unwrap();
        assert_eq!((end.code, end.signal(), end.error), (137, Some(Signal::KILL), None));
        assert_eq!(tell("{\"code\":7}\n").unwrap().unwrap().signal(), None);
        for bad in ["", "{}", "{\"code\":300}", "[7]", &" ".repeat(70_000)] {
            tell(bad).unwrap_err();
        }
        std::fs::remove_file(&path).unwrap();
        std::os::unix::fs::symlink("/etc/passwd", &path).unwrap();
        assert!(run_dir.exit().unwrap_err().to_string().ends_with("not a regular file"));
        std::fs::remove_file(&path).unwrap();
        rustix::fs::mkfifoat(rustix::fs::CWD, &path, rustix::fs::Mode::RUSR).unwrap();
        assert!(run_dir.exit().is_err());
    }
}
