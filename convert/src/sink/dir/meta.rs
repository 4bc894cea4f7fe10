//! Owner, attributes, permissions and time of what was made.

use std::io;

use aurora_engine::fs::{self, NewFile, Root};
use aurora_formats::model::{EntryPath, Metadata};

use crate::fidelity::{Loss, LossKind};
use crate::{Ctx, Error, Result};

/// How metadata is set: by the open file, or by name.
pub(super) enum Target<'a> {
    File(&'a NewFile),
    Path(&'a EntryPath),
    Symlink(&'a EntryPath),
}

/// Sets metadata.
pub(super) struct Sealer<'a> {
    root: &'a Root,
    ctx: &'a Ctx<'a>,
    ids: (u32, u32),
    is_root: bool,
}

impl<'a> Sealer<'a> {
    pub(super) fn new(root: &'a Root, ctx: &'a Ctx<'a>) -> Self {
        Self { root, ctx, ids: fs::own_ids(), is_root: fs::is_root() }
    }

    pub(super) fn lose(&self, path: &EntryPath, kind: LossKind, detail: String) {
        self.ctx.lose(Loss { path: Some(path.clone()), kind, detail });
    }

    /// Owner, attributes, permissions and time, in the order in which none of them undoes another.
    pub(super) fn seal(&self, target: &Target<'_>, path: &EntryPath, meta: &Metadata) -> Result<()> {
        let has_owner = self.set_owner(target, path, meta)?;
        for (name, value) in &meta.xattrs {
            self.set_xattr(target, path, name, value)?;
        }
        if !matches!(target, Target::Symlink(_)) {
            let mut mode = meta.mode & 0o7777;
            if !has_owner && mode & 0o6000 != 0 {
                // They would give everybody the rights of whoever unpacks.
                mode &= 0o1777;
                self.lose(path, LossKind::Owner, "setuid and setgid, as the owner is another".to_owned());
            }
            let set = match target {
                Target::File(file) => file.set_mode(mode),
                Target::Path(path) | Target::Symlink(path) => self.root.set_mode(path.as_bytes(), mode),
            };
            set.map_err(|e| Error::io("permissions", e))?;
        }
        self.set_mtime(target, path, meta)
    }

    /// Whether the owner is as it should be.
    fn set_owner(&self, target: &Target<'_>, path: &EntryPath, meta: &Metadata) -> Result<bool> {
        let (uid, gid) = (meta.owner.uid, meta.owner.gid);
        let set = match target {
            Target::File(file) => file.set_owner(uid, gid),
            Target::Path(path) | Target::Symlink(path) => self.root.set_owner(path.as_bytes(), uid, gid),
        };
        match set {
            Ok(()) => Ok(true),
            Err(e) if is_refusal(&e) => {
                if self.is_root || (uid, gid) != self.ids {
                    self.lose(path, LossKind::Owner, format!("{uid}:{gid}: {e}"));
                }
                Ok((uid, gid) == self.ids)
            }
            Err(e) => Err(Error::io("owner", e)),
        }
    }

    fn set_xattr(&self, target: &Target<'_>, path: &EntryPath, name: &[u8], value: &[u8]) -> Result<()> {
        let set = match target {
            Target::File(file) => file.set_xattr(name, value),
            Target::Path(path) | Target::Symlink(path) => self.root.set_xattr(path.as_bytes(), name, value),
        };
        // Some file systems call an attribute that is too large for them "no space".
        let is_too_large = |e: &io::Error| {
            use io::ErrorKind::{ArgumentListTooLong, StorageFull};
            matches!(e.kind(), ArgumentListTooLong | StorageFull)
        };
        match set {
            Ok(()) => Ok(()),
            Err(e) if is_refusal(&e) || is_too_large(&e) => {
                let is_acl = name.starts_with(b"system.");
                let kind = if is_acl { LossKind::Acl } else { LossKind::Xattr };
                self.lose(path, kind, format!("{}: {e}", name.escape_ascii()));
                Ok(())
            }
            Err(e) => Err(Error::io(format!("extended attribute {}", name.escape_ascii()), e)),
        }
    }

    fn set_mtime(&self, target: &Target<'_>, path: &EntryPath, meta: &Metadata) -> Result<()> {
        let mtime = (meta.mtime.secs, meta.mtime.nanos);
        let set = match target {
            Target::File(file) => file.set_mtime(mtime),
            Target::Path(path) | Target::Symlink(path) => self.root.set_mtime(path.as_bytes(), mtime),
        };
        let is_kept = match set {
            Ok(()) if i32::try_from(mtime.0).is_ok() => true,
            // File systems cut times that they can't hold to the nearest one, without a word.
            Ok(()) => {
                let status = self.root.status(path.as_bytes()).map_err(|e| Error::io("time", e))?;
                status.mtime == mtime
            }
            Err(e) if is_refusal(&e) => false,
            Err(e) => return Err(Error::io("time", e)),
        };
        if !is_kept {
            let detail = format!("{}.{:09}: beyond what the file system keeps", mtime.0, mtime.1);
            self.lose(path, LossKind::Time, detail);
        }
        Ok(())
    }
}

/// Whether the system or file system refuses this one thing, to this user or to everybody. Inside a user
/// namespace, ids that it has not are "invalid".
pub(super) fn is_refusal(e: &io::Error) -> bool {
    use io::ErrorKind::{InvalidInput, PermissionDenied, Unsupported};
    matches!(e.kind(), PermissionDenied | Unsupported | InvalidInput)
}
