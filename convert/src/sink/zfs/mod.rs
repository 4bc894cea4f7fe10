//! Writes ZFS send streams: a full one, then for every further step an increment, joined as a package that one
//! `zfs receive` takes.
//!
//! Only what every receiver knows is used: plain blocks of at most 128 KiB, dnodes of one slot, no feature but the
//! spill of attributes. Compression, if any, is around the whole file.

mod apart;
mod batch;
mod blocks;
mod chain;
mod encode;
mod identity;
mod incremental;
mod output;
mod parts;
mod record;
mod relabel;
mod target;
mod volume;

use aurora_formats::zfs::build::package;

pub(crate) use self::apart::{write_apart, write_volumes_apart};
pub(crate) use self::chain::{Chain, Link, There};
use self::identity::Identity;
use self::incremental::State;
use self::output::Output;
pub(crate) use self::relabel::relabel;
use crate::lineage::{Lineage, Volume};
use crate::names::FileName;
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, ErrorKind, Loss, LossKind, Result};

/// Writes an image: every step of the lineage becomes a snapshot.
pub fn write(lineage: &Lineage, file: &FileName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    lose_description(&lineage.image, ctx);
    let count = lineage.steps.len();
    let target = options.target;
    let identities = identity::of_lineage(lineage, target);
    target::check_steps(lineage, target, ctx)?;

    ctx.progress.phase("writing stream");
    // Opened when nothing about the image itself can fail any more.
    let mut output = Output::create(file, options, ctx)?;
    open_package(&identities, incremental::FEATURES, &mut output)?;
    let mut before: Option<(State<'_>, u64)> = None;
    for ((step, identity), number) in lineage.steps.iter().zip(&identities).zip(1..) {
        let of_step = |e: crate::Error| e.in_layer(number, count, step.chain_id.to_string());
        let old = before.as_ref().map(|(state, _)| state);
        let state = State::new(&step.tree, old, number as u64, target).map_err(of_step)?;
        incremental::write(
            &state,
            before.as_ref().map(|(old, guid)| (old, *guid)),
            incremental::FLAGS,
            identity,
            None,
            &mut output,
            ctx,
        )
        .map_err(of_step)?;
        before = Some((state, identity.guid));
    }
    finish(&identities, output)
}

/// Writes a volume, and before it the states of it that it goes on from.
pub fn write_volume(
    volume: &Volume,
    file: &FileName,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    write_states(volume, || Output::create(file, options, ctx), ctx)
}

/// The same to whoever reads it at the other end; the caller sees to it that it is whole or not there.
pub(crate) fn write_volume_over(
    volume: &Volume,
    writer: &mut dyn std::io::Write,
    name: &str,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    write_states(volume, || Ok(Output::over(writer, name, ctx)), ctx)
}

fn write_states<'a>(
    volume: &Volume,
    open: impl FnOnce() -> Result<Output<'a>>,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    lose_description(&volume.image, ctx);
    let mut chain = vec![volume];
    while let Some(base) = chain.last().and_then(|last| last.base.as_deref()) {
        chain.push(base);
    }
    chain.reverse();
    let block_size = volume::block_size(&chain, ctx);
    let identities = identity::of_volumes(&chain, ctx)?;

    ctx.progress.phase("writing stream");
    let mut output = open()?;
    open_package(&identities, 0, &mut output)?;
    for (at, (state, identity)) in chain.iter().zip(&identities).enumerate() {
        let before = at.checked_sub(1).map(|base| (chain[base], identities[base].guid));
        volume::write(state, before, block_size, incremental::FLAGS, identity, &mut output, ctx)
            .map_err(|e| e.in_layer(at + 1, chain.len(), String::from_utf8_lossy(&identity.name)))?;
    }
    finish(&identities, output)
}

/// The header that joins several streams; one alone has none.
fn open_package(identities: &[Identity], features: u64, output: &mut Output<'_>) -> Result<()> {
    if identities.len() < 2 {
        return Ok(());
    }
    let members: Vec<package::Member> =
        identities.iter().map(|id| package::Member { name: id.snapshot().to_vec(), guid: id.guid }).collect();
    let header = package::header(identities[0].dataset(), &members, features).map_err(unsupported)?;
    output.put(&header)
}

fn finish(identities: &[Identity], mut output: Output<'_>) -> Result<Outcome> {
    if identities.len() > 1 {
        output.put(&package::trailer())?;
    }
    let bytes = output.finish()?;
    let mut facts = vec![("bytes".to_owned(), bytes.to_string())];
    if identities.len() > 1 {
        facts.push(("snapshots".to_owned(), identities.len().to_string()));
    }
    if let Some(last) = identities.last() {
        facts.push(("snapshot".to_owned(), String::from_utf8_lossy(&last.name).into_owned()));
        facts.push(("guid".to_owned(), last.guid.to_string()));
    }
    Ok(Outcome { facts })
}

/// A stream has room for files and nothing else.
fn lose_description(image: &crate::image::Image, ctx: &Ctx<'_>) {
    let has_any = !image.config.is_empty() || !image.extra.is_empty() || !image.annotations.is_empty();
    if has_any || image.author.is_some() {
        let detail = "a send stream holds no image configuration or annotations".to_owned();
        ctx.lose(Loss { path: None, kind: LossKind::Config, detail });
    }
}

fn unsupported(error: aurora_formats::zfs::build::BuildError) -> crate::Error {
    ErrorKind::Unsupported(error.to_string()).into()
}
