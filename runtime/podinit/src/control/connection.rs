//! One connection: lines in, lines out, neither without bound.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::UnixStream;
use serde_json::Value;

use super::request::Goal;

/// No request is longer.
const MAX_LINE: usize = 64 << 10;

/// Read in one turn: others have theirs.
const MAX_READ: usize = 64 << 10;

/// After the last answer, what still comes is read and dropped up to this. What lies there unread when a socket is closed
/// takes the answer with it.
const MAX_DROPPED: usize = 1 << 20;

/// What is left to do with it.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Life {
    Open,
    Closed,
}

pub(super) struct Connection {
    stream: UnixStream,
    input: Vec<u8>,
    output: Vec<u8>,
    /// The request being worked on. The next line is looked at when it has been answered.
    pub(super) goal: Option<Goal>,
    /// The other side sends nothing more.
    ended: bool,
    /// There may be more to read: the socket has said so, and says it only once.
    readable: bool,
    /// Nothing that comes is looked at any more; how much has come since.
    broken: Option<usize>,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            goal: None,
            ended: false,
            readable: true,
            broken: None,
        }
    }

    pub(super) fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    /// The socket has something to say.
    pub(super) fn woken(&mut self) {
        self.readable = true;
    }

    /// Whether a turn would change anything before something happens. Whoever does not read the answers that there are is not
    /// worked for: an answer is all that is ever held for him.
    pub(super) fn is_due(&self) -> bool {
        self.goal.is_none() && self.output.is_empty() && (self.readable || self.has_line())
    }

    fn has_line(&self) -> bool {
        self.broken.is_none() && (self.input.contains(&b'\n') || self.input.len() > MAX_LINE)
    }

    /// Reads what is there, as much as is held and as is read in a turn.
    pub(super) fn read(&mut self) -> Life {
        let mut buffer = [0; 4096];
        let mut read = 0;
        while self.readable && self.input.len() <= MAX_LINE && read < MAX_READ {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.ended = true;
                    self.readable = false;
                }
                Ok(length) => {
                    read += length;
                    match &mut self.broken {
                        Some(dropped) if *dropped > MAX_DROPPED => return Life::Closed,
                        Some(dropped) => *dropped += length,
                        None => self.input.extend_from_slice(&buffer[..length]),
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Life::Closed,
            }
        }
        Life::Open
    }

    /// The next line to work on. An error: it is too long.
    pub(super) fn next_line(&mut self) -> Result<Option<Vec<u8>>, ()> {
        if self.goal.is_some() || !self.output.is_empty() || self.broken.is_some() {
            return Ok(None);
        }
        match self.input.iter().position(|byte| *byte == b'\n') {
            Some(end) if end <= MAX_LINE => {
                let rest = self.input.split_off(end + 1);
                let mut line = std::mem::replace(&mut self.input, rest);
                line.pop();
                Ok(Some(line))
            }
            None if self.input.len() <= MAX_LINE => Ok(None),
            _ => Err(()),
        }
    }

    pub(super) fn answer(&mut self, answer: &Value) {
        self.goal = None;
        self.output.extend_from_slice(answer.to_string().as_bytes());
        self.output.push(b'\n');
    }

    /// A last answer. Whoever reads sees the end after it.
    pub(super) fn give_up(&mut self, answer: &Value) {
        self.answer(answer);
        self.input.clear();
        self.broken = Some(0);
    }

    /// Writes what can be written.
    pub(super) fn write(&mut self) -> Life {
        while !self.output.is_empty() {
            match self.stream.write(&self.output) {
                Ok(length) => drop(self.output.drain(..length)),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Life::Closed,
            }
        }
        if self.broken.is_some() && self.output.is_empty() && self.stream.shutdown(Shutdown::Write).is_err() {
            return Life::Closed;
        }
        let idle = self.output.is_empty() && self.goal.is_none() && !self.has_line();
        if self.ended && idle { Life::Closed } else { Life::Open }
    }
}
