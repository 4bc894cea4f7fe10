//! A zone's console: a terminal whose one side is the zone's /dev/console. Who is connected has the other; that is one at a time,
//! as zoneadmd wants it. What is written is kept, too.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::net::Shutdown;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread;

use rustix::fs::OFlags;
use rustix::pty::{OpenptFlags, grantpt, openpt, ptsname, unlockpt};

use super::failure::{Failure, Result};

/// Who is connected.
struct Client {
    stream: UnixStream,
    /// The process, for others to be told.
    pid: String,
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
    client: Arc<Mutex<Option<Client>>>,
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
            client: Arc::new(Mutex::new(None)),
        };
        let reader = console.clone();
        thread::spawn(move || reader.share(log));
        Ok(console)
    }

    fn client(&self) -> MutexGuard<'_, Option<Client>> {
        self.client.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
    }

    /// Keeps all that the zone writes, and gives it to whoever is connected.
    fn share(&self, mut log: File) {
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = (&*self.master).read(&mut buffer) {
            // Nobody is told where the log is full: it is for reading after a test has failed.
            let _ = log.write_all(&buffer[..length]);
            self.say(&buffer[..length]);
        }
    }

    fn say(&self, bytes: &[u8]) {
        let mut client = self.client();
        if client.as_mut().is_some_and(|client| client.stream.write_all(bytes).is_err()) {
            *client = None;
        }
    }

    pub(crate) fn is_connected(&self) -> bool {
        self.client().is_some()
    }

    /// Something that the host says.
    pub(crate) fn notice(&self, text: &str) {
        self.say(format!("\r\n[NOTICE: {text}]\r\n").as_bytes());
    }

    /// Connects a process, and returns when it has gone. It is told whether it is connected, or who else is.
    pub(crate) fn connect(&self, mut stream: UnixStream, pid: &str, leaves: bool) -> io::Result<()> {
        let mut client = self.client();
        if let Some(other) = &*client {
            return writeln!(stream, "error {}", other.pid);
        }
        writeln!(stream, "ok connected")?;
        let mut from = stream.try_clone()?;
        *client = Some(Client { stream, pid: pid.to_owned(), leaves });
        drop(client);
        let mut buffer = [0; 4096];
        while let Ok(length @ 1..) = from.read(&mut buffer) {
            (&*self.master).write_all(&buffer[..length])?;
        }
        *self.client() = None;
        Ok(())
    }

    /// The zone is down: says so, and lets go who wants to. Whether somebody stays.
    pub(crate) fn is_down(&self, text: &str) -> bool {
        let leaves = self.client().as_ref().is_some_and(|client| client.leaves);
        self.notice(&if leaves { format!("{text}.  Disconnecting...") } else { text.to_owned() });
        let mut client = self.client();
        if leaves && let Some(client) = client.take() {
            // It may have gone by itself.
            let _ = client.stream.shutdown(Shutdown::Both);
        }
        client.is_some()
    }
}
