//! A lineage as the snapshots of one dataset, each with a stream of its own, so that those can be left out which a pool has.

use aurora_engine::digest::Digest;
use aurora_formats::zfs::resume::ResumePoint;

use super::apart::{Each, Form, write_steps};
use super::identity::{self, Identity};
use super::{lose_description, target};
use crate::lineage::{Lineage, Step};
use crate::sink::Target;
use crate::{Ctx, Result};

/// The snapshots, base first.
pub(crate) struct Chain<'l> {
    lineage: &'l Lineage,
    identities: Vec<Identity>,
    target: Target,
}

/// What a dataset has of a chain, behind what it shares with others.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct There {
    /// Snapshots.
    pub(crate) whole: usize,
    /// How much of the next.
    pub(crate) resume: Option<ResumePoint>,
}

/// One of them.
pub(crate) struct Link<'c> {
    /// Its name, behind the `@`.
    pub(crate) name: String,
    /// A function of all that it holds and goes on from, for this target.
    pub(crate) guid: u64,
    /// Of the layers up to here.
    pub(crate) chain_id: &'c Digest,
}

impl<'l> Chain<'l> {
    /// Nothing about the image itself fails afterwards, but for its contents.
    pub(crate) fn new(lineage: &'l Lineage, target: Target, ctx: &Ctx<'_>) -> Result<Self> {
        lose_description(&lineage.image, ctx);
        target::check_steps(lineage, target, ctx)?;
        Ok(Self { lineage, identities: identity::of_lineage(lineage, target), target })
    }

    /// What the snapshots are.
    pub(crate) fn links(&self) -> Vec<Link<'_>> {
        let link = |(identity, step): (&Identity, &'l Step)| Link {
            name: String::from_utf8_lossy(identity.snapshot()).into_owned(),
            guid: identity.guid,
            chain_id: &step.chain_id,
        };
        self.identities.iter().zip(&self.lineage.steps).map(link).collect()
    }

    /// Writes those that are not there. The first `shared` are another dataset's, of which the next makes a clone.
    pub(crate) fn write_behind(
        &self,
        shared: usize,
        there: There,
        ctx: &Ctx<'_>,
        each: &mut Each<'_>,
    ) -> Result<()> {
        let form = Form {
            target: self.target,
            shared,
            there: shared + there.whole,
            resume: there.resume,
            apart: false,
        };
        write_steps(self.lineage, &self.identities, &form, ctx, each)
    }
}
