//! The stream of one snapshot.

use aurora_formats::zfs::build::Sealer;
use aurora_formats::zfs::format::{FEATURES_SHIFT, feature};
use aurora_formats::zfs::record::Begin;
use aurora_formats::zfs::resume::ResumePoint;

use super::batch::Batch;
use super::output::Output;
use crate::Result;

/// Writes the records of one snapshot.
pub(super) struct StreamWriter<'o, 'a> {
    sealer: Sealer,
    to_guid: u64,
    output: &'o mut Output<'a>,
}

impl<'o, 'a> StreamWriter<'o, 'a> {
    /// Opens it; it goes on from `resume` if one was cut there.
    pub(super) fn begin(
        begin: &Begin,
        resume: Option<ResumePoint>,
        output: &'o mut Output<'a>,
    ) -> Result<Self> {
        let (mut begin, mut payload) = (begin.clone(), Vec::new());
        if let Some(point) = resume {
            payload = point.payload();
            begin.version_info |= feature::RESUMING << FEATURES_SHIFT;
            // Two numbers.
            begin.payload_len = payload.len() as u32;
        }
        let (sealer, bytes) = Sealer::begin(&begin, &payload);
        output.put(&bytes)?;
        output.put(&payload)?;
        Ok(Self { sealer, to_guid: begin.to_guid, output })
    }

    /// Writes the records of a batch, which is empty then.
    pub(super) fn put(&mut self, batch: &mut Batch) -> Result<()> {
        self.output.put(batch.seal(&mut self.sealer))?;
        batch.clear();
        Ok(())
    }

    pub(super) fn end(self) -> Result<()> {
        let bytes = self.sealer.end(self.to_guid);
        self.output.put(&bytes)
    }
}
