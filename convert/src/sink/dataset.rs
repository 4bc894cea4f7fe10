//! Writes datasets of this host: our stream into `zfs receive`, under a temporary name beside the final one, which the
//! dataset gets when it is whole. It is not mounted.

mod chain;
mod files;
mod partial;

use aurora_engine::host::Property;
use aurora_formats::model::EntryPath;

use crate::lineage::{Lineage, Loaded};
use crate::names::DatasetName;
use crate::sink::{Outcome, WriteOptions, zfs};
use crate::source::dataset::is_absent;
use crate::{Ctx, Error, ErrorKind, Result};
pub(crate) use files::write as write_files;
use partial::Partial;

/// An image whose volumes are datasets of their own.
pub(crate) struct Family<'l> {
    /// Without what is in the volumes.
    pub(crate) lineage: &'l Lineage,
    /// Of the dataset.
    pub(crate) properties: Vec<Property>,
    /// The volumes, parents first.
    pub(crate) children: Vec<Child>,
}

/// A volume.
pub(crate) struct Child {
    /// Where it is in the image.
    pub(crate) path: EntryPath,
    /// Of the dataset, below that of the image.
    pub(crate) name: String,
    /// Of the dataset.
    pub(crate) properties: Vec<Property>,
    /// What is in it.
    pub(crate) lineage: Lineage,
}

/// Writes an image as a dataset that is not there yet; every step of it becomes a snapshot.
pub fn write(loaded: &Loaded, name: &DatasetName, options: &WriteOptions, ctx: &Ctx<'_>) -> Result<Outcome> {
    let volume = match loaded {
        Loaded::Filesystem(lineage) => {
            let family = Family { lineage, properties: Vec::new(), children: Vec::new() };
            return write_family(&family, name, options, ctx);
        }
        Loaded::Volume(volume) => volume,
    };
    let dataset = new_name(name, ctx)?;
    let mut partial = Partial::new(dataset, ctx)?;
    let outcome = partial.receive("", None, &[], |writer| {
        let outcome = zfs::write_volume_over(volume, writer, "zfs receive", ctx)?;
        options.may_commit(ctx)?;
        Ok(outcome)
    })?;
    partial.commit(dataset)?;
    Ok(with_name(outcome, dataset))
}

/// The same with volumes.
pub(crate) fn write_family(
    family: &Family<'_>,
    name: &DatasetName,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let dataset = new_name(name, ctx)?;
    Ok(with_name(chain::write(family, dataset, options, ctx)?, dataset))
}

/// A name that nothing has.
fn new_name<'n>(name: &'n DatasetName, ctx: &Ctx<'_>) -> Result<&'n str> {
    let dataset = name.dataset();
    if !dataset.contains('/') {
        return Err(Error::usage(format!("the top of a pool is there already; dataset:{dataset}/NAME")));
    }
    if is_there(dataset, ctx)? {
        return Err(ErrorKind::Exists(format!("dataset:{dataset}")).into());
    }
    Ok(dataset)
}

/// The stream's name for a snapshot is not what it has become.
fn with_name(mut outcome: Outcome, dataset: &str) -> Outcome {
    for (_, value) in outcome.facts.iter_mut().filter(|(fact, _)| fact == "snapshot") {
        let snapshot = value.rsplit('@').next().unwrap_or_default();
        *value = format!("{dataset}@{snapshot}");
    }
    outcome
}

fn is_there(dataset: &str, ctx: &Ctx<'_>) -> Result<bool> {
    match ctx.zfs().list(dataset) {
        Ok(_) => Ok(true),
        Err(e) if is_absent(&e) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_engine::digest::Digest;
    use aurora_engine::host::{Answer, Recorded};
    use aurora_formats::model::Metadata;

    use super::*;
    use crate::image::Image;
    use crate::lineage::Step;
    use crate::tree::Tree;
    use crate::{Cancel, NoProgress, Options};
    use crate::{Loss, LossKind};

    /// A pool that has `tank/there`; `fails` is the beginning of a command.
    fn host(fails: &'static str) -> Recorded {
        Recorded::new(move |line| match line {
            _ if !fails.is_empty() && line.starts_with(fails) => Answer::failure("injected"),
            _ if line.ends_with(" tank/there") => Answer::output("tank/there\tvolume\t-\t-\t1\n"),
            _ if line.starts_with("zfs list") => Answer::failure("cannot open: dataset does not exist"),
            _ => Answer::default(),
        })
    }

    fn run(host: &Recorded, name: &str, strict: bool) -> Result<Outcome> {
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel)
            .with_programs(Arc::new(host.clone()));
        if strict {
            ctx.lose(Loss { path: None, kind: LossKind::Config, detail: "something".into() });
        }
        let tree = Arc::new(Tree::new(Metadata::default()));
        let chain_id = Digest::sha256(b"");
        let step = Step { tree, chain_id, snapshot: None, created: None, created_by: None };
        let loaded = Loaded::Filesystem(Lineage { image: Image::default(), steps: vec![step] });
        let options = WriteOptions { strict, ..WriteOptions::default() };
        write(&loaded, &DatasetName::parse(name.as_bytes()).unwrap(), &options, &ctx)
    }

    /// What was asked after the two `zfs list`, without the digits of the temporary name.
    fn asked(host: &Recorded) -> Vec<String> {
        let plain = |word: &str| word.split("aurora-").next().unwrap_or_default().to_owned();
        host.log()[2..].iter().map(|line| line.split(' ').map(plain).collect::<Vec<_>>().join(" ")).collect()
    }

    #[test]
    fn a_dataset_is_whole_or_destroyed() {
        let (receive, rename) = ("zfs receive -s -u tank/x-partial-", "zfs rename tank/x-partial- tank/x");
        let destroy = "zfs destroy -r tank/x-partial-";
        let all = host("");
        let outcome = run(&all, "tank/x", false).unwrap();
        assert!(outcome.facts.contains(&("snapshot".into(), "tank/x@final".into())), "{:?}", outcome.facts);
        assert_eq!(asked(&all), [receive, rename]);
        assert!(all.received().len() > 312);
        for (fails, strict, want) in [
            ("zfs receive", false, &[receive, destroy][..]),
            ("zfs rename", false, &[receive, rename, destroy]),
            ("", true, &[receive, destroy]),
        ] {
            let host = host(fails);
            assert!(run(&host, "tank/x", strict).is_err());
            assert_eq!(asked(&host), want, "{fails}");
        }
    }

    #[test]
    fn what_is_there_stays() {
        let host = host("");
        let error = run(&host, "tank/there", false).unwrap_err();
        assert!(matches!(error.kind(), ErrorKind::Exists(_)), "{error}");
        assert_eq!(host.log().len(), 1);
        assert!(matches!(run(&host, "tank", false).unwrap_err().kind(), ErrorKind::Usage(_)));
    }
}
