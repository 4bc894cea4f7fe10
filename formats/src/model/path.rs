//! The name of an entry: relative, normalised, unable to express an escape.

use std::fmt;

/// Longest path, in bytes: PATH_MAX of every system that aurora runs on.
pub const MAX_PATH: usize = 4096;
/// Deepest nesting; deeper than any real image, shallow enough for every kernel.
pub const MAX_DEPTH: usize = 1024;
/// Longest component, in bytes: ZFS with its `longname` feature. Most targets take 255 and say so themselves.
pub const MAX_COMPONENT: usize = 1023;

/// Why bytes are no [`EntryPath`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum PathError {
    /// A `..` component above the root.
    #[error("path leaves the root by `..`: {}", .0.escape_ascii())]
    Escape(Vec<u8>),
    /// A NUL byte.
    #[error("path has a NUL byte: {}", .0.escape_ascii())]
    Nul(Vec<u8>),
    /// Longer than [`MAX_PATH`].
    #[error("path is longer than 4096 bytes: {0}")]
    TooLong(usize),
    /// Deeper than [`MAX_DEPTH`].
    #[error("path is deeper than 1024 components: {0}")]
    TooDeep(usize),
    /// A component longer than the limit in force.
    #[error("path component is longer than {limit} bytes: {length}")]
    ComponentTooLong {
        /// Bytes in the component.
        length: usize,
        /// Bytes allowed.
        limit: usize,
    },
}

/// A path relative to the image's root: bytes, not UTF-8; no empty, `.` or `..` component, no NUL. The empty
/// path is the root itself. Valid by construction.
///
/// Ordered by raw bytes, as the canonical listing is; a directory sorts before everything below it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct EntryPath(Box<[u8]>);

impl EntryPath {
    /// The root directory.
    pub fn root() -> Self {
        Self::default()
    }

    /// Reads a name as archives write it: leading `/` and `./`, doubled and trailing slashes and `.`
    /// components mean nothing; `a/../b` is `b`, as every unpacker has it, and `..` above the root is an error.
    pub fn parse(raw: &[u8]) -> Result<Self, PathError> {
        if raw.contains(&0) {
            return Err(PathError::Nul(raw.to_vec()));
        }
        let mut parts: Vec<&[u8]> = Vec::new();
        for part in raw.split(|&b| b == b'/') {
            match part {
                b"" | b"." => {}
                b".." => {
                    parts.pop().ok_or_else(|| PathError::Escape(raw.to_vec()))?;
                }
                name if name.len() > MAX_COMPONENT => {
                    return Err(PathError::ComponentTooLong { length: name.len(), limit: MAX_COMPONENT });
                }
                name => parts.push(name),
            }
        }
        if parts.len() > MAX_DEPTH {
            return Err(PathError::TooDeep(parts.len()));
        }
        let joined = parts.join(&b'/');
        if joined.len() > MAX_PATH {
            return Err(PathError::TooLong(joined.len()));
        }
        Ok(Self(joined.into_boxed_slice()))
    }

    /// The path of `name` in this directory. `name` must be one valid component.
    pub fn join(&self, name: &[u8]) -> Self {
        debug_assert!(!name.is_empty() && !name.contains(&b'/') && !name.contains(&0));
        let mut joined = Vec::with_capacity(self.0.len() + 1 + name.len());
        if !self.is_root() {
            joined.extend_from_slice(&self.0);
            joined.push(b'/');
        }
        joined.extend_from_slice(name);
        Self(joined.into_boxed_slice())
    }

    /// The bytes, without a leading or trailing slash; empty for the root.
    pub fn as_bytes(&self) -> &[u8] {
        &self.0
    }

    /// Whether this is the root directory.
    pub fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The components, from the top.
    pub fn components(&self) -> impl DoubleEndedIterator<Item = &[u8]> {
        self.0.split(|&b| b == b'/').filter(|part| !part.is_empty())
    }

    /// The directory and the last component; `None` for the root.
    pub fn split(&self) -> Option<(Self, &[u8])> {
        if self.is_root() {
            return None;
        }
        Some(match self.0.iter().rposition(|&b| b == b'/') {
            Some(slash) => (Self(self.0[..slash].into()), &self.0[slash + 1..]),
            None => (Self::root(), &self.0),
        })
    }

    /// Whether this path is `other` or lies below it.
    pub fn starts_with(&self, other: &Self) -> bool {
        other.is_root()
            || (self.0.starts_with(&other.0)
                && (self.0.len() == other.0.len() || self.0[other.0.len()] == b'/'))
    }

    /// As the canonical listing writes it: `.` for the root, a backslash doubled, what is not UTF-8 as `\xNN`.
    pub fn to_listing(&self) -> String {
        if self.is_root() { ".".to_owned() } else { escape_listing(&self.0) }
    }
}

/// Bytes as the canonical listing writes them: a backslash doubled, what is not UTF-8 as `\xNN`.
pub fn escape_listing(raw: &[u8]) -> String {
    let mut out = String::with_capacity(raw.len());
    for chunk in raw.utf8_chunks() {
        for c in chunk.valid().chars() {
            if c == '\\' {
                out.push('\\');
            }
            out.push(c);
        }
        for byte in chunk.invalid() {
            out.push_str(&format!("\\x{byte:02x}"));
        }
    }
    out
}

impl fmt::Display for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.is_root() {
            return f.write_str("/");
        }
        for c in escape_listing(&self.0).chars() {
            // Names are hostile: nothing may move a terminal's cursor or colour it.
            if c.is_control() { write!(f, "{}", c.escape_default())? } else { write!(f, "{c}")? }
        }
        Ok(())
    }
}

impl fmt::Debug for EntryPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?}", self.to_listing())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_normalised_or_refused() {
        let long = vec![b'n'; MAX_COMPONENT + 1];
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"a/b", Some(b"a/b")),
            (b"./a//b/", Some(b"a/b")),
            (b"/a/./b", Some(b"a/b")),
            (b"", Some(b"")),
            (b"./", Some(b"")),
            (b"a/../b", Some(b"b")),
            (b"../a", None),
            (b"a/../../b", None),
            (b"a\0b", None),
            (b"l\xe4tin", Some(b"l\xe4tin")),
            (&long, None),
        ];
        for (raw, want) in cases {
            let got = EntryPath::parse(raw).ok();
            assert_eq!(got.as_ref().map(EntryPath::as_bytes), *want, "{}", raw.escape_ascii());
        }
    }

    #[test]
    fn listing_form_is_that_of_the_oracle() {
        let path = EntryPath::parse(b"a\\b/l\xe4tin/\xe2\x98\x83").unwrap();
        assert_eq!(path.to_listing(), "a\\\\b/l\\xe4tin/☃");
        assert_eq!(EntryPath::root().to_listing(), ".");
        assert_eq!(EntryPath::parse(b"a\x1b[31m").unwrap().to_string(), "a\\u{1b}[31m");
    }

    #[test]
    fn splitting_and_prefixes() {
        let path = EntryPath::parse(b"usr/lib/x").unwrap();
        let (dir, name) = path.split().unwrap();
        assert_eq!((dir.as_bytes(), name), (&b"usr/lib"[..], &b"x"[..]));
        assert!(path.starts_with(&dir) && path.starts_with(&EntryPath::root()));
        assert!(!path.starts_with(&EntryPath::parse(b"usr/li").unwrap()));
        assert_eq!(EntryPath::root().split(), None);
    }
}
