//! Names of images within a layout, and Docker's names.

use super::OciError;

/// Longest name: what registries take for a repository and a tag, with room.
const MAX_LENGTH: usize = 512;

/// Checks a name to be written as `org.opencontainers.image.ref.name`: components of letters and digits, with one of
/// `-._:@/+` or `--` between them (annotations.md). Names that are read are only compared.
pub fn check_ref_name(name: &str) -> Result<(), OciError> {
    let bad = || OciError::Reference(name.chars().take(160).collect());
    let mut rest = name.as_bytes();
    if name.len() > MAX_LENGTH {
        return Err(bad());
    }
    loop {
        let word = rest.iter().take_while(|b| b.is_ascii_alphanumeric()).count();
        match (word, &rest[word..]) {
            (0, _) => return Err(bad()),
            (_, []) => return Ok(()),
            (_, [b'-', b'-', tail @ ..]) => rest = tail,
            (_, [b'-' | b'.' | b'_' | b':' | b'@' | b'/' | b'+', tail @ ..]) => rest = tail,
            _ => return Err(bad()),
        }
    }
}

/// The tag of a full name (`docker.io/library/x:1` has `1`), without a digest behind it.
pub fn tag_of(name: &str) -> Option<&str> {
    let name = name.split_once('@').map_or(name, |(name, _)| name);
    let last = name.rsplit_once('/').map_or(name, |(_, last)| last);
    last.split_once(':').map(|(_, tag)| tag)
}

/// A Docker name without what Docker itself adds and leaves out again: `docker.io/library/`, `:latest`.
pub fn familiar(name: &str) -> &str {
    let name =
        name.strip_prefix("docker.io/").or_else(|| name.strip_prefix("index.docker.io/")).unwrap_or(name);
    let name = name.strip_prefix("library/").unwrap_or(name);
    name.strip_suffix(":latest").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_by_the_grammar() {
        let cases = [
            ("latest", true),
            ("v1.0-rc--1", true),
            ("docker.io/library/x:1@sha256:ab", true),
            ("", false),
            ("-x", false),
            ("x..y", false),
            ("x---y", false),
            ("x y", false),
            ("x/", false),
        ];
        for (name, want) in cases {
            assert_eq!(check_ref_name(name).is_ok(), want, "{name}");
        }
    }

    #[test]
    fn parts_of_full_names() {
        let cases = [
            ("docker.io/library/x:1", Some("1"), "x:1"),
            ("localhost:5000/x", None, "localhost:5000/x"),
            ("x:latest", Some("latest"), "x"),
            ("x@sha256:ab", None, "x@sha256:ab"),
        ];
        for (name, tag, short) in cases {
            assert_eq!((tag_of(name), familiar(name)), (tag, short), "{name}");
        }
    }
}
