//! dladm(8), as far as VNICs go. They carry nothing: a zone of its own network stack has only a loopback here.

use std::collections::BTreeMap;
use std::fmt::Write as _;

use serde::{Deserialize, Serialize};

use super::failure::{Failure, Result};
use super::language::Configured;
use super::options::Options;
use super::state::{Host, Place};
use super::zoneadm::Said;

const USAGE: &str = "usage:  dladm <subcommand> <args> ...";

/// A VNIC.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Vnic {
    over: String,
    mac: String,
    vlan: String,
    /// The zone that has it.
    zone: Option<String>,
    /// Whether it was made when its zone became ready, and goes when the zone is halted.
    on_demand: bool,
    properties: BTreeMap<String, String>,
}

pub(crate) fn dladm(place: &Place, args: &[String]) -> Result<Said> {
    let Some((command, rest)) = args.split_first() else { return Err(Failure::usage(USAGE)) };
    let mut held = place.hold()?;
    let out = match command.as_str() {
        "create-vnic" => create(&mut held.host, rest)?,
        "delete-vnic" => delete(&mut held.host, rest)?,
        "show-vnic" => return show(&held.host, rest).map(Said::out),
        "set-linkprop" => set(&mut held.host, rest)?,
        "show-linkprop" => return show_properties(&held.host, rest).map(Said::out),
        other => return Err(Failure::error(format!("dladm: unrecognized subcommand: '{other}'\n{USAGE}"))),
    };
    held.save()?;
    Ok(Said::out(out))
}

fn options<'a>(args: &'a [String], known: &str) -> Result<Options<'a>> {
    Options::read(args, known).map_err(|e| Failure::error(format!("dladm: {}", e.message)))
}

fn one<'a>(options: &Options<'a>) -> Result<&'a str> {
    match options.operands {
        [name] => Ok(name),
        _ => Err(Failure::error(USAGE)),
    }
}

/// dladm(8), "link": "any alphanumeric characters or underscore, but must start with an alphabetic character and end with a
/// number … at most 31 characters, and the ending number must be between 0 and 4294967294 (inclusive). The ending number must not
/// begin with a zero."
fn check_name(name: &str) -> Result<()> {
    let number = &name[name.trim_end_matches(|c: char| c.is_ascii_digit()).len()..];
    let fits = name.len() <= 31
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_')
        && number.parse::<u32>().is_ok_and(|n| n < u32::MAX)
        && (number == "0" || !number.starts_with('0'));
    if fits { Ok(()) } else { Err(Failure::error(format!("dladm: invalid link name '{name}'"))) }
}

/// Six bytes, without zeros in front.
fn mac(text: &str) -> Option<String> {
    let bytes: Option<Vec<_>> = text.split(':').map(|part| u8::from_str_radix(part, 16).ok()).collect();
    let bytes = bytes.filter(|bytes| bytes.len() == 6)?;
    Some(bytes.iter().map(|byte| format!("{byte:x}")).collect::<Vec<_>>().join(":"))
}

fn failed<T>(over: &str, why: &str) -> Result<T> {
    Err(Failure::error(format!("dladm: vnic creation over {over} failed: {why}")))
}

/// A VNIC over a link that there is.
fn make(host: &Host, over: &str, address: Option<&str>, vlan: &str) -> Result<Vnic> {
    if !host.links.iter().any(|link| link == over) && !host.vnics.contains_key(over) {
        return failed(over, "object not found");
    }
    let random = || {
        // One after another, in the range that is for this.
        let taken = |mac: &String| host.vnics.values().any(|vnic| vnic.mac == *mac);
        let mut all = (0..u32::from(u16::MAX)).map(|n| format!("2:8:20:0:{:x}:{:x}", n >> 8, n & 0xff));
        all.find(|mac| !taken(mac)).unwrap_or_default()
    };
    let mac = match address {
        None | Some("auto" | "random" | "factory") => random(),
        Some(literal) => {
            mac(literal).ok_or_else(|| Failure::error(format!("dladm: invalid MAC address '{literal}'")))?
        }
    };
    let (over, vlan) = (over.to_owned(), vlan.to_owned());
    Ok(Vnic { over, mac, vlan, zone: None, on_demand: false, properties: BTreeMap::new() })
}

fn create(host: &mut Host, args: &[String]) -> Result<String> {
    let options = options(args, "tl:m:n:r:v:p:R:")?;
    let name = one(&options)?;
    let over = options.get('l').ok_or_else(|| Failure::error(format!("dladm: {USAGE}")))?;
    check_name(name)?;
    if host.vnics.contains_key(name) || host.links.iter().any(|link| link == name) {
        return failed(over, "object already exists");
    }
    let vnic = make(host, over, options.get('m'), options.get('v').unwrap_or("0"))?;
    host.vnics.insert(name.to_owned(), vnic);
    let assigned = options.get('p').map(|list| assign(host, name, list)).transpose();
    if let Err(failure) = assigned {
        host.vnics.remove(name);
        return Err(failure);
    }
    Ok(String::new())
}

fn delete(host: &mut Host, args: &[String]) -> Result<String> {
    let name = one(&options(args, "tz:R:")?)?;
    match host.vnics.get(name) {
        None => Err(Failure::error(format!("dladm: invalid link name '{name}'"))),
        Some(Vnic { zone: Some(_), .. }) => {
            Err(Failure::error("dladm: vnic deletion failed: link still in use".to_owned()))
        }
        Some(_) => {
            host.vnics.remove(name);
            Ok(String::new())
        }
    }
}

/// Link properties that these VNICs have, with their possible values: dladm(8), "General Link Properties".
fn assign(host: &mut Host, name: &str, list: &str) -> Result<()> {
    let Some(vnic) = host.vnics.get_mut(name) else {
        return Err(Failure::error(format!("dladm: invalid link name '{name}'")));
    };
    // `protection=a,b` is one property with two values.
    let mut assigned: Vec<(String, String)> = Vec::new();
    for part in list.split(',') {
        match (part.split_once('='), assigned.last_mut()) {
            (Some((name, value)), _) => assigned.push((name.to_owned(), value.to_owned())),
            (None, Some((_, values))) => {
                values.push(',');
                values.push_str(part);
            }
            (None, None) => return Err(Failure::error(format!("dladm: invalid link property '{part}'"))),
        }
    }
    for (property, value) in assigned {
        let known = match property.as_str() {
            "protection" => {
                let known = ["mac-nospoof", "restricted", "ip-nospoof", "dhcp-nospoof"];
                value.split(',').all(|one| known.contains(&one))
            }
            "mtu" | "maxbw" | "priority" | "allowed-ips" | "cpus" | "zone" => !value.is_empty(),
            _ => return Err(Failure::error(format!("dladm: invalid link property '{property}'"))),
        };
        if !known {
            let why = format!(
                "dladm: warning: cannot set link property '{property}' on '{name}': invalid argument"
            );
            return Err(Failure::error(why));
        }
        if property == "zone" {
            vnic.zone = Some(value.clone());
        }
        vnic.properties.insert(property, value);
    }
    Ok(())
}

fn set(host: &mut Host, args: &[String]) -> Result<String> {
    let options = options(args, "tp:z:R:")?;
    let name = one(&options)?;
    let list = options.get('p').ok_or_else(|| Failure::error("dladm: link property must be specified"))?;
    assign(host, name, list).map(|()| String::new())
}

/// A table, or with `-p` the fields `-o` names, with colons between them.
fn rows(parsable: bool, output: Option<&str>, fields: &[&str], all: &[Vec<String>]) -> Result<String> {
    let wanted = match output {
        None | Some("all") if parsable => return Err(Failure::error("dladm: -p requires -o")),
        None | Some("all") => (0..fields.len()).collect(),
        Some(list) => {
            let place = |name: &str| fields.iter().position(|field| field.eq_ignore_ascii_case(name));
            let unknown = |name| Failure::error(format!("dladm: invalid output field '{name}'"));
            list.split(',')
                .map(|name| place(name).ok_or_else(|| unknown(name)))
                .collect::<Result<Vec<_>>>()?
        }
    };
    let mut text = String::new();
    if !parsable {
        let names: Vec<_> = wanted.iter().map(|at| format!("{:<12}", fields[*at])).collect();
        let _ = writeln!(text, "{}", names.join(" ").trim_end());
    }
    for row in all {
        let line = if parsable {
            // "any literal : characters will be escaped", where there is more than one field.
            let escape = |value: &String| {
                if wanted.len() > 1 { value.replace('\\', "\\\\").replace(':', "\\:") } else { value.clone() }
            };
            wanted.iter().map(|at| escape(&row[*at])).collect::<Vec<_>>().join(":")
        } else {
            wanted
                .iter()
                .map(|at| format!("{:<12}", row[*at]))
                .collect::<Vec<_>>()
                .join(" ")
                .trim_end()
                .to_owned()
        };
        let _ = writeln!(text, "{line}");
    }
    Ok(text)
}

fn show(host: &Host, args: &[String]) -> Result<String> {
    let options = options(args, "pPsl:o:z:")?;
    let only = options.operands.first();
    if let Some(name) = only.filter(|name| !host.vnics.contains_key(name.as_str())) {
        return Err(Failure::error(format!("dladm: invalid vnic name '{name}': object not found")));
    }
    let shown = host.vnics.iter().filter(|(name, vnic)| {
        only.is_none_or(|only| only == *name) && options.get('l').is_none_or(|over| over == vnic.over)
    });
    let row = |(name, vnic): (&String, &Vnic)| {
        let zone = vnic.zone.clone().unwrap_or_else(|| "--".to_owned());
        vec![
            name.clone(),
            vnic.over.clone(),
            "1000".into(),
            vnic.mac.clone(),
            "fixed".into(),
            vnic.vlan.clone(),
            zone,
        ]
    };
    let all: Vec<_> = shown.map(row).collect();
    rows(
        options.has('p'),
        options.get('o'),
        &["LINK", "OVER", "SPEED", "MACADDRESS", "MACADDRTYPE", "VID", "ZONE"],
        &all,
    )
}

fn show_properties(host: &Host, args: &[String]) -> Result<String> {
    let options = options(args, "cPp:o:")?;
    let name = one(&options)?;
    let vnic = host.vnics.get(name);
    let vnic = vnic.ok_or_else(|| Failure::error(format!("dladm: invalid link name '{name}'")))?;
    let row = |(property, value): (&String, &String)| vec![name.to_owned(), property.clone(), value.clone()];
    let wanted =
        |(property, _): &(&String, &String)| options.get('p').is_none_or(|name| name == property.as_str());
    let all: Vec<_> = vnic.properties.iter().filter(wanted).map(row).collect();
    rows(options.has('c'), options.get('o'), &["LINK", "PROPERTY", "VALUE"], &all)
}

/// What a zone with a stack of its own gets when it becomes ready: zonecfg(8), `net`. "When the zone boots, a VNIC named using
/// the physical property will be created on the global NIC."
pub(crate) fn give(host: &mut Host, zone: &str, configured: &Configured) -> Result<()> {
    if configured.get("ip-type") != Some("exclusive") {
        return Ok(());
    }
    for net in configured.of("net") {
        let get = |name| net.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str());
        let physical = get("physical").unwrap_or_default();
        if let Some(lower) = get("global-nic") {
            let lower = if lower == "auto" {
                host.links.first().cloned().unwrap_or_default()
            } else {
                lower.to_owned()
            };
            check_name(physical)?;
            let mut vnic = make(host, &lower, get("mac-addr"), get("vlan-id").unwrap_or("0"))?;
            (vnic.zone, vnic.on_demand) = (Some(zone.to_owned()), true);
            // Every zone may have a net0 of its own.
            host.vnics.insert(format!("{zone}/{physical}"), vnic);
            continue;
        }
        let is_link = host.links.iter().any(|link| link == physical);
        match host.vnics.get_mut(physical) {
            Some(Vnic { zone: Some(other), .. }) if other != zone => {
                let why = format!("zone '{zone}': network interface {physical} is in use by zone {other}");
                return Err(Failure::error(format!("zoneadm: {why}")));
            }
            Some(vnic) => vnic.zone = Some(zone.to_owned()),
            None if is_link => {}
            None => {
                let why = format!("zone '{zone}': failed to add network device {physical}: object not found");
                return Err(Failure::error(format!("zoneadm: {why}")));
            }
        }
    }
    Ok(())
}

/// Whether a zone has any.
pub(crate) fn has(host: &Host, zone: &str) -> bool {
    host.vnics.values().any(|vnic| vnic.zone.as_deref() == Some(zone))
}

/// A halted zone has none.
pub(crate) fn take_back(host: &mut Host, zone: &str) {
    let own = |vnic: &Vnic| vnic.zone.as_deref() == Some(zone);
    host.vnics.retain(|_, vnic| !(own(vnic) && vnic.on_demand));
    for vnic in host.vnics.values_mut().filter(|vnic| own(vnic)) {
        vnic.zone = None;
    }
}
