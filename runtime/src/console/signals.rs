//! Signals that came, as bytes in a pipe: so they can be waited for with other things.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::net::UnixStream;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use rustix::process::Signal;
use signal_hook::consts;

/// Those that go on to the process, as the terminal or the caller has sent them.
const FORWARDED: [(i32, Signal); 9] = [
    (consts::SIGHUP, Signal::HUP),
    (consts::SIGINT, Signal::INT),
    (consts::SIGQUIT, Signal::QUIT),
    (consts::SIGTERM, Signal::TERM),
    (consts::SIGUSR1, Signal::USR1),
    (consts::SIGUSR2, Signal::USR2),
    (consts::SIGALRM, Signal::ALARM),
    (consts::SIGCONT, Signal::CONT),
    (consts::SIGWINCH, Signal::WINCH),
];

/// Kept from now on instead of being obeyed.
pub(crate) struct Signals {
    pipe: UnixStream,
    flags: Vec<(Signal, Arc<AtomicBool>)>,
}

impl Signals {
    pub(crate) fn watch() -> io::Result<Self> {
        let (pipe, write) = UnixStream::pair()?;
        pipe.set_nonblocking(true)?;
        write.set_nonblocking(true)?;
        let mut flags = Vec::new();
        for (number, named) in FORWARDED {
            let flag = Arc::new(AtomicBool::new(false));
            signal_hook::flag::register(number, Arc::clone(&flag))?;
            signal_hook::low_level::pipe::register(number, write.try_clone()?)?;
            flags.push((named, flag));
        }
        signal_hook::low_level::pipe::register(consts::SIGCHLD, write)?;
        Ok(Self { pipe, flags })
    }

    /// Those that came since the last time.
    pub(crate) fn came(&self) -> impl Iterator<Item = Signal> + '_ {
        self.flags.iter().filter(|(_, flag)| flag.swap(false, Ordering::SeqCst)).map(|(named, _)| *named)
    }

    /// Before one looks what came: what comes later wakes again.
    pub(crate) fn drain(&self) {
        let mut buffer = [0; 64];
        while matches!((&self.pipe).read(&mut buffer), Ok(n) if n > 0) {}
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.pipe.as_fd()
    }
}
