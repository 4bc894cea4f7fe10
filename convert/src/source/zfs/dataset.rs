//! One snapshot as a file system or a volume: its maps and its data.

use aurora_engine::body::Body;
use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::block::BlockCodec;
use aurora_formats::zfs::format::{MASTER_NODE, key, object_type};
use aurora_formats::zfs::record::Endian;
use aurora_formats::zfs::sa::Tables;
use aurora_formats::zfs::zap::{self, Entry, ZapError};
use aurora_formats::zfs::znode::{Znode, ZnodeError};

use super::objects::{Extent, Object, ObjectSet, Stored};
use crate::content::{self, BlockCache, Content, Slice};
use crate::{Error, Result};

/// Longest file: what every system's offsets can tell.
pub(super) const MAX_SIZE: u64 = i64::MAX as u64;

/// Attribute tables have a few dozen entries; more than this is an attack.
const MAX_TABLE: usize = 10_000;

/// Objects and where their data is.
#[derive(Clone, Copy)]
pub(super) struct Data<'a> {
    /// The objects.
    pub(super) objects: &'a ObjectSet,
    /// Payloads, by input.
    pub(super) bodies: &'a [Body],
}

/// How reading a map fails: by itself, or because its blocks can't be had.
enum ZapFault {
    Zap(ZapError),
    Other(Error),
}

impl From<ZapError> for ZapFault {
    fn from(e: ZapError) -> Self {
        Self::Zap(e)
    }
}

struct ObjectBlocks<'a> {
    object: &'a Object,
    content: Content,
    cache: BlockCache,
}

impl zap::Blocks for ObjectBlocks<'_> {
    type Error = ZapFault;

    fn read(&mut self, number: u64, out: &mut [u8]) -> Result<Endian, ZapFault> {
        let offset = number.saturating_mul(out.len() as u64);
        let extents = &self.object.extents;
        let first = extents.get(extents.partition_point(|e| e.end() <= offset));
        let end = self.content.size.saturating_sub(offset).min(out.len() as u64) as usize;
        let (data, beyond) = out.split_at_mut(end);
        beyond.fill(0);
        let read = self.content.read_at(data, offset, &mut self.cache);
        read.map_err(|e| ZapFault::Other(Error::io("data of the stream", e)))?;
        Ok(first.map_or(self.object.order, |e| e.data.order()))
    }
}

impl<'a> Data<'a> {
    /// An object that must be there, and of this type.
    pub(super) fn object(
        &self,
        number: u64,
        kind: u32,
        expected: &'static str,
    ) -> Result<&'a Object, ZfsError> {
        let object = self.objects.get(number).filter(|o| o.kind == kind);
        object.map(AsRef::as_ref).ok_or(ZfsError::Object { object: number, expected })
    }

    /// All entries of a map.
    pub(super) fn each_entry(
        &self,
        number: u64,
        object: &Object,
        mut each: impl FnMut(Entry) -> Result<()>,
    ) -> Result<()> {
        let blocks = object.blocks();
        let size = blocks.saturating_mul(u64::from(object.block_size));
        let content = self.content(object, size.min(MAX_SIZE));
        let mut source = ObjectBlocks { object, content, cache: BlockCache::default() };
        let mut each = |entry| each(entry).map_err(ZapFault::Other);
        zap::read(object.block_size, blocks, &mut source, &mut each).map_err(|fault| match fault {
            ZapFault::Zap(source) => ZfsError::Zap { object: number, source }.into(),
            ZapFault::Other(e) => e,
        })
    }

    /// All entries of a small map.
    fn table(&self, number: u64, kind: u32, expected: &'static str) -> Result<Vec<Entry>> {
        let object = self.object(number, kind, expected)?;
        let mut entries = Vec::new();
        self.each_entry(number, object, |entry| {
            if entries.len() >= MAX_TABLE {
                let value = entries.len() as u64;
                return Err(ZfsError::Value { object: number, what: "number of entries", value }.into());
            }
            entries.push(entry);
            Ok(())
        })?;
        Ok(entries)
    }

    /// What a file of `size` bytes with this object's data holds.
    pub(super) fn content(&self, object: &Object, size: u64) -> Content {
        let mut extents: Vec<content::Extent> = Vec::with_capacity(object.extents.len());
        for extent in object.extents.iter().take_while(|e| e.offset < size) {
            let extent = extent.cut(0, size);
            let Some(data) = self.slice(&extent) else { continue };
            let len = u64::from(extent.len);
            // Neighbours of one spool are one run.
            match extents.last_mut() {
                Some(last)
                    if data.codec == BlockCodec::Off
                        && last.data.codec == BlockCodec::Off
                        && last.offset + last.len == extent.offset
                        && last.data.at + last.data.stored == data.at
                        && std::sync::Arc::ptr_eq(&last.data.body, &data.body) =>
                {
                    last.len += len;
                    last.data.stored += len;
                }
                _ => extents.push(content::Extent { offset: extent.offset, len, data }),
            }
        }
        extents.shrink_to_fit();
        Content { size, extents }
    }

    fn slice(&self, extent: &Extent) -> Option<Slice> {
        let Stored { codec, stored, logical, at, .. } = extent.data;
        let body = self.bodies.get(extent.data.input())?.clone();
        Some(match codec {
            BlockCodec::Off => Slice::plain(body, at + u64::from(extent.skip), extent.len.into()),
            codec => Slice { body, at, stored: stored.into(), codec, logical, skip: extent.skip },
        })
    }

    /// The first `len` bytes of an object.
    pub(super) fn head(&self, object: &Object, len: usize) -> Result<Vec<u8>> {
        let mut bytes = vec![0; len];
        let content = self.content(object, len as u64);
        let read = content.read_at(&mut bytes, 0, &mut BlockCache::default());
        read.map_err(|e| Error::io("data of the stream", e))?;
        Ok(bytes)
    }

    /// A block by itself: a spill.
    fn block(&self, stored: &Stored) -> Result<Vec<u8>> {
        let len = if stored.codec == BlockCodec::Off { stored.stored } else { stored.logical };
        let extent = Extent { offset: 0, len, skip: 0, data: *stored };
        let mut bytes = vec![0; len as usize];
        if let Some(data) = self.slice(&extent) {
            let extents = vec![content::Extent { offset: 0, len: len.into(), data }];
            let content = Content { size: len.into(), extents };
            let read = content.read_at(&mut bytes, 0, &mut BlockCache::default());
            read.map_err(|e| Error::io("data of the stream", e))?;
        }
        Ok(bytes)
    }
}

/// A file system.
pub(super) struct Filesystem<'a> {
    /// Its objects.
    pub(super) data: Data<'a>,
    /// The root directory's.
    pub(super) root: u64,
    tables: Tables,
}

impl<'a> Filesystem<'a> {
    /// Reads what leads to everything else.
    pub(super) fn open(data: Data<'a>) -> Result<Self> {
        let master = data.table(MASTER_NODE, object_type::MASTER_NODE, "master node of a file system")?;
        let find =
            |entries: &[Entry], name: &[u8]| entries.iter().find(|e| e.name == name).and_then(Entry::single);
        let need = |entries: &[Entry], object, name: &[u8], key| {
            find(entries, name).ok_or(ZfsError::MissingKey { object, key })
        };
        let root = need(&master, MASTER_NODE, key::ROOT, "ROOT")?;
        let tables = match find(&master, key::SA_ATTRS) {
            None | Some(0) => Tables::default(),
            Some(sa) => {
                let names = data.table(sa, object_type::SA_MASTER_NODE, "master of attributes")?;
                let registry = need(&names, sa, key::REGISTRY, "REGISTRY")?;
                let layouts = need(&names, sa, key::LAYOUTS, "LAYOUTS")?;
                let registered =
                    data.table(registry, object_type::SA_REGISTRATION, "registry of attributes")?;
                let laid_out = data.table(layouts, object_type::SA_LAYOUTS, "table of attribute layouts")?;
                Tables::parse(&registered, &laid_out)
                    .map_err(|e| ZfsError::Znode { object: sa, source: ZnodeError::Sa(e) })?
            }
        };
        Ok(Self { data, root, tables })
    }

    /// What an object says of itself.
    pub(super) fn znode(&self, number: u64, object: &Object) -> Result<Znode> {
        let spill = match &object.spill {
            Some(stored) => Some(self.data.block(stored)?),
            None => None,
        };
        let znode =
            Znode::parse(object.bonus_type, &object.bonus, spill.as_deref(), object.order, &self.tables);
        Ok(znode.map_err(|source| ZfsError::Znode { object: number, source })?)
    }
}
