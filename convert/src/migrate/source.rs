//! Where the images of a migration come from.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use super::names::{Registry, colon_escaped};
use crate::imgapi::{Url, UrlError};

/// Where imgadm keeps the records of what is installed.
const IMGADM: &str = "/var/imgadm/images";
/// What there is, for messages.
const FORMS: &str = "imgapi:URL, smartos:DIR, imgadm:[DIR], list:FILE, oci:DIR or docker://HOST[/PREFIX]";

/// A source of many images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    /// `imgapi:URL`: an image server.
    Imgapi(Url),
    /// `smartos:DIR`: manifests and files.
    Folder(PathBuf),
    /// `imgadm:[DIR]`: the records of what is installed on this host, whose datasets are sent.
    Imgadm(PathBuf),
    /// `list:FILE`: names of images.
    List(PathBuf),
    /// `oci:DIR`: all that a layout names.
    Layout(PathBuf),
    /// `docker://HOST[/PREFIX]`: all that a registry has below a prefix.
    Registry(Registry),
}

/// Why a text is no [`Source`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SourceError {
    /// No form that is known.
    #[error("not a source of images: {0}; use {FORMS}")]
    Unknown(String),
    /// Behind `imgapi:`, no URL.
    #[error("imgapi: {0}")]
    Url(#[from] UrlError),
    /// Behind `docker:`, no registry.
    #[error("not a registry: {0}; it is docker://HOST[/PREFIX]")]
    Registry(String),
}

impl FromStr for Source {
    type Err = SourceError;

    fn from_str(text: &str) -> Result<Self, SourceError> {
        let unknown = || SourceError::Unknown(text.chars().take(80).collect());
        let (word, rest) = text.split_once(':').ok_or_else(unknown)?;
        let path = || match rest {
            "" | "-" => Err(unknown()),
            _ => Ok(PathBuf::from(OsStr::from_bytes(rest.as_bytes()))),
        };
        Ok(match word {
            "imgapi" => Self::Imgapi(rest.parse()?),
            "smartos" => Self::Folder(path()?),
            "imgadm" if rest.is_empty() => Self::Imgadm(PathBuf::from(IMGADM)),
            "imgadm" => Self::Imgadm(path()?),
            "list" => Self::List(path()?),
            "oci" => Self::Layout(path()?),
            "docker" => Self::Registry(rest.parse().map_err(|()| SourceError::Registry(rest.to_owned()))?),
            _ => return Err(unknown()),
        })
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Imgapi(url) => write!(f, "imgapi:{url}"),
            Self::Folder(dir) => write!(f, "smartos:{}", dir.display()),
            Self::Imgadm(dir) => write!(f, "imgadm:{}", dir.display()),
            Self::List(file) => write!(f, "list:{}", file.display()),
            Self::Layout(dir) => write!(f, "oci:{}", colon_escaped(dir)),
            Self::Registry(registry) => write!(f, "docker:{registry}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_read_and_shown() {
        for (text, shown) in [
            ("imgapi:http://127.0.0.1:80", "imgapi:http://127.0.0.1"),
            ("smartos:/srv/images", "smartos:/srv/images"),
            ("imgadm:", "imgadm:/var/imgadm/images"),
            ("imgadm:/x", "imgadm:/x"),
            ("list:images.csv", "list:images.csv"),
            ("oci:./a", "oci:./a"),
            ("docker://h.example", "docker://h.example"),
            ("docker://localhost:5000/a/b/", "docker://localhost:5000/a/b"),
        ] {
            let source: Source = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(source.to_string().trim_end_matches('/'), shown, "{text}");
        }
        for text in
            ["", "x", "zfs:x", "smartos:", "list:-", "docker:h", "docker://", "docker://h/A", "imgapi:"]
        {
            assert!(text.parse::<Source>().is_err(), "{text}");
        }
    }
}
