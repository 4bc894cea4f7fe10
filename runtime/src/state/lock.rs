//! One command at a time works on a container.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;

/// How long another command may take, hooks included, before its caller is told.
pub(super) const PATIENCE: Duration = Duration::from_secs(60);
/// Between two looks.
const PAUSE: Duration = Duration::from_millis(5);

/// Whether others may look at the same time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mode {
    /// Changes nothing.
    Shared,
    /// Changes something.
    Exclusive,
    /// Does not wait for whoever works on it: signals must arrive, also when a hook hangs.
    Unlocked,
}

/// A file locked until this is dropped or the process ends.
///
/// The lock belongs to the process and not to the open file: the container's first process is a copy of this one until
/// it becomes the program, and must not hold what `start` waits for.
#[derive(Debug)]
pub(crate) struct LockFile {
    file: File,
}

impl LockFile {
    /// Opens (and makes) the file and waits for it. `None` when others hold it for too long.
    pub(crate) fn open(path: &Path, mode: Mode) -> io::Result<Option<Self>> {
        Self::open_within(path, mode, PATIENCE)
    }

    /// The same, and how long is too long: with nothing, it does not wait.
    pub(crate) fn open_within(path: &Path, mode: Mode, patience: Duration) -> io::Result<Option<Self>> {
        let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
        Self::wait(file, mode, patience)
    }

    /// The same of a file that is there, and is not to be made anew where it was removed.
    pub(crate) fn open_existing(path: &Path, patience: Duration) -> io::Result<Option<Self>> {
        Self::wait(File::options().read(true).write(true).open(path)?, Mode::Exclusive, patience)
    }

    fn wait(file: File, mode: Mode, patience: Duration) -> io::Result<Option<Self>> {
        let begun = Instant::now();
        loop {
            if Self::acquire(&file, mode)? {
                return Ok(Some(Self { file }));
            }
            if begun.elapsed() >= patience {
                return Ok(None);
            }
            std::thread::sleep(PAUSE);
        }
    }

    /// Whether its name still leads to it: whoever held it before may have removed it.
    pub(crate) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let held = self.file.metadata()?;
        match path.metadata() {
            Ok(there) => Ok((held.dev(), held.ino()) == (there.dev(), there.ino())),
            Err(e) if e.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(e) => Err(e),
        }
    }

    /// Whether nobody holds it.
    pub(crate) fn is_free(path: &Path) -> io::Result<bool> {
        let file = File::options().read(true).write(true).open(path)?;
        // Those who look do not disturb one another.
        Self::acquire(&file, Mode::Shared)
    }

    fn acquire(file: &File, mode: Mode) -> io::Result<bool> {
        let operation = match mode {
            Mode::Shared => FlockOperation::NonBlockingLockShared,
            Mode::Exclusive => FlockOperation::NonBlockingLockExclusive,
            Mode::Unlocked => return Ok(true),
        };
        match fcntl_lock(file, operation) {
            Ok(()) => Ok(true),
            Err(Errno::AGAIN | Errno::ACCESS) => Ok(false),
            Err(Errno::INTR) => Ok(false),
            Err(e) => Err(e.into()),
        }
    }
}
