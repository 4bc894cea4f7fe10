//! What podinit is itself, before there is anything to supervise.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

use rustix::fs::{AtFlags, CWD, FileType, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process;
use rustix::stdio::{dup2_stderr, dup2_stdin, dup2_stdout, stdin};
use rustix::termios::isatty;

use crate::args::{self, What};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::{messages, sys};

/// Process 1 of its namespace or zone. In zones of other brands than lx no process has that number.
pub(crate) fn is_process_1() -> bool {
    process::getpid() == process::Pid::INIT
}

/// Whether somebody outside waits for what becomes of the document: it is the one that whoever has made the container has put
/// into the control directory. Others are named.
pub(crate) fn is_init(what: &What) -> bool {
    matches!(what, What::Document(path) if path == Path::new(args::CONFIG))
}

/// Standard streams, adoption of orphans, host name.
pub(crate) fn process(config: &Config, subreaper: bool) -> Result<()> {
    if cfg!(target_os = "linux") && config.halt && !is_process_1() {
        // Found out at the end, it would be after the program has run.
        return Err(Error::Usage { problem: "aurora.halt: this is not process 1".to_owned() });
    }
    if let Some(console) = &config.console {
        // Not as our terminal: the main program is to have it.
        let fd = open(console, OFlags::RDWR | OFlags::NOCTTY)?;
        for become_it in [dup2_stdin, dup2_stdout, dup2_stderr] {
            become_it(fd.as_fd()).map_err(|e| unreadable(console, e))?;
        }
    }
    if let Some(folder) = &config.stdio {
        pipes(folder, config.main_uid())?;
    }
    if config.gives_terminal() {
        terminal(config.main_uid());
    }
    for warning in &config.warnings {
        messages::say(warning);
    }
    // What a document describes is watched by whoever has made the container, who knows where this runs.
    adopt(subreaper, config.run_dir.is_none())?;
    if let Some(name) = &config.hostname
        && rustix::system::uname().nodename().to_bytes() != name.as_bytes()
    {
        rustix::system::sethostname(name.as_bytes())
            .map_err(|source| Error::Hostname { name: name.clone(), source: source.into() })?;
    }
    Ok(())
}

fn unreadable(path: &Path, e: Errno) -> Error {
    Error::Read { path: path.to_owned(), source: e.into() }
}

fn open(path: &Path, flags: OFlags) -> Result<OwnedFd> {
    rustix::fs::openat(CWD, path, flags | OFlags::CLOEXEC, Mode::empty()).map_err(|e| unreadable(path, e))
}

/// Takes the three pipes of a folder for standard streams, and their names away: whoever has made them sees by that that
/// they are open. An init that is started anew by its brand does not find them, and ends. They become the main program's
/// user's: by /dev/stdout programs open them once more.
fn pipes(folder: &Path, user: Option<u32>) -> Result<()> {
    type Become = fn(BorrowedFd<'_>) -> rustix::io::Result<()>;
    let streams: [(&str, OFlags, Become); 3] = [
        ("stdin", OFlags::RDONLY, |fd| dup2_stdin(fd)),
        ("stdout", OFlags::WRONLY, |fd| dup2_stdout(fd)),
        ("stderr", OFlags::WRONLY, |fd| dup2_stderr(fd)),
    ];
    let mut open_ones = Vec::new();
    for (name, flags, become_it) in streams {
        let path = folder.join(name);
        // Not held up where nobody has the other end: that is an error of opening for writing, and for reading the end of
        // the input.
        let fd = open(&path, flags | OFlags::NONBLOCK | OFlags::NOFOLLOW)?;
        let status = rustix::fs::fstat(&fd).map_err(|e| unreadable(&path, e))?;
        if FileType::from_raw_mode(status.st_mode) != FileType::Fifo {
            return Err(Error::NotAPipe { path });
        }
        rustix::io::ioctl_fionbio(&fd, false).map_err(|e| unreadable(&path, e))?;
        give(fd.as_fd(), &path.to_string_lossy(), user);
        open_ones.push((path, fd, become_it));
    }
    for (path, fd, become_it) in open_ones {
        become_it(fd.as_fd()).map_err(|e| unreadable(&path, e))?;
        rustix::fs::unlinkat(CWD, &path, AtFlags::empty())
            .map_err(|e| Error::Write { path, source: e.into() })?;
    }
    Ok(())
}

/// The terminal that we were started with becomes the user's, too, who may open it by its name. Not one that we share with a
/// shell, which would be the user's for ever.
fn terminal(user: Option<u32>) {
    if sys::is_session_leader() && isatty(stdin()) {
        give(stdin(), "the terminal", user);
    }
}

/// Not to be able to is no failure: what is open stays so.
fn give(file: BorrowedFd<'_>, name: &str, user: Option<u32>) {
    if let Some(uid) = user
        && let Err(e) = rustix::fs::fchown(file, Some(Uid::from_raw(uid)), None)
    {
        messages::say(&format!("can't give {name} to user {uid}: {e}"));
    }
}

#[cfg(target_os = "linux")]
fn adopt(subreaper: bool, tell: bool) -> Result<()> {
    if subreaper {
        process::set_child_subreaper(Some(process::getpid()))
            .map_err(|source| Error::System { what: "become a subreaper", source: source.into() })?;
    } else if tell && !is_process_1() {
        messages::say("this is not process 1: orphans are not adopted without -s");
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn adopt(subreaper: bool, _tell: bool) -> Result<()> {
    if subreaper {
        return Err(Error::Usage { problem: "-s: this system has no subreapers".to_owned() });
    }
    Ok(())
}
