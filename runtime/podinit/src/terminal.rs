//! How podinit stands to the terminal on its standard input, and job control for who called it from a shell.

use std::io;

use rustix::process::{self, Pid};
use rustix::stdio::stdin;
use rustix::termios;

use crate::signal::Signal;
use crate::sys::{self, Session};

/// What standard input is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Terminal {
    None,
    /// A terminal, but no one's who could give it away: not yet anybody's, or another session's.
    Foreign,
    /// Our own, and we are in the background of it.
    Background,
    /// Our own, and we have it.
    Foreground,
}

impl Terminal {
    pub(crate) fn of_stdin() -> Self {
        if !termios::isatty(stdin()) {
            return Self::None;
        }
        match termios::tcgetpgrp(stdin()) {
            Ok(group) if group == process::getpgrp() => Self::Foreground,
            Ok(_) => Self::Background,
            Err(_) => Self::Foreign,
        }
    }

    /// What becomes of the main program, which may say whether it wants it.
    pub(crate) fn session(self, wanted: Option<bool>) -> Session {
        match (self, wanted) {
            (_, Some(false)) | (Self::None | Self::Foreign | Self::Background, None) => Session::Group,
            (Self::Foreground, _) => Session::Foreground,
            // It fails with a message where there is none.
            (_, Some(true)) => Session::Terminal,
        }
    }
}

/// The main program was stopped from the terminal: whoever called us is to see that, so we take the terminal back and stop too. We
/// go on when we are told to, and so does the program, with the terminal. Not for process 1, which nothing can stop.
pub(crate) fn stop_with(pid: i32) -> io::Result<()> {
    give_to(process::getpgrp())?;
    // Returns when someone has sent SIGCONT.
    sys::kill(process::getpid().as_raw_pid(), Signal::STOP.number())?;
    // The shell has put us into the foreground if it wants us there.
    if Terminal::of_stdin() == Terminal::Foreground {
        give_to(Pid::from_raw(pid).expect("a child has a number"))?;
    }
    sys::kill(-pid, Signal::CONT.number())
}

fn give_to(group: Pid) -> io::Result<()> {
    Ok(termios::tcsetpgrp(stdin(), group)?)
}
