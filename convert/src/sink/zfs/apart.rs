//! Streams of single snapshots, each in a file of its own: every step is a dataset, the first received as a whole,
//! each further one as a clone of the one before (SmartOS images with an origin).

use std::io::Write;

use aurora_formats::zfs::format::begin_flag;
use aurora_formats::zfs::resume::ResumePoint;

use super::identity::{self, Identity};
use super::incremental::{self, FLAGS, State};
use super::output::Output;
use super::{target, volume};
use crate::lineage::{Lineage, Volume};
use crate::sink::Target;
use crate::{Ctx, Error, Result};

/// Called for each step in turn with its number from 0, its guid, and what writes its stream, which is to be called
/// once.
pub(crate) type Each<'e> =
    dyn FnMut(usize, u64, &mut dyn FnMut(&mut dyn Write) -> Result<()>) -> Result<()> + 'e;

/// Writes each tree of a lineage as the snapshot of that name (`dataset@snapshot`). The guids are always new ones,
/// made from the content: the objects of what is written here bear other numbers than those of any stream it may
/// have come from, so that nothing made for that one may be received upon it.
pub(crate) fn write_apart(
    lineage: &Lineage,
    names: &[Vec<u8>],
    target: Target,
    ctx: &Ctx<'_>,
    each: &mut Each<'_>,
) -> Result<()> {
    target::check_steps(lineage, target, ctx)?;
    let identities = identity::of_apart(lineage, names);
    let form = Form { target, shared: 0, there: 0, resume: None, apart: true };
    write_steps(lineage, &identities, &form, ctx, each)
}

/// What of a chain is written, and how.
pub(super) struct Form {
    pub(super) target: Target,
    /// The first that many are those of another dataset, of which the next makes a clone.
    pub(super) shared: usize,
    /// The first that many are there already.
    pub(super) there: usize,
    /// How much of the next one is there.
    pub(super) resume: Option<ResumePoint>,
    /// Every step becomes a dataset of its own, a clone of what it goes on from; else only the first written does.
    pub(super) apart: bool,
}

/// Every step that is not there in a stream of its own.
pub(super) fn write_steps(
    lineage: &Lineage,
    identities: &[Identity],
    form: &Form,
    ctx: &Ctx<'_>,
    each: &mut Each<'_>,
) -> Result<()> {
    let count = lineage.steps.len();
    let mut before: Option<(State<'_>, u64)> = None;
    for (number, (step, identity)) in lineage.steps.iter().zip(identities).enumerate() {
        let located = |e: Error| e.in_layer(number + 1, count, step.chain_id.to_string());
        let old = before.as_ref().map(|(state, _)| state);
        let state = State::new(&step.tree, old, number as u64 + 1, form.target).map_err(located)?;
        let old = before.as_ref().map(|(old, guid)| (old, *guid));
        if number >= form.there {
            let resume = form.resume.filter(|_| number == form.there);
            each(number, identity.guid, &mut |writer| {
                let mut output = Output::over(writer, &text(identity), ctx);
                let flags = flags(old.is_some() && (form.apart || number == form.shared));
                incremental::write(&state, old, flags, identity, resume, &mut output, ctx).map_err(located)
            })?;
        }
        before = Some((state, identity.guid));
    }
    Ok(())
}

/// As [`write_apart`], for the states of a volume, the oldest first.
pub(crate) fn write_volumes_apart(
    chain: &[&Volume],
    names: &[Vec<u8>],
    ctx: &Ctx<'_>,
    each: &mut Each<'_>,
) -> Result<()> {
    let block_size = volume::block_size(chain, ctx);
    let identities = identity::of_volumes_apart(chain, names, ctx)?;
    for (number, (state, identity)) in chain.iter().zip(&identities).enumerate() {
        let before = number.checked_sub(1).map(|at| (chain[at], identities[at].guid));
        each(number, identity.guid, &mut |writer| {
            let mut output = Output::over(writer, &text(identity), ctx);
            let flags = flags(before.is_some());
            volume::write(state, before, block_size, flags, identity, &mut output, ctx)
                .map_err(|e| e.in_layer(number + 1, chain.len(), text(identity)))
        })?;
    }
    Ok(())
}

/// An increment may become a dataset of its own: receivers are told to clone its origin.
fn flags(is_clone: bool) -> u32 {
    if is_clone { FLAGS | begin_flag::CLONE } else { FLAGS }
}

fn text(identity: &Identity) -> String {
    String::from_utf8_lossy(&identity.name).into_owned()
}
