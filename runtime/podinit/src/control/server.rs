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

/// Tokens of connections begin here.
const FIRST: usize = 1 << 16;

/// Reads the configuration again, as someone asked for.
pub(crate) type Reload<'a> = dyn FnMut() -> std::result::Result<(), String> + 'a;

pub(crate) struct Server {
    listener: UnixListener,
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
        Ok(Self { listener, path: path.to_owned(), connections: BTreeMap::new(), next: FIRST })
    }

    /// Takes up whoever has come.
    pub(crate) fn accept(&mut self, registry: &Registry) -> io::Result<()> {
        loop {
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
    }

    /// Something has happened on a connection: what is asked for on it is done.
    pub(crate) fn serve(&mut self, token: Token, supervisor: &mut Supervisor, reload: &mut Reload<'_>) {
        let Some(connection) = self.connections.get_mut(&token) else { return };
        if connection.read() == Life::Closed || work(connection, supervisor, reload) == Life::Closed {
            self.connections.remove(&token);
        }
    }

    /// Answers whom an answer is due.
    pub(crate) fn settle(&mut self, supervisor: &mut Supervisor, reload: &mut Reload<'_>) {
        self.connections.retain(|_, connection| {
            let due = connection.goal.and_then(|goal| request::answer(goal, supervisor));
            let Some(answer) = due else { return true };
            connection.answer(&answer);
            work(connection, supervisor, reload) == Life::Open
        });
    }
}

/// Goes through the lines that have come, until one has to be waited for.
fn work(connection: &mut Connection, supervisor: &mut Supervisor, reload: &mut Reload<'_>) -> Life {
    loop {
        match connection.next_line() {
            Ok(Some(line)) => match request::handle(&line, supervisor, reload) {
                Outcome::Answer(answer) => connection.answer(&answer),
                Outcome::Later(goal) => connection.goal = Some(goal),
            },
            Ok(None) if connection.has_more() => {
                if connection.read() == Life::Closed {
                    return Life::Closed;
                }
            }
            Ok(None) => return connection.write(),
            Err(()) => connection.give_up(&request::refuse("the line is too long")),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // So that nobody waits there for an answer. Where it can't be removed, connecting fails all the same.
        let _ = fs::remove_file(&self.path);
    }
}
