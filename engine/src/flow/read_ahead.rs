//! A reader moved to its own thread, so that decoding overlaps with what is done with the bytes.

use std::io::{self, Read};
use std::thread;

use crossbeam::channel::{Receiver, Sender, bounded, unbounded};

/// Bytes handed over at a time: large enough to make the hand-over cheap, small enough for a warm cache.
const CHUNK: usize = 256 << 10;

/// What comes from the thread: bytes (never none), or how it ended.
enum Message {
    Data(Vec<u8>, usize),
    End(io::Result<()>),
}

/// The reading end of [`read_ahead`].
pub struct ReadAhead {
    messages: Receiver<Message>,
    spare: Sender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
    len: usize,
    has_ended: bool,
}

/// Reads `inner` in a thread of its own, at most about `capacity` bytes ahead. Errors come out where they stand
/// in the stream. Dropping the result ends the thread as soon as its current read returns; it is not waited for,
/// as that read may be of a pipe that nobody writes to.
pub fn read_ahead(inner: Box<dyn Read + Send>, capacity: usize) -> io::Result<ReadAhead> {
    let (send, messages) = bounded((capacity / CHUNK).max(1));
    let (spare, reuse) = unbounded();
    thread::Builder::new().name("read-ahead".to_owned()).spawn(move || run(inner, &send, &reuse))?;
    Ok(ReadAhead { messages, spare, chunk: Vec::new(), at: 0, len: 0, has_ended: false })
}

fn run(mut inner: Box<dyn Read + Send>, send: &Sender<Message>, reuse: &Receiver<Vec<u8>>) {
    loop {
        let mut chunk = reuse.try_recv().unwrap_or_else(|_| vec![0; CHUNK]);
        let mut len = 0;
        let mut end = None;
        while len < chunk.len() && end.is_none() {
            match inner.read(&mut chunk[len..]) {
                Ok(0) => end = Some(Ok(())),
                Ok(n) => len += n,
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                Err(e) => end = Some(Err(e)),
            }
        }
        let is_taken = len == 0 || send.send(Message::Data(chunk, len)).is_ok();
        if let Some(end) = end {
            // Nobody listens any more: nobody cares how it ended.
            let _ = send.send(Message::End(end));
            return;
        }
        if !is_taken {
            return;
        }
    }
}

impl Read for ReadAhead {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        while self.at == self.len && !self.has_ended {
            match self.messages.recv() {
                Ok(Message::Data(chunk, len)) => {
                    let empty = std::mem::replace(&mut self.chunk, chunk);
                    (self.at, self.len) = (0, len);
                    if !empty.is_empty() {
                        // The thread may have ended: then nobody needs it.
                        let _ = self.spare.send(empty);
                    }
                }
                Ok(Message::End(end)) => {
                    self.has_ended = true;
                    end?;
                }
                Err(_) => return Err(io::Error::other("the reading thread has died")),
            }
        }
        let n = (self.len - self.at).min(buf.len());
        buf[..n].copy_from_slice(&self.chunk[self.at..self.at + n]);
        self.at += n;
        Ok(n)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Failing(usize);

    impl Read for Failing {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            let n = self.0.min(buf.len()).min(1000);
            buf[..n].fill(7);
            self.0 -= n;
            if n == 0 { Err(io::Error::other("broken")) } else { Ok(n) }
        }
    }

    #[test]
    fn bytes_and_errors_come_in_order() {
        let bytes: Vec<u8> = (0..3 * CHUNK + 17).map(|i| (i % 253) as u8).collect();
        let mut out = Vec::new();
        let source = Box::new(io::Cursor::new(bytes.clone()));
        read_ahead(source, CHUNK).unwrap().read_to_end(&mut out).unwrap();
        assert!(out == bytes);

        let mut out = Vec::new();
        let mut reader = read_ahead(Box::new(Failing(CHUNK + 5)), 1).unwrap();
        let error = reader.read_to_end(&mut out).unwrap_err();
        assert_eq!((out.len(), error.to_string().as_str()), (CHUNK + 5, "broken"));
    }

    #[test]
    fn dropping_stops_an_endless_source() {
        let (gone, waits) = bounded::<()>(0);
        struct Endless {
            _until_dropped: Sender<()>,
        }
        impl Read for Endless {
            fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
                Ok(buf.len())
            }
        }
        let mut reader = read_ahead(Box::new(Endless { _until_dropped: gone }), 4 * CHUNK).unwrap();
        reader.read_exact(&mut [0; 10]).unwrap();
        drop(reader);
        // The source is dropped with its thread: that disconnects the channel.
        assert!(waits.recv_timeout(std::time::Duration::from_secs(10)).is_err_and(|e| e.is_disconnected()));
    }
}
