//! The rule of every field but `requirements`.

use super::json::whole;
use super::{FileCompression, ImageOs, ImageType, Json, Object, Profile, Uuid};

/// Longest name.
const MAX_NAME: usize = 1024;
/// Longest version.
const MAX_VERSION: usize = 512;
/// Longest description.
const MAX_DESCRIPTION: usize = 10_240;
/// Longest URL.
const MAX_URL: usize = 1024;
/// Longest billing tag.
const MAX_BILLING_TAG: usize = 128;
/// Most bytes of all tags as compact JSON.
pub(super) const MAX_TAGS: usize = 102_400;

/// What is wrong with one field, in words; most have one fault at most.
pub(super) fn check(manifest: &Object, field: &str, value: &Json, profile: Profile) -> Vec<String> {
    let fault = match field {
        "v" => unless(is_version_number(value), "must be a number from 0 up"),
        "uuid" | "owner" | "origin" => unless(is_uuid(value), "must be a lower-case uuid"),
        // Deprecated; whatever there is, is tolerated.
        "urn" => None,
        "name" => unless(
            is_word(value.as_str(), MAX_NAME, b"._/ -"),
            "must be 1 to 1024 of A-Z a-z 0-9 . _ / - and space",
        ),
        "version" => {
            // `imgadm create version=1.0` gives a number, and the reference takes it.
            let number = matches!(value, Json::Number(_)).then(|| value.to_compact());
            let text = value.as_str().or(number.as_deref());
            unless(is_word(text, MAX_VERSION, b"._/+-"), "must be 1 to 512 of A-Z a-z 0-9 . _ / + -")
        }
        "description" => {
            let is_short = value.as_str().is_some_and(|d| length(d) <= MAX_DESCRIPTION);
            unless(is_short, "must be a string of at most 10240 characters")
        }
        "homepage" | "eula" => {
            unless(is_url(value), "must be an http or https URL of at most 1024 characters")
        }
        "disabled" | "activated" | "icon" | "generate_passwords" => {
            unless(value.as_flag().is_some(), "must be true or false")
        }
        "public" => match (value.as_flag(), profile) {
            (None, _) => Some("must be true or false".into()),
            (Some(false), Profile::Public) => Some("must be true on a public server".into()),
            (Some(true), Profile::Private) => Some("must be false on a private server".into()),
            _ => None,
        },
        "published_at" => unless(value.as_str().is_some_and(is_date), "must be YYYY-MM-DDTHH:MM:SS(.mmm)Z"),
        "state" => {
            const STATES: &[&str] = &["active", "unactivated", "disabled", "creating", "failed"];
            let is_state = value.as_str().is_some_and(|s| STATES.contains(&s));
            unless(is_state, "must be active, unactivated, disabled, creating or failed")
        }
        "type" => {
            let is_type = value.as_str().is_some_and(|t| t.parse::<ImageType>().is_ok());
            let message = "must be zone-dataset, lx-dataset, zvol, docker, lxd or other";
            unless(is_type || is_null_meanwhile(manifest, value), message)
        }
        "os" => {
            let is_os = value.as_str().is_some_and(|o| o.parse::<ImageOs>().is_ok());
            let message = "must be smartos, linux, windows, bsd, illumos or other";
            unless(is_os || is_null_meanwhile(manifest, value), message)
        }
        "error" => error(manifest, value),
        "files" => return files(manifest, value),
        "acl" => unless(all(value, is_uuid), "must be an array of lower-case uuids"),
        "users" => unless(all(value, is_user), "must be an array of objects with a name and nothing else"),
        "billing_tags" => {
            let is_tag = |v: &Json| v.as_str().is_some_and(|t| length(t) <= MAX_BILLING_TAG);
            unless(all(value, is_tag), "must be an array of strings of at most 128 characters")
        }
        "traits" => unless(is_traits(value), "must be an object of strings, booleans and arrays"),
        "tags" => {
            let is_fit = value.as_object().is_some() && value.to_compact().len() <= MAX_TAGS;
            unless(is_fit, "must be an object of at most 102400 bytes")
        }
        "inherited_directories" => only(manifest, "zone-dataset")
            .or_else(|| unless(all(value, |v| v.as_str().is_some()), "must be an array of strings")),
        "nic_driver" | "disk_driver" | "cpu_type" => {
            only(manifest, "zvol").or_else(|| unless(value.as_str().is_some(), "must be a string"))
        }
        "image_size" => {
            let is_size = value.as_count().is_some();
            only(manifest, "zvol").or_else(|| unless(is_size, "must be a whole number of MiB"))
        }
        "channels" => Some("no channels here".into()),
        _ => Some("unknown field".into()),
    };
    fault.into_iter().collect()
}

fn unless(is_good: bool, message: &str) -> Option<String> {
    (!is_good).then(|| message.to_owned())
}

/// The field makes sense with this type only.
fn only(manifest: &Object, kind: &str) -> Option<String> {
    let is_kind = manifest.get("type").and_then(Json::as_str) == Some(kind);
    (!is_kind).then(|| format!("only with type {kind}"))
}

/// Length as JavaScript counts it.
fn length(text: &str) -> usize {
    text.encode_utf16().count()
}

fn all(value: &Json, is_good: impl Fn(&Json) -> bool) -> bool {
    value.as_array().is_some_and(|items| items.iter().all(is_good))
}

fn is_version_number(value: &Json) -> bool {
    match value {
        Json::Number(n) => n.as_f64().is_some_and(|v| v >= 0.0),
        Json::String(text) => text.trim().parse::<f64>().is_ok_and(|v| v.is_finite() && v >= 0.0),
        _ => false,
    }
}

fn is_uuid(value: &Json) -> bool {
    value.as_str().is_some_and(|u| u.parse::<Uuid>().is_ok())
}

fn is_word(text: Option<&str>, max: usize, marks: &[u8]) -> bool {
    let is_good = |b: u8| b.is_ascii_alphanumeric() || marks.contains(&b);
    text.is_some_and(|t| !t.is_empty() && t.len() <= max && t.bytes().all(is_good))
}

fn is_url(value: &Json) -> bool {
    let Some(text) = value.as_str().filter(|t| length(t) <= MAX_URL) else { return false };
    text.split_once(':').is_some_and(|(scheme, _)| {
        scheme.eq_ignore_ascii_case("http") || scheme.eq_ignore_ascii_case("https")
    })
}

/// `YYYY-MM-DDTHH:MM:SSZ`, perhaps with milliseconds: the form, not the calendar, as in the reference.
pub(super) fn is_date(text: &str) -> bool {
    let matches = |form: &[u8]| {
        text.len() == form.len()
            && text.bytes().zip(form).all(|(b, f)| if *f == b'0' { b.is_ascii_digit() } else { b == *f })
    };
    matches(b"0000-00-00T00:00:00Z") || matches(b"0000-00-00T00:00:00.000Z")
}

/// The string `"null"` stands for what is not known yet, while an image is being made or has failed.
fn is_null_meanwhile(manifest: &Object, value: &Json) -> bool {
    let state = manifest.get("state").and_then(Json::as_str);
    value.as_str() == Some("null") && matches!(state, Some("creating" | "failed"))
}

fn is_user(value: &Json) -> bool {
    value.as_object().is_some_and(|u| u.len() == 1 && u.get("name").is_some_and(|n| n.as_str().is_some()))
}

fn is_traits(value: &Json) -> bool {
    let is_trait = |v: &Json| matches!(v, Json::String(_) | Json::Bool(_) | Json::Array(_));
    value.as_object().is_some_and(|traits| traits.iter().all(|(_, v)| is_trait(v)))
}

fn error(manifest: &Object, value: &Json) -> Option<String> {
    if manifest.get("state").and_then(Json::as_str) != Some("failed") {
        return Some("only with state failed".into());
    }
    let Some(error) = value.as_object() else { return Some("must be an object".into()) };
    let is_known =
        error.iter().all(|(n, v)| matches!(n, "message" | "code" | "stack") && v.as_str().is_some());
    unless(
        is_known && error.get("message").is_some(),
        "must have a message, and at most a code and a stack beside it",
    )
}

fn files(manifest: &Object, value: &Json) -> Vec<String> {
    let Some(files) = value.as_array() else { return vec!["must be an array".into()] };
    let max = if manifest.get("type").and_then(Json::as_str) == Some("lxd") { 2 } else { 1 };
    if files.len() > max {
        return vec![format!("has more than {max} elements: {}", files.len())];
    }
    files.iter().enumerate().filter_map(|(index, file)| file_fault(index, file)).collect()
}

/// The first fault of a file. Zero bytes are no size, as in the reference.
fn file_fault(index: usize, file: &Json) -> Option<String> {
    let Some(file) = file.as_object() else { return Some(format!("[{index}] must be an object")) };
    let is_there = |name: &str| match file.get(name) {
        Some(Json::String(text)) => !text.is_empty(),
        Some(Json::Number(number)) => whole(number) != Some(0),
        _ => false,
    };
    for name in ["sha1", "size", "compression"] {
        if !is_there(name) {
            return Some(format!("[{index}] is missing its {name}"));
        }
    }
    if file.get("size").is_some_and(|s| s.as_count().is_none()) {
        return Some(format!("[{index}] has a size that is no number of bytes"));
    }
    let is_known =
        file.get("compression").and_then(Json::as_str).is_some_and(|c| c.parse::<FileCompression>().is_ok());
    unless(is_known, &format!("[{index}] must have compression none, gzip, bzip2 or xz"))
}
