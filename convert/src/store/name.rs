//! Names of images in the store: `NAME[:TAG][@DIGEST]`, or a digest.

use std::fmt;
use std::str::FromStr;

use aurora_formats::oci::descriptor::{CONTAINERD_NAME, is_digest};
use aurora_formats::oci::{Descriptor, reference};

use crate::image::select::DEFAULT_NAME;

/// Fewer digits of a digest are no name: they would soon be those of several images.
const MIN_DIGITS: usize = 8;

/// How an image of the store is named.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum StoredName {
    /// `NAME[:TAG]`
    Tagged {
        /// The words before the colon, which may be those of a registry and a port.
        name: String,
        /// Behind it; `latest` where it is left out.
        tag: Option<String>,
    },
    /// `[NAME[:TAG]@]sha256:HEX`, of at least eight digits.
    Digest {
        /// Of the name that the image must have, too.
        named: Option<Box<StoredName>>,
        /// The digest of its manifest or index, or how it begins.
        digest: String,
    },
}

/// Why a text is no name of an image in the store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a name of an image in the store: {0}; it is NAME[:TAG], of letters, digits and -._/")]
pub struct StoredNameError(String);

impl StoredName {
    /// `NAME:TAG`, as it is written into the store; `None` for a digest.
    pub fn full(&self) -> Option<String> {
        match self {
            Self::Tagged { name, tag } => Some(format!("{name}:{}", tag.as_deref().unwrap_or(DEFAULT_NAME))),
            Self::Digest { .. } => None,
        }
    }

    /// Which of the descriptors are meant: by the whole name, else by the name alone where no tag was asked for, as
    /// other programs write it, else by the name that containerd keeps.
    pub(crate) fn find<'a>(&self, all: impl Iterator<Item = &'a Descriptor> + Clone) -> Vec<&'a Descriptor> {
        match self {
            Self::Digest { named, digest } => {
                let found = all.filter(|d| d.digest.starts_with(digest.as_str()));
                match named {
                    Some(named) => named.find(found.collect::<Vec<_>>().into_iter()),
                    None => found.collect(),
                }
            }
            Self::Tagged { name, tag } => {
                let full = self.full();
                let containerd = |d: &Descriptor| d.annotations.get(CONTAINERD_NAME).cloned();
                let tests: [&dyn Fn(&Descriptor) -> bool; 3] = [
                    &|d| d.ref_name() == full.as_deref(),
                    &|d| tag.is_none() && d.ref_name() == Some(name),
                    &|d| {
                        containerd(d).is_some_and(|n| {
                            reference::familiar(&n)
                                == reference::familiar(full.as_deref().unwrap_or_default())
                        })
                    },
                ];
                let found = |test: &&dyn Fn(&Descriptor) -> bool| -> Vec<&'a Descriptor> {
                    all.clone().filter(|d| test(d)).collect()
                };
                tests.iter().map(found).find(|found| !found.is_empty()).unwrap_or_default()
            }
        }
    }
}

/// A digest, or the first digits of one.
fn is_digest_start(text: &str) -> bool {
    let digits = text.strip_prefix("sha256:").or_else(|| text.strip_prefix("sha512:"));
    digits.is_some_and(|hex| {
        hex.len() >= MIN_DIGITS && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
    })
}

impl FromStr for StoredName {
    type Err = StoredNameError;

    fn from_str(text: &str) -> Result<Self, StoredNameError> {
        let bad = || StoredNameError(text.chars().take(160).collect());
        if is_digest_start(text) {
            return Ok(Self::Digest { named: None, digest: text.to_owned() });
        }
        if let Some((named, digest)) = text.split_once('@') {
            if !is_digest_start(digest) && !is_digest(digest) {
                return Err(bad());
            }
            let named = match named {
                "" => None,
                named => Some(Box::new(named.parse::<Self>().map_err(|_| bad())?)),
            };
            return Ok(Self::Digest { named, digest: digest.to_owned() });
        }
        reference::check_ref_name(text).map_err(|_| bad())?;
        let tag = reference::tag_of(text).map(str::to_owned);
        let name = match &tag {
            Some(tag) => text[..text.len() - tag.len() - 1].to_owned(),
            None => text.to_owned(),
        };
        // A tag with a colon in it would be read back as another one.
        if tag.as_ref().is_some_and(|tag| tag.contains(':')) {
            return Err(bad());
        }
        Ok(Self::Tagged { name, tag })
    }
}

impl fmt::Display for StoredName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Tagged { name, tag: Some(tag) } => write!(f, "{name}:{tag}"),
            Self::Tagged { name, tag: None } => f.write_str(name),
            Self::Digest { named: Some(named), digest } => write!(f, "{named}@{digest}"),
            Self::Digest { named: None, digest } => f.write_str(digest),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_read_and_printed_back() {
        let hex = "0123456789abcdef".repeat(4);
        let digest = format!("sha256:{hex}");
        let cases = [
            ("debian", Some("debian:latest")),
            ("debian:12", Some("debian:12")),
            ("localhost:5000/a/b", Some("localhost:5000/a/b:latest")),
            ("localhost:5000/a/b:1.4-rc", Some("localhost:5000/a/b:1.4-rc")),
            ("sha256:7", Some("sha256:7")),
            ("sha256:01234567", None),
            (digest.as_str(), None),
        ];
        for (text, full) in cases {
            let name: StoredName = text.parse().unwrap_or_else(|e| panic!("{text}: {e}"));
            assert_eq!((name.to_string().as_str(), name.full().as_deref()), (text, full));
        }
        let text = format!("a:1@{digest}");
        assert_eq!(text.parse::<StoredName>().unwrap().to_string(), text);
        for text in ["", "-a", "a b", "a:", "a:1:2", "a@b", "a//b", "../a"] {
            assert!(text.parse::<StoredName>().is_err(), "{text}");
        }
    }

    #[test]
    fn the_whole_name_comes_first() {
        let named = |name: &str, digest: &str| {
            let mut d = Descriptor::new("t", format!("sha256:{}", digest.repeat(32)), 1);
            d.annotations.insert(aurora_formats::oci::descriptor::REF_NAME.into(), name.into());
            d
        };
        let mut containerd = named("1", "dd");
        containerd.annotations.insert(CONTAINERD_NAME.into(), "docker.io/library/c:1".into());
        let all = [named("a", "aa"), named("a:latest", "bb"), named("v1", "cc"), containerd];
        let find = |text: &str| -> Vec<String> {
            let name: StoredName = text.parse().unwrap();
            name.find(all.iter()).iter().map(|d| d.digest[7..9].to_owned()).collect()
        };
        assert_eq!(find("a"), ["bb"]);
        assert_eq!(find("v1"), ["cc"]);
        assert!(find("v1:latest").is_empty() && find("latest").is_empty() && find("b").is_empty());
        assert_eq!(find("c:1"), ["dd"]);
        assert_eq!(find("sha256:aaaaaaaa"), ["aa"]);
        assert_eq!(find("a@sha256:bbbbbbbb"), ["bb"]);
        assert!(find("v1@sha256:bbbbbbbb").is_empty());
    }
}
