//! The rules of `requirements`.

use super::json::whole;
use super::{Code, Finding, Json, Object};

/// Keys there are, in the order in which they are checked.
const KNOWN: &[&str] =
    &["networks", "brand", "ssh_key", "min_ram", "max_ram", "min_platform", "max_platform", "bootrom"];

/// Adds what is wrong with the requirements.
pub(super) fn check_requirements(value: &Json, out: &mut Vec<Finding>) {
    let Some(requirements) = value.as_object() else {
        out.push(Finding::invalid("requirements", "must be an object"));
        return;
    };
    for key in KNOWN {
        if let Some(value) = requirements.get(key)
            && let Some((code, message)) = fault(requirements, key, value)
        {
            out.push(Finding {
                field: format!("requirements.{key}"),
                code,
                message: Some(message.to_owned()),
            });
        }
    }
    for (key, _) in requirements.iter().filter(|(k, _)| !KNOWN.contains(k)) {
        out.push(Finding::invalid(key, "unknown requirement"));
    }
}

fn fault(requirements: &Object, key: &str, value: &Json) -> Option<(Code, &'static str)> {
    let unless = |is_good: bool, message| (!is_good).then_some((Code::Invalid, message));
    match key {
        "networks" => unless(is_networks(value), "must be an array of objects with a name and a description"),
        "brand" => unless(value.as_str().is_some(), "must be a string"),
        "ssh_key" => unless(matches!(value, Json::Bool(_)), "must be true or false"),
        "min_ram" => unless(mebibytes(value).is_some(), "must be a whole number of MiB"),
        "max_ram" => {
            let Some(max) = mebibytes(value) else {
                return Some((Code::Invalid, "must be a whole number of MiB"));
            };
            let min = requirements.get("min_ram").and_then(mebibytes);
            // 0 stands for none, in both.
            let is_below = max != 0 && min.is_some_and(|min| min != 0 && min > max);
            unless(!is_below, "must not be below min_ram")
        }
        "min_platform" | "max_platform" => {
            unless(is_platforms(value), "must be an object of SDC versions and YYYYMMDDTHHMMSSZ, not empty")
        }
        "bootrom" => match requirements.get("brand").and_then(Json::as_str) {
            None => Some((Code::MissingParameter, "needs requirements.brand bhyve")),
            Some("bhyve") => unless(matches!(value.as_str(), Some("bios" | "uefi")), "must be bios or uefi"),
            Some(_) => Some((Code::Invalid, "only with requirements.brand bhyve")),
        },
        _ => None,
    }
}

fn mebibytes(value: &Json) -> Option<i64> {
    match value {
        Json::Number(number) => whole(number),
        _ => None,
    }
}

fn is_networks(value: &Json) -> bool {
    let is_text = |net: &Object, name| net.get(name).is_some_and(|v| v.as_str().is_some());
    let is_network = |net: &Object| net.len() == 2 && is_text(net, "name") && is_text(net, "description");
    value.as_array().is_some_and(|nets| nets.iter().all(|n| n.as_object().is_some_and(is_network)))
}

fn is_platforms(value: &Json) -> bool {
    let Some(platforms) = value.as_object().filter(|p| !p.is_empty()) else { return false };
    let is_version =
        |v: &str| v.split('.').all(|part| !part.is_empty() && part.bytes().all(|b| b.is_ascii_digit()));
    platforms.iter().all(|(version, stamp)| is_version(version) && stamp.as_str().is_some_and(is_stamp))
}

/// `YYYYMMDDTHHMMSSZ` from 2012 on, every number in its range.
fn is_stamp(text: &str) -> bool {
    let number = |range: std::ops::Range<usize>| {
        let digits = text.get(range).filter(|d| d.bytes().all(|b| b.is_ascii_digit()))?;
        digits.parse::<u32>().ok()
    };
    text.len() == 16
        && text.get(8..9) == Some("T")
        && text.get(15..) == Some("Z")
        && number(0..4).is_some_and(|y| (2012..=2099).contains(&y))
        && number(4..6).is_some_and(|m| (1..=12).contains(&m))
        && number(6..8).is_some_and(|d| (1..=31).contains(&d))
        && number(9..11).is_some_and(|h| h < 24)
        && number(11..13).is_some_and(|m| m < 60)
        && number(13..15).is_some_and(|s| s < 60)
}
