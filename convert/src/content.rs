//! What is in a file: slices of bodies, with holes between them.

use std::io::{self, Read};
use std::sync::Arc;

use aurora_engine::body::Body;
use aurora_formats::zfs::block::{self, BlockCodec};

/// A range of a body, perhaps compressed as one ZFS block.
#[derive(Clone)]
pub struct Slice {
    /// Where the bytes are.
    pub body: Body,
    /// Their first byte there.
    pub at: u64,
    /// How many they are, stored.
    pub stored: u64,
    /// How they are packed. For [`BlockCodec::Off`] the two fields below are 0 and the slice is `stored` long.
    pub codec: BlockCodec,
    /// Bytes of the whole block, unpacked.
    pub logical: u32,
    /// Bytes of the unpacked block before those meant here.
    pub skip: u32,
}

impl Slice {
    /// Plain bytes of a body.
    pub fn plain(body: Body, at: u64, len: u64) -> Self {
        Self { body, at, stored: len, codec: BlockCodec::Off, logical: 0, skip: 0 }
    }

    /// Whether both are the same bytes of the same body (no proof that two others differ in content).
    fn is_same_place(&self, other: &Self) -> bool {
        Arc::ptr_eq(&self.body, &other.body)
            && (self.at, self.stored, self.codec, self.skip)
                == (other.at, other.stored, other.codec, other.skip)
    }
}

impl std::fmt::Debug for Slice {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{:?} {}+{} skip {}", self.codec, self.at, self.stored, self.skip)
    }
}

/// A run of data in a file.
#[derive(Debug, Clone)]
pub struct Extent {
    /// First byte in the file.
    pub offset: u64,
    /// Bytes.
    pub len: u64,
    /// Where they come from.
    pub data: Slice,
}

/// All data of one file. Extents ascend and never overlap; what no extent covers is a hole and reads as zeros.
/// No extent reaches beyond `size`.
#[derive(Debug, Clone, Default)]
pub struct Content {
    /// Length of the file.
    pub size: u64,
    /// Its data.
    pub extents: Vec<Extent>,
}

/// A part of a file, as [`Content::segments`] tells them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Segment {
    /// First byte.
    pub offset: u64,
    /// Bytes, at least one.
    pub len: u64,
    /// Whether there is data; else a hole.
    pub is_data: bool,
}

/// Blocks beyond this are refused before they are unpacked: the largest ZFS record.
const MAX_BLOCK: u32 = 16 << 20;

impl Content {
    /// A file of one plain run, or an empty one.
    pub fn plain(body: &Body, at: u64, size: u64) -> Self {
        let extents = match size {
            0 => Vec::new(),
            len => vec![Extent { offset: 0, len, data: Slice::plain(body.clone(), at, len) }],
        };
        Self { size, extents }
    }

    /// Whether the extents are as they have to be.
    pub(crate) fn is_sound(&self) -> bool {
        let mut end = 0_u64;
        self.extents.iter().all(|extent| {
            let begin = std::mem::replace(&mut end, extent.offset.saturating_add(extent.len));
            extent.len > 0 && extent.offset >= begin && end <= self.size
        })
    }

    /// Data and holes in turn, covering `0..size`; neighbouring data is one segment.
    pub fn segments(&self) -> Vec<Segment> {
        let mut out: Vec<Segment> = Vec::new();
        let mut at = 0;
        for extent in &self.extents {
            if extent.offset > at {
                out.push(Segment { offset: at, len: extent.offset - at, is_data: false });
            }
            match out.last_mut() {
                Some(last) if last.is_data && last.offset + last.len == extent.offset => {
                    last.len += extent.len
                }
                _ => out.push(Segment { offset: extent.offset, len: extent.len, is_data: true }),
            }
            at = extent.offset + extent.len;
        }
        if at < self.size {
            out.push(Segment { offset: at, len: self.size - at, is_data: false });
        }
        out
    }

    /// The plain bytes that stand at `offset`: their body, where in it, and how many follow; `None` for a hole or what is
    /// packed.
    pub fn plain_at(&self, offset: u64) -> Option<(&Body, u64, u64)> {
        let extent = self.extents.get(self.extents.partition_point(|e| e.offset + e.len <= offset))?;
        let skip = offset.checked_sub(extent.offset)?;
        let is_plain = extent.data.codec == BlockCodec::Off;
        is_plain.then(|| (&extent.data.body, extent.data.at + skip, extent.len - skip))
    }

    /// The body that is this content and nothing else.
    pub fn whole(&self) -> Option<&Body> {
        match self.plain_at(0)? {
            (body, 0, len) if len == self.size && len == body.len() => Some(body),
            _ => None,
        }
    }

    /// Fills `buf` from `offset`, zeros for holes. The range must lie within the file.
    pub fn read_at(&self, buf: &mut [u8], offset: u64, cache: &mut BlockCache) -> io::Result<()> {
        let end = offset + buf.len() as u64;
        let first = self.extents.partition_point(|e| e.offset + e.len <= offset);
        let mut filled = 0;
        for extent in &self.extents[first..] {
            if extent.offset >= end {
                break;
            }
            let (from, to) = (extent.offset.max(offset), (extent.offset + extent.len).min(end));
            let part = (from - offset) as usize..(to - offset) as usize;
            if filled < part.start {
                buf[filled..part.start].fill(0);
            }
            filled = filled.max(part.end);
            cache.read(&extent.data, from - extent.offset, &mut buf[part])?;
        }
        buf[filled..].fill(0);
        Ok(())
    }

    /// Reads from the start, holes as zeros.
    pub fn reader(&self) -> ContentReader<'_> {
        ContentReader { content: self, at: 0, end: self.size, cache: BlockCache::default() }
    }

    /// Reads `offset..offset + len`, holes as zeros.
    pub fn range(&self, offset: u64, len: u64) -> ContentReader<'_> {
        ContentReader {
            content: self,
            at: offset,
            end: (offset + len).min(self.size),
            cache: BlockCache::default(),
        }
    }

    /// Whether both files hold the same bytes, looking at them only where it must.
    pub fn is_equal(&self, other: &Self) -> io::Result<bool> {
        if self.size != other.size {
            return Ok(false);
        }
        let same_places = self.extents.len() == other.extents.len()
            && self
                .extents
                .iter()
                .zip(&other.extents)
                .all(|(a, b)| (a.offset, a.len) == (b.offset, b.len) && a.data.is_same_place(&b.data));
        if same_places {
            return Ok(true);
        }
        let (mut left, mut right) = (self.reader(), other.reader());
        let (mut a, mut b) = (vec![0; 1 << 17], vec![0; 1 << 17]);
        let mut at = 0;
        while at < self.size {
            // Both at a hole: nothing to compare (a terabyte of nothing must not be read).
            let skip = left.hole_ahead().min(right.hole_ahead());
            if skip > 0 {
                left.at += skip;
                right.at += skip;
                at += skip;
                continue;
            }
            let n = (self.size - at).min(a.len() as u64) as usize;
            left.read_exact(&mut a[..n])?;
            right.read_exact(&mut b[..n])?;
            if a[..n] != b[..n] {
                return Ok(false);
            }
            at += n as u64;
        }
        Ok(true)
    }
}

/// Reads a file from its content.
pub struct ContentReader<'a> {
    content: &'a Content,
    at: u64,
    end: u64,
    cache: BlockCache,
}

impl ContentReader<'_> {
    /// Bytes of hole at the current position, up to the next data or the end.
    fn hole_ahead(&self) -> u64 {
        let next = self.content.extents.partition_point(|e| e.offset + e.len <= self.at);
        let to = self.content.extents.get(next).map_or(self.end, |e| e.offset.min(self.end));
        to.saturating_sub(self.at)
    }
}

impl Read for ContentReader<'_> {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let n = (self.end.saturating_sub(self.at)).min(buf.len() as u64) as usize;
        self.content.read_at(&mut buf[..n], self.at, &mut self.cache)?;
        self.at += n as u64;
        Ok(n)
    }
}

/// Keeps the block unpacked last, as readers ask for one block piece by piece.
#[derive(Default)]
pub struct BlockCache {
    key: Option<(usize, u64)>,
    block: Vec<u8>,
    stored: Vec<u8>,
}

impl BlockCache {
    /// Fills `buf` with bytes of the slice from `offset` of what it means.
    fn read(&mut self, slice: &Slice, offset: u64, buf: &mut [u8]) -> io::Result<()> {
        if slice.codec == BlockCodec::Off {
            return slice.body.read_exact_at(buf, slice.at + offset);
        }
        let key = (Arc::as_ptr(&slice.body).cast::<()>() as usize, slice.at);
        if self.key != Some(key) {
            if slice.logical > MAX_BLOCK || slice.stored > u64::from(MAX_BLOCK) {
                return Err(io::Error::new(io::ErrorKind::InvalidData, "block is larger than 16 MiB"));
            }
            self.key = None;
            self.stored.resize(slice.stored as usize, 0);
            slice.body.read_exact_at(&mut self.stored, slice.at)?;
            self.block.resize(slice.logical as usize, 0);
            block::decompress(slice.codec, &self.stored, &mut self.block)
                .map_err(|e| io::Error::new(io::ErrorKind::InvalidData, e))?;
            self.key = Some(key);
        }
        let from = usize::try_from(u64::from(slice.skip) + offset).unwrap_or(usize::MAX);
        let part = self.block.get(from..).and_then(|b| b.get(..buf.len()));
        buf.copy_from_slice(part.ok_or(io::ErrorKind::UnexpectedEof)?);
        Ok(())
    }
}
