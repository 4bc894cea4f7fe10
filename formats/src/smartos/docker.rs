//! Docker layers as images: one image a layer, its uuid derived from the digests of the layers up to it.

use super::{Json, Object, SmartosError, Uuid, parse_iso, to_iso};

/// Longest description, in characters.
const MAX_DESCRIPTION: usize = 10_240;

/// The text whose SHA-256 begins with the uuid of a layer ([`Uuid::from_hash`]): the digests of the layers from
/// the base up to it, as they stand in the registry's manifest (of the *compressed* blobs), joined by spaces.
pub fn uuid_text<'a>(digests: impl IntoIterator<Item = &'a str>) -> Result<String, SmartosError> {
    let mut text = String::new();
    for digest in digests {
        if sha256_hex(digest).is_none() {
            return Err(SmartosError::LayerDigest { actual: digest.chars().take(160).collect() });
        }
        if !text.is_empty() {
            text.push(' ');
        }
        text.push_str(digest);
    }
    Ok(text)
}

fn sha256_hex(digest: &str) -> Option<&str> {
    let is_hex = |hex: &&str| hex.len() == 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'));
    digest.strip_prefix("sha256:").filter(is_hex)
}

/// What the manifest of a layer is made from.
#[derive(Debug, Clone)]
pub struct Layer<'a> {
    /// Derived from this layer's chain.
    pub uuid: Uuid,
    /// Derived from the chain without this layer; `None` for the base.
    pub origin: Option<Uuid>,
    /// This layer's digest.
    pub digest: &'a str,
    /// The image's config document.
    pub config: &'a Json,
    /// The repository's short name.
    pub repository: &'a str,
    /// Of the top layer: the tags it bears.
    pub tags: &'a [String],
    /// Whose it is; `None` is nobody's.
    pub owner: Option<Uuid>,
    /// Whether everybody may have it.
    pub is_public: bool,
}

/// The manifest of a layer, member by member as the reference makes it.
pub fn layer_manifest(layer: &Layer<'_>) -> Result<Object, SmartosError> {
    let hex = sha256_hex(layer.digest)
        .ok_or_else(|| SmartosError::LayerDigest { actual: layer.digest.to_owned() })?;
    let empty = Object::default();
    let config = layer.config.as_object().unwrap_or(&empty);
    let created = config.get("created");
    let published = created.and_then(Json::as_str).and_then(parse_iso).ok_or_else(|| {
        SmartosError::Created { actual: created.map_or_else(|| "none".to_owned(), Json::shortened) }
    })?;
    let mut manifest = Object::default();
    manifest.set("v", 2);
    manifest.set("uuid", layer.uuid.to_string());
    manifest.set("owner", layer.owner.unwrap_or(Uuid::NIL).to_string());
    manifest.set("name", "docker-layer");
    manifest.set("version", &hex[..12]);
    manifest.set("disabled", false);
    manifest.set("public", layer.is_public);
    manifest.set("published_at", to_iso(published));
    manifest.set("type", "docker");
    if config.get("os").and_then(Json::as_str) == Some("linux") {
        manifest.set("os", "linux");
    }
    manifest.set("description", description(config));
    let mut tags = Object::default();
    tags.set("docker:repo", layer.repository);
    tags.set("docker:id", layer.digest);
    if let Some(architecture) = config.get("architecture") {
        tags.set("docker:architecture", architecture.clone());
    }
    for tag in layer.tags {
        tags.set(format!("docker:tag:{tag}"), true);
    }
    if let Some(config) = config.get("config").and_then(Json::as_object) {
        tags.set("docker:config", run_config(config));
    }
    manifest.set("tags", tags);
    if let Some(origin) = layer.origin {
        manifest.set("origin", origin.to_string());
    }
    Ok(manifest)
}

/// The part of a config that SmartOS keeps: members that are absent are left out, nulls stay.
pub fn run_config(config: &Object) -> Object {
    let kept = ["Cmd", "Entrypoint", "Env", "WorkingDir"];
    kept.iter().filter_map(|name| Some((*name, config.get(name)?.clone()))).collect()
}

fn description(config: &Object) -> String {
    let comment = config.get("comment").and_then(Json::as_str).filter(|c| !c.is_empty());
    let command = || {
        let words = config.get("container_config")?.as_object()?.get("Cmd")?.as_array()?;
        Some(words.iter().filter_map(Json::as_str).collect::<Vec<_>>().join(" "))
    };
    let text = comment.map(str::to_owned).or_else(command).unwrap_or_default();
    text.chars().take(MAX_DESCRIPTION).collect()
}
