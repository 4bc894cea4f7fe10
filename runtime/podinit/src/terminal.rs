//! How podinit stands to the terminal on its standard input, and job control for who called it from a shell.

use std::io;

use rustix::process;
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
        // Where neither can be seen from our namespace, both are 0, and whoever started us is in the
        // foreground.
        match sys::foreground_group() {
            Ok(group) if group == sys::process_group() => Self::Foreground,
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

/// The main program, which leads its group, was stopped by a signal. If that was for want of a terminal that
/// is ours to give, it gets it: a shell may have put us into the foreground after we looked. Else whoever
/// called us is to see that the program has stopped, so we stop too; told to go on, so does the program, with
/// the terminal if we have it. (Process 1 can't be stopped.)
///
/// Where we lead the terminal's session, there is no shell to tell us to go on: what is typed to stop the program is of no effect
/// then, as it is for a program that leads its own session.
pub(crate) fn stopped(pid: i32, by: Signal, can_stop: bool) -> io::Result<()> {
    let (Terminal::Foreground | Terminal::Background) = Terminal::of_stdin() else { return Ok(()) };
    let is_given = by.is_about_reading_and_writing() && Terminal::of_stdin() == Terminal::Foreground;
    if !is_given && by == Signal::TSTP && sys::is_session_leader() {
        return sys::kill(-pid, Signal::CONT.number());
    }
    if !is_given {
        if !can_stop {
            return Ok(());
        }
        if sys::foreground_group()? == pid {
            sys::set_foreground_group(sys::process_group())?;
        }
        // Returns when someone has sent SIGCONT.
        sys::kill(process::getpid().as_raw_pid(), Signal::STOP.number())?;
    }
    if Terminal::of_stdin() == Terminal::Foreground {
        sys::set_foreground_group(pid)?;
    }
    sys::kill(-pid, Signal::CONT.number())
}
