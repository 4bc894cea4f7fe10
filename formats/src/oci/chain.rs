//! ChainIDs: names of a layer together with all below it (config.md, "Layer ChainID"). Nothing is hashed here.

/// What is hashed for the chainID of a layer: its diffID alone for the lowest (`None`: that is its chainID), the
/// chainID below and its diffID for all others.
pub fn chain_text(below: Option<&str>, diff_id: &str) -> Option<String> {
    below.map(|below| format!("{below} {diff_id}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn by_the_specification() {
        assert_eq!(chain_text(None, "sha256:a"), None);
        assert_eq!(chain_text(Some("sha256:a"), "sha256:b").as_deref(), Some("sha256:a sha256:b"));
    }
}
