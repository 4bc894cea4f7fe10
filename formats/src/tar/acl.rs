//! POSIX ACLs: from the text that star, bsdtar and GNU tar write to the binary form of the kernel's attributes.

/// Version of the binary form (`linux/posix_acl_xattr.h`).
const VERSION: u32 = 2;
/// Who an entry without a qualifier is for.
const NOBODY: u32 = u32::MAX;
const USER_OBJ: u16 = 0x01;
const USER: u16 = 0x02;
const GROUP_OBJ: u16 = 0x04;
const GROUP: u16 = 0x08;
const MASK: u16 = 0x10;
const OTHER: u16 = 0x20;
/// More entries than any file system takes.
const MAX_ENTRIES: usize = 8192;

/// What a text comes to.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Acl {
    /// No more than mode bits say already.
    Minimal,
    /// The value of `system.posix_acl_access` or `…_default`.
    Binary(Box<[u8]>),
    /// It names a user or group without a number, or can't be understood.
    Unusable,
}

/// Entries are separated by commas or line ends and look like `user::rw-`, `user:1000:r--`, or with star's fourth
/// field `user:joe:r--:1000`; `#` begins a comment. Only numbers count: there is nobody here to ask for names.
/// `is_default` ACLs are kept even when minimal, as they say more than the mode.
pub(super) fn parse(text: &[u8], is_default: bool) -> Acl {
    let Some(mut entries) = entries(text) else { return Acl::Unusable };
    entries.sort_unstable();
    entries.dedup();
    let has = |tag| entries.iter().filter(|e| e.0 == tag).count();
    let named = has(USER) + has(GROUP);
    let one_each = has(USER_OBJ) == 1 && has(GROUP_OBJ) == 1 && has(OTHER) == 1;
    let unique = entries.windows(2).all(|pair| (pair[0].0, pair[0].1) != (pair[1].0, pair[1].1));
    if !one_each || !unique || (named > 0 && has(MASK) != 1) {
        return Acl::Unusable;
    }
    if entries.len() == 3 && !is_default {
        return Acl::Minimal;
    }
    let mut out = VERSION.to_le_bytes().to_vec();
    for (tag, id, permissions) in entries {
        out.extend(tag.to_le_bytes());
        out.extend(permissions.to_le_bytes());
        out.extend(id.to_le_bytes());
    }
    Acl::Binary(out.into())
}

/// Tag, qualifier, permissions.
fn entries(text: &[u8]) -> Option<Vec<(u16, u32, u16)>> {
    let text = std::str::from_utf8(text).ok()?;
    let mut out = Vec::new();
    for line in text.lines() {
        let line = line.split('#').next().unwrap_or_default();
        for entry in line.split(',').map(str::trim).filter(|e| !e.is_empty()) {
            if out.len() == MAX_ENTRIES {
                return None;
            }
            out.push(one(entry.strip_prefix("default:").unwrap_or(entry))?);
        }
    }
    Some(out)
}

fn one(entry: &str) -> Option<(u16, u32, u16)> {
    let fields: Vec<&str> = entry.split(':').map(str::trim).collect();
    let (who, name, letters, number) = match fields[..] {
        // Solaris writes `mask:rwx` and `other:rwx`.
        [who @ ("mask" | "m" | "other" | "o"), letters] => (who, "", letters, None),
        [who, name, letters] => (who, name, letters, None),
        [who, name, letters, number] => (who, name, letters, Some(number)),
        _ => return None,
    };
    let permissions = letters.bytes().try_fold(0, |bits, letter| {
        let bit = match letter {
            b'r' => 4,
            b'w' => 2,
            b'x' => 1,
            b'-' => 0,
            _ => return None,
        };
        Some(bits | bit)
    })?;
    let id = || number.unwrap_or(name).parse::<u32>().ok();
    let (tag, id) = match (who, name.is_empty()) {
        ("user" | "u", true) => (USER_OBJ, NOBODY),
        ("user" | "u", false) => (USER, id()?),
        ("group" | "g", true) => (GROUP_OBJ, NOBODY),
        ("group" | "g", false) => (GROUP, id()?),
        ("mask" | "m", true) => (MASK, NOBODY),
        ("other" | "o", true) => (OTHER, NOBODY),
        _ => return None,
    };
    Some((tag, id, permissions))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn hex(acl: Acl) -> String {
        match acl {
            Acl::Binary(bytes) => bytes.iter().map(|b| format!("{b:02x}")).collect(),
            other => format!("{other:?}"),
        }
    }

    #[test]
    fn texts_of_several_writers() {
        // As `getfattr -e hex -n system.posix_acl_access` shows it after `setfacl -m u:1:r`.
        let user_1 =
            "0200000001000600ffffffff020004000100000004000400ffffffff10000400ffffffff20000400ffffffff";
        let cases: &[(&str, bool, &str)] = &[
            ("user::rw-,user:1:r--,group::r--,mask::r--,other::r--", false, user_1),
            ("user::rw-\nuser:joe:r--:1\ngroup::r--\nmask::r--\nother::r--\n", false, user_1),
            ("u::rw-, u:1:r-- # joe\ng::r--, mask:r--, other:r--", false, user_1),
            ("user::rw-,group::r--,other::r--", false, "Minimal"),
            (
                "default:user::rwx,default:group::r-x,default:other::---",
                true,
                "0200000001000700ffffffff04000500ffffffff20000000ffffffff",
            ),
            ("user::rw-,user:joe:r--,group::r--,mask::r--,other::r--", false, "Unusable"),
            ("user::rw-,user:1:r--,group::r--,other::r--", false, "Unusable"),
            ("user::rw-,user::r--,group::r--,other::r--", false, "Unusable"),
            ("nonsense", false, "Unusable"),
            ("", false, "Unusable"),
        ];
        for (text, is_default, want) in cases {
            assert_eq!(hex(parse(text.as_bytes(), *is_default)), *want, "{text}");
        }
    }
}
