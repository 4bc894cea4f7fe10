//! Where the local store is.

use std::env;
use std::ffi::OsString;
use std::path::PathBuf;

/// `AURORA_STORE`, else in the user's data directory as the XDG base directory specification has it; `None` where
/// nothing says.
pub(crate) fn default_store() -> Option<PathBuf> {
    choose(|name| env::var_os(name))
}

fn choose(variable: impl Fn(&str) -> Option<OsString>) -> Option<PathBuf> {
    let path = |name| variable(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    if let Some(store) = path("AURORA_STORE") {
        return Some(store);
    }
    // By that specification a relative path is as good as none.
    let data = path("XDG_DATA_HOME").filter(|path| path.is_absolute());
    let data = data.or_else(|| path("HOME").map(|home| home.join(".local/share")))?;
    Some(data.join("aurora/store"))
}

#[cfg(test)]
mod tests {
    use super::*;

    type Set = &'static [(&'static str, &'static str)];

    #[test]
    fn the_first_that_is_set_says() {
        let cases: &[(Set, Option<&str>)] = &[
            (&[("AURORA_STORE", "s"), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")], Some("s")),
            (&[("AURORA_STORE", ""), ("XDG_DATA_HOME", "/x"), ("HOME", "/h")], Some("/x/aurora/store")),
            (&[("XDG_DATA_HOME", "x"), ("HOME", "/h")], Some("/h/.local/share/aurora/store")),
            (&[], None),
        ];
        for (set, want) in cases {
            let variable = |name: &str| set.iter().find(|(n, _)| *n == name).map(|(_, v)| OsString::from(v));
            assert_eq!(choose(variable), want.map(PathBuf::from), "{set:?}");
        }
    }
}
