//! A chain of layers as a dataset. What was received of it before, and cut, is gone on from. If asked for, it shares with
//! others of its pool what they have in common: the layers that are snapshots already are cloned, and only those above are
//! received.
//!
//! A layer is known by two things: its snapshot's guid, which is made from all that the stream holds, and its chainID,
//! a property that is set on what was received here. Somebody who receives our stream elsewhere has the one without
//! the other, and a snapshot with another's property is none of ours.

use super::partial::{PARTIAL, Partial};
use crate::lineage::Lineage;
use crate::sink::zfs::{Chain, Link};
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, Result};

/// The property of a snapshot that tells its chainID.
const CHAIN_ID: &str = "aurora:chain-id";

/// Writes an image as a dataset that is not there yet.
pub(super) fn write(
    lineage: &Lineage,
    dataset: &str,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let chain = Chain::new(lineage, options.target, ctx)?;
    let links = chain.links();
    let found = if options.share_layers { find(&links, dataset, ctx)? } else { None };
    let (shared, origin) = found.map_or((0, None), |(number, snapshot)| (number + 1, Some(snapshot)));
    let mut facts = Vec::new();
    if options.share_layers {
        facts.push(("snapshots".to_owned(), links.len().to_string()));
    }
    if let Some(origin) = &origin {
        facts.push(("shared".to_owned(), shared.to_string()));
        facts.push(("origin".to_owned(), origin.clone()));
    }
    if let Some(origin) = origin.as_deref().filter(|_| shared == links.len()) {
        options.may_commit(ctx)?;
        // The snapshot is the origin's.
        ctx.zfs().clone_of(origin, dataset)?;
        return Ok(Outcome { facts });
    }
    ctx.progress.phase("writing stream");
    let (mut partial, there) = Partial::of(dataset, &links[shared..], ctx)?;
    let mark = |partial: &Partial<'_>, link: &Link<'_>| {
        if !options.share_layers {
            return Ok(());
        }
        let snapshot = format!("{}@{}", partial.name, link.name);
        Ok(ctx.zfs().set(&snapshot, CHAIN_ID, &link.chain_id.to_string())?)
    };
    // What was interrupted may have left the last one without its mark.
    links[shared..].iter().take(there.whole).try_for_each(|link| mark(&partial, link))?;
    if there.whole > 0 || there.resume.is_some() {
        facts.push(("resumed behind".to_owned(), format!("{} snapshots", there.whole)));
        facts.extend(there.resume.map(|at| ("resumed at".to_owned(), format!("object {}", at.object))));
    }
    chain.write_behind(shared, there, ctx, &mut |number, _, write| {
        let origin = origin.as_deref().filter(|_| number == shared);
        partial.receive(origin, |writer| {
            write(writer)?;
            if number + 1 == links.len() { options.may_commit(ctx) } else { Ok(()) }
        })?;
        mark(&partial, &links[number])
    })?;
    if there.whole == links.len() - shared {
        options.may_commit(ctx)?;
    }
    facts.insert(0, ("bytes".to_owned(), partial.bytes.to_string()));
    partial.commit(dataset)?;
    if let Some(last) = links.last() {
        facts.push(("snapshot".to_owned(), last.name.clone()));
        facts.push(("guid".to_owned(), last.guid.to_string()));
    }
    Ok(Outcome { facts })
}

/// The highest layer that the pool has, and its snapshot.
fn find(links: &[Link<'_>], dataset: &str, ctx: &Ctx<'_>) -> Result<Option<(usize, String)>> {
    let pool = dataset.split('/').next().unwrap_or_default();
    let there = ctx.zfs().marked(pool, CHAIN_ID)?;
    for (number, link) in links.iter().enumerate().rev() {
        let chain_id = link.chain_id.to_string();
        // What is being received may go again.
        let found = there.iter().find(|snapshot| {
            snapshot.guid == link.guid
                && snapshot.mark.as_deref() == Some(&*chain_id)
                && !snapshot.name.contains(PARTIAL)
        });
        if let Some(found) = found {
            return Ok(Some((number, found.name.clone())));
        }
    }
    Ok(None)
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

    fn lineage(layers: usize) -> Lineage {
        let tree = Arc::new(Tree::new(Metadata::default()));
        let chain_id = |n: usize| Digest::sha256(n.to_string().as_bytes());
        let step = |n| Step {
            tree: tree.clone(),
            chain_id: chain_id(n),
            snapshot: None,
            created: None,
            created_by: None,
        };
        Lineage { image: Image::default(), steps: (0..layers).map(step).collect() }
    }

    /// What is asked for a pool with these snapshots, temporary names cut; and the facts.
    fn run(pool: String, layers: usize, fails: &'static str) -> (Vec<String>, Option<Outcome>) {
        run_with(pool, String::new(), layers, fails)
    }

    /// With a partial dataset of which `partial` is listed.
    fn run_with(
        pool: String,
        partial: String,
        layers: usize,
        fails: &'static str,
    ) -> (Vec<String>, Option<Outcome>) {
        let host = Recorded::new(move |line| match line {
            _ if fails == "killed" && line.starts_with("zfs receive") => Answer::killed(),
            _ if line.contains(" -d 1 ") && line.contains("t/x-partial") && !partial.is_empty() => {
                let name = line.rsplit(' ').next().unwrap_or_default();
                Answer::output(partial.replace("NAME", name))
            }
            _ if line.starts_with("zfs get") => Answer::output("-\n"),
            _ if !fails.is_empty() && line.starts_with(fails) => Answer::failure("injected"),
            _ if line.contains(" -t snapshot ") => Answer::output(pool.as_str()),
            _ if line.starts_with("zfs list") => Answer::failure("dataset does not exist"),
            _ => Answer::default(),
        });
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel)
            .with_programs(Arc::new(host.clone()));
        let outcome = write(
            &lineage(layers),
            "t/x",
            &WriteOptions { share_layers: true, ..WriteOptions::default() },
            &ctx,
        )
        .ok();
        let plain = |line: String| {
            let mut line = line.replace(&lineage(3).steps[2].chain_id.to_string(), "ID3");
            while let Some(at) = line.find("-aurora-") {
                let end = line[at..].find(['@', ' ']).map_or(line.len(), |end| at + end);
                line.replace_range(at..end, "");
            }
            line
        };
        let log = host.log().into_iter().map(plain).filter(|line| !line.starts_with("zfs list"));
        (log.collect(), outcome)
    }

    fn snapshots(layers: usize, name: &str) -> String {
        let (lineage, cancel) = (lineage(layers), Cancel::default());
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
        let chain = Chain::new(&lineage, WriteOptions::default().target, &ctx).unwrap();
        let line = |l: &Link<'_>| format!("{name}@{}\t{}\t{}\n", l.name, l.guid, l.chain_id);
        chain.links().iter().map(line).collect()
    }

    #[test]
    fn only_what_the_pool_lacks_is_received() {
        let (asked, outcome) = run(snapshots(2, "t/a"), 3, "");
        let want = [
            "zfs receive -s -u -o origin=t/a@final t/x-partial",
            "zfs set aurora:chain-id=ID3 t/x-partial@final",
            "zfs rename t/x-partial t/x",
        ];
        assert_eq!(asked, want);
        assert!(outcome.unwrap().facts.contains(&("shared".to_owned(), "2".to_owned())));
        let (asked, _) = run(snapshots(3, "t/a"), 3, "");
        assert_eq!(asked, ["zfs clone t/a@final t/x", "zfs unmount t/x"]);
        // Neither what lacks the property, nor what has another's, nor what is not whole yet.
        let marked = snapshots(3, "t/a");
        let unmarked: String =
            marked.lines().map(|l| format!("{}\t-\n", l.rsplit_once('\t').unwrap().0)).collect();
        let other: String =
            marked.lines().map(|l| format!("{}\tx\n", l.rsplit_once('\t').unwrap().0)).collect();
        for pool in [unmarked, other, snapshots(3, "t/a-partial-aurora-1-2")] {
            let (asked, _) = run(pool, 3, "");
            assert_eq!(asked.len(), 7, "{asked:?}");
            assert_eq!(asked[0], "zfs receive -s -u t/x-partial");
        }
    }

    #[test]
    fn what_was_begun_is_gone_on_with() {
        let listed = |whole: usize, other: u64| -> String {
            let snapshot = |line: &str| {
                let mut fields = line.split('\t');
                let (name, guid) = (fields.next().unwrap(), fields.next().unwrap().parse::<u64>().unwrap());
                format!("{name}\tsnapshot\t-\t-\t{}\n", guid ^ other)
            };
            let snapshots: String = snapshots(2, "NAME").lines().take(whole).map(snapshot).collect();
            format!("NAME\tfilesystem\t-\t-\t1\n{snapshots}")
        };
        let (asked, outcome) = run_with(String::new(), listed(1, 0), 2, "");
        let receive = asked.iter().filter(|line| line.starts_with("zfs receive")).count();
        assert_eq!((receive, asked.len()), (1, 5), "{asked:?}");
        assert!(asked[0].starts_with("zfs get") && asked[1].starts_with("zfs set aurora:chain-id="));
        assert!(outcome.unwrap().facts.contains(&("resumed behind".into(), "1 snapshots".into())));
        // All is there, but for the name.
        let (asked, outcome) = run_with(String::new(), listed(2, 0), 2, "");
        assert_eq!((asked.len(), outcome.is_some()), (4, true), "{asked:?}");
        // Something else under this name, or nothing that can be gone on with, makes room.
        for (whole, other) in [(2, 8), (0, 0)] {
            let (asked, outcome) = run_with(String::new(), listed(whole, other), 2, "");
            let first = asked.iter().find(|line| !line.starts_with("zfs get"));
            assert_eq!(first.map(String::as_str), Some("zfs destroy -r t/x-partial"), "{asked:?}");
            assert!(outcome.is_some());
        }
        // A receiver that was killed leaves what it has.
        let (asked, outcome) = run_with(String::new(), listed(1, 0), 2, "killed");
        assert!(outcome.is_none() && !asked.iter().any(|line| line.contains("destroy")), "{asked:?}");
    }

    #[test]
    fn what_fails_in_the_middle_is_undone() {
        for fails in ["zfs set", "zfs rename", "zfs receive -s -u -o"] {
            let (asked, outcome) = run(snapshots(1, "t/a"), 3, fails);
            assert!(outcome.is_none());
            assert_eq!(
                asked.last().map(String::as_str),
                Some("zfs destroy -r t/x-partial"),
                "{fails}: {asked:?}"
            );
        }
    }
}
