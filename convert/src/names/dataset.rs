//! Datasets of this host: `POOL/NAME`, `POOL/NAME@SNAP`, `POOL/NAME@A..B`.

use std::fmt;

use super::NameError;

/// Longest name that ZFS takes, with its snapshot.
const MAX_NAME: usize = 255;

/// A dataset, and what of it. Every part has the letters of ZFS names alone, so that none is taken for an option.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DatasetName {
    dataset: String,
    from: Option<String>,
    snapshot: Option<String>,
}

impl DatasetName {
    /// Reads what stands behind `dataset:`.
    pub fn parse(raw: &[u8]) -> Result<Self, NameError> {
        let shown = || String::from_utf8_lossy(raw).into_owned();
        let bad = || NameError::NotADataset(shown());
        let text = std::str::from_utf8(raw).map_err(|_| bad())?;
        let (dataset, snapshot) = match text.split_once('@') {
            Some((dataset, snapshot)) => (dataset, Some(snapshot)),
            None => (text, None),
        };
        let (from, snapshot) = match snapshot.and_then(|s| s.split_once("..")) {
            Some((from, to)) => (Some(from), Some(to)),
            None => (None, snapshot),
        };
        let begins_well = dataset.starts_with(|c: char| c.is_ascii_alphabetic());
        let parts = dataset.split('/').chain(from).chain(snapshot);
        if !begins_well || text.len() > MAX_NAME || !parts.into_iter().all(is_component) {
            return Err(bad());
        }
        let part = |text: Option<&str>| text.map(str::to_owned);
        Ok(Self { dataset: dataset.to_owned(), from: part(from), snapshot: part(snapshot) })
    }

    /// `POOL/NAME`
    pub fn dataset(&self) -> &str {
        &self.dataset
    }

    /// `A` of `@A..B`.
    pub fn from(&self) -> Option<&str> {
        self.from.as_deref()
    }

    /// `SNAP`, or `B` of `@A..B`.
    pub fn snapshot(&self) -> Option<&str> {
        self.snapshot.as_deref()
    }
}

/// The letters of one component, as `zfs` has them.
fn is_component(part: &str) -> bool {
    let is_letter = |b: u8| b.is_ascii_alphanumeric() || b"_-.: ".contains(&b);
    !part.is_empty() && part != "." && part != ".." && part.bytes().all(is_letter)
}

impl fmt::Display for DatasetName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.dataset)?;
        match (&self.from, &self.snapshot) {
            (_, None) => Ok(()),
            (None, Some(snapshot)) => write!(f, "@{snapshot}"),
            (Some(from), Some(snapshot)) => write!(f, "@{from}..{snapshot}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_datasets() {
        let cases = [
            ("zones/a-b_c.d:e f", ("zones/a-b_c.d:e f", None, None)),
            ("tank", ("tank", None, None)),
            ("tank/x@final", ("tank/x", None, Some("final"))),
            ("tank/x@a..b", ("tank/x", Some("a"), Some("b"))),
            ("tank/x@v1.2..v1.3", ("tank/x", Some("v1.2"), Some("v1.3"))),
        ];
        for (text, want) in cases {
            let name = DatasetName::parse(text.as_bytes()).unwrap();
            assert_eq!((name.dataset(), name.from(), name.snapshot()), want, "{text}");
            assert_eq!(name.to_string(), text);
        }
        let bad: [&[u8]; 16] = [
            b"",
            b"-r",
            b"/tank",
            b"tank/",
            b"tank//x",
            b"tank/../x",
            b"1tank",
            b"tank@",
            b"tank@a@b",
            b"tank@a/b",
            b"tank@a..",
            b"tank@..b",
            b"tank\n",
            b"tank/x#mark",
            b"tank/%recv",
            b"tank/\xff",
        ];
        for text in bad {
            assert!(DatasetName::parse(text).is_err(), "{}", text.escape_ascii());
        }
        assert!(DatasetName::parse(format!("t/{}", "x".repeat(254)).as_bytes()).is_err());
    }
}
