//! A monitor holds a lock as long as it lives: by that it is known, also by its number, which nobody else can have then. Both
//! systems tell who holds a lock, and neither needs to be asked about processes.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{FlockOperation, fcntl_lock};
use rustix::io::Errno;
use rustix::process::{Flock, FlockType, Pid, fcntl_getlk};

/// Held until it is dropped or the process ends.
#[derive(Debug)]
pub(super) struct Held {
    _file: File,
}

/// Takes the lock of a file; none where another process has it.
pub(super) fn hold(path: &Path) -> io::Result<Option<Held>> {
    let file = File::options().read(true).write(true).create(true).truncate(false).open(path)?;
    match fcntl_lock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(Some(Held { _file: file })),
        Err(Errno::AGAIN | Errno::ACCESS) => Ok(None),
        Err(e) => Err(e.into()),
    }
}

/// Who holds it.
pub(super) fn holder(path: &Path) -> io::Result<Option<Pid>> {
    let file = match File::options().read(true).write(true).open(path) {
        Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(None),
        other => other?,
    };
    let asked = Flock::from(FlockType::WriteLock);
    Ok(fcntl_getlk(&file, &asked)?.and_then(|lock| lock.pid))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    /// Tells the other process where the lock is.
    const PATH: &str = "LOCK_OF_TEST";

    #[test]
    fn another_process_is_seen_by_its_lock() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert_eq!(holder(&path).unwrap(), None);
        let mut other = Command::new(std::env::current_exe().unwrap())
            .args(["--ignored", "--exact", "backend::zones::lock::tests::holds_it", "--nocapture"])
            .env(PATH, &path)
            .stdin(Stdio::piped())
            .stdout(Stdio::null())
            .spawn()
            .unwrap();
        while holder(&path).unwrap().is_none() {
            assert_eq!(other.try_wait().unwrap(), None);
            std::thread::sleep(std::time::Duration::from_millis(2));
        }
        let pid = holder(&path).unwrap().unwrap().as_raw_nonzero().get();
        assert_eq!(pid.unsigned_abs(), other.id());
        assert!(hold(&path).unwrap().is_none());
        drop(other.stdin.take());
        assert!(other.wait().unwrap().success());
        assert_eq!(holder(&path).unwrap(), None);
        assert!(hold(&path).unwrap().is_some());
    }

    #[test]
    #[ignore = "the other process of the test above"]
    fn holds_it() {
        let Some(path) = std::env::var_os(PATH) else { return };
        let _held = hold(path.as_ref()).unwrap().unwrap();
        // Until the other end of this is gone.
        let _ = std::io::stdin().read_line(&mut String::new());
    }
}
