//! Makes one entry.

use std::collections::BTreeMap;
use std::io;

use aurora_engine::body::{Body, address};
use aurora_engine::fs::{self, NewFile, Root};
use aurora_formats::model::{Device, EntryPath};

use super::meta::{Sealer, Target, is_refusal};
use crate::content::{BlockCache, Content};
use crate::fidelity::LossKind;
use crate::tree::{Inode, Kind};
use crate::{Counter, Ctx, Error, Result};

/// Bytes of content moved at a time.
const CHUNK: u64 = 1 << 20;
/// Bytes that the kernel copies at a time: that long nobody asks whether the work is still wanted.
const COPY: u64 = 256 << 20;
/// Fewer bytes are read and written faster than the kernel is asked to copy them.
const COPY_FROM: u64 = 128 << 10;

/// Makes entries that are no directories, each under its first name. One for each thread.
pub(super) struct Maker<'a> {
    pub(super) root: &'a Root,
    ctx: &'a Ctx<'a>,
    sealer: Sealer<'a>,
    /// How many files have a body as their content, by its address.
    users: &'a BTreeMap<usize, u32>,
    cache: BlockCache,
    buf: Vec<u8>,
    /// Bytes of content written.
    pub(super) bytes: u64,
}

impl<'a> Maker<'a> {
    pub(super) fn new(root: &'a Root, users: &'a BTreeMap<usize, u32>, ctx: &'a Ctx<'a>) -> Self {
        let sealer = Sealer::new(root, ctx);
        Self { root, ctx, sealer, users, cache: BlockCache::default(), buf: Vec::new(), bytes: 0 }
    }

    /// Makes one; whether it could be made. If not, that was told.
    pub(super) fn make(&mut self, path: &EntryPath, inode: &Inode) -> Result<bool> {
        let raw = path.as_bytes();
        let made = match &inode.kind {
            Kind::Dir(_) => unreachable!("directories are made before all else"),
            Kind::File(content) => {
                let file = match self.grown(raw, content)? {
                    Some(file) => file,
                    None => {
                        let file = self.root.create_file(raw).map_err(|e| Error::io("new file", e))?;
                        self.fill(&file, content)?;
                        file
                    }
                };
                return self.sealer.seal(&Target::File(&file), path, &inode.meta).map(|()| true);
            }
            Kind::Symlink(target) => {
                self.root.make_symlink(raw, target).map_err(|e| Error::io("symbolic link", e))?;
                return self.sealer.seal(&Target::Symlink(path), path, &inode.meta).map(|()| true);
            }
            Kind::Char(device) => self.make_node(raw, fs::Kind::Char, *device),
            Kind::Block(device) => self.make_node(raw, fs::Kind::Block, *device),
            Kind::Fifo => self.make_node(raw, fs::Kind::Fifo, Device::default()),
            Kind::Socket => self.make_node(raw, fs::Kind::Socket, Device::default()),
        };
        match made {
            Ok(()) => self.sealer.seal(&Target::Path(path), path, &inode.meta).map(|()| true),
            Err(e) if is_refusal(&e) => {
                self.sealer.lose(path, LossKind::Type, format!("{}: {e}", kind_name(&inode.kind)));
                Ok(false)
            }
            Err(e) => Err(Error::io(kind_name(&inode.kind), e)),
        }
    }

    fn make_node(&self, path: &[u8], kind: fs::Kind, device: Device) -> io::Result<()> {
        self.root.make_node(path, kind, (device.major, device.minor))
    }

    /// The file of a content that is one already, and no other's.
    fn grown(&mut self, path: &[u8], content: &Content) -> Result<Option<NewFile>> {
        let is_one = |body: &&Body| self.users.get(&address(body)) == Some(&1);
        let Some(body) = content.whole().filter(is_one) else { return Ok(None) };
        let moved = self.root.move_body(path, &**body).map_err(|e| Error::io("new file", e))?;
        if moved.is_some() {
            self.ctx.progress.count(Counter::BytesWritten, content.size);
            self.bytes += content.size;
        }
        Ok(moved)
    }

    /// Content, with its holes.
    fn fill(&mut self, file: &NewFile, content: &Content) -> Result<()> {
        let written = |e| Error::io("writing file", e);
        let mut end = 0;
        for segment in content.segments().into_iter().filter(|s| s.is_data) {
            end = segment.offset + segment.len;
            let mut at = segment.offset;
            while at < end {
                self.ctx.check()?;
                let copied = match content.plain_at(at) {
                    Some((body, from, len)) if len >= COPY_FROM => {
                        file.copy_from(&**body, from, len.min(COPY), at).map_err(written)?
                    }
                    _ => 0,
                };
                if copied > 0 {
                    self.ctx.progress.count(Counter::BytesWritten, copied);
                    self.bytes += copied;
                    at += copied;
                    continue;
                }
                let n = (end - at).min(CHUNK);
                self.buf.resize(n as usize, 0);
                let read = content.read_at(&mut self.buf, at, &mut self.cache);
                read.map_err(|e| Error::io("reading content", e))?;
                file.write_all_at(&self.buf, at).map_err(written)?;
                self.ctx.progress.count(Counter::BytesWritten, n);
                self.bytes += n;
                at += n;
            }
        }
        if end < content.size {
            file.set_len(content.size).map_err(written)?;
        }
        Ok(())
    }
}

fn kind_name(kind: &Kind) -> &'static str {
    match kind {
        Kind::Dir(_) => "directory",
        Kind::File(_) => "file",
        Kind::Symlink(_) => "symbolic link",
        Kind::Char(_) => "character device",
        Kind::Block(_) => "block device",
        Kind::Fifo => "named pipe",
        Kind::Socket => "socket",
    }
}
