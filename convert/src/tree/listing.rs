//! The canonical listing (`docs/cli.md`): one row an entry; equal trees give equal rows.

use std::collections::BTreeMap;
use std::io::Read;

use aurora_engine::digest::{Algorithm, Hasher};
use aurora_formats::model::{Device, EntryPath, escape_listing};
use rayon::prelude::*;

use super::{InodeId, Kind, Tree};
use crate::content::Content;
use crate::{Ctx, Error, Result};

/// What tunes a listing.
#[derive(Debug, Clone, Copy, Default)]
pub struct ListOptions {
    /// POSIX ACLs among the attributes.
    pub acl: bool,
    /// Leaves content unread and `sha256` out.
    pub no_hash: bool,
}

/// One line.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Row {
    /// `.` for the root; escaped.
    pub path: String,
    /// file dir symlink fifo char block socket.
    pub kind: &'static str,
    /// `0` and the octal bits.
    pub mode: String,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Nanoseconds since 1970.
    pub mtime_ns: i128,
    /// Of files.
    pub size: Option<u64>,
    /// Of files.
    pub sha256: Option<String>,
    /// Of symbolic links; escaped.
    pub target: Option<String>,
    /// Name to value in hex.
    pub xattrs: BTreeMap<String, String>,
    /// First path of the group, where there are several.
    pub hardlink: Option<String>,
    /// `major:minor`.
    pub rdev: Option<String>,
}

/// Attributes that belong to the machine or the storage driver and not to the tree.
const LEFT_OUT: &[&[u8]] = &[
    b"security.selinux",
    b"trusted.overlay.",
    b"user.overlay.",
    b"user.containers.",
    b"user.rootlesscontainers",
    b"btrfs.",
];
/// Whether an attribute says nothing of the tree itself.
pub(crate) fn is_of_the_host(name: &[u8]) -> bool {
    LEFT_OUT.iter().any(|prefix| name.starts_with(prefix))
}

/// POSIX ACLs, shown when asked for.
const ACL: &[u8] = b"system.posix_acl_";

/// All rows, sorted by the raw bytes of the path.
pub fn rows(tree: &Tree, options: ListOptions, ctx: &Ctx<'_>) -> Result<Vec<Row>> {
    rows_where(tree, |_| true, options, ctx)
}

/// The rows of the names that are wanted. Content of other files is not read; a `hardlink` may well name one.
pub fn rows_where(
    tree: &Tree,
    is_wanted: impl Fn(&EntryPath) -> bool,
    options: ListOptions,
    ctx: &Ctx<'_>,
) -> Result<Vec<Row>> {
    let mut names = tree.walk();
    let mut first: BTreeMap<InodeId, EntryPath> = BTreeMap::new();
    for (path, id) in &names {
        first.entry(*id).or_insert_with(|| path.clone());
    }
    names.retain(|(path, _)| is_wanted(path));
    let mut hashed: BTreeMap<InodeId, &EntryPath> = BTreeMap::new();
    for (path, id) in &names {
        hashed.entry(*id).or_insert(path);
    }
    let digests = if options.no_hash { BTreeMap::new() } else { digests(tree, &hashed, ctx)? };
    Ok(names.iter().map(|(path, id)| row(tree, path, *id, &first[id], &digests, options)).collect())
}

/// The digest of every file, each inode once.
fn digests(
    tree: &Tree,
    first: &BTreeMap<InodeId, &EntryPath>,
    ctx: &Ctx<'_>,
) -> Result<BTreeMap<InodeId, String>> {
    let files: Vec<(InodeId, &EntryPath, &Content)> = first
        .iter()
        .filter_map(|(id, path)| match &tree.inode(*id).kind {
            Kind::File(content) => Some((*id, *path, &**content)),
            _ => None,
        })
        .collect();
    let hash = |(id, path, content): &(InodeId, &EntryPath, &Content)| -> Result<(InodeId, String)> {
        let hex = sha256(content, ctx).map_err(|e| e.at_entry(path))?;
        Ok((*id, hex))
    };
    if ctx.options.threads > 1 {
        files.par_iter().map(hash).collect()
    } else {
        files.iter().map(hash).collect()
    }
}

/// SHA-256 of a content, in hex.
pub fn sha256(content: &Content, ctx: &Ctx<'_>) -> Result<String> {
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let mut reader = content.reader();
    let mut buf = vec![0; content.size.clamp(1, 1 << 18) as usize];
    loop {
        ctx.check()?;
        let n = reader.read(&mut buf).map_err(|e| Error::io("cannot read content", e))?;
        if n == 0 {
            return Ok(hasher.finish().hex().to_owned());
        }
        hasher.update(&buf[..n]);
    }
}

fn row(
    tree: &Tree,
    path: &EntryPath,
    id: InodeId,
    first: &EntryPath,
    digests: &BTreeMap<InodeId, String>,
    options: ListOptions,
) -> Row {
    let inode = tree.inode(id);
    let rdev = |d: Device| Some(format!("{}:{}", d.major, d.minor));
    let (kind, size, target, rdev) = match &inode.kind {
        Kind::Dir(_) => ("dir", None, None, None),
        Kind::File(content) => ("file", Some(content.size), None, None),
        Kind::Symlink(target) => ("symlink", None, Some(escape_listing(target)), None),
        Kind::Char(device) => ("char", None, None, rdev(*device)),
        Kind::Block(device) => ("block", None, None, rdev(*device)),
        Kind::Fifo => ("fifo", None, None, None),
        Kind::Socket => ("socket", None, None, None),
    };
    let is_shown = |name: &[u8]| !is_of_the_host(name) && (options.acl || !name.starts_with(ACL));
    let shown = inode.meta.xattrs.iter().filter(|(name, _)| is_shown(name));
    Row {
        path: path.to_listing(),
        kind,
        mode: if kind == "symlink" { "0777".to_owned() } else { format!("0{:o}", inode.meta.mode) },
        uid: inode.meta.owner.uid,
        gid: inode.meta.owner.gid,
        mtime_ns: inode.meta.mtime.as_nanos(),
        size,
        sha256: digests.get(&id).cloned(),
        target,
        xattrs: shown.map(|(n, v)| (escape_listing(n), aurora_engine::digest::to_hex(v))).collect(),
        hardlink: (kind != "dir" && inode.names > 1).then(|| first.to_listing()),
        rdev,
    }
}
