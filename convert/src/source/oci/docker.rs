//! What is particular to docker-archive: names of its images, digests in its paths.

use aurora_engine::digest::Digest;
use aurora_formats::oci::docker_archive::ArchiveImage;
use aurora_formats::oci::reference;

use crate::image::select::DEFAULT_NAME;
use crate::{ErrorKind, Result};

/// Chooses an image by one of its `RepoTags`: as a whole name, else by its tag. Without a reference: the only
/// image, else the only one tagged `latest`.
pub(super) fn choose<'a>(images: &'a [ArchiveImage], wanted: Option<&str>) -> Result<&'a ArchiveImage> {
    let with = |test: &dyn Fn(&str) -> bool| -> Vec<&'a ArchiveImage> {
        images.iter().filter(|image| image.repo_tags.iter().any(|tag| test(tag))).collect()
    };
    let by_tag = |wanted: &str| with(&|name| reference::tag_of(name).unwrap_or(DEFAULT_NAME) == wanted);
    let found = match wanted {
        None if images.len() <= 1 => images.iter().collect(),
        None => by_tag(DEFAULT_NAME),
        Some(wanted) => {
            let named = with(&|name| reference::familiar(name) == reference::familiar(wanted));
            if named.is_empty() { by_tag(wanted) } else { named }
        }
    };
    let names = |images: &mut dyn Iterator<Item = &'a ArchiveImage>| -> Vec<String> {
        images.map(|i| i.repo_tags.first().unwrap_or(&i.config).clone()).collect()
    };
    match (found.as_slice(), wanted) {
        ([one], _) => Ok(one),
        ([], Some(wanted)) => {
            let text = format!("{wanted} (there is: {})", names(&mut images.iter()).join(", "));
            Err(ErrorKind::NoSuchImage(text).into())
        }
        ([], None) if images.is_empty() => {
            Err(ErrorKind::NoSuchImage("the archive lists no image".into()).into())
        }
        (several, wanted) => {
            let all = several.is_empty();
            let candidates =
                if all { names(&mut images.iter()) } else { names(&mut several.iter().copied()) };
            let name = wanted.unwrap_or("this archive").to_owned();
            Err(ErrorKind::Ambiguous { name, candidates }.into())
        }
    }
}

/// The digest that a path promises: `blobs/sha256/HEX`, as since Docker 25. (`HEX.json` and `HEX.tar` of older
/// ones are names that others have put other things under.)
pub(super) fn digest_in_path(path: &str) -> Option<Digest> {
    path.strip_prefix("blobs/")?.replacen('/', ":", 1).parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn images_by_their_tags() {
        let image = |config: &str, tags: &[&str]| ArchiveImage {
            config: config.into(),
            repo_tags: tags.iter().map(|t| (*t).to_owned()).collect(),
            layers: Vec::new(),
        };
        let one = [image("0", &[])];
        let two = [image("1", &["box:latest", "docker.io/library/box:2"]), image("2", &["host:5000/y:3"])];
        let cases: &[(&[ArchiveImage], Option<&str>, &str)] = &[
            (&one, None, "0"),
            (&one, Some("x"), "no such image: x (there is: 0)"),
            (&two, None, "1"),
            (&two, Some("box"), "1"),
            (&two, Some("docker.io/library/box:2"), "1"),
            (&two, Some("box:2"), "1"),
            (&two, Some("3"), "2"),
            (&two[1..], None, "2"),
            (&[], None, "no such image: the archive lists no image"),
            (&[one[0].clone(), one[0].clone()], None, "this archive means several images: 0, 0"),
        ];
        for (images, wanted, want) in cases {
            let got = choose(images, *wanted).map_or_else(|e| e.to_string(), |i| i.config.clone());
            assert_eq!(got, *want, "{wanted:?}");
        }
        let hex = "a".repeat(64);
        assert!(digest_in_path(&format!("blobs/sha256/{hex}")).is_some());
        assert!(digest_in_path(&format!("{hex}.json")).is_none());
    }
}
