//! One connection: lines in, lines out, neither without bound.

use std::io::{self, Read, Write};
use std::net::Shutdown;

use mio::net::UnixStream;
use serde_json::Value;

use super::request::Goal;

/// No request is longer.
const MAX_LINE: usize = 64 << 10;

/// Answers that nobody reads are not kept beyond this.
const MAX_OUTPUT: usize = 1 << 20;

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
    /// There may be more to read: it was left for later.
    more: bool,
    /// Nothing that comes is looked at any more.
    broken: bool,
}

impl Connection {
    pub(super) fn new(stream: UnixStream) -> Self {
        Self {
            stream,
            input: Vec::new(),
            output: Vec::new(),
            goal: None,
            ended: false,
            more: true,
            broken: false,
        }
    }

    pub(super) fn stream(&mut self) -> &mut UnixStream {
        &mut self.stream
    }

    /// Reads what is there, as much as is held at a time. The socket tells only once that there is something:
    /// [`Self::has_more`] says whether to come back.
    pub(super) fn read(&mut self) -> Life {
        let mut buffer = [0; 4096];
        self.more = true;
        while self.input.len() <= MAX_LINE {
            match self.stream.read(&mut buffer) {
                Ok(0) => {
                    self.ended = true;
                    self.more = false;
                    break;
                }
                // Read all the same: what lies there unread when a socket is closed takes the last answer
                // with it.
                Ok(_) if self.broken => {}
                Ok(length) => self.input.extend_from_slice(&buffer[..length]),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    self.more = false;
                    break;
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return Life::Closed,
            }
        }
        Life::Open
    }

    pub(super) fn has_more(&self) -> bool {
        self.more && self.goal.is_none()
    }

    /// The next line to work on. An error: it is too long.
    pub(super) fn next_line(&mut self) -> Result<Option<Vec<u8>>, ()> {
        if self.goal.is_some() {
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
        self.broken = true;
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
        if self.broken && self.output.is_empty() && self.stream.shutdown(Shutdown::Write).is_err() {
            return Life::Closed;
        }
        let done = self.ended && self.output.is_empty() && self.goal.is_none();
        if done || self.output.len() > MAX_OUTPUT { Life::Closed } else { Life::Open }
    }
}
