//! Numbers of the formats inside a stream: what both the reader and the writer must know (`docs/zfs-send-stream.md`).

/// `drr_magic` of BEGIN.
pub const MAGIC: u64 = 0x2_F5BA_CBAC;
/// Mask of the header type in `drr_versioninfo`.
pub const HEADER_TYPE_MASK: u64 = 3;
/// Header type of a stream of one snapshot.
pub const HEADER_SUBSTREAM: u64 = 1;
/// Header type of a package of streams.
pub const HEADER_COMPOUND: u64 = 2;
/// Where the feature bits begin in `drr_versioninfo`.
pub const FEATURES_SHIFT: u32 = 2;

/// `drr_type` of BEGIN.
pub mod objset {
    /// A file system.
    pub const ZFS: u32 = 2;
    /// A volume.
    pub const ZVOL: u32 = 3;
}

/// `drr_flags` of BEGIN (§1.4).
pub mod begin_flag {
    /// The source of the increment is another dataset's snapshot.
    pub const CLONE: u32 = 1;
    /// Names are compared without case.
    pub const CI_DATA: u32 = 2;
    /// All FREE and FREEOBJECTS records are there.
    pub const FREE_RECORDS: u32 = 4;
    /// Spill flags mean something.
    pub const SPILL_BLOCK: u32 = 8;
}

/// Feature bits, shifted down (§1.5).
pub mod feature {
    /// Deduplicated.
    pub const DEDUP: u64 = 1;
    /// Deduplicated.
    pub const DEDUP_PROPS: u64 = 1 << 1;
    /// Attributes may spill.
    pub const SA_SPILL: u64 = 1 << 2;
    /// Embedded blocks.
    pub const EMBED_DATA: u64 = 1 << 16;
    /// LZ4 blocks.
    pub const LZ4: u64 = 1 << 17;
    /// Blocks beyond 128 KiB.
    pub const LARGE_BLOCKS: u64 = 1 << 19;
    /// The rest of an interrupted stream.
    pub const RESUMING: u64 = 1 << 20;
    /// Redacted.
    pub const REDACTED: u64 = 1 << 21;
    /// Blocks as they are on disk.
    pub const COMPRESSED: u64 = 1 << 22;
    /// Dnodes beyond 512 bytes.
    pub const LARGE_DNODE: u64 = 1 << 23;
    /// Encrypted blocks as they are on disk.
    pub const RAW: u64 = 1 << 24;
    /// zstd blocks.
    pub const ZSTD: u64 = 1 << 25;
    /// Holds in a package header.
    pub const HOLDS: u64 = 1 << 26;
    /// Never set so far.
    pub const SWITCH_TO_LARGE_BLOCKS: u64 = 1 << 27;
    /// Names beyond 255 bytes.
    pub const LONG_NAME: u64 = 1 << 28;
    /// Micro ZAPs beyond 128 KiB.
    pub const LARGE_MICROZAP: u64 = 1 << 29;
    /// Oracle Solaris, unreadable for everyone else.
    pub const ORACLE: u64 = 1 << 3 | 1 << 4;
}

/// `drr_flags` of OBJECT and SPILL (§1.8, §1.12).
pub mod object_flag {
    /// Raw streams: the receiver must swap bytes.
    pub const RAW_BYTESWAP: u8 = 2;
    /// OBJECT: has a spill block. SPILL: it is unchanged.
    pub const SPILL: u8 = 4;
}

/// Object types (§2.2).
pub mod object_type {
    /// None.
    pub const NONE: u32 = 0;
    /// Bonus of old file systems.
    pub const ZNODE: u32 = 17;
    /// Access list of the oldest file systems.
    pub const OLD_ACL: u32 = 18;
    /// Files, links, devices.
    pub const PLAIN_FILE: u32 = 19;
    /// Directories.
    pub const DIRECTORY: u32 = 20;
    /// Object 1.
    pub const MASTER_NODE: u32 = 21;
    /// Files unlinked while open.
    pub const UNLINKED_SET: u32 = 22;
    /// A volume's data.
    pub const ZVOL: u32 = 23;
    /// A volume's properties.
    pub const ZVOL_PROP: u32 = 24;
    /// External access list.
    pub const ACL: u32 = 33;
    /// User domains.
    pub const FUID: u32 = 35;
    /// System attributes, as a bonus.
    pub const SA: u32 = 44;
    /// Names REGISTRY and LAYOUTS.
    pub const SA_MASTER_NODE: u32 = 45;
    /// REGISTRY.
    pub const SA_REGISTRATION: u32 = 46;
    /// LAYOUTS.
    pub const SA_LAYOUTS: u32 = 47;
}

/// Keys of the master node, the SA master and a volume's properties.
pub mod key {
    /// ZPL version.
    pub const VERSION: &[u8] = b"VERSION";
    /// Root directory.
    pub const ROOT: &[u8] = b"ROOT";
    /// Unlinked set.
    pub const DELETE_QUEUE: &[u8] = b"DELETE_QUEUE";
    /// SA master.
    pub const SA_ATTRS: &[u8] = b"SA_ATTRS";
    /// Unicode normalization.
    pub const NORMALIZATION: &[u8] = b"normalization";
    /// Whether names must be UTF-8.
    pub const UTF8_ONLY: &[u8] = b"utf8only";
    /// How names compare.
    pub const CASE_SENSITIVITY: &[u8] = b"casesensitivity";
    /// User domains.
    pub const FUID: &[u8] = b"FUID";
    /// Attribute numbers.
    pub const REGISTRY: &[u8] = b"REGISTRY";
    /// Attribute lists.
    pub const LAYOUTS: &[u8] = b"LAYOUTS";
    /// Bytes of a volume.
    pub const SIZE: &[u8] = b"size";
}

/// The ZPL version written.
pub const ZPL_VERSION: u64 = 5;
/// The master node's number, in every file system.
pub const MASTER_NODE: u64 = 1;
/// A volume's data and properties.
pub const VOLUME_DATA: u64 = 1;
/// See [`VOLUME_DATA`].
pub const VOLUME_PROPERTIES: u64 = 2;

/// One line of the attribute registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct AttrSpec {
    /// Name in the registry.
    pub name: &'static str,
    /// Bytes; 0 is variable.
    pub len: u16,
    /// How bytes are swapped: 0 u64, 1 u32, 2 u16, 3 u8, 4 access list.
    pub swap: u8,
}

const fn attr(name: &'static str, len: u16, swap: u8) -> AttrSpec {
    AttrSpec { name, len, swap }
}

/// The registry that is written: the index is the attribute's number (§3.2). 0 to 15 are so everywhere; a reader
/// must use the registry of the stream for the others.
pub const REGISTRY: [AttrSpec; 22] = [
    attr("ZPL_ATIME", 16, 0),
    attr("ZPL_MTIME", 16, 0),
    attr("ZPL_CTIME", 16, 0),
    attr("ZPL_CRTIME", 16, 0),
    attr("ZPL_GEN", 8, 0),
    attr("ZPL_MODE", 8, 0),
    attr("ZPL_SIZE", 8, 0),
    attr("ZPL_PARENT", 8, 0),
    attr("ZPL_LINKS", 8, 0),
    attr("ZPL_XATTR", 8, 0),
    attr("ZPL_RDEV", 8, 0),
    attr("ZPL_FLAGS", 8, 0),
    attr("ZPL_UID", 8, 0),
    attr("ZPL_GID", 8, 0),
    attr("ZPL_PAD", 32, 0),
    attr("ZPL_ZNODE_ACL", 88, 3),
    attr("ZPL_DACL_COUNT", 8, 0),
    attr("ZPL_SYMLINK", 0, 3),
    attr("ZPL_SCANSTAMP", 32, 3),
    attr("ZPL_DACL_ACES", 0, 4),
    attr("ZPL_DXATTR", 0, 3),
    attr("ZPL_PROJID", 8, 0),
];

/// Attribute numbers, as [`REGISTRY`] has them.
#[allow(missing_docs)] // Named as in the registry.
pub mod attr {
    pub const ATIME: u16 = 0;
    pub const MTIME: u16 = 1;
    pub const CTIME: u16 = 2;
    pub const CRTIME: u16 = 3;
    pub const GEN: u16 = 4;
    pub const MODE: u16 = 5;
    pub const SIZE: u16 = 6;
    pub const PARENT: u16 = 7;
    pub const LINKS: u16 = 8;
    pub const XATTR: u16 = 9;
    pub const RDEV: u16 = 10;
    pub const FLAGS: u16 = 11;
    pub const UID: u16 = 12;
    pub const GID: u16 = 13;
    pub const PAD: u16 = 14;
    pub const ZNODE_ACL: u16 = 15;
    pub const DACL_COUNT: u16 = 16;
    pub const SYMLINK: u16 = 17;
    pub const SCANSTAMP: u16 = 18;
    pub const DACL_ACES: u16 = 19;
    pub const DXATTR: u16 = 20;
    pub const PROJID: u16 = 21;
}

/// Magic of an SA buffer (§3.4).
pub const SA_MAGIC: u32 = 0x2F_505A;

/// ZPL_FLAGS (§3.8).
pub mod zpl_flag {
    /// An attribute directory or a file in one.
    pub const XATTR: u64 = 0x1;
    /// The access list says what the mode says.
    pub const ACL_TRIVIAL: u64 = 0x4;
    /// Access lists are inherited (real directories have it).
    pub const ACL_AUTO_INHERIT: u64 = 0x40;
    /// All may search: no check is needed.
    pub const NO_EXECS_DENIED: u64 = 0x100;
    /// Changed since the last archive.
    pub const ARCHIVE: u64 = 0x8_0000_0000;
    /// Not seen by a virus scanner yet.
    pub const AV_MODIFIED: u64 = 0x400_0000_0000;
    /// The PROJID attribute is there.
    pub const PROJID: u64 = 0x8000_0000_0000;
}

/// Type bits of a mode.
pub mod mode {
    /// Mask of the type.
    pub const TYPE: u64 = 0o170_000;
    /// Named pipe.
    pub const FIFO: u64 = 0o010_000;
    /// Character device.
    pub const CHAR: u64 = 0o020_000;
    /// Directory.
    pub const DIR: u64 = 0o040_000;
    /// Block device.
    pub const BLOCK: u64 = 0o060_000;
    /// Regular file.
    pub const FILE: u64 = 0o100_000;
    /// Symbolic link.
    pub const SYMLINK: u64 = 0o120_000;
    /// Socket.
    pub const SOCKET: u64 = 0o140_000;
    /// Door, illumos only.
    pub const DOOR: u64 = 0o150_000;
}

/// Bits of a directory entry that are the object number; the type is in the top 4 (§3.13).
pub const DIRENT_OBJECT_MASK: u64 = (1 << 48) - 1;
/// Where a directory entry's type begins.
pub const DIRENT_TYPE_SHIFT: u32 = 60;
/// Longest name without the `longname` feature.
pub const MAX_NAME: usize = 255;

/// First word of a micro ZAP (§4.2).
pub const ZAP_MICRO: u64 = 0x8000_0000_0000_0003;
/// First word of a fat ZAP's header (§4.4).
pub const ZAP_HEADER: u64 = 0x8000_0000_0000_0001;
/// First word of a fat ZAP's leaf (§4.5).
pub const ZAP_LEAF: u64 = 0x8000_0000_0000_0000;
/// Second word of a fat ZAP's header.
pub const ZAP_MAGIC: u64 = 0x2_F52A_B2AB;
/// Magic of a leaf.
pub const ZAP_LEAF_MAGIC: u32 = 0x2AB_1EAF;
/// Bytes of a micro ZAP's entry, of its head, and of the names it holds, NUL included.
pub const MZAP_ENTRY: usize = 64;
/// See [`MZAP_ENTRY`].
pub const MZAP_NAME: usize = 50;
/// Bytes of a leaf's chunk.
pub const ZAP_CHUNK: usize = 24;
/// Bytes that a chunk of a name or a value holds.
pub const ZAP_ARRAY_BYTES: usize = 21;
/// Chunk of an entry.
pub const ZAP_CHUNK_ENTRY: u8 = 252;
/// Chunk of a name or a value.
pub const ZAP_CHUNK_ARRAY: u8 = 251;
/// Chunk not in use.
pub const ZAP_CHUNK_FREE: u8 = 253;
/// End of a chain of chunks.
pub const ZAP_CHAIN_END: u16 = 0xFFFF;
/// Polynomial of the hash, reflected (§4.3).
pub const ZAP_POLY: u64 = 0xC96C_5795_D787_0F42;

/// Largest payload of WRITE_EMBEDDED.
pub const EMBEDDED_MAX: u32 = 112;
/// Bytes of a dnode slot.
pub const DNODE_SLOT: u32 = 512;
/// Bonus room of a dnode of one slot.
pub const BONUS_MAX: usize = 320;
/// The same when a spill block pointer takes its part.
pub const BONUS_MAX_SPILL: usize = 192;
/// Largest block without the `large_blocks` feature.
pub const BLOCK_MAX: u32 = 131_072;
/// Smallest block; all are multiples of it.
pub const BLOCK_MIN: u32 = 512;

const ZAP_TABLE: [u64; 256] = {
    let mut table = [0; 256];
    let mut i = 0;
    while i < 256 {
        let mut crc = i as u64;
        let mut bit = 0;
        while bit < 8 {
            crc = if crc & 1 == 1 { crc >> 1 ^ ZAP_POLY } else { crc >> 1 };
            bit += 1;
        }
        table[i] = crc;
        i += 1;
    }
    table
};

/// Hash of a name in a ZAP that neither normalises names nor has 48-bit hashes (§4.3).
pub fn zap_hash(salt: u64, name: &[u8]) -> u64 {
    let crc = name.iter().fold(salt, |h, &byte| h >> 8 ^ ZAP_TABLE[((h ^ u64::from(byte)) & 0xff) as usize]);
    crc & !((1 << 36) - 1)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attribute_numbers_are_those_of_the_registry() {
        for (number, name) in [
            (attr::ATIME, "ZPL_ATIME"),
            (attr::GEN, "ZPL_GEN"),
            (attr::LINKS, "ZPL_LINKS"),
            (attr::FLAGS, "ZPL_FLAGS"),
            (attr::GID, "ZPL_GID"),
            (attr::DACL_COUNT, "ZPL_DACL_COUNT"),
            (attr::SYMLINK, "ZPL_SYMLINK"),
            (attr::DACL_ACES, "ZPL_DACL_ACES"),
            (attr::DXATTR, "ZPL_DXATTR"),
            (attr::PROJID, "ZPL_PROJID"),
        ] {
            assert_eq!(REGISTRY[usize::from(number)].name, name);
        }
    }
}
