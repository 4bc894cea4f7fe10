//! Streams that build on each other, read one by one: what the ones below hold is read once, and shared by all that build
//! on them.

use std::sync::Arc;

use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::format::objset;

use super::history::History;
use super::input::Input;
use super::pick::Pick;
use super::walk::Walked;
use super::{steps, timestamp, volume};
use crate::image::Image;
use crate::lineage::{Lineage, Loaded, Step};
use crate::{Ctx, Result};

/// A stream and all below it. It is never changed, so that several threads can go on from the same one.
pub(crate) struct Sequel {
    history: History,
    /// The snapshot that was read last.
    top: usize,
    /// Of a file system: its steps, base first.
    steps: Vec<Step>,
    walked: Option<Arc<Walked>>,
}

impl Sequel {
    /// Reads a stream upon what was read before. `pick` says which snapshot of a package.
    pub(crate) fn read(
        below: Option<&Self>,
        input: &Input,
        pick: Option<&str>,
        ctx: &Ctx<'_>,
    ) -> Result<Self> {
        let mut history = below.map_or_else(|| History::new(true), |below| below.history.clone());
        let top = history.load(input, &Pick::parse(pick), ctx)?;
        let chain = history.chain(top);
        let last = chain.last().ok_or(ZfsError::EmptyPackage)?;
        history.lose_properties(last.guid, ctx);
        if last.kind == objset::ZVOL {
            return Ok(Self { history, top, steps: Vec::new(), walked: None });
        }
        // A whole stream that follows another one goes on from nothing.
        let known = below.and_then(|below| {
            let is_below =
                below.steps.last()?.snapshot.as_ref().is_some_and(|s| {
                    chain.get(below.steps.len() - 1).is_some_and(|found| found.guid == s.guid)
                });
            is_below.then_some((below.steps.as_slice(), Arc::clone(below.walked.as_ref()?)))
        });
        let (steps, walked) = steps(&history, &chain, known, ctx)?;
        Ok(Self { history, top, steps, walked })
    }

    /// What was read, every step of it.
    pub(crate) fn loaded(&self) -> Result<Loaded> {
        let chain = self.history.chain(self.top);
        let last = chain.last().ok_or(ZfsError::EmptyPackage)?;
        let image = Image { created: Some(timestamp(last.creation_time)), ..Image::default() };
        match last.kind {
            objset::ZVOL => volume(&self.history, &chain, image).map(Loaded::Volume),
            _ => Ok(Loaded::Filesystem(Lineage { image, steps: self.steps.clone() })),
        }
    }
}
