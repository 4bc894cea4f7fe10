//! Extended attributes: system attributes and attribute directories, under the names that Linux gives them.

use aurora_formats::model::Xattrs;
use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::format::{DIRENT_OBJECT_MASK, mode, object_type};
use aurora_formats::zfs::nvlist::{self, Value};
use aurora_formats::zfs::znode::Znode;

use super::attributes::Losses;
use super::dataset::Filesystem;
use crate::{ErrorKind, LossKind, Result};

/// Largest value that any system takes; attribute directories may hold larger ones.
const MAX_VALUE: u64 = 65536;
/// Longest name that any system takes.
const MAX_NAME: usize = 255;
/// Values of one image altogether: they are held in memory.
const MAX_TOTAL: u64 = 1 << 30;
/// Namespaces of Linux. A name in none of them was written by illumos or FreeBSD, for a user.
const NAMESPACES: [&[u8]; 4] = [b"user.", b"security.", b"trusted.", b"system."];
/// Before names of FreeBSD's system namespace, which is nobody else's.
const FREEBSD_SYSTEM: &[u8] = b"freebsd:";

/// Reads the attributes of all objects of an image.
#[derive(Default)]
pub(super) struct XattrReader {
    total: u64,
}

impl XattrReader {
    /// Those of one object.
    pub(super) fn read(
        &mut self,
        fs: &Filesystem<'_>,
        number: u64,
        znode: &Znode,
        losses: &Losses<'_, '_>,
    ) -> Result<Xattrs> {
        let mut found = Xattrs::new();
        if znode.xattr != 0 {
            self.directory(fs, number, znode.xattr, &mut found, losses)?;
        }
        if let Some(packed) = &znode.dxattr {
            let list = nvlist::unpack(packed);
            let list = list.map_err(|source| ZfsError::Xattrs { object: number, source })?;
            for (name, value) in list.pairs {
                match value {
                    Value::Bytes(value) => self.add(&name, value, &mut found, losses)?,
                    _ => losses.lose(LossKind::Xattr, format!("{}: no bytes", name.escape_ascii())),
                }
            }
        }
        Ok(found)
    }

    /// Adds one; a later one of the same name wins.
    fn add(
        &mut self,
        name: &[u8],
        value: Vec<u8>,
        found: &mut Xattrs,
        losses: &Losses<'_, '_>,
    ) -> Result<()> {
        let Some(name) = full_name(name) else {
            losses.lose(LossKind::Xattr, name.escape_ascii().to_string());
            return Ok(());
        };
        self.total += value.len() as u64;
        if self.total > MAX_TOTAL {
            let what = "bytes of extended attributes";
            return Err(ErrorKind::Limit { what, limit: MAX_TOTAL }.into());
        }
        found.insert(name.into_boxed_slice(), value.into_boxed_slice());
        Ok(())
    }

    /// An attribute directory: a file for each attribute.
    fn directory(
        &mut self,
        fs: &Filesystem<'_>,
        owner: u64,
        number: u64,
        found: &mut Xattrs,
        losses: &Losses<'_, '_>,
    ) -> Result<()> {
        let directory = fs.data.object(number, object_type::DIRECTORY, "attribute directory")?;
        // One directory for many objects would be a way to make much of little.
        let parent = fs.znode(number, directory)?.parent;
        if parent != owner {
            let what = "owner of an attribute directory";
            return Err(ZfsError::Value { object: number, what, value: parent }.into());
        }
        fs.data.each_entry(number, directory, |entry| {
            let name = &entry.name;
            let value = entry.single().map(|v| v & DIRENT_OBJECT_MASK);
            let value = value.ok_or_else(|| ZfsError::Name { object: number, name: name.clone() })?;
            let object = fs.data.objects.get(value);
            let expected = "extended attribute";
            let object = object.ok_or(ZfsError::Object { object: value, expected })?;
            let znode = fs.znode(value, object)?;
            let is_file = znode.mode & mode::TYPE == mode::FILE && object.kind == object_type::PLAIN_FILE;
            if !is_file {
                losses.lose(LossKind::Xattr, format!("{}: no plain file", name.escape_ascii()));
            } else if znode.size > MAX_VALUE {
                losses.lose(LossKind::Xattr, format!("{}: {} bytes", name.escape_ascii(), znode.size));
            } else {
                let bytes = fs.data.head(object, znode.size as usize)?;
                self.add(name, bytes, found, losses)?;
            }
            Ok(())
        })
    }
}

/// The name with its namespace; `None` for names that no other system has.
fn full_name(name: &[u8]) -> Option<Vec<u8>> {
    let full = match NAMESPACES.iter().any(|n| name.starts_with(n) && name.len() > n.len()) {
        true => name.to_vec(),
        false if name.starts_with(FREEBSD_SYSTEM) => return None,
        false => [b"user.", name].concat(),
    };
    let is_usable = !name.is_empty() && !full.contains(&0) && full.len() <= MAX_NAME;
    is_usable.then_some(full)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_systems() {
        let cases: &[(&[u8], Option<&[u8]>)] = &[
            (b"user.x", Some(b"user.x")),
            (b"security.capability", Some(b"security.capability")),
            (b"system.posix_acl_access", Some(b"system.posix_acl_access")),
            (b"bare", Some(b"user.bare")),
            (b"user.", Some(b"user.user.")),
            (b"freebsd:system:md5", None),
            (b"", None),
            (b"a\0b", None),
        ];
        for (name, want) in cases {
            assert_eq!(full_name(name).as_deref(), *want, "{}", name.escape_ascii());
        }
        assert_eq!(full_name(&[b'n'; 251]), None);
    }
}
