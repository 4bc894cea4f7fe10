//! `zoneadm list`.

use std::fmt::Write as _;

use super::failure::{Failure, Result};
use super::options::Options;
use super::state::{Host, Place};
use super::transition;
use super::zone::{State, Zone};

/// "If you use this subcommand with the zoneadm -z zonename option, it lists only the specified zone, regardless of its state. In
/// this case, the -i and -c options are disallowed."
pub(crate) fn list(place: &Place, only: Option<&str>, args: &[String]) -> Result<String> {
    let known = if only.is_some() { "pv" } else { "cinpv" };
    let options = Options::read(args, known).map_err(|_| Failure::usage("usage:\tlist [-cinpv]"))?;
    if !options.operands.is_empty() {
        return Err(Failure::usage("usage:\tlist [-cinpv]"));
    }
    if options.has('p') && options.has('v') {
        return Err(Failure::error("zoneadm: list -p and -v are mutually exclusive."));
    }
    let held = place.hold()?;
    let mut lines = Vec::new();
    if let Some(name) = only {
        if name == "global" {
            lines.push(global(&options));
        } else {
            lines.push(line(name, transition::zone(&held.host, name)?, &options));
        }
    } else {
        if !options.has('n') {
            lines.push(global(&options));
        }
        let least = match (options.has('c'), options.has('i')) {
            (true, _) => State::Configured,
            (_, true) => State::Installed,
            // Those that the kernel has: a zone that is ready, too.
            _ => State::Ready,
        };
        lines.extend(in_order(&held.host, least).map(|(name, zone)| line(name, zone, &options)));
    }
    let mut text = String::new();
    if options.has('v') {
        let _ = writeln!(
            text,
            "{:>4} {:<16} {:<10} {:<30} {:<8} {:<6}",
            "ID", "NAME", "STATUS", "PATH", "BRAND", "IP"
        );
    }
    for line in lines {
        text.push_str(&line);
        text.push('\n');
    }
    Ok(text)
}

/// First those that the kernel has, then the others.
fn in_order(host: &Host, least: State) -> impl Iterator<Item = (&String, &Zone)> {
    let listed = move |up: bool| {
        host.zones
            .iter()
            .filter(move |(_, zone)| (zone.state > State::Installed) == up && zone.state >= least)
    };
    listed(true).chain(listed(false))
}

fn global(options: &Options<'_>) -> String {
    if options.has('p') {
        "0:global:running:/::ipkg:shared".to_owned()
    } else if options.has('v') {
        format!("{:>4} {:<16} {:<10} {:<30} {:<8} {:<6}", 0, "global", "running", "/", "ipkg", "shared")
    } else {
        "global".to_owned()
    }
}

/// "zoneid:zonename:state:zonepath:uuid:brand:ip-type. If the zonepath contains embedded colons, they can be escaped by a
/// backslash". Nothing else is escaped.
fn line(name: &str, zone: &Zone, options: &Options<'_>) -> String {
    let id = zone.id.map_or_else(|| "-".to_owned(), |id| id.to_string());
    let ip = if zone.is_exclusive() { "excl" } else { "shared" };
    let (state, path, brand) = (zone.state.name(), zone.path(), zone.brand());
    if options.has('p') {
        format!("{id}:{name}:{state}:{}:{}:{brand}:{ip}", path.replace(':', "\\:"), zone.uuid)
    } else if options.has('v') {
        format!("{id:>4} {name:<16} {state:<10} {path:<30} {brand:<8} {ip:<6}")
    } else {
        name.to_owned()
    }
}
