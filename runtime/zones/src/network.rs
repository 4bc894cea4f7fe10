//! Network interfaces: the list `anet` of the section `solaris`. The zone has a stack of its own.

use oci_spec::runtime::{SolarisAnet, Spec};

use crate::word::Word;
use crate::{Dialect, Net, Refusal, Result, Zone};

/// dladm(8): letters, digits, `_` and `.`, a letter first and a digit last, 31 characters.
const MAX_LINK: usize = 31;

/// So many characters of a zone's name, its last, are in the names of its links: the end of a hash.
const UNIQUE: usize = 12;

pub(crate) fn apply(zone: &mut Zone, spec: &Spec, dialect: Dialect, is_lx: bool) -> Result<()> {
    let all = spec.solaris().as_ref().and_then(|solaris| solaris.anet().as_ref());
    for (number, anet) in all.into_iter().flatten().enumerate() {
        let net = one(zone, anet, number, dialect, is_lx)?;
        if zone.nets.iter().any(|other| other.physical == net.physical) {
            return Err(wrong("solaris.anet.linkname", "twice", net.physical.as_str()));
        }
        zone.nets.push(net);
    }
    Ok(())
}

fn wrong(field: &str, problem: &'static str, value: &str) -> Refusal {
    Refusal::Value { field: field.to_owned(), problem, value: value.to_owned() }
}

fn one(zone: &mut Zone, anet: &SolarisAnet, number: usize, dialect: Dialect, is_lx: bool) -> Result<Net> {
    let named = anet.linkname().clone().unwrap_or_else(|| format!("net{number}"));
    let name = link("solaris.anet.linkname", &named)?;
    // Without on-demand VNICs, names are the global zone's: two zones can't both have a net0.
    let physical = match dialect.makes_vnics() {
        true => name,
        false => {
            let plain: String = zone.name.chars().filter(char::is_ascii_alphanumeric).collect();
            let unique = &plain[plain.len().saturating_sub(UNIQUE)..];
            link("solaris.anet.linkname", &format!("au{unique}_{number}"))?
        }
    };
    let lower = match anet.lower_link().as_deref() {
        Some("auto") if !dialect.makes_vnics() => {
            return Err(Refusal::Dialect {
                field: "solaris.anet.lowerLink".to_owned(),
                dialect: dialect.name(),
                value: "auto".to_owned(),
            });
        }
        Some("auto") => Some(Word::fixed("auto")),
        Some(lower) => Some(link_or_tag("solaris.anet.lowerLink", lower)?),
        None if dialect.makes_vnics() => None,
        None => return Err(wrong("solaris.anet.lowerLink", "missing for", &named)),
    };
    let addresses: Vec<&str> = anet.allowed_address().iter().flat_map(|list| list.split(',')).collect();
    for address in &addresses {
        check_address("solaris.anet.allowedAddress", address)?;
    }
    let allowed_address = match addresses[..] {
        [] => None,
        [one] => Some(Word::new("solaris.anet.allowedAddress", one)?),
        _ if dialect.makes_vnics() && is_lx => None,
        _ => {
            return Err(wrong("solaris.anet.allowedAddress", "one for each interface", &addresses.join(",")));
        }
    };
    let mut properties = Vec::new();
    if is_lx && dialect.makes_vnics() {
        if !addresses.is_empty() {
            properties.push(("ips", Word::new("solaris.anet.allowedAddress", &addresses.join(","))?));
        }
        if let Some(router) = anet.defrouter() {
            check_address("solaris.anet.defrouter", router)?;
            properties.push(("gateway", Word::new("solaris.anet.defrouter", router)?));
        }
        if number == 0 {
            properties.push(("primary", Word::fixed("true")));
        }
    } else {
        // Neither zonecfg nor podinit has a place for it.
        if anet.defrouter().is_some() {
            return Err(Refusal::Unsupported { field: "solaris.anet.defrouter".to_owned() });
        }
        if !addresses.is_empty() {
            let why = "permitted; a program of the zone has to configure it";
            zone.note(format!("solaris.anet.allowedAddress: {named}"), why);
        }
    }
    let mac = match anet.mac_address().as_deref() {
        None | Some("auto" | "random") => None,
        Some(literal) => {
            Some(Word::new("solaris.anet.macAddress", &mac("solaris.anet.macAddress", literal)?)?)
        }
    };
    match anet.configure_allowed_address().as_deref() {
        None | Some("false") => {}
        // Its brand does.
        Some("true") if is_lx && dialect.makes_vnics() => {}
        Some("true") => {
            return Err(Refusal::Unsupported { field: "solaris.anet.configureAllowedAddress".to_owned() });
        }
        Some(other) => return Err(wrong("solaris.anet.configureAllowedAddress", "not true or false", other)),
    }
    let protection = match anet.link_protection() {
        None => None,
        Some(list) => {
            let known = ["mac-nospoof", "restricted", "ip-nospoof", "dhcp-nospoof"];
            if !list.split(',').all(|one| known.contains(&one)) {
                return Err(wrong("solaris.anet.linkProtection", "not a list of protections", list));
            }
            if dialect.makes_vnics() {
                // The link is there only once the zone is, and then it is the zone's.
                let field = "solaris.anet.linkProtection".to_owned();
                return Err(Refusal::Dialect { field, dialect: dialect.name(), value: list.clone() });
            }
            Some(Word::new("solaris.anet.linkProtection", list)?)
        }
    };
    Ok(Net { physical, lower, mac, allowed_address, properties, protection })
}

fn link(field: &str, name: &str) -> Result<Word> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_.".contains(c);
    let fits = name.len() <= MAX_LINK
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.ends_with(|c: char| c.is_ascii_digit())
        && name.chars().all(plain);
    if fits { Word::new(field, name) } else { Err(wrong(field, "not the name of a link", name)) }
}

/// SmartOS has tags instead of links, which need no digit.
fn link_or_tag(field: &str, name: &str) -> Result<Word> {
    let plain = |c: char| c.is_ascii_alphanumeric() || "_./".contains(c);
    let fits = name.len() <= MAX_LINK
        && name.starts_with(|c: char| c.is_ascii_alphabetic())
        && name.chars().all(plain);
    if fits { Word::new(field, name) } else { Err(wrong(field, "not the name of a link", name)) }
}

fn check_address(field: &str, text: &str) -> Result<()> {
    let (address, length) = text.split_once('/').map_or((text, None), |(a, l)| (a, Some(l)));
    let most = match address.parse::<std::net::IpAddr>() {
        Ok(std::net::IpAddr::V4(_)) => 32,
        Ok(std::net::IpAddr::V6(_)) => 128,
        Err(_) => return Err(wrong(field, "not an address", text)),
    };
    match length.map(str::parse::<u8>) {
        None => Ok(()),
        Some(Ok(length)) if length <= most => Ok(()),
        Some(_) => Err(wrong(field, "not an address", text)),
    }
}

/// Without zeros before the digits of a byte, as zonecfg and dladm write them.
fn mac(field: &str, text: &str) -> Result<String> {
    let byte = |part: &str| {
        let hex = (1..=2).contains(&part.len()) && part.bytes().all(|b| b.is_ascii_hexdigit());
        u8::from_str_radix(part, 16).ok().filter(|_| hex).map(|byte| format!("{byte:x}"))
    };
    let parts: Option<Vec<String>> = text.split(':').map(byte).collect();
    match parts {
        Some(parts) if parts.len() == 6 => Ok(parts.join(":")),
        _ => Err(wrong(field, "not six bytes in hexadecimal", text)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn mac_addresses() {
        assert_eq!(mac("f", "02:08:20:00:01:0A").as_deref(), Ok("2:8:20:0:1:a"));
        for bad in ["", "2:8:20:0:1", "2:8:20:0:1:2:3", "2:8:20:0:1:xyz", "2:8:20:0:1:+2", "2-8-20-0-1-2"] {
            mac("f", bad).unwrap_err();
        }
    }

    #[test]
    fn addresses() {
        for good in ["10.0.0.5", "10.0.0.5/24", "fe80::1/10"] {
            check_address("f", good).unwrap();
        }
        for bad in ["", "10.0.0", "10.0.0.5/33", "10.0.0.5/", "10.0.0.5/+1x", "::1/129", "a b"] {
            check_address("f", bad).unwrap_err();
        }
    }
}
