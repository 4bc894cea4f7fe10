//! A file whose reading can be stopped while it waits for a pipe's other end.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::event::{PollFd, PollFlags, Timespec, poll};

/// How long a stop may go unnoticed: short for a person, long for a processor.
const LOOK: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

/// Reads a file until `stop` is set; then every read is an error. A plain `read` of a pipe would go on waiting for whoever
/// writes to it, as signals do not end it.
pub struct Stoppable<R> {
    file: R,
    stop: Arc<AtomicBool>,
}

impl<R: Read + AsFd> Stoppable<R> {
    /// Reads from where the file stands.
    pub fn new(file: R, stop: Arc<AtomicBool>) -> Self {
        Self { file, stop }
    }
}

impl<R: Read + AsFd> Read for Stoppable<R> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        loop {
            if self.stop.load(Ordering::Relaxed) {
                // Not of the kind `Interrupted`, which readers take for "try again".
                return Err(io::Error::new(io::ErrorKind::ConnectionAborted, "stopped"));
            }
            match poll(&mut [PollFd::new(&self.file, PollFlags::IN)], Some(&LOOK)) {
                Ok(0) | Err(rustix::io::Errno::INTR) => {}
                // Also at the end, and where there is an error: the read itself tells.
                Ok(_) => return self.file.read(buf),
                Err(e) => return Err(e.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Write;
    use std::thread;

    #[test]
    fn a_reader_that_waits_is_stopped_and_one_that_does_not_reads_all() {
        let (from, mut into) = io::pipe().unwrap();
        let stop = Arc::new(AtomicBool::new(false));
        let mut reader = Stoppable::new(from, Arc::clone(&stop));
        into.write_all(b"abc").unwrap();
        let mut got = [0; 8];
        assert_eq!(reader.read(&mut got).unwrap(), 3);
        // Nothing more comes, and the writer stays.
        let waiting = thread::spawn(move || reader.read(&mut [0; 8]).unwrap_err().kind());
        stop.store(true, Ordering::Relaxed);
        assert_eq!(waiting.join().unwrap(), io::ErrorKind::ConnectionAborted);

        let (from, into) = io::pipe().unwrap();
        drop(into);
        let mut reader = Stoppable::new(from, Arc::default());
        assert_eq!(reader.read(&mut got).unwrap(), 0, "a pipe without writers is at its end");
    }
}
