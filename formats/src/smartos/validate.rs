//! Everything that is wrong with a manifest, at once, in the reference library's codes and order: first what the
//! profile requires, in its order, then the other known fields that are there, then unknown ones.

use std::fmt;

use super::fields::check;
use super::requirements::check_requirements;
use super::{Json, Object, Profile};

/// What kind of fault it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Code {
    /// A required field is not there.
    MissingParameter,
    /// A field has a value that it must not have.
    Invalid,
}

impl Code {
    /// As servers write it.
    pub fn name(self) -> &'static str {
        match self {
            Self::MissingParameter => "MissingParameter",
            Self::Invalid => "Invalid",
        }
    }
}

/// One fault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// The field, dotted; but an unknown requirement bears its bare name, as in the reference.
    pub field: String,
    /// What kind of fault.
    pub code: Code,
    /// For people.
    pub message: Option<String>,
}

impl Finding {
    /// Not there.
    pub(super) fn missing(field: &str) -> Self {
        Self { field: field.to_owned(), code: Code::MissingParameter, message: None }
    }

    /// Not as it must be.
    pub(super) fn invalid(field: &str, message: impl Into<String>) -> Self {
        Self { field: field.to_owned(), code: Code::Invalid, message: Some(message.into()) }
    }

    /// As servers write it.
    pub fn to_json(&self) -> Json {
        let mut object = Object::default();
        object.set("field", self.field.as_str());
        object.set("code", self.code.name());
        if let Some(message) = &self.message {
            object.set("message", message.as_str());
        }
        Json::Object(object)
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Names come from the document: nothing in them may move a terminal's cursor.
        let field: String = self.field.chars().flat_map(shown).collect();
        write!(f, "{field}: {}", self.code.name())?;
        self.message
            .as_ref()
            .map_or(Ok(()), |m| write!(f, ": {}", m.chars().flat_map(shown).collect::<String>()))
    }
}

fn shown(c: char) -> Vec<char> {
    if c.is_control() { c.escape_default().collect() } else { vec![c] }
}

/// Every field there is, in the order in which those that no profile requires are checked.
const KNOWN: &[&str] = &[
    "v",
    "uuid",
    "urn",
    "owner",
    "name",
    "version",
    "description",
    "homepage",
    "eula",
    "disabled",
    "activated",
    "published_at",
    "state",
    "public",
    "type",
    "os",
    "origin",
    "error",
    "files",
    "icon",
    "acl",
    "requirements",
    "users",
    "billing_tags",
    "traits",
    "tags",
    "generate_passwords",
    "inherited_directories",
    "nic_driver",
    "disk_driver",
    "cpu_type",
    "image_size",
    "channels",
];

/// Checks a manifest of version 2 for a profile. No server with channels is assumed. Empty: it is valid.
pub fn validate(manifest: &Object, profile: Profile) -> Vec<Finding> {
    let mut findings = Vec::new();
    let required = profile.required();
    for field in required {
        match manifest.get(field) {
            Some(value) => check_field(manifest, field, value, profile, &mut findings),
            None if is_required(manifest, field) => findings.push(Finding::missing(field)),
            None => {}
        }
    }
    for field in KNOWN.iter().filter(|f| !required.contains(f)) {
        if let Some(value) = manifest.get(field) {
            check_field(manifest, field, value, profile, &mut findings);
        }
    }
    for (field, _) in manifest.iter().filter(|(f, _)| !KNOWN.contains(f)) {
        findings.push(Finding::invalid(field, "unknown field"));
    }
    findings
}

fn check_field(manifest: &Object, field: &str, value: &Json, profile: Profile, out: &mut Vec<Finding>) {
    match field {
        "requirements" => check_requirements(value, out),
        _ => {
            out.extend(check(manifest, field, value, profile).into_iter().map(|m| Finding::invalid(field, m)))
        }
    }
}

/// Whether a field that the profile lists must be there in this very manifest.
fn is_required(manifest: &Object, field: &str) -> bool {
    match field {
        "published_at" | "files" => manifest.get("activated").and_then(Json::as_flag) == Some(true),
        "nic_driver" | "disk_driver" | "cpu_type" | "image_size" => {
            manifest.get("type").and_then(Json::as_str) == Some("zvol")
        }
        _ => true,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::Value;

    use super::*;

    fn corpus(name: &str) -> Vec<u8> {
        let path = format!("{}/../corpus/smartos/{name}", env!("CARGO_MANIFEST_DIR"));
        std::fs::read(&path).unwrap_or_else(|e| panic!("{path}: {e}"))
    }

    fn found(manifest: &Object, profile: Profile) -> Vec<(String, String)> {
        let findings = validate(manifest, profile);
        findings.into_iter().map(|f| (f.field, f.code.name().to_owned())).collect()
    }

    fn wanted(list: &Json) -> Option<Vec<(String, String)>> {
        let text = |e: &Json, name| e.as_object().unwrap().get(name).unwrap().as_str().unwrap().to_owned();
        Some(list.as_array()?.iter().map(|e| (text(e, "field"), text(e, "code"))).collect())
    }

    #[test]
    fn every_case_gets_the_answer_of_the_reference() {
        let cases = Json::parse(&corpus("edge/validation-cases.json")).unwrap();
        let cases = cases.as_object().unwrap().get("cases").unwrap().as_array().unwrap();
        assert!(cases.len() >= 55, "only {} cases", cases.len());
        for case in cases {
            let case = case.as_object().unwrap();
            let manifest = case.get("manifest").unwrap().as_object().unwrap();
            for profile in Profile::ALL {
                let got = found(manifest, *profile);
                let name = case.get("name").unwrap().as_str().unwrap();
                match wanted(case.get(profile.name()).unwrap()) {
                    Some(want) => assert_eq!(got, want, "{name}, {profile}"),
                    None => assert!(!got.is_empty(), "{name}, {profile}: must be refused"),
                }
            }
        }
    }

    #[test]
    fn real_manifests_upgrade_and_validate_as_in_the_reference() {
        let expected = Json::parse(&corpus("expected.json")).unwrap();
        let files = expected.as_object().unwrap().get("files").unwrap().as_object().unwrap();
        for (name, want) in files.iter() {
            let bytes = corpus(name);
            let want = want.as_object().unwrap();
            let parsed = crate::smartos::Manifest::parse(&bytes);
            if want.get("upgrade_throws").is_some() {
                assert_eq!(parsed.unwrap_err(), crate::smartos::SmartosError::NoVersion, "{name}");
                let as_is = Json::parse(&bytes).unwrap();
                let got = found(as_is.as_object().unwrap(), Profile::Minimal);
                assert_eq!(Some(got), wanted(want.get("minimal_as_is").unwrap()), "{name}");
                continue;
            }
            let manifest = parsed.unwrap();
            match want.get("upgraded").unwrap() {
                Json::String(unchanged) => {
                    assert_eq!(unchanged, "unchanged");
                    assert_eq!(manifest.to_bytes(), bytes, "{name}");
                    let text = Json::Object(manifest.object().clone()).to_pretty();
                    assert_eq!(text.trim_end(), String::from_utf8(bytes).unwrap().trim_end(), "{name}");
                }
                upgraded => {
                    let got = Json::Object(manifest.object().clone());
                    assert_eq!(Value::from(&got), Value::from(upgraded), "{name}");
                }
            }
            for profile in [Profile::Minimal, Profile::Public] {
                let got = found(manifest.object(), profile);
                assert_eq!(Some(got), wanted(want.get(profile.name()).unwrap()), "{name}, {profile}");
            }
        }
    }

    #[test]
    fn cases_beyond_the_reference_vectors() {
        let base =
            r#""v":2,"uuid":"1f9b7958-289e-4ea3-8f88-5486a40d6823","name":"n","version":"1","os":"linux""#;
        let cases: &[(&str, &str)] = &[
            (r#""type":"zvol","image_size":1.5"#, "image_size"),
            (r#""type":"zvol","image_size":"10240""#, ""),
            (r#""type":"other","error":{"message":"x"}"#, "error"),
            (r#""type":"other","state":"failed","error":{"message":"x","code":"C"}"#, ""),
            (r#""type":"other","state":"failed","error":{"code":"C"}"#, "error"),
            (r#""type":"other","users":[{"name":"a","x":1}]"#, "users"),
            (r#""type":"other","traits":{"a":1}"#, "traits"),
            (r#""type":"other","homepage":"nothing""#, "homepage"),
            (r#""type":"other","requirements":{"networks":[{"name":"n"}]}"#, "requirements.networks"),
            (
                r#""type":"other","requirements":{"bootrom":"coreboot","brand":"bhyve"}"#,
                "requirements.bootrom",
            ),
            (r#""type":"other","requirements":{"min_ram":-5,"max_ram":0}"#, ""),
            (r#""type":"other","requirements":[]"#, "requirements"),
            (
                r#""type":"other","requirements":{"max_platform":{"7.0":"20141301T000000Z"}}"#,
                "requirements.max_platform",
            ),
            (r#""type":"other","files":[]"#, ""),
            (r#""type":"other","files":[{"sha1":"x","size":1,"compression":"zstd"}]"#, "files"),
            (r#""type":"other","published_at":"2020-01-01T00:00:00.123Z""#, ""),
            (r#""type":"other","icon":"yes""#, "icon"),
        ];
        for (fields, want) in cases {
            let json = Json::parse(format!("{{{base},{fields}}}").as_bytes()).unwrap();
            let got = found(json.as_object().unwrap(), Profile::Minimal);
            let fields_found: Vec<_> = got.iter().map(|(f, _)| f.as_str()).collect();
            let want: Vec<_> = want.split_whitespace().collect();
            assert_eq!(fields_found, want, "{fields}");
        }
    }
}
