//! A zone's console: a terminal whose one side is the zone's /dev/console, and whose other side is shared by all who are
//! connected. What is written is kept, too.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::failure::{Failure, Result};

/// One who is connected.
struct Client {
    stream: UnixStream,
    /// zlogin(1), `-d`: goes when the zone halts.
    leaves: bool,
}

/// The side of the terminal that is not the zone's.
#[derive(Clone)]
pub(crate) struct Console {
    master: Arc<File>,
    /// Kept open, so that the terminal lives on while nobody in the zone has it open.
    _slave: Arc<File>,
    pub(crate) name: String,
    clients: Arc<Mutex<Vec<Client>>>,
}

impl Console {
    /// A new terminal; `log` keeps what is written to it.
    pub(crate) fn open(log: &Path) -> Result<Self> {
        let open = || -> io::Result<(File, String, File)> {
            let master = openpt(OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
            grantpt(&master)?;
            unlockpt(&master)?;
            let name = ptsname(&master, Vec::new())?;
            let name = name.to_str().map_err(|_| io::ErrorKind::InvalidData)?.to_owned();
            // Not as anyone's controlling terminal: its opener leads a session.
            let slave = OpenOptions::new()
                .read(true)
                .write(true)
                .custom_flags(OFlags::NOCTTY.bits().cast_signed())
                .open(&name)?;
            Ok((File::from(master), name, slave))
        };
        let (master, name, slave) = open().map_err(|e| Failure::linux("terminal", &e))?;
        let log = OpenOptions::new().create(true).append(true).open(log);
        let log = log.map_err(|e| Failure::linux("console log", &e))?;
        let console = Self {
            master: Arc::new(master),
            _slave: Arc::new(slave),
            name,
            clients: Arc::new(Mutex::new(Vec::new())),
        };
        let reader = console.clone();
        thread::spawn(move || reader.share(log));
        Ok(console)
    }

    fn clients(&self) -> MutexGuard<'_, Vec<Client>> {
        self.clients.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Gives all that the zone writes to everybody.
    fn share(&self, mut log: File) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = (&*self.master).read(&mut buffer) {
            // Nobody is told where the log is full: it is for reading after a test has failed.
            let _ = log.write_all(&buffer[..length]);
            self.say(&buffer[..length]);
        }
    }

    fn say(&self, bytes: &[u8]) {
        self.clients().retain_mut(|client| client.stream.write_all(bytes).is_ok());
    }

    /// One more who is connected, until he or the console goes.
    pub(crate) fn connect(&self, stream: UnixStream, leaves: bool) {
        let Ok(mut from) = stream.try_clone() else { return };
        self.clients().push(Client { stream, leaves });
        let master = Arc::clone(&self.master);
        thread::spawn(move || {
            let mut buffer = [0; 4096];
            while let Ok(length @ 1..) = from.read(&mut buffer) {
                if (&*master).write_all(&buffer[..length]).is_err() {
                    break;
                }
            }
            // He has gone; what is written to him from now on fails, and that is how he is forgotten.
            let _ = from.shutdown(std::net::Shutdown::Both);
        });
    }

    /// The zone has halted: says so, lets go who wants to. How many stay.
    pub(crate) fn halted(&self) -> usize {
        self.say(b"\r\n[NOTICE: Zone halted]\r\n");
        let mut clients = self.clients();
        clients.retain(|client| {
            if client.leaves {
                let _ = client.stream.shutdown(std::net::Shutdown::Both);
            }
            !client.leaves
        });
        clients.len()
    }
}
