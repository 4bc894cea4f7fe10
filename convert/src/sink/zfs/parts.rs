//! What the records of one step are made of, in their order, in parts that any thread can make records of.

use std::ops::Range;
use std::sync::Arc;

use aurora_engine::body::{Body, MemBody};
use aurora_formats::model::Metadata;
use aurora_formats::zfs::build::attrs::Encoded;
use aurora_formats::zfs::build::zap;
use aurora_formats::zfs::format::{BLOCK_MAX, object_type};

use super::batch::{Batch, Shape};
use super::blocks::Blocks;
use super::encode::{Data, Item, Role, block_size};
use super::incremental::State;
use super::unsupported;
use crate::Result;
use crate::content::Content;
use crate::tree::Kind;

/// Larger files are made of several parts, of so many bytes.
const PIECE: u64 = 512 << 10;

/// A part of a stream.
#[derive(Debug, Clone)]
pub(super) enum Part<'s> {
    /// Objects that do not exist: from the first, up to the second.
    Free(u64, u64),
    /// An object, and what it was in the step before.
    Object(u64, Role, Option<Role>),
    /// A large file that is new: its object without data.
    Head(u64, Role, &'s Content),
    /// Its data in a range.
    Piece(u64, &'s Content, Range<u64>),
    /// What stands behind its data.
    Tail(u64, Role),
}

/// Goes through all parts of `state`, or of what differs from the step before, in the order of their object numbers, as
/// records must be.
pub(super) fn each<'s>(
    state: &State<'s>,
    old: Option<&State<'_>>,
    put: &mut dyn FnMut(Part<'s>) -> Result<()>,
) -> Result<()> {
    let Some(old) = old else {
        let mut next = 0;
        for (&object, &role) in &state.roles {
            if next < object {
                put(Part::Free(next, object))?;
            }
            new_object(state, object, role, put)?;
            next = object + 1;
        }
        return put(Part::Free(next, next.next_multiple_of(32)));
    };
    let mut gone = old.roles.keys().filter(|object| !state.roles.contains_key(*object)).copied().peekable();
    for (&object, &role) in &state.roles {
        free_below(object, &mut gone, put)?;
        match old.roles.get(&object) {
            None => new_object(state, object, role, put)?,
            was => put(Part::Object(object, role, was.copied()))?,
        }
    }
    free_below(u64::MAX, &mut gone, put)
}

/// Frees the objects that are gone and stand before `object`, in runs.
fn free_below<'s>(
    object: u64,
    gone: &mut std::iter::Peekable<impl Iterator<Item = u64>>,
    put: &mut dyn FnMut(Part<'s>) -> Result<()>,
) -> Result<()> {
    while let Some(first) = gone.next_if(|number| *number < object) {
        let mut end = first + 1;
        while end % 32 != 0 && gone.next_if_eq(&end).is_some() {
            end += 1;
        }
        put(Part::Free(first, end))?;
    }
    Ok(())
}

fn new_object<'s>(
    state: &State<'s>,
    object: u64,
    role: Role,
    put: &mut dyn FnMut(Part<'s>) -> Result<()>,
) -> Result<()> {
    let Some(content) = content_of(state, role).filter(|content| content.size > PIECE) else {
        return put(Part::Object(object, role, None));
    };
    put(Part::Head(object, role, content))?;
    let blocks = Blocks::of(content, block_size(content.size));
    // Each piece unpacks the blocks of its source anew, which may be larger.
    let packed = content.extents.iter().map(|extent| u64::from(extent.data.logical)).max().unwrap_or(0);
    let piece = packed.next_multiple_of(BLOCK_MAX.into()).max(PIECE);
    let mut offset = blocks.first_from(0);
    while offset < blocks.end() {
        let end = (offset / piece + 1) * piece;
        put(Part::Piece(object, content, offset..end))?;
        offset = blocks.first_from(end);
    }
    put(Part::Tail(object, role))
}

/// The content of a file.
fn content_of<'s>(state: &State<'s>, role: Role) -> Option<&'s Content> {
    match role {
        Role::Inode(id) => match &state.tree.inode(id).kind {
            Kind::File(content) => Some(content),
            _ => None,
        },
        _ => None,
    }
}

impl Part<'_> {
    /// Bytes that its records are likely to take.
    pub(super) fn cost(&self, state: &State<'_>) -> u64 {
        const RECORDS: u64 = 1 << 10;
        match self {
            Self::Piece(.., range) => range.end - range.start,
            Self::Object(_, Role::Inode(id), was) => {
                let inode = state.tree.inode(*id);
                let data = match &inode.kind {
                    Kind::Dir(children) => 64 * children.len() as u64,
                    Kind::File(content) if was.is_none() => content.size,
                    _ => 0,
                };
                RECORDS + data + attributes(&inode.meta)
            }
            Self::Object(_, Role::XattrFile(id, _), _) => RECORDS + attributes(&state.tree.inode(*id).meta),
            _ => RECORDS,
        }
    }

    /// Appends its records.
    pub(super) fn make(&self, state: &State<'_>, old: Option<&State<'_>>, batch: &mut Batch) -> Result<()> {
        match self {
            Self::Free(from, to) => batch.free_objects(*from, *to),
            Self::Object(object, role, was) => {
                let item = state.item(*role)?;
                let (same_attrs, same_data) = match old.zip(*was) {
                    Some((old, was)) => item.is_same(&old.item(was)?),
                    None => (false, false),
                };
                if !(same_attrs && same_data) {
                    put(*object, &item, !same_data, batch)?;
                }
            }
            Self::Head(object, role, content) => {
                let attrs = state.item(*role)?.attrs;
                put_content(file(*object, content), attrs.as_ref(), content, false, batch)?;
            }
            Self::Piece(object, content, range) => {
                batch.content(file(*object, content), content, range.clone())?;
            }
            Self::Tail(object, role) => batch.spill(*object, state.item(*role)?.attrs.as_ref()),
        }
        Ok(())
    }
}

/// Bytes of all attributes.
fn attributes(meta: &Metadata) -> u64 {
    meta.xattrs.values().map(|value| value.len() as u64).sum()
}

fn file(object: u64, content: &Content) -> Shape {
    Shape { object, object_type: object_type::PLAIN_FILE, block_size: block_size(content.size) }
}

/// An object, its data if that is new, and its spill block.
fn put(object: u64, item: &Item<'_>, with_data: bool, batch: &mut Batch) -> Result<()> {
    let shape = |block_size| Shape { object, object_type: item.object_type, block_size };
    let attrs = item.attrs.as_ref();
    match &item.data {
        Data::System(system) => {
            let shape = shape(system.zap.block_size);
            batch.object(shape, attrs, system.zap.blocks.len() as u64);
            batch.table(shape, &system.zap);
        }
        Data::Table(entries) => {
            let zap = zap::build(entries, zap::salt(object)).map_err(unsupported)?;
            let shape = shape(zap.block_size);
            batch.object(shape, attrs, zap.blocks.len() as u64);
            if with_data {
                batch.table(shape, &zap);
            }
        }
        Data::Content(content) => {
            put_content(shape(block_size(content.size)), attrs, content, with_data, batch)?
        }
        Data::Bytes(bytes) => {
            let body: Body = Arc::new(MemBody(bytes.to_vec()));
            let content = Content::plain(&body, 0, bytes.len() as u64);
            put_content(shape(block_size(content.size)), attrs, &content, with_data, batch)?;
        }
        Data::Empty => batch.object(shape(block_size(0)), attrs, 1),
    }
    batch.spill(object, attrs);
    Ok(())
}

fn put_content(
    shape: Shape,
    attrs: Option<&Encoded>,
    content: &Content,
    with_data: bool,
    batch: &mut Batch,
) -> Result<()> {
    batch.object(shape, attrs, content.size.div_ceil(shape.block_size.into()).max(1));
    if with_data { batch.content(shape, content, 0..u64::MAX) } else { Ok(()) }
}
