//! Units that say themselves when they are ready: `READY=1` in a datagram, as services for systemd send it
//! (sd_notify(3)).

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use mio::net::UnixDatagram;
use mio::{Interest, Registry, Token};

use crate::error::{Error, Result};
use crate::private::private;
use crate::sys::Ids;

/// Datagrams read in one turn: a unit that sends without end holds nobody else up.
const MAX_DATAGRAMS: usize = 64;

/// Longer than anything worth reading; the rest of a longer one is dropped.
const MAX_DATAGRAM: usize = 4096;

/// One unit's socket. Each has its own, so that it is known who speaks, whichever process of the unit it is.
pub(crate) struct Notify {
    socket: UnixDatagram,
    token: Token,
    path: PathBuf,
}

impl Notify {
    /// Opens it for a user alone.
    pub(crate) fn open(path: PathBuf, ids: Option<&Ids>, registry: &Registry, token: Token) -> Result<Self> {
        let open = || -> io::Result<UnixDatagram> {
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
                _ => {}
            }
            let mut socket = private(|| UnixDatagram::bind(&path))?;
            if let Some(ids) = ids {
                std::os::unix::fs::lchown(&path, Some(ids.uid), Some(ids.gid))?;
            }
            registry.register(&mut socket, token, Interest::READABLE)?;
            Ok(socket)
        };
        match open() {
            Ok(socket) => Ok(Self { socket, token, path }),
            Err(source) => Err(Error::Socket { path, source }),
        }
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether one of the datagrams that have come says so.
    pub(crate) fn is_ready(&mut self, registry: &Registry) -> io::Result<bool> {
        let mut ready = false;
        let mut buffer = [0; MAX_DATAGRAM];
        for _ in 0..MAX_DATAGRAMS {
            match self.socket.recv(&mut buffer) {
                Ok(length) => ready |= buffer[..length].split(|b| *b == b'\n').any(|line| line == b"READY=1"),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => return Ok(ready),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        // Registered anew, it is told again of those that wait.
        registry.reregister(&mut self.socket, self.token, Interest::READABLE)?;
        Ok(ready)
    }
}
