//! Writes datasets of this host: our stream into `zfs receive`, under a temporary name beside the final one, which the
//! dataset gets when it is whole. It is not mounted.

use std::io::{self, BufWriter, Write};

use aurora_engine::host::{Input, temporary_name};

use crate::lineage::Loaded;
use crate::names::DatasetName;
use crate::sink::{Outcome, WriteOptions, zfs};
use crate::source::dataset::is_absent;
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// Bytes gathered before they are written.
const BUFFER: usize = 256 << 10;

/// Writes an image as a dataset that is not there yet; every step of it becomes a snapshot.
pub fn write(loaded: &Loaded, name: &DatasetName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let dataset = name.dataset();
    if !dataset.contains('/') {
        return Err(Error::usage(format!("the top of a pool is there already; dataset:{dataset}/NAME")));
    }
    if is_there(dataset, ctx)? {
        return Err(ErrorKind::Exists(format!("dataset:{dataset}")).into());
    }
    let mut partial = Partial::create(dataset, ctx)?;
    let mut buffered = BufWriter::with_capacity(BUFFER, &mut partial);
    let mut outcome = zfs::write_over(loaded, options.target, &mut buffered, "zfs receive", ctx)?;
    drop(buffered);
    options.may_commit(ctx)?;
    partial.commit(dataset)?;
    for (_, value) in outcome.facts.iter_mut().filter(|(fact, _)| fact == "snapshot") {
        // The stream's name for it is not what it has become.
        let snapshot = value.rsplit('@').next().unwrap_or_default();
        *value = format!("{dataset}@{snapshot}");
    }
    Ok(outcome)
}

fn is_there(dataset: &str, ctx: &Ctx<'_>) -> Result<bool> {
    match ctx.zfs().list(dataset) {
        Ok(_) => Ok(true),
        Err(e) if is_absent(&e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// A dataset being received. Its name has this process's number in it, so that what is destroyed is our own.
struct Partial<'a> {
    name: String,
    input: Option<Box<dyn Input>>,
    ctx: &'a Ctx<'a>,
}

impl<'a> Partial<'a> {
    fn create(dataset: &str, ctx: &'a Ctx<'_>) -> Result<Self> {
        let mut name = format!("{dataset}-partial-{}", temporary_name());
        // Left by a process of the same number that was killed.
        while is_there(&name, ctx)? {
            name = format!("{dataset}-partial-{}", temporary_name());
        }
        let input = ctx.zfs().receive(&name)?;
        Ok(Self { name, input: Some(input), ctx })
    }

    /// All was written: waits for the end, and gives it its name.
    fn commit(mut self, dataset: &str) -> Result<()> {
        if let Some(input) = self.input.take()
            && let Err(e) = input.finish()
        {
            self.destroy();
            return Err(e.into());
        }
        if let Err(e) = self.ctx.zfs().rename(&self.name, dataset) {
            self.destroy();
            return Err(e.into());
        }
        Ok(())
    }

    fn destroy(&self) {
        match self.ctx.zfs().destroy_tree(&self.name) {
            Err(e) if !is_absent(&e) => {
                let detail = format!("the unfinished dataset {} is still there: {e}", self.name);
                self.ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
            }
            _ => {}
        }
    }
}

impl Write for Partial<'_> {
    fn write(&mut self, buf: &[u8]) -> io::Result<usize> {
        match &mut self.input {
            Some(input) => input.write(buf),
            None => Err(io::ErrorKind::BrokenPipe.into()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.input.as_mut().map_or(Ok(()), |input| input.flush())
    }
}

impl Drop for Partial<'_> {
    fn drop(&mut self) {
        // Only where it was not committed: `zfs receive` is ended first, or it would hold what it has made.
        if let Some(input) = self.input.take() {
            drop(input);
            self.destroy();
        }
    }
}
