//! Image configurations.

use serde_json::{Map, Value, json};

use super::descriptor::digest;
use super::json::{At, boolean, owned_text};
use super::{OciError, Raw, json};

/// One line of an image's history.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct History {
    /// When, in RFC 3339.
    pub created: Option<String>,
    /// The command.
    pub created_by: Option<String>,
    /// It made no layer.
    pub empty_layer: bool,
    /// The line as it stands.
    pub raw: Map<String, Value>,
}

/// An image configuration, OCI's or Docker's.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Config {
    /// When, in RFC 3339, as it stands.
    pub created: Option<String>,
    /// Who made it.
    pub author: Option<String>,
    /// `GOOS`; empty if it is not said.
    pub os: String,
    /// `GOARCH`; empty if it is not said.
    pub architecture: String,
    /// Of the processor.
    pub variant: Option<String>,
    /// Process, environment, labels …
    pub config: Map<String, Value>,
    /// Digests of the uncompressed layers, base first.
    pub diff_ids: Vec<String>,
    /// How it came to be.
    pub history: Vec<History>,
    /// All other members, unread.
    pub extra: Map<String, Value>,
}

const KNOWN: [&str; 8] =
    ["created", "author", "os", "architecture", "variant", "config", "rootfs", "history"];

impl Config {
    /// Reads one.
    pub fn parse(document: &str, bytes: &[u8]) -> Result<Raw<Self>, OciError> {
        let value = json::parse(document, bytes)?;
        let at = At::top(document, &value);
        let members = at.object()?;
        let text = |key| at.optional(key, owned_text).map(|t| t.filter(|t| !t.is_empty()));
        let config = Self {
            created: text("created")?,
            author: text("author")?,
            os: text("os")?.unwrap_or_default(),
            architecture: text("architecture")?.unwrap_or_default(),
            variant: text("variant")?,
            config: at.optional("config", |c| c.object().cloned())?.unwrap_or_default(),
            diff_ids: at.required("rootfs", rootfs)?,
            history: at.optional("history", |h| h.list(history))?.unwrap_or_default(),
            extra: members
                .iter()
                .filter(|(key, _)| !KNOWN.contains(&key.as_str()))
                .map(|(key, value)| (key.clone(), value.clone()))
                .collect(),
        };
        Ok(Raw { bytes: bytes.to_vec(), value: config })
    }

    /// The lines of the history that made the layers, one each; `None` if their number is another.
    pub fn layer_history(&self) -> Option<Vec<&History>> {
        let lines: Vec<_> = self.history.iter().filter(|line| !line.empty_layer).collect();
        (lines.len() == self.diff_ids.len()).then_some(lines)
    }

    /// The bytes of one made here.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut out = self.extra.clone();
        let mut put = |key: &str, value: Value| out.insert(key.to_owned(), value);
        put("os", json!(self.os));
        put("architecture", json!(self.architecture));
        put("config", Value::Object(self.config.clone()));
        put("rootfs", json!({"type": "layers", "diff_ids": self.diff_ids}));
        for (key, value) in [("created", &self.created), ("author", &self.author), ("variant", &self.variant)]
        {
            if let Some(text) = value {
                put(key, json!(text));
            }
        }
        if !self.history.is_empty() {
            put("history", self.history.iter().map(|line| Value::Object(line.raw.clone())).collect());
        }
        json::canonical(&Value::Object(out))
    }
}

impl History {
    /// A line that made a layer.
    pub fn layer(created: Option<String>, created_by: Option<String>) -> Self {
        let mut raw = Map::new();
        for (key, value) in [("created", &created), ("created_by", &created_by)] {
            if let Some(text) = value {
                raw.insert(key.into(), json!(text));
            }
        }
        Self { created, created_by, empty_layer: false, raw }
    }

    /// Reads the lines of a `history` array.
    pub fn parse_all(document: &str, value: &Value) -> Result<Vec<Self>, OciError> {
        At { document, path: "history", value }.list(history)
    }
}

fn rootfs(at: At<'_>) -> Result<Vec<String>, OciError> {
    at.required("type", |kind| match kind.text()? {
        "layers" => Ok(()),
        other => Err(kind.wrong("\"layers\"", other)),
    })?;
    Ok(at.optional("diff_ids", |ids| ids.list(digest))?.unwrap_or_default())
}

fn history(at: At<'_>) -> Result<History, OciError> {
    Ok(History {
        created: at.optional("created", owned_text)?.filter(|t| !t.is_empty()),
        created_by: at.optional("created_by", owned_text)?.filter(|t| !t.is_empty()),
        empty_layer: at.optional("empty_layer", boolean)?.unwrap_or_default(),
        raw: at.object()?.clone(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_members_survive_and_lies_are_found() {
        let id = format!("sha256:{}", "2".repeat(64));
        let value = json!({
            "created": "2023-11-14T22:13:20Z", "os": "linux", "architecture": "amd64", "author": "A",
            "config": {"Env": ["A=1"], "Healthcheck": {"Test": ["x"]}}, "os.version": "1",
            "rootfs": {"type": "layers", "diff_ids": [id]}, "container": "c",
            "history": [{"created_by": "x", "empty_layer": true, "comment": "c"}, {"created_by": "y"}],
        });
        let bytes = json::canonical(&value);
        let read = Config::parse("c", &bytes).unwrap();
        assert_eq!(read.value.to_bytes(), bytes);
        let lines = read.value.layer_history().unwrap();
        assert_eq!(lines[0].created_by.as_deref(), Some("y"));
        let cases = [
            (json!({}), "lacks rootfs"),
            (json!({"rootfs": {"type": "windows"}}), "must be \"layers\""),
            (json!({"rootfs": {"type": "layers", "diff_ids": ["sha256:0"]}}), "rootfs.diff_ids[0]"),
            (json!({"rootfs": {"type": "layers"}, "config": []}), "config must be an object"),
            (json!({"rootfs": {"type": "layers"}, "os": 1}), "os must be a string"),
        ];
        for (value, want) in cases {
            let e = Config::parse("c", &json::canonical(&value)).unwrap_err().to_string();
            assert!(e.contains(want), "{e} / {want}");
        }
        assert!(Config::parse("c", br#"{"rootfs":{"type":"layers","diff_ids":null}}"#).is_ok());
    }
}
