//! What there is to configure: the tables of zonecfg(8), "Resources" and "Properties", for the three dialects.

use aurora_zones::Dialect;

use super::tokens::Value;

/// What a resource can hold.
pub(crate) struct Known {
    pub(crate) required: &'static [&'static str],
    pub(crate) optional: &'static [&'static str],
    pub(crate) lists: &'static [&'static str],
    /// Whether one of the optional ones has to be there.
    pub(crate) any: bool,
    /// Whether a zone has one at most.
    pub(crate) single: bool,
}

pub(crate) fn resource(name: &str, dialect: Dialect) -> Option<Known> {
    let many = |required, optional, lists| Known { required, optional, lists, any: false, single: false };
    let one = |required, optional, any| Known { required, optional, lists: &[], any, single: true };
    Some(match (name, dialect) {
        ("fs", _) => many(&["dir", "special", "type"], &["raw"], &["options"]),
        ("net", Dialect::Gate) => many(&["physical"], &["address", "allowed-address", "defrouter"], &[]),
        ("net", _) => many(
            &["physical"],
            &["address", "allowed-address", "defrouter", "global-nic", "mac-addr", "vlan-id"],
            &["property"],
        ),
        ("device", _) => many(&["match"], &[], &[]),
        ("rctl", _) => many(&["name", "value"], &[], &["value"]),
        ("attr", _) => many(&["name", "type", "value"], &[], &[]),
        ("dataset", _) => many(&["name"], &[], &[]),
        ("admin", _) => many(&["user", "auths"], &[], &[]),
        ("capped-cpu", _) => one(&["ncpus"], &[], false),
        ("dedicated-cpu", _) => one(&["ncpus"], &["importance"], false),
        ("capped-memory", _) => one(&[], &["physical", "swap", "locked"], true),
        ("security-flags", _) => one(&[], &["lower", "default", "upper"], true),
        _ => return None,
    })
}

/// brands(7), and what each system adds: those of zones that boot a program. `aurora` is a brand of our own, which boots
/// podinit and halts when it ends.
pub(crate) fn brands(dialect: Dialect) -> &'static [&'static str] {
    match dialect {
        Dialect::Gate => &["ipkg", "nlipkg", "labeled", "sn1", "aurora"],
        Dialect::OmniOs => &["lipkg", "ipkg", "sparse", "pkgsrc", "illumos", "lx", "aurora"],
        Dialect::SmartOs => &["joyent", "joyent-minimal", "lx"],
    }
}

fn digits(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

/// A number with a scale, in bytes: zonecfg(8), `max-shm-memory` and `capped-memory`.
pub(crate) fn scaled(text: &str) -> Option<u64> {
    let (number, shift) = match text.char_indices().last()? {
        (at, 'K' | 'k') => (&text[..at], 10),
        (at, 'M' | 'm') => (&text[..at], 20),
        (at, 'G' | 'g') => (&text[..at], 30),
        (at, 'T' | 't') => (&text[..at], 40),
        _ => (text, 0),
    };
    if !digits(number) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_shl(shift)
}

/// Whether a resource can hold this.
pub(crate) fn check_property(
    name: &str,
    property: &str,
    value: &Value,
    listed: bool,
    dialect: Dialect,
) -> Result<(), String> {
    let known = resource(name, dialect).ok_or_else(|| format!("no such resource: {name}"))?;
    let fits = if listed {
        known.lists.contains(&property)
    } else {
        !known.lists.contains(&property)
            && (known.required.contains(&property) || known.optional.contains(&property))
    };
    if !fits {
        return Err(format!("{name} has no {property}"));
    }
    let right = match (value, name, property) {
        (Value::Complex(pairs), "net", "property") => has(pairs, &["name", "value"]),
        (Value::Complex(pairs), "rctl", "value") => has(pairs, &["priv", "limit", "action"]),
        (Value::Complex(_), ..)
        | (Value::Simple(_), "net", "property")
        | (Value::Simple(_), "rctl", "value") => false,
        (Value::Simple(text), ..) => simple(name, property, text),
    };
    if right { Ok(()) } else { Err(format!("{name}: {property} can't be {:?}", value.text())) }
}

fn has(pairs: &[(String, String)], names: &[&str]) -> bool {
    pairs.len() == names.len() && pairs.iter().zip(names).all(|((name, _), want)| name == want)
}

fn simple(name: &str, property: &str, value: &str) -> bool {
    match (name, property) {
        ("fs", "dir") => value.starts_with('/'),
        ("fs", "special") => value == "swap" || value.starts_with('/') || value.contains('/'),
        ("attr", "type") => ["string", "int", "uint", "boolean"].contains(&value),
        ("attr", "name") => {
            let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
            value.starts_with(|c: char| c.is_ascii_alphanumeric())
                && value.chars().all(plain)
                && !value.starts_with("zone")
        }
        ("capped-cpu", "ncpus") => {
            let (whole, part) = value.split_once('.').unwrap_or((value, "0"));
            // "expressed as a fraction (for example, .75) or a mixed number"
            (whole.is_empty() || digits(whole))
                && digits(part)
                && value.parse::<f64>().is_ok_and(|n| n >= 0.01)
        }
        ("dedicated-cpu", "ncpus") => {
            let (least, most) = value.split_once('-').unwrap_or((value, value));
            digits(least) && digits(most)
        }
        ("dedicated-cpu", "importance") => digits(value),
        ("capped-memory", _) => value.ends_with(|c: char| "KMGTkmgt".contains(c)) && scaled(value).is_some(),
        ("admin", "auths") => value.split(',').all(|one| ["login", "manage", "clonefrom"].contains(&one)),
        _ => !value.is_empty(),
    }
}

/// Whether there is such a property of the zone, and it can be this.
pub(crate) fn check_global(property: &str, value: &str, dialect: Dialect) -> Result<(), String> {
    let positive = || digits(value) && value != "0";
    let right = match property {
        "zonepath" => value.starts_with('/') && value.len() > 1,
        "brand" => brands(dialect).contains(&value),
        "autoboot" => ["true", "false"].contains(&value),
        "ip-type" => ["shared", "exclusive"].contains(&value),
        // getopt's, and at most 256 bytes of them.
        "bootargs" => !value.is_empty() && value.len() < 256,
        "limitpriv" | "pool" | "scheduling-class" | "fs-allowed" => !value.is_empty(),
        "hostid" => {
            let hex = value.strip_prefix("0x").or(value.strip_prefix("0X")).unwrap_or(value);
            u32::from_str_radix(hex, 16).is_ok_and(|id| id != u32::MAX)
        }
        "cpu-shares" | "max-lwps" | "max-processes" | "max-msg-ids" | "max-sem-ids" | "max-shm-ids" => {
            positive()
        }
        "zfs-io-priority" if dialect == Dialect::SmartOs => positive(),
        "max-shm-memory" => scaled(value).is_some(),
        _ => return Err(format!("no such property: {property}")),
    };
    if right { Ok(()) } else { Err(format!("{property} can't be {value:?}")) }
}
