//! Names of files below a config map's directory.

/// Deeper than any configuration.
const MAX_DEPTH: usize = 16;

/// The longest name that file systems here take.
const MAX_COMPONENT: usize = 255;

/// The longest path that the system takes.
const MAX_LENGTH: usize = 4096;

/// What is written before it gets its name, in each directory.
pub(super) const TEMPORARY: &str = ".podinit-new";

/// A relative path that can't lead out of where it begins.
pub(crate) struct FileName<'a>(Vec<&'a str>);

impl<'a> FileName<'a> {
    /// Checks a name. Control characters are refused, as these names are printed.
    pub(super) fn parse(text: &'a str) -> Result<Self, &'static str> {
        if text.len() > MAX_LENGTH {
            return Err("too long");
        }
        let components: Vec<&str> = text.split('/').collect();
        if components.len() > MAX_DEPTH {
            return Err("too deep");
        }
        for component in &components {
            match *component {
                "" => return Err("empty, or an empty component in it"),
                "." | ".." => return Err("a component of dots in it"),
                TEMPORARY => return Err("the name that podinit itself uses"),
                long if long.len() > MAX_COMPONENT => return Err("a component in it is too long"),
                odd if odd.contains(char::is_control) => return Err("a control character in it"),
                _ => {}
            }
        }
        Ok(Self(components))
    }

    /// The directories to go through.
    pub(super) fn parents(&self) -> &[&'a str] {
        &self.0[..self.0.len() - 1]
    }

    /// The last component.
    pub(super) fn last(&self) -> &'a str {
        self.0.last().expect("a split has at least one part")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_stay_inside() {
        let deep = "d/".repeat(16) + "f";
        let long = "x".repeat(256);
        let very_long = "x/".repeat(2100);
        let cases = [
            ("app.toml", None),
            ("conf.d/10-a.yaml", None),
            ("...", None),
            ("..a/b..", None),
            ("", Some("empty, or an empty component in it")),
            ("/etc/passwd", Some("empty, or an empty component in it")),
            ("a//b", Some("empty, or an empty component in it")),
            ("a/", Some("empty, or an empty component in it")),
            (".", Some("a component of dots in it")),
            ("..", Some("a component of dots in it")),
            ("../x", Some("a component of dots in it")),
            ("a/../../x", Some("a component of dots in it")),
            ("a/./x", Some("a component of dots in it")),
            ("a\0b", Some("a control character in it")),
            ("a\nb", Some("a control character in it")),
            ("\u{9b}2J", Some("a control character in it")),
            (".podinit-new", Some("the name that podinit itself uses")),
            (&deep, Some("too deep")),
            (&long, Some("a component in it is too long")),
            (&very_long, Some("too long")),
        ];
        for (text, want) in cases {
            assert_eq!(FileName::parse(text).err(), want, "{text:?}");
        }
    }

    proptest::proptest! {
        /// Read as the system reads paths, none leads out, and no two lead to the same place.
        #[test]
        fn what_is_taken_is_plain(text in "[./a-z\0]{0,12}") {
            use std::path::{Component, Path};
            if FileName::parse(&text).is_ok() {
                let components: Vec<_> = Path::new(&text).components().collect();
                proptest::prop_assert!(components.iter().all(|c| matches!(c, Component::Normal(_))));
                let joined: std::path::PathBuf = components.iter().collect();
                proptest::prop_assert_eq!(joined.to_str(), Some(text.as_str()));
            }
        }
    }
}
