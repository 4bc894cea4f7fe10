//! What a file system object says of itself: from system attributes or from the bonus of older versions
//! (`docs/zfs-send-stream.md` §3.5, §3.7, §3.14).

use super::format::object_type;
use super::record::Endian;
use super::sa::{self, SaError, Tables};

/// Bytes of an old bonus before a link's target.
const OLD_LEN: usize = 264;
const OLD_ACL_AT: usize = 176;
const OLD_ACL_LEN: usize = 88;

/// Why an object has no usable attributes. Object numbers and names are the caller's to add.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum ZnodeError {
    /// Its attribute buffer can't be read.
    #[error(transparent)]
    Sa(#[from] SaError),
    /// An attribute of the wrong size.
    #[error("attribute {name} has a wrong size: {length}")]
    Size {
        /// Which.
        name: String,
        /// Its bytes.
        length: usize,
    },
    /// An attribute that every object has.
    #[error("attribute is missing: {name}")]
    Missing {
        /// Which.
        name: &'static str,
    },
    /// An old bonus cut short.
    #[error("old bonus is too short: {length} bytes")]
    OldTooShort {
        /// Its bytes.
        length: usize,
    },
    /// A bonus of a kind that no file has.
    #[error("bonus is of a type that no file has: {bonus_type}")]
    BonusType {
        /// The type.
        bonus_type: u32,
    },
    /// An access list cut short.
    #[error("access list is malformed: {length} bytes")]
    Acl {
        /// Its bytes.
        length: usize,
    },
}

/// A time as it is stored.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Time {
    /// Seconds since 1970.
    pub secs: i64,
    /// Nanoseconds.
    pub nanos: u64,
}

/// One entry of an access list.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Ace {
    /// 0 allow, 1 deny, ...
    pub kind: u16,
    /// Whom it is about, and how it is inherited.
    pub flags: u16,
    /// What it is about.
    pub mask: u32,
    /// Of named users and groups, their id.
    pub who: u64,
}

/// An access list.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Acl {
    /// None is stored.
    #[default]
    None,
    /// Its entries.
    Entries(Vec<Ace>),
    /// In the form of the oldest file systems, which is not read further.
    Ancient,
    /// In another object.
    External(u64),
}

/// All attributes of a file system object that mean something outside of ZFS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Znode {
    /// Type and permissions.
    pub mode: u64,
    /// Bytes of a file, entries of a directory.
    pub size: u64,
    /// Generation: another one is another file.
    pub generation: u64,
    /// Owner, perhaps of a foreign domain.
    pub uid: u64,
    /// Group, perhaps of a foreign domain.
    pub gid: u64,
    /// Directory it is in.
    pub parent: u64,
    /// `zpl_flag::*`.
    pub flags: u64,
    /// Names.
    pub links: u64,
    /// Last change of the content.
    pub mtime: Time,
    /// Object of the attribute directory, 0 for none.
    pub xattr: u64,
    /// Device number, in the form of whatever system wrote it.
    pub rdev: u64,
    /// Project id, 0 for none.
    pub project: u64,
    /// Target of a symbolic link, if it is here and not in the object's data.
    pub symlink: Option<Vec<u8>>,
    /// Packed list of extended attributes.
    pub dxattr: Option<Vec<u8>>,
    /// The access list.
    pub acl: Acl,
}

impl Znode {
    /// From an object's bonus, of the given type, and its spill block.
    pub fn parse(
        bonus_type: u32,
        bonus: &[u8],
        spill: Option<&[u8]>,
        order: Endian,
        tables: &Tables,
    ) -> Result<Self, ZnodeError> {
        match bonus_type {
            object_type::SA => Self::from_attributes(bonus, spill, tables),
            object_type::ZNODE => Self::from_old(bonus, order),
            bonus_type => Err(ZnodeError::BonusType { bonus_type }),
        }
    }

    fn from_attributes(bonus: &[u8], spill: Option<&[u8]>, tables: &Tables) -> Result<Self, ZnodeError> {
        let mut znode = Self::default();
        let mut seen = Seen::default();
        let (mut count, mut aces) = (None, None);
        for buffer in [Some(bonus), spill].into_iter().flatten() {
            let (order, attributes) = sa::parse(buffer, tables)?;
            for found in attributes {
                let name = tables.name(found.number).unwrap_or_default();
                let value = buffer.get(found.range).unwrap_or_default();
                match name {
                    b"ZPL_DACL_COUNT" => count = Some(word(name, value, order)?),
                    b"ZPL_DACL_ACES" => aces = Some((order, value)),
                    _ => znode.set(name, value, order, &mut seen)?,
                }
            }
        }
        seen.check()?;
        if let Some((order, aces)) = aces {
            // A count is not needed to take the array apart; where there is one it may say less.
            let count = usize::try_from(count.unwrap_or(u64::MAX)).unwrap_or(usize::MAX);
            znode.acl = Acl::Entries(parse_aces(aces, count, order)?);
        }
        Ok(znode)
    }

    fn set(&mut self, name: &[u8], value: &[u8], order: Endian, seen: &mut Seen) -> Result<(), ZnodeError> {
        let word = || word(name, value, order);
        match name {
            b"ZPL_MODE" => {
                self.mode = word()?;
                seen.mode = true;
            }
            b"ZPL_SIZE" => {
                self.size = word()?;
                seen.size = true;
            }
            b"ZPL_GEN" => self.generation = word()?,
            b"ZPL_UID" => {
                self.uid = word()?;
                seen.uid = true;
            }
            b"ZPL_GID" => {
                self.gid = word()?;
                seen.gid = true;
            }
            b"ZPL_PARENT" => self.parent = word()?,
            b"ZPL_FLAGS" => self.flags = word()?,
            b"ZPL_LINKS" => self.links = word()?,
            b"ZPL_XATTR" => self.xattr = word()?,
            b"ZPL_RDEV" => self.rdev = word()?,
            b"ZPL_PROJID" => self.project = word()?,
            b"ZPL_MTIME" => {
                if value.len() != 16 {
                    return Err(wrong_size(name, value));
                }
                self.mtime = Time { secs: order.u64(value, 0) as i64, nanos: order.u64(value, 8) };
                seen.mtime = true;
            }
            b"ZPL_SYMLINK" => self.symlink = Some(value.to_vec()),
            b"ZPL_DXATTR" => self.dxattr = Some(value.to_vec()),
            b"ZPL_ZNODE_ACL" => self.acl = old_acl(value, order)?,
            // Other times, virus scanner's stamps, padding, and whatever comes to be registered one day.
            _ => {}
        }
        Ok(())
    }

    fn from_old(bonus: &[u8], order: Endian) -> Result<Self, ZnodeError> {
        if bonus.len() < OLD_LEN {
            return Err(ZnodeError::OldTooShort { length: bonus.len() });
        }
        let at = |offset| order.u64(bonus, offset);
        let (mode, size) = (at(72), at(80));
        let is_link = mode & super::format::mode::TYPE == super::format::mode::SYMLINK;
        let target = usize::try_from(size).ok().and_then(|len| bonus.get(OLD_LEN..)?.get(..len));
        Ok(Self {
            mode,
            size,
            generation: at(64),
            uid: at(128),
            gid: at(136),
            parent: at(88),
            flags: at(120),
            links: at(96),
            mtime: Time { secs: at(16) as i64, nanos: at(24) },
            xattr: at(104),
            rdev: at(112),
            project: 0,
            symlink: target.filter(|_| is_link).map(<[u8]>::to_vec),
            dxattr: None,
            acl: old_acl(&bonus[OLD_ACL_AT..OLD_ACL_AT + OLD_ACL_LEN], order)?,
        })
    }
}

/// Attributes without which an object is no file.
#[derive(Default)]
struct Seen {
    mode: bool,
    size: bool,
    uid: bool,
    gid: bool,
    mtime: bool,
}

impl Seen {
    fn check(&self) -> Result<(), ZnodeError> {
        let all = [
            (self.mode, "ZPL_MODE"),
            (self.size, "ZPL_SIZE"),
            (self.uid, "ZPL_UID"),
            (self.gid, "ZPL_GID"),
            (self.mtime, "ZPL_MTIME"),
        ];
        match all.into_iter().find(|(seen, _)| !seen) {
            Some((_, name)) => Err(ZnodeError::Missing { name }),
            None => Ok(()),
        }
    }
}

fn wrong_size(name: &[u8], value: &[u8]) -> ZnodeError {
    ZnodeError::Size { name: name.escape_ascii().to_string(), length: value.len() }
}

fn word(name: &[u8], value: &[u8], order: Endian) -> Result<u64, ZnodeError> {
    if value.len() == 8 { Ok(order.u64(value, 0)) } else { Err(wrong_size(name, value)) }
}

/// The area of an old bonus: the entries themselves when they are few, else the object that holds them.
fn old_acl(area: &[u8], order: Endian) -> Result<Acl, ZnodeError> {
    if area.len() != OLD_ACL_LEN {
        return Err(ZnodeError::Acl { length: area.len() });
    }
    let (object, size) = (order.u64(area, 0), order.u32(area, 8) as usize);
    let (version, count) = (order.u16(area, 12), order.u16(area, 14));
    match (object, version) {
        (0, 0) if size == 0 => Ok(Acl::None),
        (0, 0) => Ok(Acl::Ancient),
        (0, _) => {
            let aces = area[16..].get(..size).ok_or(ZnodeError::Acl { length: size })?;
            Ok(Acl::Entries(parse_aces(aces, count.into(), order)?))
        }
        (object, _) => Ok(Acl::External(object)),
    }
}

/// Access list entries, `count` of them at most.
pub fn parse_aces(bytes: &[u8], count: usize, order: Endian) -> Result<Vec<Ace>, ZnodeError> {
    let (mut aces, mut rest) = (Vec::new(), bytes);
    while !rest.is_empty() && aces.len() < count {
        let (kind, flags) = (order.u16(rest, 0), order.u16(rest, 2));
        // Owner, group and everyone need no id; the object forms have two more ids of 16 bytes.
        let len = match (flags & 0x7040, kind) {
            (_, 5..=8) => 48,
            (0x1000 | 0x2040 | 0x4000, _) => 8,
            _ => 16,
        };
        let ace = rest.split_at_checked(len);
        let (ace, after) = ace.ok_or(ZnodeError::Acl { length: bytes.len() })?;
        aces.push(Ace { kind, flags, mask: order.u32(ace, 4), who: order.u64(ace, 8) });
        rest = after;
    }
    Ok(aces)
}

/// The list that says no more than the mode does, as every system makes it.
pub fn trivial_acl(mode: u64, is_dir: bool) -> Vec<Ace> {
    let write = if is_dir { 0x46 } else { 0x6 };
    let mask = |bits: u64| {
        let part = |bit, mask| if bits & bit != 0 { mask } else { 0 };
        part(4, 0x1) | part(2, write) | part(1, 0x20)
    };
    let (u, g, o) = (mode >> 6 & 7, mode >> 3 & 7, mode & 7);
    let ace = |kind, flags, mask| Ace { kind, flags, mask, who: 0 };
    let (owner, group, everyone) = (0x1000, 0x2040, 0x4000);
    let mut aces = Vec::new();
    for (kind, flags, bits) in [(0, owner, u & !g & o), (1, owner, !u & (g | o) & 7), (1, group, !g & o & 7)]
    {
        if bits != 0 {
            aces.push(ace(kind, flags, mask(bits)));
        }
    }
    aces.push(ace(0, owner, 0x1E_0198 | mask(u)));
    aces.push(ace(0, group, 0x12_0088 | mask(g)));
    aces.push(ace(0, everyone, 0x12_0088 | mask(o)));
    aces
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn trivial_lists() {
        let masks = |mode, is_dir| -> Vec<_> {
            trivial_acl(mode, is_dir).iter().map(|a| (a.kind, a.flags, a.mask)).collect()
        };
        let file = [(0, 0x1000, 0x1E_019F), (0, 0x2040, 0x12_0089), (0, 0x4000, 0x12_0089)];
        assert_eq!(masks(0o644, false), file);
        let dir = [(0, 0x1000, 0x1E_01FF), (0, 0x2040, 0x12_00A9), (0, 0x4000, 0x12_00A9)];
        assert_eq!(masks(0o755, true), dir);
        assert_eq!(masks(0o007, false).len(), 5);
    }

    #[test]
    fn old_bonuses_of_either_order() {
        for order in [Endian::Little, Endian::Big] {
            let put = |n: u64| if order == Endian::Little { n.to_le_bytes() } else { n.to_be_bytes() };
            let mut bonus = vec![0; 320];
            for (at, n) in [
                (16, -5i64 as u64),
                (24, 7),
                (64, 3),
                (72, 0o120_777),
                (80, 4),
                (104, 9),
                (128, 10),
                (136, 11),
            ] {
                bonus[at..at + 8].copy_from_slice(&put(n));
            }
            bonus[264..268].copy_from_slice(b"some");
            let got = Znode::parse(object_type::ZNODE, &bonus, None, order, &Tables::default()).unwrap();
            assert_eq!((got.mode, got.size, got.generation), (0o120_777, 4, 3));
            assert_eq!((got.uid, got.gid, got.xattr), (10, 11, 9));
            assert_eq!(got.mtime, Time { secs: -5, nanos: 7 });
            assert_eq!(got.symlink.as_deref(), Some(&b"some"[..]));
            let short = Znode::parse(object_type::ZNODE, &bonus[..200], None, order, &Tables::default());
            assert_eq!(short, Err(ZnodeError::OldTooShort { length: 200 }));
        }
    }

    #[test]
    fn access_lists_of_mixed_entries() {
        let mut bytes = Vec::new();
        for (flags, who) in [(0x1000u16, None), (0x40, Some(1000u64)), (0, Some(5)), (0x4000, None)] {
            bytes.extend(0u16.to_le_bytes());
            bytes.extend(flags.to_le_bytes());
            bytes.extend(0x12_0089u32.to_le_bytes());
            bytes.extend(who.map_or(vec![], |w| w.to_le_bytes().to_vec()));
        }
        let aces = parse_aces(&bytes, usize::MAX, Endian::Little).unwrap();
        let who: Vec<_> = aces.iter().map(|a| (a.flags, a.who)).collect();
        assert_eq!(who, [(0x1000, 0), (0x40, 1000), (0, 5), (0x4000, 0)]);
        assert!(parse_aces(&bytes[..bytes.len() - 1], usize::MAX, Endian::Little).is_err());
        assert_eq!(parse_aces(&bytes, 2, Endian::Little).unwrap().len(), 2);
    }
}
