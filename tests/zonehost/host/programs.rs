//! By which name this was called, and what comes of it: the call is written down, and what was ordered to go wrong does.

use std::env;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;
use std::thread;
use std::time::Duration;

use rustix::process::{Signal, getpid, kill_process};

use super::calls::{End, record};
use super::failure::{Failure, Result};
use super::harness::zonehost;
use super::injection::{self, Kind};
use super::state::Place;
use super::zoneadm::Said;
use super::{dladm, zfs, zlogin, zoneadm, zonecfg};

/// What is stood in for.
const PROGRAMS: [&str; 5] = ["zonecfg", "zoneadm", "zlogin", "zfs", "dladm"];

pub(crate) fn main() -> ExitCode {
    let mut args =
        env::args_os().map(|arg| arg.into_string().unwrap_or_else(|arg| arg.to_string_lossy().into_owned()));
    let called = args.next().unwrap_or_default();
    let args: Vec<String> = args.collect();
    let name =
        Path::new(&called).file_name().map_or_else(String::new, |name| name.to_string_lossy().into_owned());
    let place = Place::of_environment();
    let status = if PROGRAMS.contains(&name.as_str()) {
        stand_in(&place, &name, &args)
    } else {
        say(zonehost(&place, &args))
    };
    ExitCode::from(status)
}

fn stand_in(place: &Place, name: &str, args: &[String]) -> u8 {
    let injected = match injection::of_call(place, name, args) {
        Ok(injected) => injected,
        Err(failure) => return say(Err(failure)),
    };
    let status = match injected.as_ref().map(|order| (order.kind, order.output.as_str())) {
        None => run(place, name, args),
        Some((Kind::Fail, _)) => say(Err(Failure::error(format!("{name}: injected failure")))),
        Some((Kind::FailAfter, _)) => {
            run(place, name, args);
            say(Err(Failure::error(format!("{name}: injected failure"))))
        }
        Some((Kind::Garbage, output)) => say(Ok(Said::out(output.to_owned()))),
        Some((Kind::Hang, _)) => hang(place, name, args),
        Some((Kind::HangAfter, _)) => {
            run(place, name, args);
            hang(place, name, args)
        }
        Some((Kind::Kill, _)) => die(place, name, args),
        Some((Kind::KillAfter, _)) => {
            run(place, name, args);
            die(place, name, args)
        }
    };
    match record(place, name, args, End::Status(status)) {
        Ok(()) => status,
        Err(failure) => say(Err(failure)),
    }
}

fn run(place: &Place, name: &str, args: &[String]) -> u8 {
    match name {
        "zlogin" => match zlogin::zlogin(place, args) {
            Ok(status) => status,
            Err(failure) => say(Err(failure)),
        },
        "zonecfg" => say(zonecfg::zonecfg(place, args)),
        "zoneadm" => say(zoneadm::zoneadm(place, args)),
        "zfs" => say(zfs::zfs(place, args)),
        _ => say(dladm::dladm(place, args)),
    }
}

/// Writes what there is to say; the exit status.
fn say(said: Result<Said>) -> u8 {
    let (out, err, status) = match said {
        Ok(Said { out, err }) => (out, err, 0),
        Err(Failure { status, message }) => (String::new(), message, status),
    };
    if !err.is_empty() {
        eprintln!("{err}");
    }
    // Whoever does not read it does not want it.
    let _ = io::stdout().write_all(out.as_bytes());
    status
}

fn hang(place: &Place, name: &str, args: &[String]) -> ! {
    // It is not told if this can't be written: it hangs.
    let _ = record(place, name, args, End::Hangs);
    loop {
        thread::sleep(Duration::from_secs(3600));
    }
}

fn die(place: &Place, name: &str, args: &[String]) -> u8 {
    let _ = record(place, name, args, End::Killed);
    let _ = kill_process(getpid(), Signal::KILL);
    u8::MAX
}
