//! Reads QEMU's disks. What is stored as it is stays where it is; compressed clusters are unpacked to a spool.

use std::io::{self, Read};
use std::os::fd::AsFd;
use std::sync::Arc;

use aurora_engine::body::{Body, FileBody, Spool};
use aurora_engine::codec;
use aurora_engine::fs;
use aurora_formats::disk::qcow2::{
    Cluster, CompressionType, HEADER_MAX, Header, Qcow2Error, l1_entry, l2_entry,
};

use crate::content::{Content, Extent, Slice};
use crate::image::Image;
use crate::lineage::{Loaded, Volume};
use crate::names::FileName;
use crate::source::ReadOptions;
use crate::{Counter, Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// Runs of data in one disk: what a terabyte in scattered clusters has.
const MAX_EXTENTS: usize = 8 << 20;

/// Reads an image.
pub fn read(file: &FileName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    if !options.origins.is_empty() {
        return Err(Error::usage("a qcow2 disk is whole: it has no origin"));
    }
    ctx.progress.phase("reading disk");
    let body = match file {
        FileName::Pipe => {
            let stdin = fs::stdin().map_err(|e| Error::io("standard input", e))?;
            spooled(stdin, ctx)?
        }
        FileName::Path(path) => {
            let failed = |e: io::Error| match e.kind() {
                io::ErrorKind::NotFound => ErrorKind::NoSuchImage(path.display().to_string()).into(),
                _ => Error::io(path.display().to_string(), e),
            };
            let file = fs::open_input(path).map_err(failed)?;
            if fs::is_regular(&file).map_err(failed)? {
                Arc::new(FileBody::new(file).map_err(failed)?) as Body
            } else {
                spooled(file, ctx)?
            }
        }
    };
    let content = Disk::open(body, ctx)?.content()?;
    let image = Image::default();
    Ok(Loaded::Volume(Volume { image, content, block_size: None, snapshot: None, base: None }))
}

fn spooled(pipe: impl Read + AsFd, ctx: &Ctx<'_>) -> Result<Body> {
    let mut pipe = fs::Stoppable::new(pipe, ctx.cancel.flag());
    let mut spool = Spool::new(&ctx.spools);
    let mut buf = vec![0; 1 << 18];
    loop {
        ctx.check()?;
        match pipe.read(&mut buf) {
            Ok(0) => break,
            Ok(n) => {
                spool.append(&buf[..n]).map_err(|e| Error::io("temporary file", e))?;
            }
            Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
            Err(e) => return Err(Error::io("standard input", e)),
        }
        if spool.position() > ctx.options.max_decoded {
            return Err(ErrorKind::Limit { what: "bytes of a disk", limit: ctx.options.max_decoded }.into());
        }
    }
    spool.finish().map_err(|e| Error::io("temporary file", e))
}

/// Where a run of data is.
struct Run {
    offset: u64,
    len: u64,
    at: u64,
    is_spooled: bool,
}

struct Disk<'a> {
    body: Body,
    header: Header,
    ctx: &'a Ctx<'a>,
    runs: Vec<Run>,
    spool: Spool,
}

impl<'a> Disk<'a> {
    fn open(body: Body, ctx: &'a Ctx<'a>) -> Result<Self> {
        let len = usize::try_from(body.len()).unwrap_or(HEADER_MAX).min(HEADER_MAX);
        let mut head = vec![0; len];
        body.read_exact_at(&mut head, 0).map_err(|e| Error::io("reading disk", e))?;
        let header = Header::parse(&head)?;
        if header.snapshots > 0 {
            let detail = format!("{} snapshots inside the disk; its current state is read", header.snapshots);
            ctx.lose(Loss { path: None, kind: LossKind::Property, detail });
        }
        Ok(Self { body, header, ctx, runs: Vec::new(), spool: Spool::new(&ctx.spools) })
    }

    /// Entries of a table; beyond the end of the file there are none.
    fn table(&self, offset: u64, entries: u64) -> Result<Vec<u64>> {
        let bytes = entries.saturating_mul(8);
        if offset.checked_add(bytes).is_none_or(|end| end > self.body.len()) {
            let (needed, actual) = (offset.saturating_add(bytes), self.body.len());
            return Err(Qcow2Error::Truncated { needed, actual }.into());
        }
        let mut raw = vec![0; bytes as usize];
        self.body.read_exact_at(&mut raw, offset).map_err(|e| Error::io("reading disk", e))?;
        self.ctx.progress.count(Counter::BytesRead, bytes);
        Ok(raw.chunks_exact(8).map(|e| u64::from_be_bytes(e.try_into().expect("chunks of eight"))).collect())
    }

    fn content(mut self) -> Result<Content> {
        let per_table = self.header.cluster_size() / 8;
        let l1 = self.table(self.header.l1_offset, self.header.l1_entries)?;
        // Tables that are used twice would make a small file a disk without an end.
        let mut tables = std::collections::BTreeSet::new();
        for (number, entry) in (0..).zip(&l1) {
            self.ctx.check()?;
            let place = self.header.l1_offset + number * 8;
            let Some(offset) = l1_entry(&self.header, *entry, place)? else { continue };
            if !tables.insert(offset) {
                return Err(Qcow2Error::Entry { table: "L1", offset: place, actual: *entry }.into());
            }
            let l2 = self.table(offset, per_table)?;
            for (index, entry) in (0..).zip(&l2) {
                let at = (number * per_table + index) << self.header.cluster_bits;
                if at >= self.header.size {
                    break;
                }
                self.cluster(at, *entry, offset + index * 8)?;
            }
        }
        let spooled = self.spool.finish().map_err(|e| Error::io("temporary file", e))?;
        let extents = self.runs.into_iter().map(|run| Extent {
            offset: run.offset,
            len: run.len,
            data: Slice::plain(
                if run.is_spooled { spooled.clone() } else { self.body.clone() },
                run.at,
                run.len,
            ),
        });
        Ok(Content { size: self.header.size, extents: extents.collect() })
    }

    fn cluster(&mut self, at: u64, entry: u64, place: u64) -> Result<()> {
        let len = self.header.cluster_size().min(self.header.size - at);
        match l2_entry(&self.header, entry, place)? {
            Cluster::Hole => Ok(()),
            Cluster::Data { offset } => {
                // QEMU leaves the last cluster as short as it came; what is beyond the end of the file is zeros.
                let there = self.body.len().saturating_sub(offset).min(len);
                if there == 0 {
                    return Err(Qcow2Error::Entry { table: "L2", offset: place, actual: entry }.into());
                }
                self.add(Run { offset: at, len: there, at: offset, is_spooled: false })
            }
            Cluster::Compressed { offset, len: packed } => {
                let bytes = self.unpack(offset, packed)?;
                if self.spool.position().saturating_add(len) > self.ctx.options.max_decoded {
                    let limit = self.ctx.options.max_decoded;
                    return Err(ErrorKind::Limit { what: "bytes of a disk", limit }.into());
                }
                let to =
                    self.spool.append(&bytes[..len as usize]).map_err(|e| Error::io("temporary file", e))?;
                self.ctx.progress.count(Counter::BytesDecoded, len);
                self.add(Run { offset: at, len, at: to, is_spooled: true })
            }
        }
    }

    /// The bytes of a compressed cluster, all of them.
    fn unpack(&self, offset: u64, len: u64) -> Result<Vec<u8>> {
        let damaged = |reason: String| Qcow2Error::Compressed { offset, reason };
        let there = self.body.len().saturating_sub(offset).min(len);
        let mut packed = vec![0; there as usize];
        self.body.read_exact_at(&mut packed, offset).map_err(|e| Error::io("reading disk", e))?;
        let mut bytes = vec![0; self.header.cluster_size() as usize];
        let unpacked = match self.header.compression {
            CompressionType::Deflate => codec::inflate_prefix(&packed, &mut bytes),
            CompressionType::Zstd => codec::unzstd_prefix(&packed, &mut bytes),
        };
        unpacked.map_err(|e| damaged(e.to_string()))?;
        Ok(bytes)
    }

    fn add(&mut self, run: Run) -> Result<()> {
        let is_full = self.runs.len() >= MAX_EXTENTS;
        match self.runs.last_mut() {
            Some(last)
                if last.is_spooled == run.is_spooled
                    && last.offset + last.len == run.offset
                    && last.at + last.len == run.at =>
            {
                last.len += run.len;
            }
            _ if is_full => {
                return Err(
                    ErrorKind::Limit { what: "runs of data in a disk", limit: MAX_EXTENTS as u64 }.into()
                );
            }
            _ => self.runs.push(run),
        }
        Ok(())
    }
}
