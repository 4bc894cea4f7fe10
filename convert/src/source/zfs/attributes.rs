//! Attributes of a file system object as the neutral tree has them; what it has no place for is reported.

use aurora_formats::model::{Device, EntryPath, Metadata, Owner, Timestamp};
use aurora_formats::zfs::format::{mode, zpl_flag};
use aurora_formats::zfs::znode::{Acl, Time, Znode, trivial_acl};

use crate::{Ctx, Loss, LossKind};

/// Who owns what belongs to nobody: `nobody` on all systems.
const NOBODY: u32 = 65534;

/// Flags that mean something to users, with their names.
const FLAGS: [(u64, &str); 12] = [
    (0x1_0000_0000, "readonly"),
    (0x2_0000_0000, "hidden"),
    (0x4_0000_0000, "system"),
    (0x10_0000_0000, "immutable"),
    (0x20_0000_0000, "nounlink"),
    (0x40_0000_0000, "appendonly"),
    (0x80_0000_0000, "nodump"),
    (0x100_0000_0000, "opaque"),
    (0x200_0000_0000, "av-quarantined"),
    (0x800_0000_0000, "reparse"),
    (0x1000_0000_0000, "offline"),
    (0x2000_0000_0000, "sparse"),
];

/// Reports what one entry loses.
pub(super) struct Losses<'a, 'c> {
    path: &'a EntryPath,
    ctx: &'a Ctx<'c>,
}

impl<'a, 'c> Losses<'a, 'c> {
    /// Of the entry at `path`.
    pub(super) fn new(path: &'a EntryPath, ctx: &'a Ctx<'c>) -> Self {
        Self { path, ctx }
    }

    /// Reports one.
    pub(super) fn lose(&self, kind: LossKind, detail: impl Into<String>) {
        self.ctx.lose(Loss { path: Some(self.path.clone()), kind, detail: detail.into() });
    }
}

/// Owner, mode and time. Extended attributes are [`super::xattrs`]'.
pub(super) fn metadata(znode: &Znode, losses: &Losses<'_, '_>) -> Metadata {
    let owner = Owner { uid: owner(znode.uid, "user", losses), gid: owner(znode.gid, "group", losses) };
    for (_, name) in FLAGS.iter().filter(|(bit, _)| znode.flags & bit != 0) {
        losses.lose(LossKind::Flag, *name);
    }
    if znode.project != 0 {
        losses.lose(LossKind::Project, format!("project id {}", znode.project));
    }
    if !is_trivial(znode) {
        losses.lose(LossKind::Acl, "NFSv4 access list beyond the mode");
    }
    Metadata {
        mode: (znode.mode & 0o7777) as u32,
        owner,
        mtime: time(znode.mtime, losses),
        xattrs: Default::default(),
    }
}

fn owner(id: u64, what: &str, losses: &Losses<'_, '_>) -> u32 {
    u32::try_from(id).unwrap_or_else(|_| {
        losses.lose(LossKind::Owner, format!("{what} {} of domain {}", id & 0xffff_ffff, id >> 32));
        NOBODY
    })
}

fn time(time: Time, losses: &Losses<'_, '_>) -> Timestamp {
    let nanos = u32::try_from(time.nanos).ok().filter(|n| *n < 1_000_000_000);
    if nanos.is_none() {
        losses.lose(LossKind::Oddity, format!("time with too many nanoseconds: {}", time.nanos));
    }
    Timestamp { secs: time.secs, nanos: nanos.unwrap_or(0) }
}

/// Whether the access list says no more than the mode.
fn is_trivial(znode: &Znode) -> bool {
    if znode.flags & zpl_flag::ACL_TRIVIAL != 0 {
        return true;
    }
    match &znode.acl {
        Acl::None => true,
        Acl::Entries(aces) => *aces == trivial_acl(znode.mode, znode.mode & mode::TYPE == mode::DIR),
        Acl::Ancient | Acl::External(_) => false,
    }
}

/// A device number. Stored numbers do not say who wrote them; illumos and FreeBSD leave no major number 0 above 32
/// bits, and Linux never needs more.
pub(super) fn device(raw: u64) -> Device {
    match raw >> 32 {
        0 => Device { major: (raw >> 20) as u32, minor: (raw & 0xf_ffff) as u32 },
        major => Device { major: major as u32, minor: raw as u32 },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_of_either_form() {
        let cases = [(8 << 20 | 1, 8, 1), (0xffff_ffff, 4095, 1_048_575), (13 << 32 | 12, 13, 12)];
        for (raw, major, minor) in cases {
            assert_eq!(device(raw), Device { major, minor });
        }
    }

    #[test]
    fn only_lists_that_say_more_are_lost() {
        let mut znode = Znode { mode: 0o100_644, ..Znode::default() };
        assert!(is_trivial(&znode));
        znode.acl = Acl::Entries(trivial_acl(0o644, false));
        assert!(is_trivial(&znode));
        znode.mode = 0o100_600;
        assert!(!is_trivial(&znode));
        znode.flags = zpl_flag::ACL_TRIVIAL;
        assert!(is_trivial(&znode), "systems that keep both say so");
    }
}
