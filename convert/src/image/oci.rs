//! [`Image`] ⇄ OCI image configuration.

use aurora_formats::oci::descriptor::Annotations;
use aurora_formats::oci::{Config, History};
use serde_json::Value;

use super::time::{parse_rfc3339, to_rfc3339};
use super::{Image, Platform};
use crate::Step;

/// Where [`Image::extra`] keeps the history of an image whose layers are kept: lines that made no layer have no
/// step to stand at.
pub(crate) const HISTORY: &str = "history";

/// What a config and a manifest's annotations say of an image.
pub fn from_config(config: &Config, annotations: &Annotations) -> Image {
    let mut extra = config.extra.clone();
    if config.layer_history().is_some() && !config.history.is_empty() {
        let lines = config.history.iter().map(|line| Value::Object(line.raw.clone()));
        extra.insert(HISTORY.into(), lines.collect());
    }
    Image {
        platform: platform(config),
        created: config.created.as_deref().and_then(parse_rfc3339),
        author: config.author.clone(),
        config: config.config.clone(),
        extra,
        annotations: annotations.clone(),
        layers: Vec::new(),
    }
}

/// What a config says that its image runs on.
pub fn platform(config: &Config) -> Option<Platform> {
    if config.os.is_empty() && config.architecture.is_empty() {
        return None;
    }
    let or_default = |text: &str, default: String| if text.is_empty() { default } else { text.to_owned() };
    let default = Platform::default();
    Some(Platform {
        os: or_default(&config.os, default.os),
        architecture: or_default(&config.architecture, default.architecture),
        variant: config.variant.clone(),
    })
}

/// The config of an image with these layers, of which the steps are the last. A history that was read is written again
/// while it still fits all of them, or those below the steps.
pub fn to_config(image: &Image, platform: &Platform, diff_ids: Vec<String>, steps: &[Step]) -> Config {
    let mut extra = image.extra.clone();
    let kept = extra.remove(HISTORY).and_then(|lines| History::parse_all(HISTORY, &lines).ok());
    let (count, below) = (diff_ids.len(), diff_ids.len().saturating_sub(steps.len()));
    let layers = kept.iter().flatten().filter(|line| !line.empty_layer).count();
    let of_step = |step: &Step| History::layer(step.created.and_then(to_rfc3339), step.created_by.clone());
    let history = match kept {
        Some(lines) if layers == count => lines,
        Some(lines) if layers == below && below > 0 => {
            lines.into_iter().chain(steps.iter().map(of_step)).collect()
        }
        _ => (0..below).map(|_| History::layer(None, None)).chain(steps.iter().map(of_step)).collect(),
    };
    Config {
        created: image.created.and_then(to_rfc3339),
        author: image.author.clone(),
        os: platform.os.clone(),
        architecture: platform.architecture.clone(),
        variant: platform.variant.clone(),
        config: image.config.clone(),
        diff_ids,
        history,
        extra,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_lost_on_the_way() {
        let text = br#"{"architecture":"amd64","author":"A","config":{"Env":["A=1"],"Shell":["x"]},"created":"2023-11-14T22:13:20Z","docker_version":"1","os":"linux","rootfs":{"diff_ids":[],"type":"layers"},"variant":"v2"}"#;
        let config = Config::parse("c", text).unwrap().value;
        let image = from_config(&config, &Annotations::new());
        let platform = image.platform.clone().unwrap();
        assert_eq!(platform.to_string(), "linux/amd64/v2");
        let again = to_config(&image, &platform, Vec::new(), &[]);
        assert_eq!(String::from_utf8(again.to_bytes()).unwrap(), String::from_utf8(text.to_vec()).unwrap());
    }
}
