//! Whiteouts: names of a layer that say what to remove from the layers below (image-spec, layer.md,
//! "Whiteouts").

use crate::model::EntryPath;

/// What the last component of a whiteout starts with.
pub const PREFIX: &[u8] = b".wh.";
/// The name that empties its directory of everything below.
pub const OPAQUE: &[u8] = b".wh..wh..opq";
/// What names of aufs's own books start with (`.wh..wh.plnk`, `.wh..wh.aufs`, `.wh..wh.orph`).
const BOOKS: &[u8] = b".wh..wh.";

/// What a name that starts with [`PREFIX`] means.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Marker {
    /// Removes this path of the layers below.
    Remove(EntryPath),
    /// Removes all children that this directory has in the layers below.
    Opaque(EntryPath),
    /// Belongs to a union file system's own books: nothing of it is part of the image.
    Ignored,
}

/// A name that can be no whiteout, though it looks like one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum WhiteoutError {
    /// `.wh.` and nothing behind it, or a name behind it that is none.
    #[error("whiteout of nothing: {0}")]
    Nothing(EntryPath),
    /// A directory, or something below one, that bears a whiteout's name.
    #[error("directory with a whiteout's name: {0}")]
    Directory(EntryPath),
}

/// Reads a name as a whiteout; `None` if it is an ordinary one. Whatever type the entry has, it only marks, but for
/// a directory, which cannot.
pub fn marker(path: &EntryPath, is_dir: bool) -> Result<Option<Marker>, WhiteoutError> {
    let Some((dir, name)) = path.split() else { return Ok(None) };
    let is_book = |part: &[u8]| part.starts_with(BOOKS) && part != OPAQUE;
    if path.components().any(is_book) {
        return Ok(Some(Marker::Ignored));
    }
    if dir.components().any(|part| part.starts_with(PREFIX)) {
        return Err(WhiteoutError::Directory(path.clone()));
    }
    let Some(removed) = name.strip_prefix(PREFIX) else { return Ok(None) };
    if is_dir {
        return Err(WhiteoutError::Directory(path.clone()));
    }
    match removed {
        b"" | b"." | b".." => Err(WhiteoutError::Nothing(path.clone())),
        _ if name == OPAQUE => Ok(Some(Marker::Opaque(dir))),
        _ => Ok(Some(Marker::Remove(dir.join(removed)))),
    }
}

/// The name that removes `path` from the layers below; `None` for the root, which nothing removes.
pub fn whiteout_of(path: &EntryPath) -> Option<EntryPath> {
    let (dir, name) = path.split()?;
    Some(dir.join(&[PREFIX, name].concat()))
}

/// Whether an ordinary entry of this name would be taken for a whiteout by whoever reads the layer.
pub fn looks_like_whiteout(path: &EntryPath) -> bool {
    path.components().any(|part| part.starts_with(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn path(text: &str) -> EntryPath {
        EntryPath::parse(text.as_bytes()).unwrap()
    }

    #[test]
    fn names_are_told_apart() {
        let cases = [
            ("a/x", Ok(None)),
            (".whx", Ok(None)),
            (".wh", Ok(None)),
            ("d/x.wh.", Ok(None)),
            (".wh.a", Ok(Some(Marker::Remove(path("a"))))),
            ("d/.wh.a.wh.b", Ok(Some(Marker::Remove(path("d/a.wh.b"))))),
            ("d/.wh..wh..opq", Ok(Some(Marker::Opaque(path("d"))))),
            (".wh..wh..opq", Ok(Some(Marker::Opaque(EntryPath::root())))),
            (".wh..wh.plnk/1.2", Ok(Some(Marker::Ignored))),
            (".wh..wh.aufs", Ok(Some(Marker::Ignored))),
            ("d/.wh.", Err(WhiteoutError::Nothing(path("d/.wh.")))),
            ("d/.wh...", Err(WhiteoutError::Nothing(path("d/.wh...")))),
            (".wh.d/x", Err(WhiteoutError::Directory(path(".wh.d/x")))),
        ];
        for (name, want) in cases {
            assert_eq!(marker(&path(name), false), want, "{name}");
        }
        assert!(marker(&path(".wh.d"), true).is_err());
        assert_eq!(marker(&EntryPath::root(), true), Ok(None));
    }

    #[test]
    fn what_is_written_is_read_back() {
        let gone = path("usr/share/doc");
        let name = whiteout_of(&gone).unwrap();
        assert_eq!(name, path("usr/share/.wh.doc"));
        assert_eq!(marker(&name, false), Ok(Some(Marker::Remove(gone))));
        assert_eq!(whiteout_of(&EntryPath::root()), None);
        assert!(looks_like_whiteout(&name) && !looks_like_whiteout(&path("a.wh.b")));
    }
}
