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

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Read};
    use std::sync::Arc;

    use aurora_engine::codec;
    use aurora_engine::host::{Answer, Recorded};

    use super::*;
    use crate::lineage::Layers;
    use crate::{Cancel, NoProgress, Options};

    fn corpus(name: &str) -> Vec<u8> {
        let file =
            std::fs::read(format!("{}/../corpus/zfs/{name}.zfs.gz", env!("CARGO_MANIFEST_DIR"))).unwrap();
        let mut bytes = Vec::new();
        codec::reader(Box::new(Cursor::new(file)), 1 << 30, 1).unwrap().1.read_to_end(&mut bytes).unwrap();
        bytes
    }

    /// A host with `tank/x`, which has a child and the snapshots a and b; `fails` is the beginning of a command.
    fn host(fails: &'static str) -> Recorded {
        let (full, inc) = (corpus("inc-full-a"), corpus("inc-i-a-b"));
        Recorded::new(move |line| {
            let output = match line {
                _ if line.starts_with("zfs list") && line.ends_with(" tank/x") => {
                    b"tank/x\tfilesystem\t/x\t-\t1\ntank/x@a\tsnapshot\t-\t-\t2\ntank/x/kid\tvolume\t-\t-\t3\n\
                      tank/x@b\tsnapshot\t-\t-\t4\n"
                        .to_vec()
                }
                _ if line.starts_with("zfs list") => return Answer::failure("cannot open: dataset does not exist"),
                "zfs send -i tank/x@a tank/x@b" => inc.clone(),
                _ if line.starts_with("zfs send") => full.clone(),
                _ => Vec::new(),
            };
            let failure = (!fails.is_empty() && line.starts_with(fails)).then(|| "injected".to_owned());
            let half = output.len() / 2;
            let output = if failure.is_some() { output[..half].to_vec() } else { output };
            Answer { output, failure, ..Answer::default() }
        })
    }

    fn run(host: &Recorded, name: &str, layers: Layers) -> (Result<Loaded>, Vec<String>) {
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel)
            .with_programs(Arc::new(host.clone()));
        let options = ReadOptions { layers, ..ReadOptions::default() };
        let loaded = read(&DatasetName::parse(name.as_bytes()).unwrap(), &options, &ctx);
        (loaded, ctx.losses().iter().map(ToString::to_string).collect())
    }

    /// What was asked after `zfs list`, without the digits of temporary names.
    fn asked(host: &Recorded) -> Vec<String> {
        let plain = |line: &String| line.split("@aurora-").next().map(str::to_owned).unwrap_or_default();
        host.log()[1..].iter().map(plain).collect()
    }

    #[test]
    fn what_is_named_is_sent() {
        let all = host("");
        let (loaded, losses) = run(&all, "tank/x@a..b", Layers::Keep);
        let Ok(Loaded::Filesystem(lineage)) = loaded else { panic!("a file system") };
        let guids: Vec<_> = lineage.steps.iter().map(|s| s.snapshot.as_ref().map(|s| s.guid)).collect();
        assert_eq!(guids, [Some(9_623_559_476_663_768_879), Some(581_719_088_942_506_706)]);
        assert_eq!(losses, ["oddity: a dataset of its own, and no part of this one: tank/x/kid"]);
        assert_eq!(asked(&all), ["zfs send tank/x@a", "zfs send -i tank/x@a tank/x@b"]);
        for name in ["tank/y", "tank/x@c", "tank/x@c..b"] {
            let none = host("");
            assert!(run(&none, name, Layers::Squash).0.is_err_and(|e| e.is_no_such_image()), "{name}");
            assert_eq!(asked(&none), [""; 0], "{name}");
        }
    }

    #[test]
    fn a_temporary_snapshot_leaves_neither_itself_nor_a_name() {
        let all = host("");
        let Ok(Loaded::Filesystem(lineage)) = run(&all, "tank/x", Layers::Squash).0 else {
            panic!("a file system")
        };
        let last = lineage.steps.last().unwrap();
        assert!(last.snapshot.is_none() && last.created.is_none() && lineage.image.created.is_none());
        let want = ["zfs snapshot tank/x", "zfs send tank/x", "zfs destroy tank/x"];
        assert_eq!(asked(&all), want);
        for (fails, want) in [("zfs send", &want[..]), ("zfs snapshot", &want[..1])] {
            let host = host(fails);
            let (loaded, _) = run(&host, "tank/x", Layers::Squash);
            let error = loaded.err().unwrap();
            assert!(matches!(error.kind(), ErrorKind::Command(e) if e.says("injected")), "{error}");
            assert_eq!(asked(&host), want);
        }
        let host = host("zfs destroy");
        let (loaded, losses) = run(&host, "tank/x", Layers::Squash);
        assert!(loaded.is_ok() && losses.iter().any(|l| l.contains("is still there")), "{losses:?}");
    }
}
