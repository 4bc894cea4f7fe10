//! What a registry refuses, or does wrong.

use serde_json::Value;

/// Why a registry did not give or take something.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum RegistryError {
    /// Nobody, or not this user, may do that.
    #[error("{registry}: {}{}", if *has_user { "this user may not" } else { "a user is needed" }, said(message))]
    Unauthorized {
        /// Host and port.
        registry: String,
        /// Whether a user and a password were sent.
        has_user: bool,
        /// What the registry says.
        message: String,
    },
    /// Any other answer than what was asked for.
    #[error("{url}: the registry says {status}{}", said(message))]
    Status {
        /// What was asked.
        url: String,
        /// The status.
        status: u16,
        /// What the registry says, by its own codes.
        message: String,
    },
    /// An answer that the specification does not have.
    #[error("{url}: not as registries answer: {reason}")]
    Protocol {
        /// What was asked.
        url: String,
        /// What is wrong.
        reason: String,
    },
    /// `registries.conf` forbids it.
    #[error("{prefix} is blocked by {path}")]
    Blocked {
        /// The forbidden prefix.
        prefix: String,
        /// The file that says so.
        path: String,
    },
    /// A configuration file that can't be used.
    #[error("{path}: {reason}")]
    File {
        /// The file.
        path: String,
        /// What is wrong; never what it holds.
        reason: String,
    },
    /// A credential helper that did not help.
    #[error("docker-credential-{helper}: {reason}")]
    Helper {
        /// Its name.
        helper: String,
        /// What is wrong.
        reason: String,
    },
}

fn said(message: &str) -> String {
    if message.is_empty() { String::new() } else { format!(": {message}") }
}

/// Characters of a registry's message that are told on.
const MAX_MESSAGE: usize = 200;

/// What `{"errors":[{"code":…,"message":…}]}` says, or nothing (distribution-spec, "Error codes").
pub(super) fn message(bytes: &[u8]) -> String {
    let Ok(value) = serde_json::from_slice::<Value>(bytes) else { return String::new() };
    let errors = value.get("errors").and_then(Value::as_array).map(Vec::as_slice).unwrap_or_default();
    let text =
        |error: &Value, key: &str| error.get(key).and_then(Value::as_str).unwrap_or_default().to_owned();
    let one = |error: &Value| match (text(error, "code"), text(error, "message")) {
        (code, message) if message.is_empty() => code,
        (code, message) if code.is_empty() => message,
        (code, message) => format!("{message} ({code})"),
    };
    let all: Vec<String> = errors.iter().map(one).filter(|text| !text.is_empty()).collect();
    all.join("; ").chars().take(MAX_MESSAGE).collect()
}

impl RegistryError {
    /// What the user may do about it.
    pub fn hint(&self) -> Option<&'static str> {
        match self {
            Self::Unauthorized { has_user: false, .. } => {
                Some("`imageadm login HOST`; a repository that is not there is often answered so, too")
            }
            Self::Unauthorized { .. } => {
                Some("has this user the right to? `imageadm login HOST` takes another one")
            }
            Self::Status { status: 404, .. } => {
                Some("`imageadm tags docker://HOST/NAME` lists what there is")
            }
            Self::Status { status: 405, .. } => Some("this registry may be a mirror, which only gives"),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn registries_say_why() {
        let json = br#"{"errors":[{"code":"DENIED","message":"no"},{"code":"X"},{"message":"y"},{}]}"#;
        assert_eq!(message(json), "no (DENIED); X; y");
        for text in ["", "{}", "<html>", r#"{"errors":1}"#] {
            assert_eq!(message(text.as_bytes()), "");
        }
    }
}
