//! Entries of one changeset, and what a changeset says about the layers below it.

use std::collections::BTreeMap;

use super::{EntryPath, Timestamp};

/// Extended attributes by full name (`user.x`, `security.capability`, `system.posix_acl_access`), sorted.
pub type Xattrs = BTreeMap<Box<[u8]>, Box<[u8]>>;

/// Who owns an entry, by number: names are never looked up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Owner {
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
}

/// What `stat` and `getxattr` tell of an inode, besides its type.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Metadata {
    /// Permission bits with setuid, setgid and sticky: `0..=0o7777`.
    pub mode: u32,
    /// User and group.
    pub owner: Owner,
    /// Last modification of the content.
    pub mtime: Timestamp,
    /// Extended attributes, POSIX ACLs among them in their binary form.
    pub xattrs: Xattrs,
}

/// A device number, split: systems pack it differently.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub struct Device {
    /// Driver.
    pub major: u32,
    /// Instance.
    pub minor: u32,
}

/// What an entry is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Node {
    /// Directory.
    Dir,
    /// Regular file of that many bytes, holes included.
    File {
        /// Bytes.
        size: u64,
    },
    /// Symbolic link and its target, which is never interpreted here.
    Symlink(Box<[u8]>),
    /// Another name of an entry of this changeset or of one below.
    Hardlink(EntryPath),
    /// Character device.
    Char(Device),
    /// Block device.
    Block(Device),
    /// Named pipe.
    Fifo,
    /// Unix socket; tar cannot hold one.
    Socket,
}

/// One name of a changeset with all that belongs to it but the content.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// Where.
    pub path: EntryPath,
    /// What.
    pub node: Node,
    /// Owner, mode, times, attributes. Of a hard link they are ignored: the inode's are the target's.
    pub meta: Metadata,
}

/// What one line of a changeset says. `Remove` and `Opaque` speak **only about lower changesets**, wherever
/// they stand, so they never remove what this changeset adds (OCI image-spec, layer.md, "Whiteouts").
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Change {
    /// Adds or replaces. A repeated path replaces the earlier one.
    Entry(Entry),
    /// Removes this lower path and all below it; none is no error.
    Remove(EntryPath),
    /// Removes all lower children of this directory.
    Opaque(EntryPath),
}
