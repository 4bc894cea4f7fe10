//! What is kept in the index of the store beyond facts about blobs: see `FORMAT.md`, "Changesets".

pub(crate) mod changeset;
