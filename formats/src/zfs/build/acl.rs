//! Access lists that say what a mode says (`docs/zfs-send-stream.md` §3.7): illumos and FreeBSD check access by
//! them and not by the mode.

const ALLOW: u16 = 0;
const DENY: u16 = 1;
const OWNER: u16 = 0x1000;
const GROUP: u16 = 0x2040;
const EVERYONE: u16 = 0x4000;
/// What the owner may always: attributes, the list itself, ownership.
const OWNER_ALWAYS: u32 = 0x1E_0198;
/// What all others may always: read attributes and the list.
const OTHERS_ALWAYS: u32 = 0x12_0088;

const READ: u32 = 0x1;
const WRITE_FILE: u32 = 0x6;
/// A directory's write permission also deletes children.
const WRITE_DIR: u32 = 0x46;
const EXECUTE: u32 = 0x20;

/// The list of a mode: how many entries, and their bytes.
pub(super) fn trivial(mode: u64, is_dir: bool) -> (u64, Vec<u8>) {
    let bits = |shift: u32| mode >> shift & 7;
    let (user, group, other) = (bits(6), bits(3), bits(0));
    let write = if is_dir { WRITE_DIR } else { WRITE_FILE };
    let mask = |triple: u64| {
        [(4, READ), (2, write), (1, EXECUTE)]
            .into_iter()
            .filter(|(bit, _)| triple & bit != 0)
            .fold(0, |mask, (_, part)| mask | part)
    };
    let only_if_any = [
        (ALLOW, OWNER, mask(user & !group & other)),
        (DENY, OWNER, mask(!user & (group | other))),
        (DENY, GROUP, mask(!group & other)),
    ];
    let always = [
        (ALLOW, OWNER, OWNER_ALWAYS | mask(user)),
        (ALLOW, GROUP, OTHERS_ALWAYS | mask(group)),
        (ALLOW, EVERYONE, OTHERS_ALWAYS | mask(other)),
    ];
    let mut bytes = Vec::with_capacity(48);
    let entries = only_if_any.into_iter().filter(|(_, _, mask)| *mask != 0).chain(always);
    for (kind, flags, mask) in entries {
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&flags.to_le_bytes());
        bytes.extend_from_slice(&mask.to_le_bytes());
    }
    ((bytes.len() / 8) as u64, bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_are_those_of_real_streams() {
        let entries = |mode, is_dir| {
            let (count, bytes) = trivial(mode, is_dir);
            let entries: Vec<(u32, u32)> = bytes
                .chunks_exact(8)
                .map(|e| {
                    (
                        u32::from_le_bytes(e[..4].try_into().unwrap()),
                        u32::from_le_bytes(e[4..].try_into().unwrap()),
                    )
                })
                .collect();
            assert_eq!(count as usize, entries.len());
            entries
        };
        let file = [(0x1000_0000, 0x1E_019F), (0x2040_0000, 0x12_0089), (0x4000_0000, 0x12_0089)];
        assert_eq!(entries(0o644, false), file);
        let dir = [(0x1000_0000, 0x1E_01FF), (0x2040_0000, 0x12_00A9), (0x4000_0000, 0x12_00A9)];
        assert_eq!(entries(0o755, true), dir);
        // Others may write, the group read only, the owner neither: two denials before the three.
        assert_eq!(entries(0o047, false).len(), 5);
        assert_eq!(entries(0o417, false).len(), 6);
    }
}
