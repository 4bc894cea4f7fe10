//! What the receiving systems differ in: where extended attributes lie, how device numbers are packed, how long a
//! link's target may be. And all limits of a stream, checked before its first byte is written.

use aurora_formats::model::{Device, EntryPath, Xattrs};
use aurora_formats::zfs::build::attrs::MAX_ATTRIBUTE;
use aurora_formats::zfs::build::pack_xattrs;
use aurora_formats::zfs::format::MAX_NAME;

use crate::lineage::Lineage;
use crate::sink::Target;
use crate::tree::ids::DirXattrs;
use crate::tree::{Kind, Tree};
use crate::{Ctx, ErrorKind, Loss, LossKind, Result};

/// Largest value among system attributes on Linux.
const MAX_SA_VALUE: usize = 32_768;
/// Largest value of an attribute on Linux, wherever it lies.
const MAX_XATTR_VALUE: usize = 65_536;
/// Largest file: offsets are signed everywhere.
const MAX_FILE: u64 = i64::MAX as u64;
/// Views of system attributes on illumos, in every attribute directory.
const RESERVED: [&[u8]; 2] = [b"SUNWattr_ro", b"SUNWattr_rw"];

/// Where the extended attributes of an inode go.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Split<'a> {
    /// System attributes, packed.
    pub(super) packed: Option<Vec<u8>>,
    /// Files in an attribute directory.
    pub(super) files: DirXattrs<'a>,
    /// Those that the target has no place for, with their full names.
    pub(super) lost: Vec<&'a [u8]>,
}

/// Splits attributes by the target's ways.
pub(super) fn split(xattrs: &Xattrs, target: Target) -> Split<'_> {
    let all = xattrs.iter().map(|(name, value)| (&**name, &**value));
    let mut split = Split::default();
    match target {
        Target::OpenZfs => {
            let (small, large): (Vec<_>, Vec<_>) =
                all.clone().partition(|(_, value)| value.len() <= MAX_SA_VALUE);
            let packed = (!small.is_empty()).then(|| pack_xattrs(small));
            if packed.as_ref().is_some_and(|p| p.len() > MAX_ATTRIBUTE) {
                split.files = all.collect();
            } else {
                (split.packed, split.files) = (packed, large);
            }
        }
        Target::Illumos => {
            for (name, value) in all {
                let bare = name.strip_prefix(b"user.").filter(|bare| is_file_name(bare));
                match bare.filter(|bare| !RESERVED.contains(bare)) {
                    Some(bare) => split.files.push((bare, value)),
                    None => split.lost.push(name),
                }
            }
        }
    }
    split
}

fn is_file_name(name: &[u8]) -> bool {
    !matches!(name, b"" | b"." | b"..") && !name.contains(&b'/') && !name.contains(&0)
}

/// A device number in the target's form.
pub(super) fn rdev(device: Device, target: Target) -> Option<u64> {
    let (major, minor) = (u64::from(device.major), u64::from(device.minor));
    match target {
        Target::Illumos => Some(major << 32 | minor),
        Target::OpenZfs => (major < 1 << 12 && minor < 1 << 20).then_some(major << 20 | minor),
    }
}

/// Fails for the first entry that no stream for this target can hold; reports what it leaves out.
pub(super) fn check(tree: &Tree, target: Target, ctx: &Ctx<'_>) -> Result<()> {
    let max_link = match target {
        Target::OpenZfs => 4095,
        Target::Illumos => 1023,
    };
    for (path, id) in tree.walk() {
        let fail = |text: String| Err(crate::Error::from(ErrorKind::Unsupported(text)).at_entry(&path));
        if let Some((_, name)) = path.split().filter(|(_, name)| name.len() > MAX_NAME) {
            return fail(format!("name is longer than {MAX_NAME} bytes: {}", name.len()));
        }
        let inode = tree.inode(id);
        match &inode.kind {
            Kind::File(content) if content.size > MAX_FILE => {
                return fail(format!("file is larger than {MAX_FILE} bytes: {}", content.size));
            }
            Kind::Symlink(link) if link.is_empty() || link.len() > max_link => {
                return fail(format!("link target is not 1 to {max_link} bytes: {}", link.len()));
            }
            Kind::Char(device) | Kind::Block(device) if rdev(*device, target).is_none() => {
                return fail(format!(
                    "device number is beyond 12 and 20 bits: {}:{}",
                    device.major, device.minor
                ));
            }
            _ => {}
        }
        for (name, value) in &inode.meta.xattrs {
            if name.is_empty() || name.len() > MAX_NAME || name.contains(&0) {
                let name = name.escape_ascii();
                return fail(format!("attribute name is not 1 to {MAX_NAME} bytes without NUL: {name}"));
            }
            if value.len() > MAX_XATTR_VALUE {
                let name = name.escape_ascii();
                return fail(format!(
                    "attribute {name} is longer than {MAX_XATTR_VALUE} bytes: {}",
                    value.len()
                ));
            }
        }
        let split = split(&inode.meta.xattrs, target);
        if let Some((name, _)) = split.files.iter().find(|(name, _)| !is_file_name(name)) {
            return fail(format!(
                "attribute too large for a name that is no file name: {}",
                name.escape_ascii()
            ));
        }
        split.lost.iter().for_each(|name| lose(&path, name, ctx));
    }
    Ok(())
}

fn lose(path: &EntryPath, name: &[u8], ctx: &Ctx<'_>) {
    let kind = if name.starts_with(b"system.posix_acl_") { LossKind::Acl } else { LossKind::Xattr };
    ctx.lose(Loss { path: Some(path.clone()), kind, detail: name.escape_ascii().to_string() });
}

/// [`check`], of every step.
pub(super) fn check_steps(lineage: &Lineage, target: Target, ctx: &Ctx<'_>) -> Result<()> {
    let count = lineage.steps.len();
    lineage.steps.iter().zip(1..).try_for_each(|(step, number)| {
        check(&step.tree, target, ctx).map_err(|e| e.in_layer(number, count, step.chain_id.to_string()))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn attributes_go_where_the_target_looks() {
        let of = |list: &[(&str, usize)]| -> Xattrs {
            list.iter().map(|(name, len)| (name.as_bytes().into(), vec![1; *len].into())).collect()
        };
        // (attributes, target, packed, files, lost)
        type Case<'a> = (&'a [(&'a str, usize)], Target, bool, &'a [&'a str], &'a [&'a str]);
        let cases: &[Case<'_>] = &[
            (&[], Target::OpenZfs, false, &[], &[]),
            (&[("user.a", 3), ("security.capability", 20)], Target::OpenZfs, true, &[], &[]),
            (&[("user.a", 32_768), ("user.b", 32_769)], Target::OpenZfs, true, &["user.b"], &[]),
            (
                &[("user.a", 32_000), ("user.b", 32_000), ("user.c", 2000)],
                Target::OpenZfs,
                false,
                &["user.a", "user.b", "user.c"],
                &[],
            ),
            (
                &[("user.a", 3), ("security.capability", 20)],
                Target::Illumos,
                false,
                &["a"],
                &["security.capability"],
            ),
            (
                &[("user.a/b", 3), ("user.SUNWattr_rw", 3), ("bare", 1)],
                Target::Illumos,
                false,
                &[],
                &["bare", "user.SUNWattr_rw", "user.a/b"],
            ),
        ];
        for (list, target, packed, files, lost) in cases {
            let xattrs = of(list);
            let got = split(&xattrs, *target);
            assert_eq!(got.packed.is_some(), *packed, "{list:?}");
            assert_eq!(
                got.files.iter().map(|(name, _)| *name).collect::<Vec<_>>(),
                files.iter().map(|n| n.as_bytes()).collect::<Vec<_>>(),
                "{list:?}"
            );
            assert_eq!(got.lost, lost.iter().map(|n| n.as_bytes()).collect::<Vec<_>>(), "{list:?}");
        }
    }

    #[test]
    fn device_numbers_are_packed_or_refused() {
        let device = |major, minor| Device { major, minor };
        assert_eq!(rdev(device(8, 1), Target::OpenZfs), Some(0x80_0001));
        assert_eq!(rdev(device(8, 1), Target::Illumos), Some(8 << 32 | 1));
        assert_eq!(rdev(device(8, 1 << 20), Target::OpenZfs), None);
        assert_eq!(rdev(device(u32::MAX, u32::MAX), Target::Illumos), Some(u64::MAX));
    }
}
