//! Names of images in registries: `//HOST[:PORT]/REPOSITORY[:TAG][@DIGEST]` (distribution-spec, "Pulling manifests").

use std::fmt;
use std::str::FromStr;

use aurora_engine::digest::Digest;
use aurora_engine::remote::Url;

use crate::image::select::DEFAULT_NAME;

/// The registry of names that mention none, as Docker has it, and where it is asked.
const DEFAULT_HOST: (&str, &str) = ("docker.io", "registry-1.docker.io");
/// Its other name.
const DEFAULT_ALIAS: &str = "index.docker.io";
/// Where it keeps images whose names have one part.
const DEFAULT_DIR: &str = "library/";
/// Longest repository, with its host, that registries take.
const MAX_LEN: usize = 255;
/// Longest tag.
const MAX_TAG: usize = 128;

/// A repository of a registry, and perhaps an image in it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RegistryName {
    /// Host, and port if one is named.
    pub host: String,
    /// The repository.
    pub repository: String,
    /// A tag.
    pub tag: Option<String>,
    /// A digest, which goes before the tag.
    pub digest: Option<Digest>,
}

/// Why a text is no [`RegistryName`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not the name of an image in a registry: {text}: {reason}; it is docker://HOST/NAME[:TAG][@DIGEST]")]
pub struct RegistryNameError {
    text: String,
    reason: &'static str,
}

impl RegistryName {
    /// What is asked for: the digest, or the tag, which is `latest` where none is named.
    pub fn reference(&self) -> String {
        match &self.digest {
            Some(digest) => digest.to_string(),
            None => self.tag().to_owned(),
        }
    }

    /// The tag, which is `latest` where none is named.
    pub fn tag(&self) -> &str {
        self.tag.as_deref().unwrap_or(DEFAULT_NAME)
    }

    /// The tag that something that is written gets; none where only a digest is named.
    pub fn written_tag(&self) -> Option<&str> {
        if self.digest.is_some() { self.tag.as_deref() } else { Some(self.tag()) }
    }

    /// `HOST/REPOSITORY`
    pub fn path(&self) -> String {
        format!("{}/{}", self.host, self.repository)
    }

    /// The server that is asked: host and port.
    pub fn server(&self) -> &str {
        if self.host == DEFAULT_HOST.0 { DEFAULT_HOST.1 } else { &self.host }
    }

    /// The same repository on a server under another name, as configuration files have it.
    pub(super) fn at(&self, path: &str) -> Result<Self, RegistryNameError> {
        let (host, repository) = path.split_once('/').unwrap_or((path, ""));
        let name = Self { host: host.to_owned(), repository: repository.to_owned(), ..self.clone() };
        name.check().map_err(|reason| RegistryNameError { text: path.to_owned(), reason })?;
        Ok(name)
    }

    fn check(&self) -> Result<(), &'static str> {
        let url = format!("https://{}", self.host).parse::<Url>();
        let is_begun = self.host.starts_with(|c: char| c.is_ascii_alphanumeric() || c == '[');
        if !is_begun || !url.is_ok_and(|url| url.authority() == self.host.trim_end_matches(":443")) {
            return Err("no host");
        }
        if self.path().len() > MAX_LEN {
            return Err("too long");
        }
        if !self.repository.split('/').all(is_component) {
            return Err("a repository has lower-case letters, digits, and single . _ - or __ between them");
        }
        if self.tag.as_ref().is_some_and(|tag| !is_tag(tag)) {
            return Err("a tag has letters, digits and . _ -");
        }
        Ok(())
    }
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_component(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit();
    let bytes = text.as_bytes();
    let ends_in_words =
        bytes.first().is_some_and(|b| is_word(*b)) && bytes.last().is_some_and(|b| is_word(*b));
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit());
    let is_separator = |s: &str| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-');
    ends_in_words && separators.into_iter().all(is_separator)
}

/// `[a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}`
fn is_tag(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    text.len() <= MAX_TAG
        && text.bytes().next().is_some_and(is_word)
        && text.bytes().all(|b| is_word(b) || b == b'.' || b == b'-')
}

impl FromStr for RegistryName {
    type Err = RegistryNameError;

    /// Reads a name, with or without `//` in front. A first part with a dot or a colon in it, or `localhost`, is a host.
    fn from_str(text: &str) -> Result<Self, RegistryNameError> {
        let bad = |reason| RegistryNameError { text: text.chars().take(MAX_LEN).collect(), reason };
        let rest = text.strip_prefix("//").unwrap_or(text);
        let (rest, digest) = match rest.split_once('@') {
            Some((rest, digest)) => {
                let digest = digest.parse::<Digest>().map_err(|_| bad("no digest behind the @"))?;
                (rest, Some(digest))
            }
            None => (rest, None),
        };
        let (path, tag) = match rest.rsplit_once(':') {
            Some((path, tag)) if !tag.contains('/') => (path, Some(tag.to_owned())),
            _ => (rest, None),
        };
        let is_host = |part: &str| part.contains(['.', ':']) || part == "localhost";
        let (host, repository) = match path.split_once('/') {
            Some((host, repository)) if is_host(host) => (host.to_ascii_lowercase(), repository.to_owned()),
            _ => (DEFAULT_HOST.0.to_owned(), path.to_owned()),
        };
        let is_default = host == DEFAULT_HOST.0 || host == DEFAULT_ALIAS;
        let name = Self {
            repository: match is_default && !repository.contains('/') {
                true => format!("{DEFAULT_DIR}{repository}"),
                false => repository,
            },
            host: if is_default { DEFAULT_HOST.0.to_owned() } else { host },
            tag,
            digest,
        };
        name.check().map_err(bad)?;
        Ok(name)
    }
}

impl fmt::Display for RegistryName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "//{}/{}", self.host, self.repository)?;
        match (&self.tag, &self.digest) {
            (Some(tag), Some(digest)) => write!(f, ":{tag}@{digest}"),
            (None, Some(digest)) => write!(f, "@{digest}"),
            (_, None) => write!(f, ":{}", self.tag()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_as_docker_reads_them() {
        let hex = "0".repeat(64);
        let digest = format!("h.example/a@sha256:{hex}");
        let both = format!("//h.example:5000/a/b:1@sha256:{hex}");
        for (text, want) in [
            ("alpine", "//docker.io/library/alpine:latest"),
            ("//alpine:3.20", "//docker.io/library/alpine:3.20"),
            ("index.docker.io/alpine", "//docker.io/library/alpine:latest"),
            ("a/b", "//docker.io/a/b:latest"),
            ("LOCALHOST/a".to_lowercase().as_str(), "//localhost/a:latest"),
            ("localhost:5000/a__b/c-d---e.f_g:T_1.x-y", "//localhost:5000/a__b/c-d---e.f_g:T_1.x-y"),
            ("[::1]:5000/a", "//[::1]:5000/a:latest"),
            (digest.as_str(), &format!("//{digest}")),
            (both.as_str(), &both),
        ] {
            let name: RegistryName = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!(name.to_string(), want, "{text}");
            assert_eq!(want.parse::<RegistryName>().unwrap().to_string(), want);
        }
        for text in
            ["", "//", "A", "a//b", "a/-b", "a:", "a:.x", "a@sha256:00", "h:port/a", "a b", "a___b", "../a"]
        {
            assert!(text.parse::<RegistryName>().is_err(), "{text}");
        }
        let long = format!("h.example/{}", "a".repeat(250));
        assert!(long.parse::<RegistryName>().is_err());
    }

    #[test]
    fn what_is_asked_and_what_is_written() {
        let name: RegistryName = format!("docker.io/a/b:1@sha256:{}", "0".repeat(64)).parse().unwrap();
        assert_eq!(name.server(), "registry-1.docker.io");
        assert!(name.reference().starts_with("sha256:") && name.written_tag() == Some("1"));
        let name: RegistryName = "h.example/a".parse().unwrap();
        assert_eq!((name.server(), name.reference().as_str()), ("h.example", "latest"));
        let name: RegistryName = format!("h.example/a@sha256:{}", "0".repeat(64)).parse().unwrap();
        assert_eq!(name.written_tag(), None);
    }
}
