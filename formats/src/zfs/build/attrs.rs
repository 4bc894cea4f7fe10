//! The attributes of one object as a bonus and, where they do not fit, a spill block (`docs/zfs-send-stream.md`
//! §3.3–3.8).

use super::{BuildError, acl, layout};
use crate::model::Timestamp;
use crate::zfs::format::{BLOCK_MIN, BONUS_MAX, BONUS_MAX_SPILL, REGISTRY, SA_MAGIC, attr, mode, zpl_flag};

/// Most bytes of one attribute: its length is 16 bits.
pub const MAX_ATTRIBUTE: usize = 65_535;

/// What an object of a file system says of itself.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Attributes<'a> {
    /// Type bits and permissions.
    pub mode: u64,
    /// Bytes; of a directory, entries and two.
    pub size: u64,
    /// Generation, never 0.
    pub generation: u64,
    /// User.
    pub uid: u32,
    /// Group.
    pub gid: u32,
    /// Directory it is in.
    pub parent: u64,
    /// Names; of a directory, subdirectories and two.
    pub links: u64,
    /// All four times.
    pub time: Timestamp,
    /// Device number in the target's form.
    pub rdev: Option<u64>,
    /// Target of a symbolic link.
    pub symlink: Option<&'a [u8]>,
    /// Object of the attribute directory.
    pub xattr_dir: Option<u64>,
    /// Packed extended attributes.
    pub xattrs: Option<&'a [u8]>,
    /// Whether it is an attribute directory or a file in one.
    pub is_xattr: bool,
}

/// Attributes as a stream carries them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Encoded {
    /// The bonus, not padded.
    pub bonus: Vec<u8>,
    /// The spill block, padded to its length.
    pub spill: Option<Vec<u8>>,
}

/// Packs the attributes of an object whose dnode has one slot.
pub fn encode(of: &Attributes<'_>) -> Result<Encoded, BuildError> {
    let is_dir = of.mode & mode::TYPE == mode::DIR;
    let (ace_count, aces) = acl::trivial(of.mode, is_dir);
    let list =
        layout::list(of.rdev.is_some(), of.symlink.is_some(), of.xattr_dir.is_some(), of.xattrs.is_some());
    let seconds = of.time.secs.to_le_bytes();
    let time = [seconds, u64::from(of.time.nanos).to_le_bytes()].concat();
    let value = |number: u16| -> Vec<u8> {
        let word = match number {
            attr::MODE => of.mode,
            attr::SIZE => of.size,
            attr::GEN => of.generation,
            attr::UID => of.uid.into(),
            attr::GID => of.gid.into(),
            attr::PARENT => of.parent,
            attr::FLAGS => flags(of.mode, is_dir, of.is_xattr),
            attr::LINKS => of.links,
            attr::RDEV => of.rdev.unwrap_or_default(),
            attr::DACL_COUNT => ace_count,
            attr::XATTR => of.xattr_dir.unwrap_or_default(),
            attr::DACL_ACES => return aces.clone(),
            attr::SYMLINK => return of.symlink.unwrap_or_default().to_vec(),
            attr::DXATTR => return of.xattrs.unwrap_or_default().to_vec(),
            _ => return time.clone(),
        };
        word.to_le_bytes().to_vec()
    };
    let values: Vec<(u16, Vec<u8>)> = list.into_iter().map(|number| (number, value(number))).collect();
    for (number, bytes) in &values {
        if bytes.len() > MAX_ATTRIBUTE {
            return Err(BuildError::AttributeTooLong {
                name: REGISTRY[usize::from(*number)].name,
                length: bytes.len(),
                limit: MAX_ATTRIBUTE,
            });
        }
    }
    let whole = buffer(&values);
    if whole.len() <= BONUS_MAX {
        return Ok(Encoded { bonus: whole, spill: None });
    }
    let fits = |count: &usize| buffer(&values[..*count]).len() <= BONUS_MAX_SPILL;
    let cut = (0..values.len()).rev().find(fits).unwrap_or(0);
    let mut spill = buffer(&values[cut..]);
    spill.resize(spill.len().next_multiple_of(BLOCK_MIN as usize), 0);
    Ok(Encoded { bonus: buffer(&values[..cut]), spill: Some(spill) })
}

/// ZPL_FLAGS as real systems set them (§3.8).
fn flags(mode: u64, is_dir: bool, is_xattr: bool) -> u64 {
    let mut flags = zpl_flag::ARCHIVE | zpl_flag::AV_MODIFIED | zpl_flag::ACL_TRIVIAL;
    if is_dir {
        flags |= zpl_flag::ACL_AUTO_INHERIT;
    }
    // Grants search without a look at the access list, so only where all may.
    if mode & 0o111 == 0o111 {
        flags |= zpl_flag::NO_EXECS_DENIED;
    }
    if is_xattr {
        flags |= zpl_flag::XATTR;
    }
    flags
}

/// An SA buffer: header, then each attribute at a multiple of 8 (§3.4).
fn buffer(values: &[(u16, Vec<u8>)]) -> Vec<u8> {
    let list: Vec<u16> = values.iter().map(|(number, _)| *number).collect();
    let is_variable = |number: u16| REGISTRY[usize::from(number)].len == 0;
    let lengths: Vec<u16> = values
        .iter()
        .filter(|(number, _)| is_variable(*number))
        .map(|(_, bytes)| bytes.len() as u16)
        .collect();
    // The first length has a place of its own in the 8 bytes that are always there.
    let header = 8 + (2 * lengths.len().saturating_sub(1)).next_multiple_of(8);
    let layout = if list.is_empty() { 1 } else { layout::number(&list) };
    let mut out = Vec::with_capacity(BONUS_MAX);
    out.extend_from_slice(&SA_MAGIC.to_le_bytes());
    out.extend_from_slice(&((header as u16 / 8) << 10 | layout).to_le_bytes());
    out.extend(lengths.iter().flat_map(|length| length.to_le_bytes()));
    out.resize(header, 0);
    for (_, bytes) in values {
        out.resize(out.len().next_multiple_of(8), 0);
        out.extend_from_slice(bytes);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(mode: u64) -> Attributes<'static> {
        Attributes { mode, generation: 1, links: 1, ..Attributes::default() }
    }

    #[test]
    fn plain_file_is_as_real_systems_write_it() {
        let got = encode(&file(0o100_644)).unwrap();
        assert_eq!(got.bonus[..8], [0x5a, 0x50, 0x2f, 0, 2, 4, 24, 0]);
        assert_eq!((got.bonus.len(), got.spill), (168, None));
        assert_eq!(encode(&Attributes { rdev: Some(5), ..file(0o020_644) }).unwrap().bonus.len(), 176);
        let target = [b't'; 144];
        let link = encode(&Attributes { symlink: Some(&target), ..file(0o120_777) }).unwrap();
        assert_eq!((link.bonus.len(), link.spill), (320, None), "the longest that fits");
    }

    #[test]
    fn every_mode_and_every_length_stays_in_its_room() {
        let bytes = [7; 65_532];
        for permissions in 0..0o10_000 {
            for (kind, rdev, link) in
                [(mode::FILE, None, None), (mode::CHAR, Some(1), None), (mode::SYMLINK, None, Some(9))]
            {
                for (xattr_dir, xattrs) in [(None, None), (Some(70), Some(60)), (None, Some(200))] {
                    let of = Attributes {
                        rdev,
                        symlink: link.map(|n| &bytes[..n]),
                        xattr_dir,
                        xattrs: xattrs.map(|n| &bytes[..n]),
                        ..file(kind | permissions)
                    };
                    let got = encode(&of).unwrap();
                    let room = if got.spill.is_some() { BONUS_MAX_SPILL } else { BONUS_MAX };
                    assert!(got.bonus.len() <= room, "{of:?}: {}", got.bonus.len());
                }
            }
        }
        let long = Attributes { symlink: Some(&bytes[..4095]), xattrs: Some(&bytes), ..file(0o120_417) };
        let got = encode(&long).unwrap();
        let spill = got.spill.unwrap();
        assert!(spill.len().is_multiple_of(512) && spill.len() <= 131_072);
        assert_eq!(&spill[6..10], &[0xff, 0x0f, 0xfc, 0xff], "both lengths stand in the header");
        let over = encode(&Attributes { xattrs: Some(&[0; 65_536]), ..file(0o100_644) }).unwrap_err();
        assert_eq!(over.to_string(), "attribute ZPL_DXATTR is longer than 65535 bytes: 65536");
    }
}
