//! What podinit is itself, before there is anything to supervise.

use std::os::fd::AsFd;

use rustix::fs::{CWD, Mode, OFlags};
use rustix::process;

use crate::config::Config;
use crate::error::{Error, Result};
use crate::messages;

/// Process 1 of its namespace or zone.
pub(crate) fn is_process_1() -> bool {
    process::getpid() == process::Pid::INIT
}

/// Standard streams, adoption of orphans, host name.
pub(crate) fn process(config: &Config, subreaper: bool) -> Result<()> {
    if let Some(console) = &config.console {
        let failed = |source: rustix::io::Errno| Error::Read { path: console.clone(), source: source.into() };
        // Not as our terminal: the main program is to have it.
        let flags = OFlags::RDWR | OFlags::NOCTTY;
        let fd = rustix::fs::openat(CWD, console, flags, Mode::empty()).map_err(failed)?;
        rustix::stdio::dup2_stdin(fd.as_fd()).map_err(failed)?;
        rustix::stdio::dup2_stdout(fd.as_fd()).map_err(failed)?;
        rustix::stdio::dup2_stderr(fd.as_fd()).map_err(failed)?;
    }
    for warning in &config.warnings {
        messages::say(warning);
    }
    adopt(subreaper)?;
    if let Some(name) = &config.hostname
        && rustix::system::uname().nodename().to_bytes() != name.as_bytes()
    {
        rustix::system::sethostname(name.as_bytes())
            .map_err(|source| Error::Hostname { name: name.clone(), source: source.into() })?;
    }
    Ok(())
}

#[cfg(target_os = "linux")]
fn adopt(subreaper: bool) -> Result<()> {
    if subreaper {
        process::set_child_subreaper(Some(process::getpid()))
            .map_err(|source| Error::System { what: "become a subreaper", source: source.into() })?;
    } else if !is_process_1() {
        messages::say("this is not process 1: orphans are not adopted without -s");
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
fn adopt(subreaper: bool) -> Result<()> {
    if subreaper {
        return Err(Error::Usage { problem: "-s: this system has no subreapers".to_owned() });
    }
    Ok(())
}
