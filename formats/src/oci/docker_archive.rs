//! `manifest.json` of what `docker save` writes.

use serde_json::{Value, json};

use super::OciError;
use super::json::{self, At, owned_text};

/// The file that lists an archive's images.
pub const MANIFEST_FILE: &str = "manifest.json";

/// One image of an archive; paths are those of the archive's members.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ArchiveImage {
    /// Its config.
    pub config: String,
    /// Its names, `NAME:TAG`.
    pub repo_tags: Vec<String>,
    /// Its layers, base first; one may be there twice.
    pub layers: Vec<String>,
}

/// Reads [`MANIFEST_FILE`].
pub fn parse(bytes: &[u8]) -> Result<Vec<ArchiveImage>, OciError> {
    let value = json::parse(MANIFEST_FILE, bytes)?;
    At::top(MANIFEST_FILE, &value).list(|at| {
        let texts = |at: At<'_>| at.list(owned_text);
        Ok(ArchiveImage {
            config: at.required("Config", owned_text)?,
            repo_tags: at.optional("RepoTags", texts)?.unwrap_or_default(),
            layers: at.optional("Layers", texts)?.unwrap_or_default(),
        })
    })
}

/// Writes [`MANIFEST_FILE`].
pub fn to_bytes(images: &[ArchiveImage]) -> Vec<u8> {
    let one = |image: &ArchiveImage| {
        let tags = if image.repo_tags.is_empty() { Value::Null } else { json!(image.repo_tags) };
        json!({"Config": image.config, "RepoTags": tags, "Layers": image.layers})
    };
    json::canonical(&images.iter().map(one).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read_back() {
        let image = |tags: &[&str]| ArchiveImage {
            config: "c.json".into(),
            repo_tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            layers: vec!["a/layer.tar".into(), "a/layer.tar".into()],
        };
        let images = [image(&[]), image(&["x:1", "y:2"])];
        assert_eq!(parse(&to_bytes(&images)).unwrap(), images);
        assert_eq!(parse(b"[{}]").unwrap_err().to_string(), "manifest.json lacks [0].Config");
        assert!(parse(b"{}").is_err());
    }
}
