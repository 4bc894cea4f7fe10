//! System attributes: what an object's bonus and spill block hold (`docs/zfs-send-stream.md` §3.2 to §3.6).

use std::collections::BTreeMap;
use std::ops::Range;

use super::format::{REGISTRY, SA_MAGIC};
use super::record::Endian;
use super::zap::Entry;

/// Layouts that exist without being stored: an old znode, and an empty buffer.
const EMPTY_LAYOUT: u16 = 1;
/// Attributes and layouts are numbered by 10 bits at most.
const MAX_NUMBER: u64 = 1023;

/// Why a buffer of attributes, or the tables that tell how to read it, make no sense.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum SaError {
    /// No attribute buffer.
    #[error("attribute buffer has a wrong magic: {found:#x}")]
    Magic {
        /// What is in its place.
        found: u32,
    },
    /// It ends before its last attribute.
    #[error("attribute buffer is too short: {length} bytes, {needed} needed")]
    Truncated {
        /// What there is.
        length: usize,
        /// What is needed.
        needed: usize,
    },
    /// A layout that the table lacks.
    #[error("attribute buffer has an unknown layout: {layout}")]
    Layout {
        /// Its number.
        layout: u16,
    },
    /// A layout with an attribute that the registry lacks.
    #[error("layout {layout} has an attribute that is not registered: {attribute}")]
    Unregistered {
        /// Its number.
        layout: u16,
        /// The attribute's number.
        attribute: u16,
    },
    /// More variable attributes than the header has lengths for.
    #[error("attribute buffer has a header too short for its layout: {length}")]
    Header {
        /// Its length.
        length: usize,
    },
    /// An entry of the registry or of the layouts that makes no sense.
    #[error("attribute table has a malformed entry: {}", .name.escape_ascii())]
    Table {
        /// Its name.
        name: Vec<u8>,
    },
}

/// One registered attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Attribute {
    /// Its name, `ZPL_MODE` for one.
    pub name: Vec<u8>,
    /// Bytes; 0 is variable.
    pub len: u16,
}

/// The attribute tables of a dataset.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Tables {
    attributes: BTreeMap<u16, Attribute>,
    layouts: BTreeMap<u16, Vec<u16>>,
}

impl Tables {
    /// From the entries of REGISTRY and of LAYOUTS.
    pub fn parse(registry: &[Entry], layouts: &[Entry]) -> Result<Self, SaError> {
        let mut tables = Self::default();
        for entry in registry {
            let malformed = || SaError::Table { name: entry.name.clone() };
            let value = entry.single().ok_or_else(malformed)?;
            let (number, len) = (value as u16, (value >> 24) as u16);
            let attribute = Attribute { name: entry.name.clone(), len };
            if u64::from(number) > MAX_NUMBER || tables.attributes.insert(number, attribute).is_some() {
                return Err(malformed());
            }
        }
        for entry in layouts {
            let malformed = || SaError::Table { name: entry.name.clone() };
            let number = std::str::from_utf8(&entry.name).ok().and_then(|n| n.parse::<u16>().ok());
            let number = number.filter(|n| u64::from(*n) <= MAX_NUMBER).ok_or_else(malformed)?;
            let layout: Option<Vec<u16>> = entry.values.iter().map(|n| u16::try_from(*n).ok()).collect();
            let layout = layout.filter(|_| entry.int_len == 2).ok_or_else(malformed)?;
            tables.layouts.insert(number, layout);
        }
        Ok(tables)
    }

    /// The tables of a dataset with the usual registry and these layouts, numbered from 2.
    pub fn usual(layouts: &[&[u16]]) -> Self {
        let attributes = REGISTRY
            .iter()
            .zip(0..)
            .map(|(spec, number)| (number, Attribute { name: spec.name.as_bytes().to_vec(), len: spec.len }));
        let layouts = (2..).zip(layouts.iter().map(|l| l.to_vec()));
        Self { attributes: attributes.collect(), layouts: layouts.collect() }
    }

    /// The name of an attribute.
    pub fn name(&self, number: u16) -> Option<&[u8]> {
        self.attributes.get(&number).map(|a| &a.name[..])
    }
}

/// One attribute in a buffer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Located {
    /// Its number.
    pub number: u16,
    /// Its bytes.
    pub range: Range<usize>,
}

/// Finds the attributes of a buffer; their integers are in the order that is returned, whatever the stream's is.
/// What follows the last one is padding.
pub fn parse(buffer: &[u8], tables: &Tables) -> Result<(Endian, Vec<Located>), SaError> {
    let order = match Endian::Little.u32(buffer, 0) {
        SA_MAGIC => Endian::Little,
        other if other.swap_bytes() == SA_MAGIC => Endian::Big,
        found => return Err(SaError::Magic { found }),
    };
    let short = |needed| SaError::Truncated { length: buffer.len(), needed };
    if buffer.len() < 8 {
        return Err(short(8));
    }
    let info = order.u16(buffer, 4);
    let (layout, header) = (info & 0x3ff, usize::from(info >> 10) * 8);
    let numbers = match (tables.layouts.get(&layout), layout) {
        (Some(numbers), _) => &numbers[..],
        (None, EMPTY_LAYOUT) => &[],
        (None, layout) => return Err(SaError::Layout { layout }),
    };
    if header < 8 {
        return Err(SaError::Header { length: header });
    }
    if buffer.len() < header {
        return Err(short(header));
    }
    let (mut found, mut at, mut variable) = (Vec::with_capacity(numbers.len()), header, 0);
    for &number in numbers {
        let attribute = tables.attributes.get(&number);
        let attribute = attribute.ok_or(SaError::Unregistered { layout, attribute: number })?;
        let len = match attribute.len {
            0 => {
                let place = 6 + 2 * variable;
                variable += 1;
                if place + 2 > header {
                    return Err(SaError::Header { length: header });
                }
                order.u16(buffer, place)
            }
            len => len,
        };
        // Every one begins at a multiple of 8; the sum stays small: 1023 times 64 KiB.
        let range = at..at + usize::from(len);
        if range.end > buffer.len() {
            return Err(short(range.end));
        }
        at = range.end.next_multiple_of(8);
        found.push(Located { number, range });
    }
    Ok((order, found))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::zfs::format::attr;

    fn buffer(order: Endian) -> Vec<u8> {
        let u16s = |n: u16| if order == Endian::Little { n.to_le_bytes() } else { n.to_be_bytes() };
        let u64s = |n: u64| if order == Endian::Little { n.to_le_bytes() } else { n.to_be_bytes() };
        let magic = if order == Endian::Little { SA_MAGIC.to_le_bytes() } else { SA_MAGIC.to_be_bytes() };
        let mut out = magic.to_vec();
        out.extend(u16s(2 << 10 | 2));
        out.extend(u16s(3));
        out.extend(u16s(10));
        out.extend([0; 6]);
        out.extend(u64s(0o100644));
        out.extend(b"abc\0\0\0\0\0");
        out.extend(b"0123456789\0\0\0\0\0\0");
        out.extend(u64s(7));
        out
    }

    #[test]
    fn attributes_of_either_order() {
        let tables = Tables::usual(&[&[attr::MODE, attr::SYMLINK, attr::DXATTR, attr::UID]]);
        for order in [Endian::Little, Endian::Big] {
            let bytes = buffer(order);
            let (got, found) = parse(&bytes, &tables).unwrap();
            assert_eq!(got, order);
            let ranges: Vec<_> = found.iter().map(|l| (l.number, l.range.clone())).collect();
            let want =
                [(attr::MODE, 16..24), (attr::SYMLINK, 24..27), (attr::DXATTR, 32..42), (attr::UID, 48..56)];
            assert_eq!(ranges, want);
            for len in 0..bytes.len() {
                assert!(parse(&bytes[..len], &tables).is_err(), "cut off at {len}");
            }
        }
    }

    #[test]
    fn tables_and_what_they_lack() {
        let entry = |name: &str, int_len, values: &[u64]| Entry {
            name: name.as_bytes().to_vec(),
            int_len,
            values: values.to_vec(),
        };
        let registry = [entry("ZPL_MODE", 8, &[8 << 24 | 5]), entry("ZPL_DXATTR", 8, &[3 << 16 | 20])];
        let tables = Tables::parse(&registry, &[entry("2", 2, &[5]), entry("3", 2, &[5, 9])]).unwrap();
        assert_eq!(tables.name(20), Some(&b"ZPL_DXATTR"[..]));
        let head =
            |layout: u16| [&SA_MAGIC.to_le_bytes()[..], &(1 << 10 | layout).to_le_bytes(), &[0; 64]].concat();
        assert!(parse(&head(2), &tables).is_ok());
        assert!(parse(&head(1), &tables).unwrap().1.is_empty());
        assert_eq!(parse(&head(3), &tables), Err(SaError::Unregistered { layout: 3, attribute: 9 }));
        assert_eq!(parse(&head(4), &tables), Err(SaError::Layout { layout: 4 }));
        assert_eq!(parse(&[0; 16], &tables), Err(SaError::Magic { found: 0 }));
        for bad in [entry("x", 2, &[5]), entry("5000", 2, &[5]), entry("2", 8, &[5])] {
            assert!(Tables::parse(&registry, std::slice::from_ref(&bad)).is_err(), "{bad:?}");
        }
    }
}
