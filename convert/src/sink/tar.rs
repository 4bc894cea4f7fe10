//! Writes tar: whole trees, and layers that say what changed. Deterministic PAX (see `aurora_formats::tar::build`),
//! in the order of the canonical listing, hard links as links to the first name.

use std::io::Write;

use aurora_engine::codec::{self, Codec, Compression};
use aurora_engine::digest::{Algorithm, HashingWriter};
use aurora_engine::fs::{self, OutputFile};
use aurora_formats::model::{EntryPath, Metadata};
use aurora_formats::oci::whiteout;
use aurora_formats::tar::Run;
use aurora_formats::tar::build::{self, BuildError, EXPAND_HOLES, MAX_RUNS};

use crate::content::{BlockCache, Content};
use crate::lineage::Lineage;
use crate::names::FileName;
use crate::sink::{Outcome, WriteOptions};
use crate::tree::{Diff, InodeId, Kind, Tree};
use crate::{Counter, Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// Bytes of content moved at a time.
const CHUNK: u64 = 1 << 20;

/// Writes the last tree of a lineage as one archive, packed if the options say so.
pub fn write(lineage: &Lineage, file: &FileName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let step = lineage.steps.last().expect("a lineage is never empty");
    let name = match file {
        FileName::Pipe => "standard output".to_owned(),
        FileName::Path(path) => path.display().to_string(),
    };
    let failed = |e| Error::io(name.clone(), e);
    let out = match file {
        FileName::Pipe => OutputFile::stdout(),
        FileName::Path(path) => OutputFile::create(path),
    };
    let out = out.map_err(failed)?;
    if let (FileName::Path(path), OutputFile::Atomic(_)) = (file, &out)
        && !options.force
        && fs::exists(path).map_err(failed)?
    {
        return Err(ErrorKind::Exists(name).into());
    }
    ctx.progress.phase("writing tar");
    let compression = options.compression.unwrap_or(Compression { codec: Codec::None, level: None });
    let counted = Counted { inner: out, ctx };
    let encoder = codec::writer(counted, compression, ctx.options.threads).map_err(failed)?;
    let mut plain = HashingWriter::new(encoder, Algorithm::Sha256);
    write_tree(&step.tree, &mut plain, ctx)?;
    let (encoder, digest, size) = plain.finish();
    let out = encoder.finish().map_err(failed)?.inner;
    options.may_commit(ctx)?;
    out.commit().map_err(failed)?;
    Ok(Outcome {
        facts: vec![("diff-id".to_owned(), digest.to_string()), ("size".to_owned(), size.to_string())],
    })
}

/// Tells progress.
struct Counted<'a> {
    inner: OutputFile,
    ctx: &'a Ctx<'a>,
}

impl Write for Counted<'_> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        let n = self.inner.write(buf)?;
        self.ctx.progress.count(Counter::BytesWritten, n as u64);
        Ok(n)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        self.inner.flush()
    }
}

/// Writes a whole tree as one archive.
pub fn write_tree(tree: &Tree, out: &mut dyn Write, ctx: &Ctx<'_>) -> Result<()> {
    write_names(tree, &tree.walk(), out, ctx)
}

fn write_names(
    tree: &Tree,
    names: &[(EntryPath, InodeId)],
    out: &mut dyn Write,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let mut archive = Archive::new(tree, out, ctx);
    for (path, id) in names {
        archive.entry(path, *id)?;
    }
    archive.finish()
}

/// Writes a whole tree as the first layer of an image. As an archive of [`write_tree`], but that a name which would
/// be read as a whiteout is an error.
pub fn write_layer(tree: &Tree, out: &mut dyn Write, ctx: &Ctx<'_>) -> Result<()> {
    let names = tree.walk();
    for (path, _) in &names {
        refuse_whiteout(path)?;
    }
    write_names(tree, &names, out, ctx)
}

fn refuse_whiteout(path: &EntryPath) -> Result<()> {
    if whiteout::looks_like_whiteout(path) {
        let text = "a name that begins with .wh. would be a whiteout in a layer".to_owned();
        return Err(Error::from(ErrorKind::Unsupported(text)).at_entry(path));
    }
    Ok(())
}

/// Writes what changed as one layer: entries and whiteouts in one order, in which a whiteout stands before all
/// siblings that are added, so that readers who take the archive as it comes do the same as those who sort it.
/// Every removed name has its own whiteout; directories are never made opaque, which not all readers understand.
///
/// A name that would be read as a whiteout can't be in a layer and is an error, and so is one whose parent has such a
/// name.
pub fn write_diff(diff: &Diff, top: &Tree, out: &mut dyn Write, ctx: &Ctx<'_>) -> Result<()> {
    let mut lines: Vec<(EntryPath, Option<InodeId>)> = Vec::new();
    for (path, id) in &diff.changed {
        refuse_whiteout(path)?;
        lines.push((path.clone(), Some(*id)));
    }
    for path in &diff.removed {
        // The root is always there. What a lower layer could not have held needs no whiteout and can have none.
        if let Some(marker) = whiteout::whiteout_of(path).filter(|_| !whiteout::looks_like_whiteout(path)) {
            lines.push((marker, None));
        }
    }
    // Directory by directory, and in each the whiteouts first.
    lines.sort_unstable_by(|a, b| order(a).cmp(order(b)));
    let mut archive = Archive::new(top, out, ctx);
    for (path, id) in lines {
        match id {
            Some(id) => archive.entry(&path, id)?,
            None => archive.whiteout(&path)?,
        }
    }
    archive.finish()
}

/// Compares component by component; at the last one, whiteouts come before names.
fn order(line: &(EntryPath, Option<InodeId>)) -> impl Iterator<Item = (bool, &[u8])> {
    let (path, id) = line;
    let last = path.components().count();
    path.components().enumerate().map(move |(n, part)| (n + 1 < last || id.is_some(), part))
}

/// An archive being written.
struct Archive<'a> {
    tree: &'a Tree,
    out: &'a mut dyn Write,
    ctx: &'a Ctx<'a>,
    /// First name of each inode that has several, once it is written.
    first: Vec<Option<EntryPath>>,
    header: Vec<u8>,
    cache: BlockCache,
    buf: Vec<u8>,
}

impl<'a> Archive<'a> {
    fn new(tree: &'a Tree, out: &'a mut dyn Write, ctx: &'a Ctx<'a>) -> Self {
        let first = vec![None; tree.inode_count()];
        Self { tree, out, ctx, first, header: Vec::new(), cache: BlockCache::default(), buf: Vec::new() }
    }

    fn entry(&mut self, path: &EntryPath, id: InodeId) -> Result<()> {
        self.ctx.check()?;
        self.write_entry(path, id).map_err(|e| e.at_entry(path))
    }

    fn write_entry(&mut self, path: &EntryPath, id: InodeId) -> Result<()> {
        let tree = self.tree;
        let inode = tree.inode(id);
        if let Some(first) = self.first.get(id.0 as usize).cloned().flatten() {
            let plain = Metadata { xattrs: Default::default(), ..inode.meta.clone() };
            self.put(path, build::Content::Hardlink(first.as_bytes()), &plain)?;
            return Ok(());
        }
        let meta = &inode.meta;
        match &inode.kind {
            Kind::Dir(_) => drop(self.put(path, build::Content::Dir, meta)?),
            Kind::File(content) => self.file(path, content, meta)?,
            Kind::Symlink(target) => drop(self.put(path, build::Content::Symlink(target), meta)?),
            Kind::Char(device) => drop(self.put(path, build::Content::Char(*device), meta)?),
            Kind::Block(device) => drop(self.put(path, build::Content::Block(*device), meta)?),
            Kind::Fifo => drop(self.put(path, build::Content::Fifo, meta)?),
            Kind::Socket => {
                let detail = "tar has no sockets".to_owned();
                self.ctx.lose(Loss { path: Some(path.clone()), kind: LossKind::Type, detail });
                return Ok(());
            }
        }
        if inode.names > 1 && !matches!(inode.kind, Kind::Dir(_)) {
            self.first[id.0 as usize] = Some(path.clone());
        }
        Ok(())
    }

    /// Writes headers; the data bytes that must follow.
    fn put(&mut self, path: &EntryPath, content: build::Content<'_>, meta: &Metadata) -> Result<u64> {
        self.header.clear();
        let built = match build::header(path.as_bytes(), content, meta, &mut self.header) {
            Err(BuildError::TooLong { length, limit }) => {
                let detail = format!("all of them: {length} bytes, and readers of tar take {limit}");
                self.ctx.lose(Loss { path: Some(path.clone()), kind: LossKind::Xattr, detail });
                let bare = Metadata { xattrs: Default::default(), ..meta.clone() };
                self.header.clear();
                build::header(path.as_bytes(), content, &bare, &mut self.header)
            }
            built => built,
        };
        let len = built.map_err(|e| ErrorKind::Unsupported(e.to_string()))?;
        self.out.write_all(&self.header).map_err(write_failed)?;
        Ok(len)
    }

    fn file(&mut self, path: &EntryPath, content: &Content, meta: &Metadata) -> Result<()> {
        let Some(runs) = sparse_runs(content) else {
            let len = self.put(path, build::Content::File(content.size), meta)?;
            self.data(content, 0, len)?;
            return self.out.write_all(build::padding_after(len)).map_err(write_failed);
        };
        let len = self.put(path, build::Content::Sparse { size: content.size, runs: &runs }, meta)?;
        for run in &runs {
            self.data(content, run.offset, run.len)?;
        }
        self.out.write_all(build::padding_after(len)).map_err(write_failed)
    }

    fn data(&mut self, content: &Content, offset: u64, len: u64) -> Result<()> {
        let mut done = 0;
        while done < len {
            self.ctx.check()?;
            let n = (len - done).min(CHUNK) as usize;
            if self.buf.len() < n {
                self.buf.resize(n, 0);
            }
            let at = offset + done;
            let read = content.read_at(&mut self.buf[..n], at, &mut self.cache);
            read.map_err(|e| Error::io("reading content", e).at_offset(at))?;
            self.out.write_all(&self.buf[..n]).map_err(write_failed)?;
            done += n as u64;
        }
        Ok(())
    }

    fn whiteout(&mut self, marker: &EntryPath) -> Result<()> {
        self.ctx.check()?;
        self.put(marker, build::Content::File(0), &Metadata { mode: 0o600, ..Metadata::default() })?;
        Ok(())
    }

    fn finish(self) -> Result<()> {
        self.out.write_all(&build::END).map_err(write_failed)
    }
}

fn write_failed(e: std::io::Error) -> Error {
    Error::io("writing the archive", e)
}

/// The data of a file that has too many holes to write them all: `None` for files that are written whole.
fn sparse_runs(content: &Content) -> Option<Vec<Run>> {
    // Counted without a list: nearly all files have no holes.
    let data: u64 = content.extents.iter().map(|extent| extent.len).sum();
    if content.size.saturating_sub(data) <= EXPAND_HOLES {
        return None;
    }
    let segments = content.segments();
    let data = segments.iter().filter(|s| s.is_data).map(|s| Run { offset: s.offset, len: s.len });
    let mut runs: Vec<Run> = data.collect();
    // Too many regions: the smallest holes between them are written out, ever larger ones until it fits.
    let mut gap = 4096u64;
    while runs.len() > MAX_RUNS {
        runs.dedup_by(|next, last| {
            let is_near = next.offset - (last.offset + last.len) <= gap;
            if is_near {
                last.len = next.offset + next.len - last.offset;
            }
            is_near
        });
        gap = gap.saturating_mul(2);
    }
    Some(runs)
}

#[cfg(test)]
mod tests;
