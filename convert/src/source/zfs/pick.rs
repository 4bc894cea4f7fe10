//! Which snapshot of a package is meant.

/// What to read of an input.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Pick {
    /// The last snapshot of the first dataset.
    First,
    /// Everything: it is an origin.
    All,
    /// A snapshot.
    Named {
        /// `None`: the first dataset that has it.
        dataset: Option<Vec<u8>>,
        /// `None`: the last one.
        snapshot: Option<Vec<u8>>,
    },
}

/// `dataset@snapshot`, taken apart.
pub(super) fn split(name: &[u8]) -> (&[u8], &[u8]) {
    match name.iter().position(|&b| b == b'@') {
        Some(at) => (&name[..at], &name[at + 1..]),
        None => (name, b""),
    }
}

impl Pick {
    /// `DATASET@SNAP`, `@SNAP` or `DATASET`.
    pub(super) fn parse(text: Option<&str>) -> Self {
        let Some(text) = text.filter(|t| !t.is_empty()) else { return Self::First };
        let (dataset, snapshot) = split(text.as_bytes());
        let part = |p: &[u8]| Some(p.to_vec()).filter(|p| !p.is_empty());
        Self::Named { dataset: part(dataset), snapshot: part(snapshot) }
    }

    /// Whether this name may be it. `first` is the dataset of the first stream.
    pub(super) fn matches(&self, name: &[u8], first: &[u8]) -> bool {
        let (dataset, snapshot) = split(name);
        match self {
            Self::All => false,
            Self::First => dataset == first,
            Self::Named { dataset: d, snapshot: s } => {
                d.as_ref().is_none_or(|d| d == dataset) && s.as_ref().is_none_or(|s| s == snapshot)
            }
        }
    }

    /// Whether the first match is final: what comes later needs no keeping.
    pub(super) fn is_exact(&self) -> bool {
        matches!(self, Self::Named { snapshot: Some(_), .. })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn picks() {
        let cases = [
            (None, "tank/a@x", true),
            (None, "tank/a/kid@x", false),
            (Some("tank/a@x"), "tank/a@x", true),
            (Some("tank/a@x"), "tank/a@y", false),
            (Some("@y"), "tank/a/kid@y", true),
            (Some("@y"), "tank/a/kid@x", false),
            (Some("tank/a/kid"), "tank/a/kid@x", true),
            (Some("tank/a/kid"), "tank/a@x", false),
        ];
        for (pick, name, want) in cases {
            assert_eq!(Pick::parse(pick).matches(name.as_bytes(), b"tank/a"), want, "{pick:?} {name}");
        }
        assert!(Pick::parse(Some("@x")).is_exact() && !Pick::parse(Some("tank")).is_exact());
    }
}
