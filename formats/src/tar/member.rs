//! One member: its header block and everything said of it before, put together.

use super::acl::{self, Acl};
use super::error::TarError;
use super::format::{Dialect, Header, text};
use super::number;
use super::pax::Pax;
use super::sparse::Run;
use crate::model::{Device, Metadata, Owner, Timestamp, Xattrs};

/// A member of an archive, as it stands there: names are not normalised, whiteouts mean nothing yet.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// First byte of its headers in the archive, extended ones included.
    pub offset: u64,
    /// Its name, raw.
    pub path: Box<[u8]>,
    /// What it is.
    pub kind: Kind,
    /// Target of a link, raw; else empty.
    pub link: Box<[u8]>,
    /// Owner, mode (permission bits only), modification time, attributes.
    pub meta: Metadata,
    /// Bytes of the file, holes included; 0 for everything else.
    pub size: u64,
    /// Bytes that follow in the archive.
    pub stored: u64,
    /// Of a sparse file: where the stored bytes belong. They add up to `stored`.
    pub sparse: Option<Vec<Run>>,
    /// What was said of it and is not kept.
    pub notes: Vec<Note>,
}

/// Types of members.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Regular file, sparse and contiguous ones too.
    File,
    /// Another name of an earlier member.
    Hardlink,
    /// Symbolic link.
    Symlink,
    /// Character device.
    Char(Device),
    /// Block device.
    Block(Device),
    /// Directory.
    Dir,
    /// Named pipe.
    Fifo,
}

/// Something said of a member that is not kept.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Note {
    /// An ACL that names users or groups without numbers, or can't be understood.
    Acl(String),
    /// An NFSv4 ACL.
    AclNfs4,
    /// BSD file flags.
    Flags(String),
    /// A vendor's own type, taken for a regular file as POSIX says.
    VendorType(u8),
}

impl Kind {
    /// As the canonical listing names it.
    pub fn name(self) -> &'static str {
        match self {
            Self::File => "file",
            Self::Hardlink => "hardlink",
            Self::Symlink => "symlink",
            Self::Char(_) => "char",
            Self::Block(_) => "block",
            Self::Dir => "dir",
            Self::Fifo => "fifo",
        }
    }
}

/// What stood before a member's own header.
#[derive(Debug, Default)]
pub(super) struct Prelude {
    /// Where the first of it begins.
    pub(super) start: Option<u64>,
    pub(super) pax: Pax,
    /// GNU's `L` and `K`.
    pub(super) long_name: Option<Box<[u8]>>,
    pub(super) long_link: Option<Box<[u8]>>,
    /// How many extended headers, and their bytes.
    pub(super) count: u32,
    pub(super) bytes: u64,
}

/// A number of a header field, within `0..=max`.
pub(super) fn field(bytes: &[u8], field: &'static str, max: u64, offset: u64) -> Result<u64, TarError> {
    let number = number::parse(bytes);
    let value =
        number.ok_or_else(|| TarError::Number { offset, field, value: super::error::excerpt(bytes) })?;
    u64::try_from(value).ok().filter(|n| *n <= max).ok_or(TarError::Range { offset, field, value })
}

/// Bytes that a member or extended header may claim to have: padding must still fit an offset.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64 - 511;

/// Puts a member together, but for its sparse map. `header` is at `offset`.
pub(super) fn resolve(
    header: &Header,
    prelude: Prelude,
    global: &Pax,
    offset: u64,
) -> Result<Member, TarError> {
    let Prelude { start, mut pax, long_name, long_link, .. } = prelude;
    let dialect = header.dialect();
    let mut notes = Vec::new();

    // All implementations that a corpus of odd images was tried with prefer GNU's long names to PAX's.
    let path = long_name.or(pax.path.take()).unwrap_or_else(|| name(header, dialect));
    let path = pax.sparse.name.clone().unwrap_or(path);
    let kind = kind(header, dialect, &path, &pax, offset, &mut notes)?;
    let link = match kind {
        Kind::Hardlink | Kind::Symlink => {
            long_link.or(pax.linkpath.take()).unwrap_or_else(|| text(&header.link).into())
        }
        _ => Box::default(),
    };

    // A size means data only after what has content: links and directories may carry one that means nothing.
    let stored = match (kind, pax.size) {
        (Kind::File, Some(size)) if size <= MAX_SIZE => size,
        (Kind::File, Some(size)) => {
            return Err(TarError::Range { offset, field: "size", value: size.into() });
        }
        (Kind::File, None) => field(&header.size, "size", MAX_SIZE, offset)?,
        _ => 0,
    };
    let id = |said: Option<u64>, bytes, what| match said {
        Some(id) => u32::try_from(id).map_err(|_| TarError::Range { offset, field: what, value: id.into() }),
        // The limit is that of the type, so the conversion can't cut anything off.
        None => field(bytes, what, u32::MAX.into(), offset).map(|id| id as u32),
    };
    let mtime = match pax.mtime.or(global.mtime).flatten() {
        Some(time) => time,
        None => {
            let value = number::parse(&header.mtime).ok_or_else(|| TarError::Number {
                offset,
                field: "mtime",
                value: super::error::excerpt(&header.mtime),
            })?;
            let secs = i64::try_from(value);
            Timestamp::from_secs(secs.map_err(|_| TarError::Range { offset, field: "mtime", value })?)
        }
    };
    let meta = Metadata {
        // The limit is that of the type; bits above are of no meaning (some writers put the type there).
        mode: field(&header.mode, "mode", u32::MAX.into(), offset)? as u32 & 0o7777,
        owner: Owner {
            uid: id(pax.uid.or(global.uid).flatten(), &header.uid, "uid")?,
            gid: id(pax.gid.or(global.gid).flatten(), &header.gid, "gid")?,
        },
        mtime,
        xattrs: xattrs(&pax, global, &mut notes),
    };
    if let Some(flags) = pax.flags.as_ref().or(global.flags.as_ref()) {
        notes.push(Note::Flags(super::error::excerpt(flags)));
    }
    if pax.acl_nfs4 || global.acl_nfs4 {
        notes.push(Note::AclNfs4);
    }
    let size = if kind == Kind::File { stored } else { 0 };
    Ok(Member { offset: start.unwrap_or(offset), path, kind, link, meta, size, stored, sparse: None, notes })
}

fn name(header: &Header, dialect: Dialect) -> Box<[u8]> {
    let prefix = match dialect {
        Dialect::Ustar => text(&header.prefix),
        Dialect::Star => text(&header.prefix[..131]),
        Dialect::Gnu | Dialect::V7 => b"",
    };
    match (prefix, text(&header.name)) {
        (b"", name) => name.into(),
        (prefix, name) => [prefix, b"/", name].concat().into(),
    }
}

fn kind(
    header: &Header,
    dialect: Dialect,
    path: &[u8],
    pax: &Pax,
    offset: u64,
    notes: &mut Vec<Note>,
) -> Result<Kind, TarError> {
    let device = || {
        let part = |said: Option<u64>, bytes: &[u8], what| {
            let value = match said {
                Some(value) => value,
                None if dialect == Dialect::V7 => 0,
                None => field(bytes, what, u32::MAX.into(), offset)?,
            };
            u32::try_from(value).map_err(|_| TarError::Range { offset, field: what, value: value.into() })
        };
        Ok(Device {
            major: part(pax.devmajor, &header.devmajor, "devmajor")?,
            minor: part(pax.devminor, &header.devminor, "devminor")?,
        })
    };
    Ok(match header.kind {
        // V7 has no type for directories.
        0 if path.ends_with(b"/") => Kind::Dir,
        b'0' if dialect == Dialect::V7 && path.ends_with(b"/") => Kind::Dir,
        0 | b'0' | b'7' | b'S' => Kind::File,
        b'1' => Kind::Hardlink,
        b'2' => Kind::Symlink,
        b'3' => Kind::Char(device()?),
        b'4' => Kind::Block(device()?),
        b'5' => Kind::Dir,
        b'6' => Kind::Fifo,
        // Known not to be files: GNU's dump directories, continued volumes and old long names; Solaris's ACLs and
        // attribute files.
        b'A' | b'D' | b'E' | b'M' | b'N' => return Err(TarError::UnknownType { offset, kind: header.kind }),
        vendor @ b'A'..=b'Z' => {
            notes.push(Note::VendorType(vendor));
            Kind::File
        }
        kind => return Err(TarError::UnknownType { offset, kind }),
    })
}

fn xattrs(pax: &Pax, global: &Pax, notes: &mut Vec<Note>) -> Xattrs {
    let mut out = Xattrs::new();
    for said in [global, pax] {
        let acls = [
            (&said.acl_access, &b"system.posix_acl_access"[..], false),
            (&said.acl_default, &b"system.posix_acl_default"[..], true),
        ];
        for (acl, name, is_default) in acls {
            let Some(acl) = acl.as_ref().filter(|acl| !acl.is_empty()) else { continue };
            match acl::parse(acl, is_default) {
                Acl::Binary(value) => drop(out.insert(name.into(), value)),
                Acl::Minimal => {}
                Acl::Unusable => notes.push(Note::Acl(super::error::excerpt(acl))),
            }
        }
        for (name, value) in said.other_xattrs.iter().chain(&said.xattrs) {
            out.insert(name.clone(), value.clone());
        }
    }
    out
}
