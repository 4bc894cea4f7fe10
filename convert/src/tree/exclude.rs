//! Patterns of names that are to be left out.
//!
//! `*` is any text without a slash, `?` one character but a slash, `[a-z]` and `[!a-z]` one character of a set or not of
//! it, `**` any text; `**/` any directories, or none. A backslash takes the character behind it for itself. A pattern
//! without a slash means names in any directory; one with a slash, also at its beginning, paths from the root.

use std::str::FromStr;

use aurora_formats::model::EntryPath;

use super::{InodeId, Tree};

/// One pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    steps: Vec<Step>,
    /// It means whole paths, not names.
    is_path: bool,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Step {
    /// This byte.
    Byte(u8),
    /// Any byte but a slash.
    One,
    /// One byte of these ranges, or none of them; never a slash.
    Set { ranges: Vec<(u8, u8)>, is_negated: bool },
    /// Any bytes but slashes.
    Some,
    /// Any bytes.
    All,
    /// Before a directory of `**/`; the step behind the next one may begin here.
    Dirs,
    /// In a directory of `**/`.
    InDir,
}

/// Why a text is no [`Pattern`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{what}: {text:?}")]
pub struct PatternError {
    what: &'static str,
    text: String,
}

impl FromStr for Pattern {
    type Err = PatternError;

    fn from_str(text: &str) -> Result<Self, PatternError> {
        let error = |what| PatternError { what, text: text.to_owned() };
        let body = text.strip_suffix('/').unwrap_or(text);
        let is_path = body.contains('/');
        let body = body.strip_prefix('/').unwrap_or(body);
        if body.is_empty() {
            return Err(error("a pattern names something"));
        }
        let (mut steps, mut rest) = (Vec::new(), body.as_bytes());
        while let Some((&first, behind)) = rest.split_first() {
            rest = behind;
            match first {
                b'*' => {
                    let is_start = matches!(steps.last(), None | Some(Step::Byte(b'/') | Step::InDir));
                    if let (Some(behind), true) = (rest.strip_prefix(b"*/"), is_start) {
                        rest = behind;
                        steps.extend([Step::Dirs, Step::InDir]);
                    } else if let Some(behind) = rest.strip_prefix(b"*") {
                        rest = behind;
                        steps.push(Step::All);
                    } else {
                        steps.push(Step::Some);
                    }
                }
                b'?' => steps.push(Step::One),
                b'[' => {
                    let (set, behind) = set(rest).ok_or_else(|| error("a set of characters has no end"))?;
                    rest = behind;
                    steps.push(set);
                }
                b'\\' => {
                    let (&escaped, behind) =
                        rest.split_first().ok_or_else(|| error("nothing behind the backslash"))?;
                    rest = behind;
                    steps.push(Step::Byte(escaped));
                }
                byte => steps.push(Step::Byte(byte)),
            }
        }
        Ok(Self { text: text.to_owned(), steps, is_path })
    }
}

/// What is behind `[`, and what follows it.
fn set(mut rest: &[u8]) -> Option<(Step, &[u8])> {
    let is_negated = matches!(rest.first(), Some(b'!' | b'^'));
    rest = &rest[usize::from(is_negated)..];
    let mut ranges = Vec::new();
    loop {
        let (&first, behind) = rest.split_first()?;
        // In front it stands for itself.
        if first == b']' && !ranges.is_empty() {
            return Some((Step::Set { ranges, is_negated }, behind));
        }
        rest = behind;
        match *rest {
            [b'-', last, ..] if last != b']' => {
                ranges.push((first, last));
                rest = &rest[2..];
            }
            _ => ranges.push((first, first)),
        }
    }
}

impl Pattern {
    /// As it was given.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Whether a path, from the root and without a slash in front, is meant.
    pub fn matches(&self, path: &[u8]) -> bool {
        let text = match path.iter().rposition(|&b| b == b'/') {
            Some(at) if !self.is_path => &path[at + 1..],
            _ => path,
        };
        // All places that the pattern may be at, so that no pattern takes more than its length times that of the path.
        let mut at = vec![false; self.steps.len() + 1];
        at[0] = true;
        self.pass_empty(&mut at);
        for &byte in text {
            let mut next = vec![false; at.len()];
            for (place, step) in self.steps.iter().enumerate().filter(|(place, _)| at[*place]) {
                let is_slash = byte == b'/';
                match step {
                    Step::Byte(want) => next[place + 1] |= *want == byte,
                    Step::One => next[place + 1] |= !is_slash,
                    Step::Set { ranges, is_negated } => {
                        let is_in = ranges.iter().any(|(from, to)| (from..=to).contains(&&byte));
                        next[place + 1] |= !is_slash && is_in != *is_negated;
                    }
                    Step::Some => next[place] |= !is_slash,
                    Step::All => next[place] = true,
                    Step::Dirs => next[place + 1] |= !is_slash,
                    Step::InDir if is_slash => next[place - 1] = true,
                    Step::InDir => next[place] = true,
                }
            }
            self.pass_empty(&mut next);
            at = next;
        }
        at[self.steps.len()]
    }

    /// What may stand for nothing is passed.
    fn pass_empty(&self, at: &mut [bool]) {
        for (place, step) in self.steps.iter().enumerate() {
            match step {
                Step::Some | Step::All if at[place] => at[place + 1] = true,
                Step::Dirs if at[place] => at[place + 2] = true,
                _ => {}
            }
        }
    }
}

/// Takes out what is meant below `top`, with all that is in it. The paths that were taken out, from the root of the
/// tree, and for each pattern whether it meant anything.
pub fn exclude(tree: &mut Tree, top: &EntryPath, patterns: &[Pattern]) -> (Vec<EntryPath>, Vec<bool>) {
    let (mut removed, mut is_used) = (Vec::new(), vec![false; patterns.len()]);
    let prefix = if top.is_root() { 0 } else { top.as_bytes().len() + 1 };
    for (path, _) in tree.walk() {
        if path == *top || !path.starts_with(top) || tree.lookup(&path).is_none() {
            continue;
        }
        let mut is_meant = false;
        for (pattern, is_used) in patterns.iter().zip(&mut is_used) {
            if pattern.matches(&path.as_bytes()[prefix..]) {
                (is_meant, *is_used) = (true, true);
            }
        }
        let parent: Option<(InodeId, &[u8])> =
            path.split().and_then(|(dir, name)| Some((tree.lookup(&dir)?, name)));
        if let (true, Some((dir, name))) = (is_meant, parent) {
            tree.unlink(dir, name);
            removed.push(path.clone());
        }
    }
    (removed, is_used)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_formats::model::Metadata;

    use super::super::Kind;
    use super::*;

    #[test]
    fn patterns_mean_what_is_written() {
        let cases: [(&str, &[&str], &[&str]); 13] = [
            ("core", &["core", "var/core", "a/b/core"], &["cores", "core/x", "score"]),
            ("*.log", &["x.log", "var/log/a.log", ".log"], &["x.log.1", "log"]),
            ("/etc", &["etc"], &["usr/etc", "etc/x"]),
            (
                "etc/ssh/ssh_host_*",
                &["etc/ssh/ssh_host_rsa_key", "etc/ssh/ssh_host_"],
                &["x/etc/ssh/ssh_host_a", "etc/ssh/a"],
            ),
            ("var/log/*", &["var/log/a", "var/log/b"], &["var/log", "var/log/a/b"]),
            ("var/log/", &["var/log"], &["log"]),
            ("**/tmp", &["tmp", "a/tmp", "a/b/tmp"], &["atmp", "a/tmp/b"]),
            ("a/**/b", &["a/b", "a/x/b", "a/x/y/b"], &["ab", "a/xb", "x/a/b"]),
            ("var/**", &["var/a", "var/a/b"], &["var", "variable"]),
            ("/?", &["a", "b"], &["ab", "x/a"]),
            ("[a-cx]y", &["ay", "cy", "xy", "d/by"], &["dy", "y"]),
            ("[!a]y[]]", &["by]"], &["ay]", "by"]),
            ("a\\*b", &["a*b"], &["axb"]),
        ];
        for (text, yes, no) in cases {
            let pattern: Pattern = text.parse().unwrap();
            assert!(yes.iter().all(|path| pattern.matches(path.as_bytes())), "{text}");
            assert!(!no.iter().any(|path| pattern.matches(path.as_bytes())), "{text}");
        }
        for bad in ["", "/", "//x/..[", "[abc", "a\\"] {
            assert!(bad.parse::<Pattern>().is_err(), "{bad}");
        }
        // No pattern is slow.
        let slow: Pattern = "**a**a**a**a**a**a**a**a**a**a**a**b".parse().unwrap();
        assert!(!slow.matches(&[b'a'; 4000]));
    }

    #[test]
    fn what_is_meant_goes_with_all_in_it() {
        let mut tree = Tree::new(Metadata::default());
        for path in ["root", "root/etc", "root/etc/key", "root/etc-x", "root/var", "root/var/key", "key"] {
            let path = EntryPath::parse(path.as_bytes()).unwrap();
            let (dir, name) = path.split().unwrap();
            let dir = tree.lookup(&dir).unwrap();
            let id = tree.add(Metadata::default(), Kind::Dir(Arc::default()));
            tree.link(dir, name, id);
        }
        let patterns: Vec<Pattern> = ["/etc", "key", "none"].iter().map(|p| p.parse().unwrap()).collect();
        let top = EntryPath::parse(b"root").unwrap();
        let (removed, is_used) = exclude(&mut tree, &top, &patterns);
        let texts = |paths: &[EntryPath]| paths.iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&removed), ["root/etc", "root/var/key"]);
        assert_eq!(is_used, [true, true, false]);
        let left: Vec<EntryPath> = tree.walk().into_iter().map(|(path, _)| path).collect();
        assert_eq!(texts(&left)[1..], ["key", "root", "root/etc-x", "root/var"]);
    }
}
