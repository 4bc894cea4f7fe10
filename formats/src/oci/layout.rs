//! The files of an image layout (image-layout.md).

use serde_json::json;

use super::OciError;
use super::json::{self, At, owned_text};

/// The file that makes a directory a layout.
pub const LAYOUT_FILE: &str = "oci-layout";
/// The file that names its images.
pub const INDEX_FILE: &str = "index.json";
/// The directory of its blobs.
pub const BLOBS: &str = "blobs";
/// The version that all of the specification's versions write.
const VERSION: &str = "1.0.0";

/// Checks the content of [`LAYOUT_FILE`].
pub fn check(bytes: &[u8]) -> Result<(), OciError> {
    let value = json::parse(LAYOUT_FILE, bytes)?;
    let version = At::top(LAYOUT_FILE, &value).required("imageLayoutVersion", owned_text)?;
    // Minor versions may add things; that is what their numbers promise.
    if version.starts_with("1.") { Ok(()) } else { Err(OciError::LayoutVersion { version }) }
}

/// The content of [`LAYOUT_FILE`].
pub fn content() -> Vec<u8> {
    json::canonical(&json!({"imageLayoutVersion": VERSION}))
}

/// Where the blob of a well-formed digest lies.
pub fn blob_path(digest: &str) -> String {
    format!("{BLOBS}/{}", digest.replacen(':', "/", 1))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions() {
        assert_eq!(check(&content()), Ok(()));
        assert_eq!(check(br#"{"imageLayoutVersion":"1.1.0","more":1}"#), Ok(()));
        assert!(check(br#"{"imageLayoutVersion":"2.0.0"}"#).is_err());
        assert!(check(b"{}").is_err() && check(b"").is_err());
        assert_eq!(blob_path("sha256:ab"), "blobs/sha256/ab");
    }
}
