//! The control directory from outside: what podinit leaves in it (docs/podinit.md, "the run directory").

use std::fs::{DirBuilder, File};
use std::io::{self, ErrorKind, Read};
use std::os::fd::OwnedFd;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, Mode, OFlags, statat, unlinkat};
use rustix::io::Errno;
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

/// What podinit leaves in a run directory.
const FILES: [&str; 3] = ["ready", "exit", "podinit.sock"];

/// Where podinit leaves what it tells: `rw` itself, or a folder in it for a process more. What is in `rw` the zone's root may
/// replace at any time, by links too, so it is gone through by descriptors, and no link is followed.
#[derive(Debug, Clone)]
pub(super) struct RunDir {
    rw: PathBuf,
    folder: Option<String>,
}

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
        Self { rw: container.join(FOLDER).join("rw"), folder: None }
    }

    /// Of a process more.
    pub(super) fn of_exec(container: &Path, name: &str) -> Self {
        Self { folder: Some(name.to_owned()), ..Self::of(container) }
    }

    pub(super) fn path(&self) -> PathBuf {
        self.folder.as_ref().map_or_else(|| self.rw.clone(), |folder| self.rw.join(folder))
    }

    fn open(&self) -> rustix::io::Result<OwnedFd> {
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let rw = rustix::fs::open(&self.rw, flags, Mode::empty())?;
        match &self.folder {
            Some(folder) => rustix::fs::openat(&rw, folder, flags, Mode::empty()),
            None => Ok(rw),
        }
    }

    fn has(&self, name: &str) -> bool {
        self.open().and_then(|dir| statat(&dir, name, AtFlags::SYMLINK_NOFOLLOW)).is_ok()
    }

    /// Whether the program has begun.
    pub(super) fn is_ready(&self) -> bool {
        self.has("ready")
    }

    /// Whether podinit has taken the pipes.
    pub(super) fn has_pipes(&self) -> bool {
        PIPES.iter().any(|name| self.has(name))
    }

    /// Makes the folder of a process more, which must not be there.
    pub(super) fn make(&self) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(self.path())
    }

    /// Removes it with what podinit has left in it. If there is more, the zone has made it, and it goes with the container.
    pub(super) fn remove(&self) -> io::Result<()> {
        let (Ok(dir), Some(folder)) = (self.open(), &self.folder) else { return Ok(()) };
        for name in FILES {
            match unlinkat(&dir, name, AtFlags::empty()) {
                // A folder in its place, which illumos would unlink if it could.
                Ok(()) | Err(Errno::NOENT | Errno::ISDIR | Errno::PERM) => {}
                Err(e) => return Err(e.into()),
            }
        }
        match std::fs::remove_dir(self.rw.join(folder)) {
            Err(e)
                if !matches!(
                    e.kind(),
                    ErrorKind::DirectoryNotEmpty | ErrorKind::NotADirectory | ErrorKind::NotFound
                ) =>
            {
                Err(e)
            }
            _ => Ok(()),
        }
    }

    /// How it has ended; none as long as it has not. The zone's root may write anything there: it must not make us wait or
    /// read without end, and what is no end that podinit would tell is an error.
    pub(super) fn exit(&self) -> Result<Option<Exit>> {
        let path = self.path().join("exit");
        let not_a_file = || Error::at(&path)(io::Error::other("not a regular file"));
        let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let opened = self.open().and_then(|dir| rustix::fs::openat(&dir, "exit", flags, Mode::empty()));
        let file = match opened {
            Ok(file) => File::from(file),
            Err(Errno::NOENT) => return Ok(None),
            Err(Errno::LOOP | Errno::NXIO) => return Err(not_a_file()),
            Err(e) => return Err(Error::at(&path)(e.into())),
        };
        if !file.metadata().map_err(Error::at(&path))?.is_file() {
            return Err(not_a_file());
        }
        let mut bytes = Vec::new();
        file.take(MAX_EXIT + 1).read_to_end(&mut bytes).map_err(Error::at(&path))?;
        if bytes.len() as u64 > MAX_EXIT {
            return Err(Error::at(&path)(io::ErrorKind::FileTooLarge.into()));
        }
        serde_json::from_slice(&bytes).map(Some).map_err(|source| Error::Json { path, source })
    }
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

    #[test]
    fn links_lead_nowhere() {
        let dir = tempfile::tempdir().unwrap();
        let (run_dir, elsewhere) = (RunDir::of_exec(dir.path(), "exec-1"), dir.path().join("elsewhere"));
        std::fs::create_dir_all(dir.path().join("zones/rw")).unwrap();
        run_dir.make().unwrap();
        assert_eq!(run_dir.make().unwrap_err().kind(), ErrorKind::AlreadyExists);
        std::fs::create_dir(&elsewhere).unwrap();
        for name in FILES {
            std::fs::write(elsewhere.join(name), "{\"code\":7}").unwrap();
        }
        std::fs::remove_dir(run_dir.path()).unwrap();
        std::os::unix::fs::symlink(&elsewhere, run_dir.path()).unwrap();
        assert!(!run_dir.is_ready());
        assert!(run_dir.exit().is_err());
        run_dir.remove().unwrap();
        assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), FILES.len());
        // What the zone has put there stays, and is no failure.
        std::fs::remove_file(run_dir.path()).unwrap();
        run_dir.make().unwrap();
        std::fs::create_dir_all(run_dir.path().join("exit/deeper")).unwrap();
        std::fs::write(run_dir.path().join("ready"), "").unwrap();
        run_dir.remove().unwrap();
        assert!(!run_dir.is_ready() && run_dir.path().join("exit/deeper").is_dir());
        std::fs::remove_dir_all(run_dir.path().join("exit")).unwrap();
        run_dir.remove().unwrap();
        assert!(!run_dir.path().exists());
    }
}
