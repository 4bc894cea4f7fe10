//! One connection: lines out, lines in, an answer to each request.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{TcpStream, ToSocketAddrs};
use std::time::{Duration, Instant};

use serde_json::json;

use super::wire::{self, MAX_LINE, Op};
use super::{Address, NatsError};

/// Longest time to reach the server.
const CONNECT: Duration = Duration::from_secs(10);
/// The subscription that all answers come by.
const SID: &str = "1";

/// A message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Message {
    pub(super) reply: Option<String>,
    /// Of the headers.
    pub(super) status: Option<u16>,
    pub(super) payload: Vec<u8>,
}

/// A connection, logged in.
pub(super) struct Connection {
    address: Address,
    reader: BufReader<TcpStream>,
    writer: TcpStream,
    /// Where answers come.
    inbox: String,
    next: u64,
}

impl Connection {
    /// Reaches the server. `name` tells this connection from all others.
    pub(super) fn open(address: &Address, name: &str) -> Result<Self, NatsError> {
        let io = |source| NatsError::Io { address: address.to_string(), source };
        let mut last = io::Error::from(io::ErrorKind::NotFound);
        let mut found = None;
        for place in (address.host.as_str(), address.port).to_socket_addrs().map_err(io)? {
            match TcpStream::connect_timeout(&place, CONNECT) {
                Ok(stream) => {
                    found = Some(stream);
                    break;
                }
                Err(e) => last = e,
            }
        }
        let writer = found.ok_or(last).map_err(io)?;
        writer.set_nodelay(true).map_err(io)?;
        writer.set_write_timeout(Some(CONNECT)).map_err(io)?;
        let reader = BufReader::new(writer.try_clone().map_err(io)?);
        let inbox = format!("_INBOX.{name}");
        let mut connection = Self { address: address.clone(), reader, writer, inbox, next: 0 };
        connection.log_in()?;
        Ok(connection)
    }

    fn log_in(&mut self) -> Result<(), NatsError> {
        let deadline = Instant::now() + CONNECT;
        match self.op(deadline)? {
            Op::Info => {}
            _ => return Err(self.broken("no INFO at first")),
        }
        let mut options = json!({
            "verbose": false, "pedantic": false, "tls_required": false, "lang": "rust", "protocol": 1,
            "name": "imageadm", "version": env!("CARGO_PKG_VERSION"), "headers": true, "no_responders": true,
        });
        match &self.address.user {
            Some((user, Some(password))) => {
                options["user"] = user.as_str().into();
                options["pass"] = password.as_str().into();
            }
            Some((token, None)) => options["auth_token"] = token.as_str().into(),
            None => {}
        }
        let lines = format!("CONNECT {options}\r\nSUB {}.* {SID}\r\nPING\r\n", self.inbox);
        self.send(lines.as_bytes())?;
        loop {
            match self.op(deadline)? {
                Op::Pong => return Ok(()),
                Op::Err(message) => return Err(self.refused(message)),
                Op::Msg { total, .. } => drop(self.bytes(total, deadline)?),
                _ => {}
            }
        }
    }

    /// Asks, and waits for the first answer.
    pub(super) fn request(
        &mut self,
        subject: &str,
        headers: &[(&str, &str)],
        payload: &[u8],
        timeout: Duration,
    ) -> Result<Message, NatsError> {
        self.next += 1;
        let reply = format!("{}.{}", self.inbox, self.next);
        let mut out = if headers.is_empty() {
            format!("PUB {subject} {reply} {}\r\n", payload.len()).into_bytes()
        } else {
            let head = wire::headers(headers);
            let total = head.len() + payload.len();
            let mut out = format!("HPUB {subject} {reply} {} {total}\r\n", head.len()).into_bytes();
            out.extend_from_slice(&head);
            out
        };
        out.extend_from_slice(payload);
        out.extend_from_slice(b"\r\n");
        self.send(&out)?;
        let deadline = Instant::now() + timeout;
        loop {
            match self.op(deadline)? {
                Op::Ping => self.send(b"PONG\r\n")?,
                Op::Err(message) => return Err(self.refused(message)),
                Op::Msg { subject, reply: answer_to, headers, total } => {
                    let mut bytes = self.bytes(total, deadline)?;
                    // What a queue gives bears the subject that it was put under, and says how it is acknowledged. Any
                    // other is an answer to a question that nobody waits for any more.
                    let is_given = answer_to.as_deref().is_some_and(|to| to.starts_with("$JS.ACK."));
                    if subject != reply && !is_given {
                        continue;
                    }
                    let payload = bytes.split_off(headers);
                    return Ok(Message { reply: answer_to, status: wire::status(&bytes), payload });
                }
                Op::Info | Op::Pong | Op::Ok => {}
            }
        }
    }

    fn send(&mut self, bytes: &[u8]) -> Result<(), NatsError> {
        let address = &self.address;
        self.writer.write_all(bytes).map_err(|source| NatsError::Io { address: address.to_string(), source })
    }

    fn op(&mut self, deadline: Instant) -> Result<Op, NatsError> {
        let mut line = Vec::new();
        loop {
            self.wait_until(deadline)?;
            let left = MAX_LINE.saturating_sub(line.len()) as u64;
            let read = (&mut self.reader).take(left).read_until(b'\n', &mut line);
            let n = read.map_err(|source| self.io(source))?;
            if line.ends_with(b"\n") {
                break;
            }
            // INFO tells all about the server, and may be long: nothing of it is needed.
            if line.len() >= MAX_LINE && line.starts_with(b"INFO ") {
                line.truncate(b"INFO ".len());
            } else if n == 0 {
                let why = if left == 0 { "a line without end" } else { "the connection was closed" };
                return Err(self.io(io::Error::new(io::ErrorKind::UnexpectedEof, why)));
            }
        }
        let end = line.iter().rposition(|b| !matches!(b, b'\r' | b'\n')).map_or(0, |at| at + 1);
        wire::parse(&line[..end]).map_err(|reason| self.broken(reason))
    }

    fn bytes(&mut self, total: usize, deadline: Instant) -> Result<Vec<u8>, NatsError> {
        self.wait_until(deadline)?;
        let mut bytes = vec![0; total + 2];
        self.reader.read_exact(&mut bytes).map_err(|source| self.io(source))?;
        if !bytes.ends_with(b"\r\n") {
            return Err(self.broken("a message without end"));
        }
        bytes.truncate(total);
        Ok(bytes)
    }

    /// Nothing is waited for beyond the deadline.
    fn wait_until(&mut self, deadline: Instant) -> Result<(), NatsError> {
        let left = deadline.saturating_duration_since(Instant::now());
        if left.is_zero() {
            return Err(self.io(io::Error::new(io::ErrorKind::TimedOut, "nothing came in time")));
        }
        self.reader.get_ref().set_read_timeout(Some(left)).map_err(|source| self.io(source))
    }

    fn io(&self, source: io::Error) -> NatsError {
        NatsError::Io { address: self.address.to_string(), source }
    }

    fn broken(&self, reason: &str) -> NatsError {
        NatsError::Protocol { address: self.address.to_string(), reason: reason.to_owned() }
    }

    fn refused(&self, message: String) -> NatsError {
        NatsError::Refused { address: self.address.to_string(), message }
    }
}
