//! Caps: of `linux.resources`, and of the section `solaris`, which has the words of zonecfg.

use oci_spec::runtime::Spec;
use serde_json::Value;

use crate::word::Word;
use crate::{Refusal, Result, Zone};

/// What a share of 1024, the usual one, is in the scheduler of zones.
const SHARES: u64 = 100;

/// Least that a cap of processors can be, in hundredths.
const LEAST_CPU: u64 = 1;

pub(crate) fn apply(zone: &mut Zone, spec: &Spec) -> Result<()> {
    let linux = spec.linux().as_ref().and_then(|linux| linux.resources().as_ref());
    let linux = serde_json::to_value(linux).expect("it was read from JSON");
    for (name, value) in linux.as_object().into_iter().flatten() {
        let at = format!("linux.resources.{name}");
        match name.as_str() {
            "memory" => memory(zone, value)?,
            "cpu" => cpu(zone, value)?,
            "pids" => pids(zone, value),
            "devices" => zone.note_done(at, "a zone has no device but those of its brand"),
            _ if value.as_object().is_some_and(|v| v.values().all(Value::is_null)) => {}
            _ if value.as_array().is_some_and(Vec::is_empty) => {}
            _ => return Err(Refusal::Unsupported { field: at }),
        }
    }
    solaris(zone, spec)
}

/// Refuses all members but some.
fn only(at: &str, value: &Value, known: &[&str]) -> Result<()> {
    for (name, value) in value.as_object().into_iter().flatten() {
        let says_nothing = value.is_null() || value == "" || value == false || value == 0;
        if !known.contains(&name.as_str()) && !says_nothing {
            return Err(Refusal::Unsupported { field: format!("{at}.{name}") });
        }
    }
    Ok(())
}

fn memory(zone: &mut Zone, value: &Value) -> Result<()> {
    only("linux.resources.memory", value, &["limit", "swap"])?;
    let size = |name: &str| match value[name].as_i64() {
        // Less than nothing is no limit.
        Some(bytes) if bytes > 0 => {
            bytes_word(&format!("linux.resources.memory.{name}"), bytes.cast_unsigned()).map(Some)
        }
        _ => Ok(None),
    };
    let (limit, swap) = (value["limit"].as_i64().unwrap_or(0), value["swap"].as_i64().unwrap_or(0));
    if swap > 0 && limit > swap {
        return Err(Refusal::Value {
            field: "linux.resources.memory.swap".to_owned(),
            problem: "less than the memory that it contains",
            value: swap.to_string(),
        });
    }
    // In both worlds, swap is what can be had of memory and swap together.
    zone.capped_memory.physical = size("limit")?;
    zone.capped_memory.locked.clone_from(&zone.capped_memory.physical);
    zone.capped_memory.swap = size("swap")?;
    Ok(())
}

/// The largest unit that holds it; a limit that is no whole number of kilobytes is lowered to one.
fn bytes_word(field: &str, bytes: u64) -> Result<Word> {
    let kilobytes = bytes >> 10;
    if kilobytes == 0 {
        return Err(Refusal::Value {
            field: field.to_owned(),
            problem: "less than a kilobyte",
            value: bytes.to_string(),
        });
    }
    let (mut number, mut unit) = (kilobytes, 0);
    while number.is_multiple_of(1024) && unit < 3 {
        (number, unit) = (number >> 10, unit + 1);
    }
    Word::new(field, &format!("{number}{}", ["K", "M", "G", "T"][unit]))
}

fn cpu(zone: &mut Zone, value: &Value) -> Result<()> {
    only("linux.resources.cpu", value, &["quota", "period", "shares"])?;
    // The kernel's own period, where none is given.
    let period = value["period"].as_u64().filter(|period| *period > 0).unwrap_or(100_000);
    if let Some(quota) = value["quota"].as_i64().filter(|quota| *quota > 0) {
        let hundredths = u128::from(quota.cast_unsigned()) * 100 / u128::from(period);
        zone.capped_cpu = Some(u64::try_from(hundredths).unwrap_or(u64::MAX).max(LEAST_CPU));
    }
    if let Some(shares) = value["shares"].as_u64().filter(|shares| *shares > 0) {
        let scaled = (u128::from(shares) * u128::from(SHARES) + 512) / 1024;
        let word = Word::new("linux.resources.cpu.shares", &scaled.max(1).to_string())?;
        zone.properties.push(("cpu-shares", word));
    }
    Ok(())
}

fn pids(zone: &mut Zone, value: &Value) {
    if let Some(limit) = value["limit"].as_i64().filter(|limit| *limit > 0) {
        let word =
            Word::new("linux.resources.pids.limit", &limit.to_string()).expect("digits can be written");
        zone.properties.push(("max-processes", word));
    }
}

fn solaris(zone: &mut Zone, spec: &Spec) -> Result<()> {
    let Some(solaris) = spec.solaris() else { return Ok(()) };
    if let Some(privileges) = solaris.limitpriv() {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_,!-".contains(c);
        if privileges.is_empty() || !privileges.chars().all(plain) {
            return Err(wrong("solaris.limitpriv", "not a list of privileges", privileges));
        }
        zone.properties.push(("limitpriv", Word::new("solaris.limitpriv", privileges)?));
    }
    if let Some(size) = solaris.max_shm_memory() {
        zone.properties.push(("max-shm-memory", sized("solaris.maxShmMemory", size)?));
    }
    if let Some(cap) = solaris.capped_cpu().as_ref().and_then(|cap| cap.ncpus().as_ref()) {
        let field = "solaris.cappedCPU.ncpus";
        let hundredths = hundredths(cap)
            .ok_or_else(|| wrong(field, "not a number of processors of at least 0.01", cap))?;
        let same = zone.capped_cpu.is_none_or(|other| other == hundredths);
        if !same {
            let other = zone.capped_cpu.unwrap_or_default();
            let first = format!("{}.{:02}", other / 100, other % 100);
            return Err(conflict("linux.resources.cpu", field, first, cap));
        }
        zone.capped_cpu = Some(hundredths);
    }
    if let Some(memory) = solaris.capped_memory() {
        let caps = &mut zone.capped_memory;
        merge(
            &mut caps.physical,
            "linux.resources.memory.limit",
            "solaris.cappedMemory.physical",
            memory.physical().as_deref(),
        )?;
        merge(
            &mut caps.swap,
            "linux.resources.memory.swap",
            "solaris.cappedMemory.swap",
            memory.swap().as_deref(),
        )?;
    }
    if solaris.milestone().is_some() {
        zone.note(
            "solaris.milestone",
            "podinit starts the program, and no service of the zone comes before it",
        );
    }
    Ok(())
}

fn merge(cap: &mut Option<Word>, first: &str, field: &'static str, size: Option<&str>) -> Result<()> {
    let Some(size) = size else { return Ok(()) };
    let word = sized(field, size)?;
    match cap {
        Some(other) if *other != word => {
            Err(conflict(first, field, other.as_str().to_owned(), word.as_str()))
        }
        _ => {
            *cap = Some(word);
            Ok(())
        }
    }
}

fn conflict(field: &str, other: &'static str, first: String, second: &str) -> Refusal {
    Refusal::Conflict { field: field.to_owned(), other, first, second: second.to_owned() }
}

fn wrong(field: &str, problem: &'static str, value: &str) -> Refusal {
    Refusal::Value { field: field.to_owned(), problem, value: value.to_owned() }
}

/// A number with K, M, G or T, in the way that [`bytes_word`] writes it.
fn sized(field: &str, text: &str) -> Result<Word> {
    let problem = || wrong(field, "not a size such as 512M", text);
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(problem)?;
    let number: u64 = text[..digits].parse().map_err(|_| problem())?;
    let shift = match &text[digits..] {
        "K" | "k" => 10,
        "M" | "m" => 20,
        "G" | "g" => 30,
        "T" | "t" => 40,
        _ => return Err(problem()),
    };
    let bytes = number.checked_mul(1 << shift).filter(|bytes| *bytes > 0).ok_or_else(problem)?;
    bytes_word(field, bytes)
}

fn hundredths(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, ""));
    let digits = |text: &str| text.bytes().all(|b| b.is_ascii_digit());
    if whole.is_empty() || !digits(whole) || !digits(part) || part.len() > 2 {
        return None;
    }
    let part: u64 = format!("{part:0<2}").parse().ok()?;
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part).filter(|n| *n >= LEAST_CPU)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let cases = [
            (1024, "1K"),
            (1 << 20, "1M"),
            (512 << 20, "512M"),
            (1 << 30, "1G"),
            (1 << 40, "1T"),
            (1 << 50, "1024T"),
            (1025, "1K"),
            ((1 << 20) + 1024, "1025K"),
        ];
        for (bytes, want) in cases {
            assert_eq!(bytes_word("f", bytes).unwrap().as_str(), want);
        }
        assert!(bytes_word("f", 1023).is_err());
        assert_eq!(sized("f", "2048k").unwrap().as_str(), "2M");
        for bad in ["", "5", "M", "-1M", "1.5G", "1MB", "0M", "99999999999T"] {
            assert_eq!(sized("f", bad).unwrap_err(), wrong("f", "not a size such as 512M", bad), "{bad}");
        }
    }

    #[test]
    fn processors() {
        let cases = [
            ("1", Some(100)),
            ("1.25", Some(125)),
            ("0.5", Some(50)),
            ("0.01", Some(1)),
            ("0", None),
            ("0.001", None),
            (".5", None),
            ("1.", Some(100)),
            ("-1", None),
            ("1e3", None),
        ];
        for (text, want) in cases {
            assert_eq!(hundredths(text), want, "{text}");
        }
    }
}
