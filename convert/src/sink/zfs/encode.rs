//! Inodes as objects.

use aurora_formats::model::{Metadata, Timestamp};
use aurora_formats::zfs::build::attrs::{Attributes, Encoded, encode};
use aurora_formats::zfs::build::objects::SystemObject;
use aurora_formats::zfs::format::{BLOCK_MAX, BLOCK_MIN, DIRENT_TYPE_SHIFT, mode, object_type};

use super::incremental::State;
use super::{target, unsupported};
use crate::content::Content;
use crate::tree::ids::{Numbered, XattrObjects};
use crate::tree::{InodeId, Kind};
use crate::{ErrorKind, Result};

/// What an object number stands for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Role {
    /// Place in the list of system objects.
    System(usize),
    /// An inode of the tree.
    Inode(InodeId),
    /// Its attribute directory.
    XattrDir(InodeId),
    /// A file in that, by its place.
    XattrFile(InodeId, usize),
}

/// What an object holds, as far as two steps have to be compared; tables are not laid out yet.
#[derive(Debug)]
pub(super) struct Item<'a> {
    pub(super) object_type: u32,
    /// `None` for system objects.
    pub(super) attrs: Option<Encoded>,
    pub(super) data: Data<'a>,
}

/// Data of an object.
#[derive(Debug)]
pub(super) enum Data<'a> {
    /// Already laid out.
    System(&'a SystemObject),
    /// Names and values of a directory.
    Table(Vec<(&'a [u8], u64)>),
    /// A file's.
    Content(&'a Content),
    /// An attribute's value.
    Bytes(&'a [u8]),
    /// None.
    Empty,
}

impl Item<'_> {
    /// Whether the attributes, and whether the data, are those of an object of the same number before. Content needs
    /// no look: a number is kept only with it.
    pub(super) fn is_same(&self, old: &Self) -> (bool, bool) {
        let same_data = match (&self.data, &old.data) {
            (Data::Table(new), Data::Table(old)) => new == old,
            _ => true,
        };
        (self.attrs == old.attrs, same_data)
    }
}

/// Block size of so much data: one block of just that size, or blocks of 128 KiB.
pub(super) fn block_size(size: u64) -> u32 {
    match u32::try_from(size) {
        Ok(size) if size <= BLOCK_MAX => size.max(1).next_multiple_of(BLOCK_MIN),
        _ => BLOCK_MAX,
    }
}

/// Type bits of an inode's mode.
fn type_bits(kind: &Kind) -> u64 {
    match kind {
        Kind::Dir(_) => mode::DIR,
        Kind::File(_) => mode::FILE,
        Kind::Symlink(_) => mode::SYMLINK,
        Kind::Char(_) => mode::CHAR,
        Kind::Block(_) => mode::BLOCK,
        Kind::Fifo => mode::FIFO,
        Kind::Socket => mode::SOCKET,
    }
}

/// A directory entry: object number, and the type as in the mode.
fn dirent(object: u64, type_bits: u64) -> u64 {
    object | type_bits >> 12 << DIRENT_TYPE_SHIFT
}

impl State<'_> {
    /// What an object of this step is to be.
    pub(super) fn item(&self, role: Role) -> Result<Item<'_>> {
        match role {
            Role::System(at) => {
                let system = &self.system[at];
                Ok(Item { object_type: system.object_type, attrs: None, data: Data::System(system) })
            }
            Role::Inode(id) => self.inode(id),
            Role::XattrDir(id) => self.xattr_dir(id),
            Role::XattrFile(id, at) => self.xattr_file(id, at),
        }
    }

    fn numbered(&self, id: InodeId) -> Result<&Numbered> {
        // Every inode that has a name is numbered; a tree whose names and inodes disagree is a bug elsewhere, and
        // no reason to panic.
        let missing = || ErrorKind::Unsupported("a name without an inode".into()).into();
        self.numbers.get(id).ok_or_else(missing)
    }

    fn inode(&self, id: InodeId) -> Result<Item<'_>> {
        let (inode, numbered) = (self.tree.inode(id), self.numbered(id)?);
        let split = target::split(&inode.meta.xattrs, self.target);
        let mut attrs = Attributes {
            mode: type_bits(&inode.kind) | u64::from(inode.meta.mode & 0o7777),
            generation: numbered.generation,
            parent: numbered.parent,
            links: inode.names.into(),
            xattr_dir: numbered.xattrs.map(|objects| objects.dir),
            xattrs: split.packed.as_deref(),
            ..owned_by(&inode.meta)
        };
        let (object_type, data) = match &inode.kind {
            Kind::Dir(children) => {
                attrs.size = children.len() as u64 + 2;
                attrs.links = self.tree.subdirectories(id) as u64 + 2;
                let mut table = Vec::with_capacity(children.len());
                for (name, child) in children.iter() {
                    let bits = type_bits(&self.tree.inode(*child).kind);
                    table.push((&**name, dirent(self.numbered(*child)?.object, bits)));
                }
                (object_type::DIRECTORY, Data::Table(table))
            }
            Kind::File(content) => {
                attrs.size = content.size;
                (object_type::PLAIN_FILE, Data::Content(content))
            }
            Kind::Symlink(link) => {
                attrs.size = link.len() as u64;
                // Archives disagree about the permissions of a link, and nothing ever looks at them.
                attrs.mode = mode::SYMLINK | 0o777;
                attrs.symlink = Some(link);
                (object_type::PLAIN_FILE, Data::Empty)
            }
            Kind::Char(device) | Kind::Block(device) => {
                attrs.rdev = target::rdev(*device, self.target);
                (object_type::PLAIN_FILE, Data::Empty)
            }
            Kind::Fifo | Kind::Socket => (object_type::PLAIN_FILE, Data::Empty),
        };
        let attrs = encode(&attrs).map_err(|e| unsupported(e).at_entry(&numbered.path))?;
        Ok(Item { object_type, attrs: Some(attrs), data })
    }

    fn xattr_objects(&self, id: InodeId) -> Result<(&Numbered, XattrObjects)> {
        let numbered = self.numbered(id)?;
        let missing = || crate::Error::from(ErrorKind::Unsupported("attributes without objects".into()));
        Ok((numbered, numbered.xattrs.ok_or_else(missing)?))
    }

    fn xattr_dir(&self, id: InodeId) -> Result<Item<'_>> {
        let (numbered, objects) = self.xattr_objects(id)?;
        let meta = &self.tree.inode(id).meta;
        let files = target::split(&meta.xattrs, self.target).files;
        let attrs = Attributes {
            mode: mode::DIR | 0o1777,
            size: files.len() as u64 + 2,
            generation: objects.generation,
            parent: numbered.object,
            links: 2,
            is_xattr: true,
            ..owned_by(meta)
        };
        let table = (objects.dir + 1..)
            .zip(files)
            .map(|(object, (name, _))| (name, dirent(object, mode::FILE)))
            .collect();
        let attrs = encode(&attrs).map_err(|e| unsupported(e).at_entry(&numbered.path))?;
        Ok(Item { object_type: object_type::DIRECTORY, attrs: Some(attrs), data: Data::Table(table) })
    }

    fn xattr_file(&self, id: InodeId, at: usize) -> Result<Item<'_>> {
        let (numbered, objects) = self.xattr_objects(id)?;
        let meta = &self.tree.inode(id).meta;
        let value =
            target::split(&meta.xattrs, self.target).files.get(at).map_or(&[][..], |(_, value)| *value);
        let attrs = Attributes {
            mode: mode::FILE | 0o644,
            size: value.len() as u64,
            generation: objects.generation,
            parent: objects.dir,
            links: 1,
            is_xattr: true,
            ..owned_by(meta)
        };
        let attrs = encode(&attrs).map_err(|e| unsupported(e).at_entry(&numbered.path))?;
        Ok(Item { object_type: object_type::PLAIN_FILE, attrs: Some(attrs), data: Data::Bytes(value) })
    }
}

fn owned_by(meta: &Metadata) -> Attributes<'static> {
    let time = Timestamp { secs: meta.mtime.secs, nanos: meta.mtime.nanos };
    Attributes { uid: meta.owner.uid, gid: meta.owner.gid, time, ..Attributes::default() }
}
