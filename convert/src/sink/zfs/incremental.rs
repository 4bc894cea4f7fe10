//! One step of a lineage as a stream: all of it, or what differs from the step before.

use std::collections::BTreeMap;
use std::sync::Arc;

use aurora_engine::body::{Body, MemBody};
use aurora_formats::model::Metadata;
use aurora_formats::zfs::build::attrs::Encoded;
use aurora_formats::zfs::build::objects::{self, SystemObject};
use aurora_formats::zfs::build::{begin, zap};
use aurora_formats::zfs::format::{begin_flag, feature, objset};
use aurora_formats::zfs::resume::ResumePoint;

use super::encode::{Data, Item, Role, block_size};
use super::identity::Identity;
use super::output::Output;
use super::record::{Shape, StreamWriter};
use super::{target, unsupported};
use crate::content::Content;
use crate::sink::Target;
use crate::tree::Tree;
use crate::tree::ids::{self, DirXattrs, Numbers};
use crate::{Ctx, Error, Result};

/// Features of every stream of a file system: attributes may spill, nothing else.
pub(super) const FEATURES: u64 = feature::SA_SPILL;
/// Flags of every stream.
pub(super) const FLAGS: u32 = begin_flag::FREE_RECORDS | begin_flag::SPILL_BLOCK;

/// A step, numbered.
pub(super) struct State<'t> {
    pub(super) tree: &'t Tree,
    pub(super) target: Target,
    pub(super) numbers: Numbers,
    pub(super) system: Vec<SystemObject>,
    roles: BTreeMap<u64, Role>,
}

impl<'t> State<'t> {
    /// Numbers the objects of step `generation` (from 1).
    pub(super) fn new(
        tree: &'t Tree,
        before: Option<&State<'t>>,
        generation: u64,
        target: Target,
    ) -> Result<Self> {
        let files = |meta: &'t Metadata| -> DirXattrs<'t> { target::split(&meta.xattrs, target).files };
        let old = before.map(|state| (state.tree, &state.numbers));
        let numbers = ids::assign(tree, old, generation, &files)
            .map_err(|e| Error::io("comparing content with the layer below", e))?;
        let system = objects::filesystem().map_err(unsupported)?;
        let mut roles = BTreeMap::new();
        for (at, object) in system.iter().enumerate() {
            roles.insert(object.object, Role::System(at));
        }
        for (id, numbered) in numbers.iter() {
            roles.insert(numbered.object, Role::Inode(id));
            if let Some(xattrs) = numbered.xattrs {
                roles.insert(xattrs.dir, Role::XattrDir(id));
                for at in 0..xattrs.files {
                    roles.insert(xattrs.dir + 1 + at, Role::XattrFile(id, at as usize));
                }
            }
        }
        Ok(Self { tree, target, numbers, system, roles })
    }
}

/// Writes the stream of `state`; with a state before and its guid, the increment from there. `resume` is what of it is there.
pub(super) fn write(
    state: &State<'_>,
    before: Option<(&State<'_>, u64)>,
    flags: u32,
    identity: &Identity,
    resume: Option<ResumePoint>,
    output: &mut Output<'_>,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let mut opening =
        begin(&identity.name, identity.guid, objset::ZFS, FEATURES, flags).map_err(unsupported)?;
    opening.creation_time = identity.creation_time;
    opening.from_guid = before.map_or(0, |(_, guid)| guid);
    let mut stream = StreamWriter::begin(&opening, resume, output)?;
    match before {
        None => write_all(state, &mut stream, ctx)?,
        Some((old, _)) => write_changes(state, old, &mut stream, ctx)?,
    }
    stream.end()
}

fn write_all(state: &State<'_>, stream: &mut StreamWriter<'_, '_>, ctx: &Ctx<'_>) -> Result<()> {
    let mut next = 0;
    for (&object, &role) in &state.roles {
        ctx.check()?;
        stream.free_objects(next, object)?;
        put(object, &state.item(role)?, true, stream)?;
        next = object + 1;
    }
    stream.free_objects(next, next.next_multiple_of(32))
}

fn write_changes(
    state: &State<'_>,
    old: &State<'_>,
    stream: &mut StreamWriter<'_, '_>,
    ctx: &Ctx<'_>,
) -> Result<()> {
    // Both maps are walked in the order of the numbers: a stream's records must ascend.
    let mut gone = old.roles.keys().filter(|object| !state.roles.contains_key(*object)).copied().peekable();
    for (&object, &role) in &state.roles {
        ctx.check()?;
        free_below(object, &mut gone, stream)?;
        let item = state.item(role)?;
        match old.roles.get(&object) {
            None => put(object, &item, true, stream)?,
            Some(&role) => match item.is_same(&old.item(role)?) {
                (true, true) => {}
                (_, same_data) => put(object, &item, !same_data, stream)?,
            },
        }
    }
    free_below(u64::MAX, &mut gone, stream)
}

/// Frees the objects that are gone and stand before `object`, in runs.
fn free_below(
    object: u64,
    gone: &mut std::iter::Peekable<impl Iterator<Item = u64>>,
    stream: &mut StreamWriter<'_, '_>,
) -> Result<()> {
    while let Some(first) = gone.next_if(|number| *number < object) {
        let mut end = first + 1;
        while end % 32 != 0 && gone.next_if_eq(&end).is_some() {
            end += 1;
        }
        stream.free_objects(first, end)?;
    }
    Ok(())
}

/// An object, its data if that is new, and its spill block.
fn put(object: u64, item: &Item<'_>, with_data: bool, stream: &mut StreamWriter<'_, '_>) -> Result<()> {
    let shape = |block_size| Shape { object, object_type: item.object_type, block_size };
    let attrs = item.attrs.as_ref();
    match &item.data {
        Data::System(system) => {
            let shape = shape(system.zap.block_size);
            stream.object(shape, attrs, system.zap.blocks.len() as u64)?;
            stream.table(shape, &system.zap)?;
        }
        Data::Table(entries) => {
            let zap = zap::build(entries, zap::salt(object)).map_err(unsupported)?;
            let shape = shape(zap.block_size);
            stream.object(shape, attrs, zap.blocks.len() as u64)?;
            if with_data {
                stream.table(shape, &zap)?;
            }
        }
        Data::Content(content) => {
            put_content(shape(block_size(content.size)), attrs, content, with_data, stream)?
        }
        Data::Bytes(bytes) => {
            let body: Body = Arc::new(MemBody(bytes.to_vec()));
            let content = Content::plain(&body, 0, bytes.len() as u64);
            put_content(shape(block_size(content.size)), attrs, &content, with_data, stream)?;
        }
        Data::Empty => stream.object(shape(block_size(0)), attrs, 1)?,
    }
    stream.spill(object, attrs)
}

fn put_content(
    shape: Shape,
    attrs: Option<&Encoded>,
    content: &Content,
    with_data: bool,
    stream: &mut StreamWriter<'_, '_>,
) -> Result<()> {
    stream.object(shape, attrs, content.size.div_ceil(shape.block_size.into()).max(1))?;
    if with_data { stream.content(shape, content) } else { Ok(()) }
}
