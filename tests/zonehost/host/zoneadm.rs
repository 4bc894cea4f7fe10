//! zoneadm(8).

use std::fs;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

use super::failure::{Failure, Result};
use super::list::list;
use super::options::Options;
use super::processes::until;
use super::state::Place;
use super::transition::{self, boot, check, halt, make_ready, said, settle, verified};
use super::zone::State;

const USAGE: &str = "usage:\tzoneadm -z <zone> <subcommand> [<options>]\n\tzoneadm list [-cipv]";

fn usage(_: Failure) -> Failure {
    Failure::usage(USAGE)
}

/// What it prints, with what it says beside that.
#[derive(Debug, Default)]
pub(crate) struct Said {
    pub(crate) out: String,
    pub(crate) err: String,
}

impl Said {
    pub(crate) fn out(out: String) -> Self {
        Self { out, err: String::new() }
    }

    fn err(err: String) -> Self {
        Self { out: String::new(), err }
    }
}

pub(crate) fn zoneadm(place: &Place, args: &[String]) -> Result<Said> {
    let options = Options::read(args, "u:z:R:").map_err(usage)?;
    let Some((command, rest)) = options.operands.split_first() else { return Err(Failure::usage(USAGE)) };
    if command == "list" {
        return list(place, options.get('z'), rest).map(Said::out);
    }
    let Some(name) = options.get('z') else {
        return Err(Failure::error("zoneadm: no zone specified"));
    };
    if name == "global" {
        return Err(Failure::error(format!("zoneadm: {command} operation is invalid for the global zone.")));
    }
    {
        let held = place.hold()?;
        transition::zone(&held.host, name)?;
    }
    let _lock = place.lock_zone(name)?;
    settle(place, name)?;
    let state = {
        let held = place.hold()?;
        let zone = transition::zone(&held.host, name)?;
        check(name, zone, command)?;
        zone.state
    };
    match command.as_str() {
        "attach" => attach(place, name, rest),
        "install" => install(place, name, rest),
        "detach" => detach(place, name, rest),
        "uninstall" => uninstall(place, name, rest),
        "mark" => mark(place, name, rest),
        "verify" => {
            let held = place.hold()?;
            verified(&held.host, name).map(|()| Said::default())
        }
        "ready" => {
            Options::read(rest, "")
                .ok()
                .filter(|o| o.operands.is_empty())
                .ok_or_else(|| Failure::usage(USAGE))?;
            ready(place, name, state)
        }
        "boot" => {
            let options = Options::read(rest, "f").map_err(usage)?;
            boot_from(place, name, state, &options.operands.join(" "))
        }
        "reboot" => {
            let bootargs = Options::read(rest, "").map_err(usage)?.operands.join(" ");
            verified_now(place, name)?;
            halt(place, name)?;
            make_ready(place, name)?;
            boot(place, name, &bootargs).map(|()| Said::default())
        }
        "halt" => {
            Options::read(rest, "")
                .ok()
                .filter(|o| o.operands.is_empty())
                .ok_or_else(|| Failure::usage(USAGE))?;
            halted(place, name, state)
        }
        "shutdown" => shutdown(place, name, rest),
        _ => Err(Failure::usage(USAGE)),
    }
}

fn verified_now(place: &Place, name: &str) -> Result<()> {
    let held = place.hold()?;
    verified(&held.host, name)
}

fn set_state(place: &Place, name: &str, state: State) -> Result<()> {
    let mut held = place.hold()?;
    let zone = transition::zone_mut(&mut held.host, name)?;
    zone.state = state;
    if state == State::Installed && zone.uuid.is_empty() {
        zone.uuid = uuid()?;
    }
    held.save()
}

/// A random one, as libuuid makes them.
fn uuid() -> Result<String> {
    let path = "/proc/sys/kernel/random/uuid";
    let text = fs::read_to_string(path).map_err(|e| Failure::linux(path, &e))?;
    Ok(text.trim().to_owned())
}

/// "The -F option can be used to force the zone into the installed state with no validation." Without it the brand's script
/// decides, and here there is none. There has to be a root all the same: what is attached is a zonepath.
fn attach(place: &Place, name: &str, args: &[String]) -> Result<Said> {
    let options = Options::read(args, "Fn:").map_err(usage)?;
    if options.get('n').is_some() {
        return Err(Failure::error(said(name, "attach -n is not stood in for")));
    }
    verified_now(place, name)?;
    let root = {
        let held = place.hold()?;
        transition::zone(&held.host, name)?.root()
    };
    if !Path::new(&root).is_dir() {
        return Err(Failure::error(said(name, &format!("{root}: No such file or directory"))));
    }
    set_state(place, name, State::Installed)?;
    Ok(Said::default())
}

/// Brands install by scripts of theirs; this one makes an empty root.
fn install(place: &Place, name: &str, args: &[String]) -> Result<Said> {
    let options = Options::read(args, "x:").map_err(usage)?;
    if options.all('x').any(|what| what != "nodataset") {
        return Err(Failure::usage(USAGE));
    }
    let path = {
        let held = place.hold()?;
        transition::zone(&held.host, name)?.path().to_owned()
    };
    let made = fs::DirBuilder::new().recursive(true).mode(0o700).create(&path);
    made.map_err(|e| Failure::linux(&path, &e))?;
    verified_now(place, name)?;
    fs::create_dir_all(format!("{path}/root")).map_err(|e| Failure::linux(&path, &e))?;
    set_state(place, name, State::Installed)?;
    Ok(Said::default())
}

/// "Once the zone is detached, it is left in the configured state." Options that zoneadm does not know are the brand's.
fn detach(place: &Place, name: &str, args: &[String]) -> Result<Said> {
    if args.iter().any(|arg| arg == "-n") {
        return Err(Failure::error(said(name, "detach -n is not stood in for")));
    }
    verified_now(place, name)?;
    set_state(place, name, State::Configured)?;
    Ok(Said::default())
}

/// "It removes all of the files under the zonepath of the zone in question."
fn uninstall(place: &Place, name: &str, args: &[String]) -> Result<Said> {
    let options = Options::read(args, "F").map_err(usage)?;
    if !options.has('F') {
        let why = "Input not from terminal and -F not specified: uninstall cancelled.";
        return Err(Failure::error(said(name, why)));
    }
    let path = {
        let held = place.hold()?;
        transition::zone(&held.host, name)?.path().to_owned()
    };
    set_state(place, name, State::Incomplete)?;
    let mut held = place.hold()?;
    if let Some(dataset) = super::zfs::mounted_at(&held.host, &path) {
        super::zfs::destroy_all(&mut held.host, &dataset)?;
        held.save()?;
    } else if let Err(e) = fs::remove_dir_all(&path)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(Failure::error(said(name, &format!("unable to remove {path}: {e}"))));
    }
    drop(held);
    set_state(place, name, State::Configured)?;
    Ok(Said::default())
}

fn mark(place: &Place, name: &str, args: &[String]) -> Result<Said> {
    if args != ["incomplete"] {
        return Err(Failure::usage(USAGE));
    }
    set_state(place, name, State::Incomplete)?;
    Ok(Said::default())
}

fn ready(place: &Place, name: &str, state: State) -> Result<Said> {
    verified_now(place, name)?;
    match state {
        State::Ready => return Ok(Said::err(said(name, "zone is already ready"))),
        // zoneadmd does so: what runs is halted.
        State::Running | State::ShuttingDown | State::Down => halt(place, name)?,
        _ => {}
    }
    make_ready(place, name)?;
    Ok(Said::default())
}

fn boot_from(place: &Place, name: &str, state: State, bootargs: &str) -> Result<Said> {
    verified_now(place, name)?;
    match state {
        State::Running | State::ShuttingDown | State::Down => {
            return Ok(Said::err(said(name, "zone is already booted")));
        }
        State::Ready => {}
        _ => make_ready(place, name)?,
    }
    boot(place, name, bootargs)?;
    Ok(Said::default())
}

fn halted(place: &Place, name: &str, state: State) -> Result<Said> {
    match state {
        State::Configured | State::Incomplete => {
            let why = format!("halt operation is invalid for zones in state '{}'", state.name());
            Err(Failure::error(said(name, &why)))
        }
        State::Installed => Ok(Said::err(said(name, "zone is already halted"))),
        _ => halt(place, name).map(|()| Said::default()),
    }
}

/// "Gracefully shutdown the specified zone." On illumos by init's run level; here process 1 is asked by a signal. When it does
/// not end, the zone is halted.
fn shutdown(place: &Place, name: &str, args: &[String]) -> Result<Said> {
    let options = Options::read(args, "r").map_err(usage)?;
    let init = {
        let held = place.hold()?;
        transition::zone(&held.host, name)?.init
    };
    if let Some(init) = init {
        init.terminate()?;
        until(|| !init.runs());
    }
    halt(place, name)?;
    if options.has('r') {
        make_ready(place, name)?;
        boot(place, name, &options.operands.join(" "))?;
    }
    Ok(Said::default())
}
