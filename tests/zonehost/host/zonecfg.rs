//! zonecfg(8).

use std::fs;

use super::failure::{Failure, Result};
use super::language::{Configured, Keep, Session};
use super::options::Options;
use super::state::{Held, Place};
use super::zone::{State, Zone};
use super::zoneadm::Said;

const USAGE: &str = "usage:\tzonecfg help\n\tzonecfg -z <zone>\n\tzonecfg -z <zone> <command>\n\tzonecfg -z <zone> -f <command-file>";

/// The host's configurations, for a session about one zone.
struct Store<'a> {
    held: &'a mut Held,
    zone: &'a str,
    out: String,
}

impl Keep for Store<'_> {
    fn commit(&mut self, configured: &Configured) -> Result<(), String> {
        let zones = &mut self.held.host.zones;
        let zone = zones.entry(self.zone.to_owned()).or_insert_with(|| Zone::new(configured));
        zone.properties = configured.properties.clone();
        zone.resources = configured.resources.clone();
        self.held.save().map_err(|e| e.message)
    }

    fn delete(&mut self) -> Result<(), String> {
        // -F deletes what is installed, too; only what the kernel has can't go.
        let zones = &mut self.held.host.zones;
        match zones.get(self.zone).map(|zone| zone.state) {
            Some(state) if state > State::Installed => {
                Err(format!("{}: Zone is in state {}, delete not allowed", self.zone, state.name()))
            }
            _ => {
                zones.remove(self.zone);
                self.held.save().map_err(|e| e.message)
            }
        }
    }

    fn print(&mut self, text: &str) -> Result<(), String> {
        self.out.push_str(text);
        Ok(())
    }
}

/// "Zone names must begin with an alphanumeric character and can contain alphanumeric characters, the underscore (_) the hyphen
/// (-), and the dot (.). The name global and all names beginning with SUNW are reserved and cannot be used." A name is shorter than
/// ZONENAME_MAX, 64.
fn check_name(name: &str) -> Result<()> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_-.".contains(c);
    let fits =
        name.starts_with(|c: char| c.is_ascii_alphanumeric()) && name.chars().all(plain) && name.len() < 64;
    if fits { Ok(()) } else { Err(Failure::usage(format!("{name}: Invalid zone name\n{USAGE}"))) }
}

pub(crate) fn zonecfg(place: &Place, args: &[String]) -> Result<Said> {
    let options = Options::read(args, "f:u:z:R:").map_err(|_| Failure::usage(USAGE))?;
    let Some(name) = options.get('z') else { return Err(Failure::usage(USAGE)) };
    check_name(name)?;
    if name == "global" || name.starts_with("SUNW") {
        return Err(Failure::error(format!("{name}: zones of this name are not stood in for")));
    }
    let script = match (options.get('f'), options.operands) {
        (Some(file), []) => fs::read_to_string(file)
            .map_err(|_| Failure::error(format!("could not open file {file}: No such file or directory")))?,
        // Nobody types.
        (None, []) => return Err(Failure::usage(USAGE)),
        (None, words) => words.join(" "),
        (Some(_), _) => return Err(Failure::usage(USAGE)),
    };
    let mut held = place.hold()?;
    let dialect = held.host.dialect();
    let saved = held.host.zones.get(name);
    let installed = saved.is_some_and(|zone| zone.state >= State::Installed);
    let mut session = Session::new(name, saved.map(Zone::configured), installed, dialect);
    let mut store = Store { held: &mut held, zone: name, out: String::new() };
    let mut wrong = Vec::new();
    for (number, line) in script.lines().enumerate() {
        if let Err(why) = session.line(line, &mut store) {
            if let Some(file) = options.get('f') {
                wrong.push(format!("On line {} of {file}:", number + 1));
            }
            wrong.push(why);
            break;
        }
    }
    // "The commit operation is attempted automatically upon completion of a zonecfg session", also of one that has failed: what
    // was right up to there stays, if it is a whole configuration, and the status is 1 all the same.
    if session.is_open() {
        wrong.push("Resource incomplete.".to_owned());
    } else if session.is_changed()
        && let Err(why) = session.commit(&mut store)
    {
        wrong.push(why);
        wrong.push("Configuration not saved.".to_owned());
    }
    if wrong.is_empty() { Ok(Said::out(store.out)) } else { Err(Failure::error(wrong.join("\n"))) }
}
