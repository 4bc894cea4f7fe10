//! A configuration as text: `zonecfg export`, a command file that makes it again, and `zonecfg info`.

use std::fmt::Write as _;

use aurora_zones::Dialect;

use super::Configured;
use super::resources::resource;
use super::tokens::quoted;

/// "This option produces output in a form suitable for use in a command file." Values are in quotes where they have to be;
/// zonecfg itself only sees to blanks.
pub(crate) fn export(configured: &Configured, dialect: Dialect) -> String {
    let mut text = "create -b\n".to_owned();
    for (name, value) in &configured.properties {
        let _ = writeln!(text, "set {name}={}", quoted(value));
    }
    for (kind, properties) in &configured.resources {
        let _ = writeln!(text, "add {kind}");
        for (name, value) in properties {
            let listed = resource(kind, dialect).is_some_and(|known| known.lists.contains(&name.as_str()));
            let _ = match (listed, value.starts_with('(')) {
                (true, true) => writeln!(text, "add {name} {value}"),
                (true, false) => writeln!(text, "add {name} {}", quoted(value)),
                _ => writeln!(text, "set {name}={}", quoted(value)),
            };
        }
        text.push_str("end\n");
    }
    text
}

/// "Display information about the current configuration. If resource-type is specified, displays only information about
/// resources of the relevant type."
pub(crate) fn info(zone: &str, configured: &Configured, what: Option<&str>) -> Result<String, String> {
    let mut text = String::new();
    let known = ["zonename", "zonepath", "brand", "autoboot", "bootargs", "pool", "limitpriv", "ip-type"];
    for name in known {
        let value = if name == "zonename" { zone } else { configured.get(name).unwrap_or_default() };
        if what.is_none_or(|what| what == name) {
            let _ = writeln!(text, "{name}: {value}");
        }
    }
    for (name, value) in configured.properties.iter().filter(|(name, _)| !known.contains(&name.as_str())) {
        if what.is_none_or(|what| what == name) {
            let _ = writeln!(text, "[{name}: {value}]");
        }
    }
    for (kind, properties) in &configured.resources {
        if what.is_none_or(|what| what == kind) {
            let _ = writeln!(text, "{kind}:");
            for (name, value) in properties {
                let _ = writeln!(text, "\t{name}: {}", quoted(value));
            }
        }
    }
    match what {
        Some(what) if text.is_empty() => Err(format!("No such {what} resource.")),
        _ => Ok(text),
    }
}
