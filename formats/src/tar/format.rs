//! The header block (POSIX pax, "ustar Interchange Format"; GNU tar manual, "Basic Tar Format").

use zerocopy::{FromBytes, Immutable, IntoBytes, KnownLayout, Unaligned};

/// Everything in an archive is padded to this.
pub const BLOCK: usize = 512;

/// `ustar`, NUL, version `00`.
pub(super) const MAGIC_USTAR: &[u8; 8] = b"ustar\x0000";
/// Old GNU: the fields behind the device numbers mean other things.
pub(super) const MAGIC_GNU: &[u8; 8] = b"ustar  \0";
/// At the end of a header that star wrote: its prefix is shorter.
pub(super) const TRAILER_STAR: &[u8; 4] = b"tar\0";

/// One header block.
#[derive(Clone, FromBytes, IntoBytes, Immutable, KnownLayout, Unaligned)]
#[repr(C)]
pub(super) struct Header {
    pub(super) name: [u8; 100],
    pub(super) mode: [u8; 8],
    pub(super) uid: [u8; 8],
    pub(super) gid: [u8; 8],
    pub(super) size: [u8; 12],
    pub(super) mtime: [u8; 12],
    pub(super) checksum: [u8; 8],
    pub(super) kind: u8,
    pub(super) link: [u8; 100],
    pub(super) magic: [u8; 8],
    pub(super) uname: [u8; 32],
    pub(super) gname: [u8; 32],
    pub(super) devmajor: [u8; 8],
    pub(super) devminor: [u8; 8],
    pub(super) prefix: [u8; 155],
    pub(super) rest: [u8; 12],
}

const _: () = assert!(size_of::<Header>() == BLOCK);
const _: () = assert!(std::mem::offset_of!(Header, checksum) == 148);
const _: () = assert!(std::mem::offset_of!(Header, magic) == 257);
const _: () = assert!(std::mem::offset_of!(Header, prefix) == 345);

/// Where an old GNU sparse header keeps its first regions, whether more blocks follow, and the file's size.
pub(super) const GNU_SPARSE_REGIONS: std::ops::Range<usize> = 386..482;
pub(super) const GNU_SPARSE_MORE: usize = 482;
pub(super) const GNU_SPARSE_REAL_SIZE: std::ops::Range<usize> = 483..495;
/// The same in the blocks that follow it.
pub(super) const GNU_SPARSE_BLOCK_REGIONS: std::ops::Range<usize> = 0..504;
pub(super) const GNU_SPARSE_BLOCK_MORE: usize = 504;

/// How the fields after the link name are to be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Dialect {
    /// There are none.
    V7,
    /// A prefix of 155 bytes.
    Ustar,
    /// A prefix of 131 bytes.
    Star,
    /// No prefix.
    Gnu,
}

impl Header {
    pub(super) fn of(block: &[u8]) -> Option<&Self> {
        Self::ref_from_bytes(block).ok()
    }

    pub(super) fn dialect(&self) -> Dialect {
        if &self.magic == MAGIC_GNU {
            Dialect::Gnu
        } else if self.magic.starts_with(b"ustar\0") {
            if self.rest.ends_with(TRAILER_STAR) { Dialect::Star } else { Dialect::Ustar }
        } else {
            Dialect::V7
        }
    }

    /// The sums of all bytes, the checksum's own taken for spaces: of unsigned ones as POSIX has it, and of
    /// signed ones as some old writers have it.
    pub(super) fn sums(&self) -> (u32, i32) {
        let own = std::mem::offset_of!(Header, checksum);
        let mut sums = (0, 0);
        for (at, &byte) in self.as_bytes().iter().enumerate() {
            let byte = if (own..own + self.checksum.len()).contains(&at) { b' ' } else { byte };
            sums.0 += u32::from(byte);
            sums.1 += i32::from(byte as i8);
        }
        sums
    }
}

/// A text field: what stands before the first NUL.
pub(super) fn text(field: &[u8]) -> &[u8] {
    field.split(|&b| b == 0).next().unwrap_or_default()
}

/// Bytes to the end of the last block of something `len` long.
pub(super) fn padding(len: u64) -> u64 {
    (BLOCK as u64 - len % BLOCK as u64) % BLOCK as u64
}
