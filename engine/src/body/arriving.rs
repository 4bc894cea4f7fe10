//! Bytes that are read while they arrive.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

use super::ReadAt;

/// Makes the error of everybody who waits for bytes that will not come.
pub type Reason = Box<dyn Fn() -> io::Error + Send>;

/// A file that somebody else writes from its start to its end. Who reads what is not there yet waits for it.
pub struct Arriving {
    file: File,
    len: u64,
    state: Mutex<State>,
    has_moved: Condvar,
}

#[derive(Default)]
struct State {
    /// Bytes that are there.
    ready: u64,
    /// Why there will be no more.
    failed: Option<Reason>,
}

impl Arriving {
    /// Of a file that will have `len` bytes.
    pub fn new(file: File, len: u64) -> Arc<Self> {
        Arc::new(Self { file, len, state: Mutex::default(), has_moved: Condvar::new() })
    }

    /// So many bytes are in the file now. Fewer than before are not: who begins anew writes the same bytes, or whoever
    /// reads finds out by their digest.
    pub fn advance(&self, ready: u64) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.ready = state.ready.max(ready);
        self.has_moved.notify_all();
    }

    /// No more will come.
    pub fn fail(&self, reason: Reason) {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).failed = Some(reason);
        self.has_moved.notify_all();
    }
}

impl ReadAt for Arriving {
    fn read_exact_at(&self, buf: &mut [u8], offset: u64) -> io::Result<()> {
        let end = offset.checked_add(buf.len() as u64).filter(|end| *end <= self.len);
        let end = end.ok_or(io::ErrorKind::UnexpectedEof)?;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        while state.ready < end {
            if let Some(reason) = &state.failed {
                return Err(reason());
            }
            state = self.has_moved.wait(state).unwrap_or_else(PoisonError::into_inner);
        }
        drop(state);
        self.file.read_exact_at(buf, offset)
    }

    fn len(&self) -> u64 {
        self.len
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::thread;

    use super::*;

    #[test]
    fn readers_wait_for_bytes_or_for_the_bad_news() {
        let mut file = tempfile::tempfile().unwrap();
        let body = Arriving::new(file.try_clone().unwrap(), 6);
        let reader = Arc::clone(&body);
        let read = thread::spawn(move || {
            let mut buf = [0; 3];
            reader.read_exact_at(&mut buf, 1).map(|()| buf)
        });
        for piece in [&b"ab"[..], b"cd"] {
            file.write_all(piece).unwrap();
            body.advance(if piece == b"ab" { 2 } else { 4 });
        }
        assert_eq!(&read.join().unwrap().unwrap(), b"bcd");
        body.advance(1);
        let reader = Arc::clone(&body);
        let read = thread::spawn(move || reader.read_exact_at(&mut [0; 6], 0));
        body.fail(Box::new(|| io::Error::other("gone")));
        assert_eq!(read.join().unwrap().unwrap_err().to_string(), "gone");
        let mut buf = [0; 4];
        body.read_exact_at(&mut buf, 0).unwrap();
        assert_eq!(&buf, b"abcd", "what is there can be read all the same");
        assert_eq!(body.read_exact_at(&mut buf, 3).unwrap_err().kind(), io::ErrorKind::UnexpectedEof);
    }
}
