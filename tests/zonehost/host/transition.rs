//! From state to state: what zoneadm checks and zoneadmd does. Each begins and ends with the zone's lock held.
//!
//! Which commands are possible in which states, and the words of refusals, are those of illumos's zoneadm and zoneadmd: zoneadm(8) is
//! silent about most.

use super::door;
use super::failure::{Failure, Result};
use super::keeper;
use super::mounts;
use super::state::{Host, Place};
use super::verify::verify;
use super::zone::{State, Zone};

/// A zone by its name.
pub(crate) fn zone<'a>(host: &'a Host, name: &str) -> Result<&'a Zone> {
    host.zones.get(name).ok_or_else(|| unknown(name))
}

/// The same, to be changed.
pub(crate) fn zone_mut<'a>(host: &'a mut Host, name: &str) -> Result<&'a mut Zone> {
    host.zones.get_mut(name).ok_or_else(|| unknown(name))
}

fn unknown(name: &str) -> Failure {
    Failure::error(format!("zoneadm: {name}: No such zone configured"))
}

/// As zoneadm says something about a zone.
pub(crate) fn said(name: &str, what: &str) -> String {
    format!("zoneadm: zone '{name}': {what}")
}

pub(crate) fn refused<T>(name: &str, what: &str) -> Result<T> {
    Err(Failure::error(said(name, what)))
}

/// Whether zoneadm begins with this at all: its `sanity_check`.
pub(crate) fn check(name: &str, zone: &Zone, command: &str) -> Result<()> {
    let state = zone.state;
    let active = state > State::Installed;
    if active && ["attach", "detach", "install", "uninstall", "mark"].contains(&command) {
        return refused(name, &format!("{command} operation is invalid for {} zones.", state.name()));
    }
    match command {
        "uninstall" if state == State::Configured => refused(name, "is already in state 'configured'."),
        "attach" | "install" if state == State::Installed => refused(name, "is already installed."),
        "attach" | "install" if state == State::Incomplete => {
            refused(name, "zone is incomplete; uninstall required.")
        }
        "detach" | "ready" | "boot" if state < State::Installed => {
            refused(name, &format!("must be installed before {command}."))
        }
        "reboot" | "shutdown" if !active => refused(name, "not running"),
        _ => Ok(()),
    }
}

/// Installed to ready, and back again if something goes wrong on the way.
pub(crate) fn make_ready(place: &Place, name: &str) -> Result<()> {
    let done = bring_up(place, name);
    if done.is_err() {
        halt(place, name)?;
    }
    done
}

fn bring_up(place: &Place, name: &str) -> Result<()> {
    let mut held = place.hold()?;
    let configured = zone(&held.host, name)?.configured();
    let root = zone(&held.host, name)?.root();
    super::dladm::give(&mut held.host, name, &configured)?;
    if !held.host.roots.contains(&root) {
        held.host.roots.push(root.clone());
    }
    // Saved first, so that what is mounted and made below is known to belong to the zone.
    held.save()?;
    mounts::mount_all(&held.host, &configured, &root).map_err(|e| Failure::error(said(name, &e.message)))?;
    // zoneadmd is there from now on, and with it the console.
    drop(held);
    door::ask(door::open(place, name)?, "ready")?;
    let mut held = place.hold()?;
    let id = held.host.next_id;
    held.host.next_id += 1;
    let zone = zone_mut(&mut held.host, name)?;
    zone.state = State::Ready;
    zone.id = Some(id);
    held.save()
}

/// Ready to running; if that fails the zone is halted, as zoneadmd does it.
pub(crate) fn boot(place: &Place, name: &str, bootargs: &str) -> Result<()> {
    let answer = door::open(place, name).and_then(|door| door::ask(door, &format!("boot {bootargs}")));
    if let Err(failure) = answer {
        tear_down(place, name)?;
        keeper::tell(place, name, "failed");
        return refused(name, &failure.message);
    }
    Ok(())
}

/// Undoes what is left of a transition whose zoneadm was killed. (zoneadmd does not end with zoneadm, so that on illumos there is
/// nothing of the kind.) Whoever has the zone's lock knows that none is under way.
pub(crate) fn settle(place: &Place, name: &str) -> Result<()> {
    let left = {
        let held = place.hold()?;
        let zone = zone(&held.host, name)?;
        let has = super::dladm::has(&held.host, name) || !mounts::below(&zone.root())?.is_empty();
        zone.state == State::Installed && has
    };
    if left { halt(place, name) } else { Ok(()) }
}

/// To installed, from wherever it is above that. Everything in the zone is ended.
pub(crate) fn halt(place: &Place, name: &str) -> Result<()> {
    {
        let mut held = place.hold()?;
        let zone = zone_mut(&mut held.host, name)?;
        if zone.state == State::Running {
            zone.state = State::ShuttingDown;
            held.save()?;
        }
    }
    tear_down(place, name)?;
    keeper::tell(place, name, "halted");
    Ok(())
}

/// What `halt` is without telling the keeper.
pub(crate) fn tear_down(place: &Place, name: &str) -> Result<()> {
    let (init, root) = {
        let held = place.hold()?;
        let zone = zone(&held.host, name)?;
        (zone.init, zone.root())
    };
    if let Some(init) = init {
        init.kill()?;
        init.wait()?;
    }
    let done = mounts::unmount_all(&root);
    let mut held = place.hold()?;
    if let Err(failure) = done {
        zone_mut(&mut held.host, name)?.state = State::Down;
        held.save()?;
        return refused(name, &format!("unable to unmount file systems in zone\n{}", failure.message));
    }
    super::dladm::take_back(&mut held.host, name);
    let zone = zone_mut(&mut held.host, name)?;
    (zone.state, zone.id, zone.init) = (State::Installed, None, None);
    held.save()
}

/// What every way up begins with.
pub(crate) fn verified(host: &Host, name: &str) -> Result<()> {
    verify(host, name, zone(host, name)?)
}
