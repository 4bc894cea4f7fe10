//! Where the images of a migration go, and what they are called there.

use std::ffi::OsStr;
use std::fmt;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;
use std::str::FromStr;

use super::names::{Registry, colon_escaped};
use super::template::{Fields, Template, safe_tag, told_apart};
use crate::names::{DatasetName, ImageName};

/// What there is, for messages.
const FORMS: &str = "docker://HOST[/PREFIX], oci:DIR, smartos:DIR, zfs:DIR or dataset:POOL[/NAME]";

/// A place for many images.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// `docker://HOST[/PREFIX]`: repositories of a registry.
    Registry(Registry),
    /// `oci:DIR`: one layout.
    Layout(PathBuf),
    /// `smartos:DIR`: manifests and files.
    Folder(PathBuf),
    /// `zfs:DIR`: send streams.
    Streams(PathBuf),
    /// `dataset:POOL[/NAME]`: datasets below this one.
    Datasets(String),
}

/// Why a text is no [`Target`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a place for images: {0}; use {FORMS}")]
pub struct TargetError(String);

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let unknown = || TargetError(text.chars().take(80).collect());
        let (word, rest) = text.split_once(':').ok_or_else(unknown)?;
        let path = || match rest {
            "" | "-" => Err(unknown()),
            _ => Ok(PathBuf::from(OsStr::from_bytes(rest.as_bytes()))),
        };
        Ok(match word {
            "docker" => Self::Registry(rest.parse().map_err(|()| unknown())?),
            "oci" => Self::Layout(path()?),
            "smartos" => Self::Folder(path()?),
            "zfs" => Self::Streams(path()?),
            "dataset" => {
                let name = DatasetName::parse(rest.as_bytes()).map_err(|_| unknown())?;
                match (name.snapshot(), name.from()) {
                    (None, None) => Self::Datasets(name.dataset().to_owned()),
                    _ => return Err(unknown()),
                }
            }
            _ => return Err(unknown()),
        })
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Registry(registry) => write!(f, "docker:{registry}"),
            Self::Layout(dir) => write!(f, "oci:{}", colon_escaped(dir)),
            Self::Folder(dir) => write!(f, "smartos:{}", dir.display()),
            Self::Streams(dir) => write!(f, "zfs:{}", dir.display()),
            Self::Datasets(name) => write!(f, "dataset:{name}"),
        }
    }
}

impl Target {
    /// Whether OCI images go there.
    pub fn is_oci(&self) -> bool {
        matches!(self, Self::Registry(_) | Self::Layout(_))
    }

    /// What an image is called there, and its further names. `apart` tells it from another one of the same name.
    pub(super) fn names(
        &self,
        template: &Template,
        fields: &Fields,
        apart: bool,
    ) -> crate::Result<(ImageName, Vec<ImageName>)> {
        let named = |text: String| if apart { told_apart(&text, &fields.uuid) } else { text };
        let (repository, tag) = template.reference(fields);
        let tag = named(tag);
        let uuid = safe_tag(&fields.uuid);
        let has_uuid = !fields.uuid.is_empty() && uuid != tag;
        let file = named(template.file(fields));
        Ok(match self {
            Self::Registry(registry) => {
                let image = |tag: &str| -> crate::Result<ImageName> {
                    let name = registry.image(&repository, tag);
                    let name = name.map_err(|e| crate::Error::usage(e.to_string()))?;
                    Ok(ImageName::Docker { name })
                };
                let also = if has_uuid { vec![image(&uuid)?] } else { Vec::new() };
                (image(&tag)?, also)
            }
            Self::Layout(dir) => {
                // Names in layouts have single marks between their words.
                let image = |tag: &str| ImageName::Oci {
                    dir: dir.clone(),
                    reference: Some(format!("{repository}:{}", single_marks(tag))),
                };
                (image(&tag), has_uuid.then(|| image(&uuid)).into_iter().collect())
            }
            Self::Folder(dir) => {
                (ImageName::Smartos { path: dir.join(format!("{file}.imgmanifest")) }, Vec::new())
            }
            Self::Streams(dir) => {
                let path = dir.join(format!("{file}.zfs"));
                (ImageName::Zfs { file: crate::names::FileName::Path(path), pick: None }, Vec::new())
            }
            Self::Datasets(parent) => {
                let name = format!("{parent}/{}", named(template.dataset(fields)));
                let name = DatasetName::parse(name.as_bytes());
                let name = name.map_err(|e| crate::Error::usage(e.to_string()))?;
                (ImageName::Dataset { name }, Vec::new())
            }
        })
    }
}

/// A tag as layouts take it (image-spec, annotations.md): marks stand between words, one at a time.
fn single_marks(tag: &str) -> String {
    let mut out = String::new();
    for c in tag.chars() {
        let is_mark = !c.is_ascii_alphanumeric();
        if !is_mark || out.ends_with(|last: char| last.is_ascii_alphanumeric()) {
            out.push(c);
        }
    }
    let trimmed = out.trim_end_matches(|c: char| !c.is_ascii_alphanumeric());
    if trimmed.is_empty() { "latest".to_owned() } else { trimmed.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::super::template::DEFAULT_TEMPLATE;
    use super::*;

    fn fields() -> Fields {
        Fields {
            name: "My image".to_owned(),
            version: "1.0--x_".to_owned(),
            uuid: "01b2c898-945f-11e1-a523-af1afbe22822".to_owned(),
            ..Fields::default()
        }
    }

    #[test]
    fn every_target_has_its_own_names() {
        let template: Template = DEFAULT_TEMPLATE.parse().unwrap();
        for (target, to, also) in [
            (
                "docker://h.example/p",
                "docker://h.example/p/my-image:1.0--x_",
                Some("docker://h.example/p/my-image:01b2c898-945f-11e1-a523-af1afbe22822"),
            ),
            (
                "oci:out",
                "oci:out:my-image:1.0-x",
                Some("oci:out:my-image:01b2c898-945f-11e1-a523-af1afbe22822"),
            ),
            ("smartos:out", "smartos:out/My-image-1.0--x_.imgmanifest", None),
            ("zfs:out", "zfs:out/My-image-1.0--x_.zfs", None),
            ("dataset:tank/images", "dataset:tank/images/My-image-1.0--x_", None),
        ] {
            let target: Target = target.parse().unwrap();
            let (found, further) = target.names(&template, &fields(), false).unwrap();
            assert_eq!(found.to_string(), to);
            assert_eq!(further.first().map(ToString::to_string).as_deref(), also);
            assert_eq!(found.to_string().parse::<ImageName>().unwrap(), found);
            let (apart, _) = target.names(&template, &fields(), true).unwrap();
            assert_ne!(apart, found);
            assert!(apart.to_string().contains("01b2c898"), "{apart}");
            assert_eq!(target.to_string().parse::<Target>().unwrap(), target);
        }
        for text in ["", "x", "tar:x", "oci:", "docker:h", "docker://h/A", "dataset:a@b", "smartos:-"] {
            assert!(text.parse::<Target>().is_err(), "{text}");
        }
    }

    #[test]
    fn names_in_layouts_keep_to_their_grammar() {
        for tag in ["1.0", "_x", "a--b", "a..b__c", "___", "1-"] {
            let name = format!("image:{}", single_marks(tag));
            assert!(aurora_formats::oci::reference::check_ref_name(&name).is_ok(), "{tag}: {name}");
        }
    }
}
