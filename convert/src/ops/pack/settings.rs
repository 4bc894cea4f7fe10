//! What an OCI image is to say of itself: a configuration to begin with, and what options change of it.

use std::path::Path;

use aurora_engine::fs;
use aurora_formats::model::Timestamp;
use aurora_formats::oci::{Annotations, Config};
use serde_json::{Map, Value, json};

use crate::image::{Image, oci};
use crate::{Error, ErrorKind, Result};

/// Longest configuration read from a file.
const MAX_CONFIG: u64 = 4 << 20;

/// Members of an image configuration; what is `None` or empty stays as it is. (OCI image-spec, config.md.)
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Settings {
    /// `author`
    pub author: Option<String>,
    /// `created`
    pub created: Option<Timestamp>,
    /// `config.User`
    pub user: Option<String>,
    /// `config.WorkingDir`
    pub working_dir: Option<String>,
    /// `config.StopSignal`
    pub stop_signal: Option<String>,
    /// `config.Entrypoint`. What was to be its arguments, `config.Cmd`, goes with the old one, unless it is given too.
    pub entrypoint: Option<Vec<String>>,
    /// `config.Cmd`
    pub cmd: Option<Vec<String>>,
    /// `config.Env`: name and value. One of the same name is replaced.
    pub env: Vec<(String, String)>,
    /// `config.Labels`
    pub labels: Vec<(String, String)>,
    /// `config.ExposedPorts`: `PORT[/PROTOCOL]`.
    pub ports: Vec<String>,
    /// `config.Volumes`
    pub volumes: Vec<String>,
    /// Annotations of the manifest.
    pub annotations: Vec<(String, String)>,
}

impl Settings {
    /// Changes what an image says.
    pub(super) fn apply(&self, image: &mut Image) {
        let config = &mut image.config;
        let texts =
            [("User", &self.user), ("WorkingDir", &self.working_dir), ("StopSignal", &self.stop_signal)];
        for (key, text) in texts {
            if let Some(text) = text {
                set(config, key, json!(text), text.is_empty());
            }
        }
        if self.entrypoint.is_some() {
            config.remove("Cmd");
        }
        for (key, words) in [("Entrypoint", &self.entrypoint), ("Cmd", &self.cmd)] {
            if let Some(words) = words {
                set(config, key, json!(words), words.is_empty());
            }
        }
        for (name, value) in &self.env {
            let lines = member(config, "Env", Value::is_array, json!([]));
            let Some(lines) = lines.as_array_mut() else { continue };
            let line = json!(format!("{name}={value}"));
            let is_same =
                |old: &Value| old.as_str().is_some_and(|old| old.split('=').next() == Some(name.as_str()));
            match lines.iter_mut().find(|old| is_same(old)) {
                Some(old) => *old = line,
                None => lines.push(line),
            }
        }
        let empty = || json!({});
        let labels = self.labels.iter().map(|(key, value)| ("Labels", key, json!(value)));
        let ports = self.ports.iter().map(|port| ("ExposedPorts", port, empty()));
        let volumes = self.volumes.iter().map(|path| ("Volumes", path, empty()));
        for (key, name, value) in labels.chain(ports).chain(volumes) {
            if let Some(members) = member(config, key, Value::is_object, empty()).as_object_mut() {
                members.insert(name.clone(), value);
            }
        }
        image.author = self.author.clone().or(image.author.take());
        image.created = self.created.or(image.created);
        image.annotations.extend(self.annotations.iter().cloned());
    }
}

/// Sets a member, or takes it away.
fn set(config: &mut Map<String, Value>, key: &str, value: Value, is_empty: bool) {
    if is_empty {
        config.remove(key);
    } else {
        config.insert(key.to_owned(), value);
    }
}

/// A member to be added to; one of another type, as `null`, is replaced.
fn member<'a>(
    config: &'a mut Map<String, Value>,
    key: &str,
    fits: fn(&Value) -> bool,
    empty: Value,
) -> &'a mut Value {
    let value = config.entry(key).or_insert_with(|| empty.clone());
    if !fits(value) {
        *value = empty;
    }
    value
}

/// An image configuration as a file: config.md's document. Its layers and history are those of another image and left
/// out, and may be missing.
pub(super) fn read_config(path: &Path) -> Result<Image> {
    let name = path.display().to_string();
    let parse = || -> Result<Image> {
        let bytes = match fs::read_limited(path, MAX_CONFIG) {
            Err(e) if e.kind() == std::io::ErrorKind::NotFound => {
                return Err(ErrorKind::NoSuchImage(name.clone()).into());
            }
            read => read.map_err(|e| Error::io("config", e))?,
        };
        let text = |e: serde_json::Error| Error::usage(format!("no image configuration: {e}"));
        let mut members: Map<String, Value> = serde_json::from_slice(&bytes).map_err(text)?;
        members.insert("rootfs".into(), json!({"type": "layers", "diff_ids": []}));
        members.remove("history");
        let bytes = serde_json::to_vec(&members).map_err(text)?;
        Ok(oci::from_config(&Config::parse(&name, &bytes)?.value, &Annotations::new()))
    };
    parse().map_err(|e| e.in_image(name.clone()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_said_replaces_adds_or_clears() {
        let text = json!({
            "Env": ["PATH=/bin", "A=1"], "Cmd": ["old"], "Entrypoint": ["e"], "User": "u", "Labels": null,
            "ExposedPorts": {"80/tcp": {}}, "Shell": ["sh"]
        });
        let mut image = Image { config: text.as_object().unwrap().clone(), ..Image::default() };
        image.annotations.insert("a".into(), "old".into());
        let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let settings = Settings {
            user: Some(String::new()),
            entrypoint: Some(vec!["new".into()]),
            env: vec![pair("A", "2"), pair("B", "x=y")],
            labels: vec![pair("k", "v")],
            ports: vec!["53/udp".into()],
            volumes: vec!["/data".into()],
            annotations: vec![pair("a", "new")],
            ..Settings::default()
        };
        settings.apply(&mut image);
        let want = json!({
            "Env": ["PATH=/bin", "A=2", "B=x=y"], "Entrypoint": ["new"], "Labels": {"k": "v"},
            "ExposedPorts": {"80/tcp": {}, "53/udp": {}}, "Volumes": {"/data": {}}, "Shell": ["sh"]
        });
        assert_eq!(Value::Object(image.config), want);
        assert_eq!(image.annotations["a"], "new");
    }
}
