//! The deterministic builder: the same entries give the same bytes, whoever writes them.
//!
//! Plain ustar headers, and a PAX header before them where ustar can't say it: long names, owners above 2097151,
//! sizes from 8 GiB, times that are negative, beyond 2242 or finer than a second, extended attributes. No user or
//! group names, no access or change times; whoever calls sorts. The bytes of these headers are part of the diffID of every layer aurora writes: changing them
//! changes golden digests.
//!
//! Files go in whole, holes as zeros, since that is what every reader understands; only with a map given to
//! [`Content::Sparse`] a file is written as GNU's PAX sparse version 1.0, which GNU tar, libarchive and Go (so
//! umoci, docker, containerd) read. [`EXPAND_HOLES`] says when the writers of this project do so.

use zerocopy::IntoBytes;

use super::error::excerpt;
use super::format::{BLOCK, Header, MAGIC_USTAR, padding};
use super::number::{format_time, put_base256, put_octal};
use super::parse::MAX_REGIONS;
use super::sparse::{self, Run};
use super::{Limits, pax};
use crate::model::{Device, Metadata};

/// The two blocks of zeros that end an archive.
pub const END: [u8; 2 * BLOCK] = [0; 2 * BLOCK];

/// Bytes of holes in one file that are written as zeros. Beyond them the file is written sparse: nobody wants a
/// terabyte of zeros, and few images have files with a gigabyte of holes that some odd reader must see expanded.
pub const EXPAND_HOLES: u64 = 1 << 30;

/// Most regions of a file written sparse: as many as the parser takes.
pub const MAX_RUNS: usize = MAX_REGIONS;

/// What is to be written.
#[derive(Debug, Clone, Copy)]
pub enum Content<'a> {
    /// Directory.
    Dir,
    /// Regular file of that many bytes.
    File(u64),
    /// Regular file of `size` bytes of which only `runs` are stored: ascending, apart, not empty, within the size.
    Sparse {
        /// Bytes of the file.
        size: u64,
        /// Its data.
        runs: &'a [Run],
    },
    /// Symbolic link.
    Symlink(&'a [u8]),
    /// Another name of an earlier member.
    Hardlink(&'a [u8]),
    /// Character device.
    Char(Device),
    /// Block device.
    Block(Device),
    /// Named pipe.
    Fifo,
}

/// Why an entry can't be a member. (A socket can't even be said.)
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum BuildError {
    /// A NUL in a name, target or attribute name.
    #[error("a tar member's {what} can't hold a NUL byte: {value}")]
    Nul {
        /// Of what.
        what: &'static str,
        /// Its first bytes, escaped.
        value: String,
    },
    /// A map that is not as [`Content::Sparse`] wants it.
    #[error("a sparse file's data is out of order, outside of the file, or in more pieces than {}", MAX_RUNS)]
    Runs,
    /// More extended header than readers take, this one included.
    #[error("a tar member's extended attributes are longer than {limit} bytes: {length}")]
    TooLong {
        /// Bytes allowed.
        limit: u64,
        /// Bytes needed.
        length: u64,
    },
}

/// Appends the headers of a member to `out`, and its sparse map if it has one. The number of data bytes that must
/// follow; they are to be filled up with [`padding_after`] zeros.
pub fn header(
    path: &[u8],
    content: Content<'_>,
    meta: &Metadata,
    out: &mut Vec<u8>,
) -> Result<u64, BuildError> {
    let mut draft = Draft::new(path, content)?;
    draft.owner_and_mode(meta);
    draft.time(meta);
    for (name, value) in &meta.xattrs {
        no_nul("attribute name", name)?;
        draft.records.push(pax::xattr_record(name, value));
    }
    draft.finish(out)
}

/// Zeros between `len` bytes of data and the next header.
pub fn padding_after(len: u64) -> &'static [u8] {
    // Always less than a block.
    &END[..padding(len) as usize]
}

fn no_nul(what: &'static str, value: &[u8]) -> Result<(), BuildError> {
    if value.contains(&0) { Err(BuildError::Nul { what, value: excerpt(value) }) } else { Ok(()) }
}

/// A member being put together.
struct Draft {
    header: Header,
    /// Keys and values, to be sorted.
    records: Vec<(Vec<u8>, Vec<u8>)>,
    map: Vec<u8>,
    data: u64,
    base: Vec<u8>,
}

impl Draft {
    fn new(path: &[u8], content: Content<'_>) -> Result<Self, BuildError> {
        no_nul("name", path)?;
        let header = empty_header();
        let base = path.rsplit(|&b| b == b'/').next().unwrap_or_default().to_vec();
        let mut draft = Self { header, records: Vec::new(), map: Vec::new(), data: 0, base };
        let mut name = if path.is_empty() { b"./".to_vec() } else { path.to_vec() };
        draft.header.kind = match content {
            Content::Dir => {
                if !name.ends_with(b"/") {
                    name.push(b'/');
                }
                b'5'
            }
            Content::File(size) => {
                draft.size(size);
                b'0'
            }
            Content::Sparse { size, runs } => {
                draft.sparse(size, runs, &name)?;
                name = [b"./GNUSparseFile.0/", &draft.base[..]].concat();
                b'0'
            }
            Content::Symlink(target) => draft.link(target, b'2')?,
            Content::Hardlink(target) => draft.link(target, b'1')?,
            Content::Char(device) => draft.device(device, b'3'),
            Content::Block(device) => draft.device(device, b'4'),
            Content::Fifo => b'6',
        };
        draft.name(name);
        Ok(draft)
    }

    /// The name into its field, or into name and prefix at a slash, or into a record.
    fn name(&mut self, name: Vec<u8>) {
        let (fields, prefix) = (self.header.name.len(), self.header.prefix.len());
        if name.len() <= fields {
            self.header.name[..name.len()].copy_from_slice(&name);
            return;
        }
        // The slash itself is not written; what follows it must not be empty.
        let first = name.len() - fields - 1;
        let slash =
            (first..name.len() - 1).take_while(|at| *at <= prefix).find(|&at| name[at] == b'/' && at > 0);
        if let Some(slash) = slash {
            self.header.prefix[..slash].copy_from_slice(&name[..slash]);
            let rest = &name[slash + 1..];
            self.header.name[..rest.len()].copy_from_slice(rest);
            return;
        }
        self.header.name.copy_from_slice(&name[..fields]);
        self.text_record(b"path", name);
    }

    fn link(&mut self, target: &[u8], kind: u8) -> Result<u8, BuildError> {
        no_nul("link target", target)?;
        let fits = target.len().min(self.header.link.len());
        self.header.link[..fits].copy_from_slice(&target[..fits]);
        if fits < target.len() {
            self.text_record(b"linkpath", target.to_vec());
        }
        Ok(kind)
    }

    /// A record that is UTF-8 unless another record says otherwise.
    fn text_record(&mut self, key: &[u8], value: Vec<u8>) {
        if std::str::from_utf8(&value).is_err() {
            self.records.push((b"hdrcharset".to_vec(), b"BINARY".to_vec()));
        }
        self.records.push((key.to_vec(), value));
    }

    fn number_record(&mut self, key: &[u8], value: u64) {
        self.records.push((key.to_vec(), value.to_string().into_bytes()));
    }

    fn size(&mut self, stored: u64) {
        self.data = stored;
        if !put_octal(&mut self.header.size, stored) {
            self.number_record(b"size", stored);
        }
    }

    fn sparse(&mut self, size: u64, runs: &[Run], name: &[u8]) -> Result<(), BuildError> {
        let stored = runs.iter().fold(0u64, |sum, run| sum.saturating_add(run.len));
        let kept = sparse::check(runs.to_vec(), size, stored, 0).map_err(|_| BuildError::Runs)?;
        if kept.len() > MAX_RUNS {
            return Err(BuildError::Runs);
        }
        self.map = sparse::map(&kept);
        self.size(stored + self.map.len() as u64);
        self.data = stored;
        self.number_record(b"GNU.sparse.major", 1);
        self.number_record(b"GNU.sparse.minor", 0);
        self.number_record(b"GNU.sparse.realsize", size);
        self.text_record(b"GNU.sparse.name", name.to_vec());
        Ok(())
    }

    /// PAX has no key for device numbers, but every reader of ustar knows base-256.
    fn device(&mut self, device: Device, kind: u8) -> u8 {
        for (field, value) in
            [(&mut self.header.devmajor, device.major), (&mut self.header.devminor, device.minor)]
        {
            if !put_octal(field, value.into()) {
                put_base256(field, value);
            }
        }
        kind
    }

    fn owner_and_mode(&mut self, meta: &Metadata) {
        // Twelve bits always fit.
        put_octal(&mut self.header.mode, u64::from(meta.mode & 0o7777));
        if !put_octal(&mut self.header.uid, meta.owner.uid.into()) {
            self.number_record(b"uid", meta.owner.uid.into());
        }
        if !put_octal(&mut self.header.gid, meta.owner.gid.into()) {
            self.number_record(b"gid", meta.owner.gid.into());
        }
    }

    fn time(&mut self, meta: &Metadata) {
        let fits = u64::try_from(meta.mtime.secs).is_ok_and(|secs| put_octal(&mut self.header.mtime, secs));
        if !fits || meta.mtime.nanos != 0 {
            self.records.push((b"mtime".to_vec(), format_time(meta.mtime).into_bytes()));
        }
    }

    fn finish(mut self, out: &mut Vec<u8>) -> Result<u64, BuildError> {
        self.records.sort();
        self.records.dedup();
        let mut extended = Vec::new();
        for (key, value) in &self.records {
            pax::put(&mut extended, key, value);
        }
        let (limit, length) = (Limits::default().extension, extended.len() as u64);
        if length > limit {
            return Err(BuildError::TooLong { limit, length });
        }
        if length > 0 {
            let mut header = empty_header();
            header.kind = b'x';
            let name = [b"PaxHeaders.0/", &self.base[..]].concat();
            let fits = name.len().min(header.name.len());
            header.name[..fits].copy_from_slice(&name[..fits]);
            put_octal(&mut header.mode, 0o644);
            put_octal(&mut header.size, length);
            seal(header, out);
            out.extend(&extended);
            out.extend(padding_after(length));
        }
        seal(self.header, out);
        out.extend(&self.map);
        Ok(self.data)
    }
}

/// A ustar header with every number 0 and every text empty.
fn empty_header() -> Header {
    let mut header = Header {
        name: [0; 100],
        mode: [0; 8],
        uid: [0; 8],
        gid: [0; 8],
        size: [0; 12],
        mtime: [0; 12],
        checksum: [b' '; 8],
        kind: 0,
        link: [0; 100],
        magic: *MAGIC_USTAR,
        uname: [0; 32],
        gname: [0; 32],
        devmajor: [0; 8],
        devminor: [0; 8],
        prefix: [0; 155],
        rest: [0; 12],
    };
    let Header { mode, uid, gid, devmajor, devminor, .. } = &mut header;
    for field in [mode, uid, gid, devmajor, devminor] {
        put_octal(field, 0);
    }
    put_octal(&mut header.size, 0);
    put_octal(&mut header.mtime, 0);
    header
}

fn seal(mut header: Header, out: &mut Vec<u8>) {
    let (sum, _) = header.sums();
    // Six digits, NUL, space: as every writer has it.
    put_octal(&mut header.checksum[..7], sum.into());
    header.checksum[7] = b' ';
    out.extend(header.as_bytes());
}
