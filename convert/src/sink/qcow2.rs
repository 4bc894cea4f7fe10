//! Writes QEMU's disks: version 3, whole, uncompressed, without the clusters that are all zeros.

use std::io::{self, Seek, SeekFrom, Write};

use aurora_engine::fs::{self, AtomicFile};
use aurora_formats::disk::qcow2::{CLUSTER_BITS, Counts, Layout, refcount_block};

use crate::content::BlockCache;
use crate::lineage::Volume;
use crate::names::FileName;
use crate::sink::{Outcome, WriteOptions};
use crate::{Counter, Ctx, Error, ErrorKind, Loss, LossKind, Result};

const CLUSTER: u64 = 1 << CLUSTER_BITS;
/// Clusters that one L2 table maps.
const PER_TABLE: u64 = CLUSTER / 8;
/// Largest disk that an L1 table of 32 MiB maps, the most that QEMU reads.
const MAX_SIZE: u64 = (32 << 20) / 8 * PER_TABLE * CLUSTER;

/// Writes an image.
pub fn write(volume: &Volume, file: &FileName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let FileName::Path(path) = file else {
        let text = "a qcow2 disk is not written front to back and so not to a pipe; use qcow2:FILE";
        return Err(Error::usage(text));
    };
    let name = path.display().to_string();
    let failed = |e| Error::io(name.clone(), e);
    if !options.force && fs::exists(path).map_err(failed)? {
        return Err(ErrorKind::Exists(name).into());
    }
    let size = volume.content.size.checked_next_multiple_of(512).filter(|size| *size <= MAX_SIZE);
    let Some(size) = size else {
        let text = format!("a disk of more than {MAX_SIZE} bytes: {}", volume.content.size);
        return Err(ErrorKind::Unsupported(text).into());
    };
    if size != volume.content.size {
        let detail = format!("size {} is rounded up to whole sectors: {size}", volume.content.size);
        ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
    }
    ctx.progress.phase("writing disk");
    let mut out = Writer { out: AtomicFile::create(path).map_err(failed)?, next: CLUSTER, name: &name, ctx };
    out.seek(CLUSTER)?;
    let l1 = data(volume, size, &mut out)?;
    finish(size, &l1, &mut out)?;
    let bytes = out.next;
    options.may_commit(ctx)?;
    out.out.commit().map_err(failed)?;
    Ok(Outcome {
        facts: vec![("size".to_owned(), size.to_string()), ("bytes".to_owned(), bytes.to_string())],
    })
}

/// Appends whole clusters.
struct Writer<'a> {
    out: AtomicFile,
    next: u64,
    name: &'a str,
    ctx: &'a Ctx<'a>,
}

impl Writer<'_> {
    fn failed(&self, e: io::Error) -> Error {
        Error::io(self.name, e)
    }

    fn seek(&mut self, to: u64) -> Result<()> {
        self.out.seek(SeekFrom::Start(to)).map(|_| ()).map_err(|e| self.failed(e))
    }

    /// Writes bytes, zeros up to whole clusters; where they begin.
    fn put(&mut self, bytes: &[u8]) -> Result<u64> {
        self.ctx.check()?;
        let at = self.next;
        let padding = bytes.len().next_multiple_of(CLUSTER as usize) - bytes.len();
        let written = self.out.write_all(bytes).and_then(|()| self.out.write_all(&vec![0; padding]));
        written.map_err(|e| self.failed(e))?;
        self.next += (bytes.len() + padding) as u64;
        self.ctx.progress.count(Counter::BytesWritten, (bytes.len() + padding) as u64);
        Ok(at)
    }
}

/// Writes data and, behind what each maps, L2 tables; the L1 table.
fn data(volume: &Volume, size: u64, out: &mut Writer<'_>) -> Result<Vec<u8>> {
    let content = &volume.content;
    let mut l1 = vec![0; Layout::l1_entries(size) as usize * 8];
    let mut table: Option<(u64, Vec<u8>)> = None;
    let (mut buf, mut cache) = (vec![0; CLUSTER as usize], BlockCache::default());
    let mut next = 0;
    for segment in content.segments().into_iter().filter(|s| s.is_data) {
        let (from, to) = (segment.offset / CLUSTER, (segment.offset + segment.len).div_ceil(CLUSTER));
        for cluster in from.max(next)..to {
            let at = cluster * CLUSTER;
            let len = (content.size - at).min(CLUSTER) as usize;
            buf[len..].fill(0);
            let read = content.read_at(&mut buf[..len], at, &mut cache);
            read.map_err(|e| Error::io("reading content", e).at_offset(at))?;
            if buf.iter().all(|&b| b == 0) {
                continue;
            }
            let number = cluster / PER_TABLE;
            if table.as_ref().is_none_or(|(current, _)| *current != number) {
                close(table.replace((number, vec![0; CLUSTER as usize])), &mut l1, out)?;
            }
            let place = out.put(&buf)?;
            if let Some((_, entries)) = &mut table {
                let index = (cluster % PER_TABLE) as usize * 8;
                entries[index..index + 8].copy_from_slice(&Layout::entry(place));
            }
        }
        next = next.max(to);
    }
    close(table, &mut l1, out)?;
    Ok(l1)
}

/// Writes an L2 table that is complete.
fn close(table: Option<(u64, Vec<u8>)>, l1: &mut [u8], out: &mut Writer<'_>) -> Result<()> {
    let Some((number, entries)) = table else { return Ok(()) };
    let place = out.put(&entries)?;
    let index = number as usize * 8;
    l1[index..index + 8].copy_from_slice(&Layout::entry(place));
    Ok(())
}

fn finish(size: u64, l1: &[u8], out: &mut Writer<'_>) -> Result<()> {
    let l1_offset = out.put(l1)?;
    let (counts, blocks) = Counts::for_clusters(out.next / CLUSTER);
    let total = out.next / CLUSTER + u64::from(counts.table_clusters) + blocks;
    out.put(&counts.table(blocks))?;
    for index in 0..blocks {
        out.put(&refcount_block(index, total))?;
    }
    out.seek(0)?;
    let header = Layout { size, l1_offset }.header(counts);
    out.out.write_all(&header).map_err(|e| out.failed(e))
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::path::Path;

    use super::*;
    use crate::lineage::Loaded;
    use crate::source::ReadOptions;
    use crate::{Cancel, NoProgress, Options};

    fn load(path: &Path, ctx: &Ctx<'_>) -> Volume {
        let name = FileName::Path(path.to_owned());
        match crate::source::qcow2::read(&name, &ReadOptions::default(), ctx) {
            Ok(Loaded::Volume(volume)) => volume,
            Ok(_) => panic!("a disk is a volume"),
            Err(e) => panic!("{e}"),
        }
    }

    fn disk() -> Vec<u8> {
        let mut disk = vec![0u8; (3 << 20) + 512];
        for (at, byte) in
            [(0, 1), (CLUSTER as usize - 1, 2), (700_000, 3), (2_000_000, 4), ((3 << 20) + 511, 5)]
        {
            disk[at] = byte;
        }
        disk
    }

    #[test]
    fn a_disk_comes_back_the_same_and_always_in_the_same_bytes() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let body: aurora_engine::body::Body = std::sync::Arc::new(aurora_engine::body::MemBody(disk()));
        let content = crate::content::Content::plain(&body, 0, disk().len() as u64);
        let volume =
            Volume { image: Default::default(), content, block_size: None, snapshot: None, base: None };
        let (a, b) = (dir.path().join("a"), dir.path().join("b"));
        write(&volume, &FileName::Path(a.clone()), &WriteOptions::default(), &ctx).unwrap();
        let again = load(&a, &ctx);
        let mut bytes = Vec::new();
        again.content.reader().read_to_end(&mut bytes).unwrap();
        assert!(bytes == disk());
        assert_eq!(again.content.segments().iter().filter(|s| !s.is_data).count(), 3);
        write(&again, &FileName::Path(b.clone()), &WriteOptions::default(), &ctx).unwrap();
        assert!(std::fs::read(&a).unwrap() == std::fs::read(&b).unwrap());
        assert!(std::fs::metadata(&a).unwrap().len() < 12 * CLUSTER, "zeros take no room");
        let taken = write(&again, &FileName::Path(b), &WriteOptions::default(), &ctx).unwrap_err();
        assert!(matches!(taken.kind(), ErrorKind::Exists(_)));
    }

    #[test]
    fn a_damaged_disk_is_refused_wherever_it_is_cut() {
        let dir = tempfile::tempdir().unwrap();
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(dir.path().to_owned()), &NoProgress, &cancel);
        let body: aurora_engine::body::Body = std::sync::Arc::new(aurora_engine::body::MemBody(disk()));
        let content = crate::content::Content::plain(&body, 0, disk().len() as u64);
        let volume =
            Volume { image: Default::default(), content, block_size: None, snapshot: None, base: None };
        let (whole, cut) = (dir.path().join("whole"), dir.path().join("cut"));
        write(&volume, &FileName::Path(whole.clone()), &WriteOptions::default(), &ctx).unwrap();
        let bytes = std::fs::read(&whole).unwrap();
        let read = |bytes: &[u8]| {
            std::fs::write(&cut, bytes).unwrap();
            crate::source::qcow2::read(&FileName::Path(cut.clone()), &ReadOptions::default(), &ctx)
        };
        for len in [0, 3, 71, 103, CLUSTER as usize, 5 * CLUSTER as usize] {
            let Err(e) = read(&bytes[..len]) else { panic!("{len} bytes are no disk") };
            assert!(matches!(e.kind(), ErrorKind::Qcow2(_)), "{len}: {e}");
        }
        // The second half of the L1 table's only entry: an L2 table where there is none.
        let mut wrong = bytes.clone();
        let l1 = u64::from_be_bytes(bytes[40..48].try_into().unwrap()) as usize;
        wrong[l1 + 5] ^= 0x7f;
        assert!(matches!(read(&wrong), Err(e) if matches!(e.kind(), ErrorKind::Qcow2(_))));
    }
}
