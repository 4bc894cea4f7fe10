//! The attribute lists that are written, all of them, in a fixed order: LAYOUTS is the same object with the same
//! bytes in every stream, so no increment has to touch it.

use std::sync::LazyLock;

use crate::zfs::format::attr::*;

/// Numbers 0 and 1 mean an old znode and an empty buffer; the first list stored is 2, and there must be no gap.
const FIRST: usize = 2;

/// What every object has, before its device number. The first seven stand where the kernel's quota accounting and
/// incremental receive read them without asking the layout.
const HEAD: [u16; 12] = [MODE, SIZE, GEN, UID, GID, PARENT, FLAGS, ATIME, MTIME, CTIME, CRTIME, LINKS];

/// Attributes of an object, in the order of its list.
pub(super) fn list(device: bool, symlink: bool, xattr_dir: bool, xattrs: bool) -> Vec<u16> {
    let mut list = HEAD.to_vec();
    list.extend(device.then_some(RDEV));
    list.extend([DACL_COUNT, DACL_ACES]);
    list.extend(symlink.then_some(SYMLINK));
    list.extend(xattr_dir.then_some(XATTR));
    list.extend(xattrs.then_some(DXATTR));
    list
}

static LAYOUTS: LazyLock<Vec<Vec<u16>>> = LazyLock::new(|| {
    let mut layouts: Vec<Vec<u16>> = Vec::new();
    let mut add = |list: &[u16]| {
        if !layouts.iter().any(|known| known == list) {
            layouts.push(list.to_vec());
        }
    };
    for (device, symlink) in [(false, false), (true, false), (false, true)] {
        for (xattr_dir, xattrs) in [(false, false), (true, false), (false, true), (true, true)] {
            let full = list(device, symlink, xattr_dir, xattrs);
            add(&full);
            // A bonus may end, and its spill begin, before any attribute from the access list on.
            let first_spilled = HEAD.len() + usize::from(device) + 1;
            for cut in first_spilled..full.len() {
                add(&full[..cut]);
                add(&full[cut..]);
            }
        }
    }
    layouts
});

/// All lists with their numbers.
pub(super) fn all() -> impl Iterator<Item = (usize, &'static [u16])> {
    LAYOUTS.iter().enumerate().map(|(at, list)| (FIRST + at, list.as_slice()))
}

/// The number of a list that [`list`] made, or a part of it.
pub(super) fn number(list: &[u16]) -> u16 {
    let at = LAYOUTS.iter().position(|known| known == list);
    (FIRST + at.expect("the table holds every list and every cut of it")) as u16
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn table_holds_each_list_once() {
        let lists: Vec<_> = all().collect();
        assert_eq!(lists[0], (2, &[5, 6, 4, 12, 13, 7, 11, 0, 1, 2, 3, 8, 16, 19][..]));
        let distinct: std::collections::BTreeSet<_> = lists.iter().map(|(_, list)| list).collect();
        assert_eq!(distinct.len(), lists.len());
        assert!(lists.len() < 64, "so few that two blocks of LAYOUTS suffice: {}", lists.len());
        assert!(lists.iter().all(|(n, list)| usize::from(number(list)) == *n));
    }
}
