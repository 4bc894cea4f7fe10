//! Reads a dataset of this host: what `zfs send` says of a snapshot of it. One is taken for the purpose where none is
//! named, and destroyed afterwards.

use aurora_engine::host::{CommandError, DatasetKind, Listed, temporary_name};

use super::{ReadOptions, dir, zfs};
use crate::lineage::Loaded;
use crate::names::DatasetName;
use crate::{Ctx, ErrorKind, Loss, LossKind, Result};

/// Names tried for a temporary snapshot, where runs that were killed have left theirs.
const MAX_TRIES: usize = 100;

/// Reads the snapshot that is named, or the dataset as it is now.
pub fn read(name: &DatasetName, options: &ReadOptions, ctx: &Ctx<'_>) -> Result<Loaded> {
    ctx.progress.phase("reading dataset");
    let dataset = Dataset::open(name.dataset(), ctx)?;
    dataset.tell_children(ctx);
    let Some(snapshot) = name.snapshot() else {
        let taken = TemporarySnapshot::take(name.dataset(), ctx)?;
        let inputs = zfs::Input::chain(name.dataset(), None, &taken.name);
        let mut loaded = zfs::read_inputs(&inputs, None, options, ctx)?;
        drop(taken);
        forget_snapshot(&mut loaded, ctx)?;
        return Ok(loaded);
    };
    for snapshot in name.from().into_iter().chain([snapshot]) {
        dataset.snapshot(snapshot)?;
    }
    let inputs = zfs::Input::chain(name.dataset(), name.from(), snapshot);
    zfs::read_inputs(&inputs, None, options, ctx)
}

/// What `zfs list` tells of a dataset that is there.
pub(crate) struct Dataset {
    /// The dataset itself.
    pub(crate) listed: Listed,
    snapshots: Vec<Listed>,
    children: Vec<String>,
}

impl Dataset {
    /// Looks a dataset up.
    pub(crate) fn open(name: &str, ctx: &Ctx<'_>) -> Result<Self> {
        let found = match ctx.zfs().list(name) {
            Err(e) if is_absent(&e) => return Err(ErrorKind::NoSuchImage(format!("dataset:{name}")).into()),
            found => found?,
        };
        let (mut own, mut snapshots, mut children) = (None, Vec::new(), Vec::new());
        for listed in found {
            match listed.kind {
                DatasetKind::Snapshot => snapshots.push(listed),
                _ if listed.name == name => own = Some(listed),
                _ => children.push(listed.name),
            }
        }
        let listed = own.ok_or_else(|| ErrorKind::NoSuchImage(format!("dataset:{name}")))?;
        Ok(Self { listed, snapshots, children })
    }

    /// Whether it is a volume.
    pub(crate) fn is_volume(&self) -> bool {
        self.listed.kind == DatasetKind::Volume
    }

    /// No stream of a dataset holds its children.
    pub(crate) fn tell_children(&self, ctx: &Ctx<'_>) {
        for child in &self.children {
            let detail = format!("a dataset of its own, and no part of this one: {child}");
            ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
        }
    }

    /// One of its snapshots.
    pub(crate) fn snapshot(&self, snapshot: &str) -> Result<&Listed> {
        let name = format!("{}@{snapshot}", self.listed.name);
        let found = self.snapshots.iter().find(|listed| listed.name == name);
        found.ok_or_else(|| ErrorKind::NoSuchImage(format!("dataset:{name}")).into())
    }
}

/// Whether `zfs list` knows no dataset, or no pool, of the name.
pub(crate) fn is_absent(error: &CommandError) -> bool {
    error.says("does not exist") || error.says("no such pool")
}

/// A snapshot for as long as it is read.
pub(crate) struct TemporarySnapshot<'a> {
    dataset: String,
    /// Behind the `@`.
    pub(crate) name: String,
    ctx: &'a Ctx<'a>,
}

impl<'a> TemporarySnapshot<'a> {
    /// Takes one, under a name that nothing else has.
    pub(crate) fn take(dataset: &str, ctx: &'a Ctx<'_>) -> Result<Self> {
        let mut tries = 1;
        loop {
            let name = temporary_name();
            match ctx.zfs().snapshot(&format!("{dataset}@{name}")) {
                Ok(()) => return Ok(Self { dataset: dataset.to_owned(), name, ctx }),
                Err(e) if e.says("already exists") && tries < MAX_TRIES => tries += 1,
                Err(e) => return Err(e.into()),
            }
        }
    }
}

impl Drop for TemporarySnapshot<'_> {
    fn drop(&mut self) {
        if let Err(e) = self.ctx.zfs().destroy_snapshot(&self.dataset, &self.name) {
            let detail = format!("the temporary snapshot {}@{} is still there: {e}", self.dataset, self.name);
            self.ctx.lose(Loss { path: None, kind: LossKind::Oddity, detail });
        }
    }
}

/// A snapshot that is gone names nothing any more: the image is known by its content, as that of a directory, and so
/// the same whenever it is read.
fn forget_snapshot(loaded: &mut Loaded, ctx: &Ctx<'_>) -> Result<()> {
    match loaded {
        Loaded::Filesystem(lineage) => {
            lineage.image.created = None;
            if let Some(last) = lineage.steps.last_mut() {
                (last.snapshot, last.created) = (None, None);
                last.chain_id = dir::diff_id(&last.tree, ctx)?;
            }
        }
        Loaded::Volume(volume) => (volume.snapshot, volume.image.created) = (None, None),
    }
    Ok(())
}
