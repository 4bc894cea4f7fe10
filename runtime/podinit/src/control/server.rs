//! The socket and who is connected to it.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mio::net::UnixListener;
use mio::{Interest, Registry, Token};

use super::connection::{Connection, Life};
use super::request::{self, Outcome};
use crate::error::{Error, Result};
use crate::private::private;
use crate::supervise::Supervisor;

/// More at a time are not served: the rest is turned away.
const MAX_CONNECTIONS: usize = 32;

/// Connections taken up in one turn.
const MAX_ACCEPTED: usize = 64;

/// Tokens of connections begin here.
const FIRST: usize = 1 << 16;

/// Reads the configuration again, as someone asked for.
pub(crate) type Reload<'a> = dyn FnMut() -> std::result::Result<(), String> + 'a;

pub(crate) struct Server {
    listener: UnixListener,
    token: Token,
    path: PathBuf,
    connections: BTreeMap<Token, Connection>,
    next: usize,
}

impl Server {
    /// Listens. Whoever may write to the socket may ask: that is its owner, who podinit runs as. (Who has
    /// connected is not asked: a process of the host has no number in here, and none is needed.)
    pub(crate) fn open(path: &Path, registry: &Registry, token: Token) -> Result<Self> {
        let open = || -> io::Result<UnixListener> {
            let mut listener = private(|| UnixListener::bind(path))?;
            registry.register(&mut listener, token, Interest::READABLE)?;
            Ok(listener)
        };
        let listener = open().map_err(|source| Error::Socket { path: path.to_owned(), source })?;
        Ok(Self { listener, token, path: path.to_owned(), connections: BTreeMap::new(), next: FIRST })
    }

    /// Takes up whoever has come.
    pub(crate) fn accept(&mut self, registry: &Registry) -> io::Result<()> {
        for _ in 0..MAX_ACCEPTED {
            let stream = match self.listener.accept() {
                Ok((stream, _)) => stream,
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                // Gone again before it was taken up.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => continue,
                Err(error) => return Err(error),
            };
            if self.connections.len() >= MAX_CONNECTIONS {
                continue;
            }
            let token = Token(self.next);
            self.next += 1;
            let mut connection = Connection::new(stream);
            registry.register(connection.stream(), token, Interest::READABLE | Interest::WRITABLE)?;
            self.connections.insert(token, connection);
        }
        // Registered anew, it is told again of those that wait.
        registry.reregister(&mut self.listener, self.token, Interest::READABLE)
    }

    /// Something has happened on a connection.
    pub(crate) fn woken(&mut self, token: Token) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        connection.woken();
        if connection.write() == Life::Closed {
            self.connections.remove(&token);
        }
    }

    /// Gives each connection a turn: one request, if there is one.
    pub(crate) fn serve(&mut self, supervisor: &mut Supervisor, reload: &mut Reload<'_>) {
        self.connections.retain(|_, connection| {
            !connection.is_due() || turn(connection, supervisor, reload) == Life::Open
        });
    }

    /// Whether there is something left for another turn.
    pub(crate) fn is_due(&self) -> bool {
        self.connections.values().any(Connection::is_due)
    }

    /// Answers whom an answer is due.
    pub(crate) fn settle(&mut self, supervisor: &Supervisor) {
        self.connections.retain(|_, connection| {
            let due = connection.goal.and_then(|goal| request::answer(goal, supervisor));
            let Some(answer) = due else { return true };
            connection.answer(&answer);
            connection.write() == Life::Open
        });
    }
}

/// Reads, and does what the next line asks for: one, so that nobody waits for what somebody else has piled up.
fn turn(connection: &mut Connection, supervisor: &mut Supervisor, reload: &mut Reload<'_>) -> Life {
    if connection.read() == Life::Closed {
        return Life::Closed;
    }
    match connection.next_line() {
        Ok(Some(line)) => match request::handle(&line, supervisor, reload) {
            Outcome::Answer(answer) => connection.answer(&answer),
            Outcome::Later(goal) => connection.goal = Some(goal),
        },
        Ok(None) => {}
        Err(()) => connection.give_up(&request::refuse("the line is too long")),
    }
    connection.write()
}

impl Drop for Server {
    fn drop(&mut self) {
        // So that nobody waits there for an answer. Where it can't be removed, connecting fails all the same.
        let _ = fs::remove_file(&self.path);
    }
}
