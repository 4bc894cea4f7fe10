//! One step of a lineage as a stream: all of it, or what differs from the step before.

use std::collections::BTreeMap;
use std::thread;

use aurora_engine::flow::Ordered;
use aurora_formats::model::Metadata;
use aurora_formats::zfs::build::begin;
use aurora_formats::zfs::build::objects::{self, SystemObject};
use aurora_formats::zfs::format::{begin_flag, feature, objset};
use aurora_formats::zfs::resume::ResumePoint;

use super::batch::Batch;
use super::encode::Role;
use super::identity::Identity;
use super::output::Output;
use super::parts::{self, Part};
use super::record::StreamWriter;
use super::{target, unsupported};
use crate::sink::Target;
use crate::tree::Tree;
use crate::tree::ids::{self, DirXattrs, Numbers};
use crate::{Ctx, Error, Result};

/// Bytes of records that are made at a time by one thread, about.
const BATCH: u64 = 512 << 10;
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
    /// What each object number stands for.
    pub(super) roles: BTreeMap<u64, Role>,
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
    let old = before.map(|(old, _)| old);
    let work = |mut job: Job<'_>| -> Result<Batch> {
        job.parts.iter().try_for_each(|part| part.make(state, old, &mut job.batch))?;
        Ok(job.batch)
    };
    let threads = ctx.options.threads;
    thread::scope(|scope| {
        let pool = Ordered::scoped(scope, "records", threads, threads.saturating_mul(2), work);
        let new = || Batch::new(identity.guid, resume);
        let mut jobs = Jobs { pool, stream: &mut stream, job: Job::new(new()), cost: 0, spare: Vec::new() };
        parts::each(state, old, &mut |part| {
            jobs.cost += part.cost(state);
            jobs.job.parts.push(part);
            if jobs.cost < BATCH {
                return Ok(());
            }
            ctx.check()?;
            jobs.submit(&new)
        })?;
        jobs.submit(&new)?;
        jobs.finish()
    })?;
    stream.end()
}

/// Parts that one thread makes records of at a time.
struct Job<'s> {
    parts: Vec<Part<'s>>,
    batch: Batch,
}

impl Job<'_> {
    fn new(batch: Batch) -> Self {
        Self { parts: Vec::new(), batch }
    }
}

/// Jobs given to threads, and what they made written in order.
struct Jobs<'j, 's, 'o, 'a> {
    pool: Ordered<'j, Job<'s>, Result<Batch>>,
    stream: &'j mut StreamWriter<'o, 'a>,
    /// The next one.
    job: Job<'s>,
    /// Of its parts.
    cost: u64,
    /// Written ones, to be used again.
    spare: Vec<Batch>,
}

impl Jobs<'_, '_, '_, '_> {
    fn submit(&mut self, new: &dyn Fn() -> Batch) -> Result<()> {
        let next = Job::new(self.spare.pop().unwrap_or_else(new));
        self.cost = 0;
        match self.pool.push(std::mem::replace(&mut self.job, next)) {
            Some(batch) => self.write(batch?),
            None => Ok(()),
        }
    }

    fn write(&mut self, mut batch: Batch) -> Result<()> {
        let is_usual = batch.len() as u64 <= 4 * BATCH;
        self.stream.put(&mut batch)?;
        if is_usual {
            self.spare.push(batch);
        }
        Ok(())
    }

    fn finish(mut self) -> Result<()> {
        while let Some(batch) = self.pool.pop() {
            self.write(batch?)?;
        }
        Ok(())
    }
}
