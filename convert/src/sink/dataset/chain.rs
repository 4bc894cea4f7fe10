//! A chain of layers as a dataset. What was received of it before, and cut, is gone on from. If asked for, it shares with
//! others of its pool what they have in common: the layers that are snapshots already are cloned, and only those above are
//! received.
//!
//! A layer is known by two things: its snapshot's guid, which is made from all that the stream holds, and its chainID,
//! a property that is set on what was received here. Somebody who receives our stream elsewhere has the one without
//! the other, and a snapshot with another's property is none of ours.

use aurora_engine::digest::{Algorithm, Hasher};
use aurora_engine::host::{Marked, Property};

use super::Family;
use super::partial::{PARTIAL, Partial};
use crate::sink::zfs::{Chain, Link};
use crate::sink::{Outcome, WriteOptions};
use crate::{Ctx, Result};

/// The property of a snapshot that tells its chainID.
const CHAIN_ID: &str = "aurora:chain-id";

/// One dataset of what is written.
struct Member<'f> {
    chain: Chain<'f>,
    /// Behind the name of the whole: nothing, or `/` and a name.
    below: String,
    properties: &'f [Property],
    /// How many of its snapshots are another dataset's, and the last of them.
    shared: usize,
    origin: Option<String>,
}

/// Writes an image as a dataset that is not there yet, and its volumes as children of it.
pub(super) fn write(
    family: &Family<'_>,
    dataset: &str,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let top = (family.lineage, String::new(), &*family.properties);
    let children = family.children.iter();
    let children = children.map(|child| (&child.lineage, format!("/{}", child.name), &*child.properties));
    let pool = dataset.split('/').next().unwrap_or_default();
    let marked = if options.share_layers { ctx.zfs().marked(pool, CHAIN_ID)? } else { Vec::new() };
    let mut members = Vec::new();
    for (lineage, below, properties) in std::iter::once(top).chain(children) {
        let chain = Chain::new(lineage, options.target, ctx)?;
        let (shared, origin) = find(&chain.links(), &marked)
            .map_or((0, None), |(number, snapshot)| (number + 1, Some(snapshot)));
        members.push(Member { chain, below, properties, shared, origin });
    }
    ctx.progress.phase("writing stream");
    let mut partial = Partial::of(dataset, id(&members), ctx);
    let mut facts = Vec::new();
    for (number, member) in members.iter().enumerate() {
        let mut told = receive(member, &mut partial, options, ctx)?;
        if number == 0 {
            facts.append(&mut told);
        } else {
            let child = &family.children[number - 1];
            facts.push((format!("volume /{}", child.path), format!("{dataset}{}", member.below)));
        }
    }
    options.may_commit(ctx)?;
    facts.insert(0, ("bytes".to_owned(), partial.bytes.to_string()));
    partial.commit(dataset)?;
    Ok(Outcome { facts })
}

/// What the whole is known by while it is not whole yet.
fn id(members: &[Member<'_>]) -> u64 {
    let last_guid = |member: &Member<'_>| member.chain.links().last().map_or(0, |last| last.guid);
    if let [only] = members
        && only.properties.is_empty()
    {
        return last_guid(only);
    }
    let mut hasher = Hasher::new(Algorithm::Sha256);
    for member in members {
        hasher.update(format!("{} {:x}", member.below, last_guid(member)).as_bytes());
        for property in member.properties {
            hasher.update(format!("\0{property}").as_bytes());
        }
        hasher.update(b"\n");
    }
    let digest = hasher.finish();
    let hex = digest.hex();
    u64::from_str_radix(&hex[..16], 16).unwrap_or_default()
}

/// Sees to one dataset; what is to be told of it.
fn receive(
    member: &Member<'_>,
    partial: &mut Partial<'_>,
    options: &WriteOptions,
    ctx: &Ctx<'_>,
) -> Result<Vec<(String, String)>> {
    let (links, shared, below) = (member.chain.links(), member.shared, &*member.below);
    let mut facts = Vec::new();
    if options.share_layers {
        facts.push(("snapshots".to_owned(), links.len().to_string()));
    }
    if let Some(origin) = &member.origin {
        facts.push(("shared".to_owned(), shared.to_string()));
        facts.push(("origin".to_owned(), origin.clone()));
    }
    if let Some(origin) = member.origin.as_deref().filter(|_| shared == links.len()) {
        // The snapshot is the origin's.
        partial.clone_of(origin, below, member.properties)?;
        return Ok(facts);
    }
    let there = partial.there(below, &links[shared..])?;
    let dataset = format!("{}{below}", partial.name);
    let mark = |link: &Link<'_>| {
        if !options.share_layers {
            return Ok(());
        }
        let snapshot = format!("{dataset}@{}", link.name);
        Ok(ctx.zfs().set(&snapshot, CHAIN_ID, &link.chain_id.to_string())?)
    };
    // What was interrupted may have left the last one without its mark.
    links[shared..].iter().take(there.whole).try_for_each(mark)?;
    if there.whole > 0 || there.resume.is_some() {
        facts.push(("resumed behind".to_owned(), format!("{} snapshots", there.whole)));
        facts.extend(there.resume.map(|at| ("resumed at".to_owned(), format!("object {}", at.object))));
    }
    member.chain.write_behind(shared, there, ctx, &mut |number, _, write| {
        let is_first = number == shared;
        let origin = member.origin.as_deref().filter(|_| is_first);
        let properties = if is_first { member.properties } else { &[] };
        partial.receive(below, origin, properties, |writer| write(writer))?;
        mark(&links[number])
    })?;
    if let Some(last) = links.last() {
        facts.push(("snapshot".to_owned(), last.name.clone()));
        facts.push(("guid".to_owned(), last.guid.to_string()));
    }
    Ok(facts)
}

/// The highest layer that is among the marked snapshots of the pool, and its snapshot.
fn find(links: &[Link<'_>], marked: &[Marked]) -> Option<(usize, String)> {
    for (number, link) in links.iter().enumerate().rev() {
        let chain_id = link.chain_id.to_string();
        // What is being received may go again.
        let found = marked.iter().find(|snapshot| {
            snapshot.guid == link.guid
                && snapshot.mark.as_deref() == Some(&*chain_id)
                && !snapshot.name.contains(PARTIAL)
        });
        if let Some(found) = found {
            return Some((number, found.name.clone()));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_engine::digest::Digest;
    use aurora_engine::host::{Answer, Recorded};
    use aurora_formats::model::Metadata;

    use super::*;
    use crate::image::Image;
    use crate::lineage::{Lineage, Step};
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
        let lineage_of = lineage(layers);
        let family = Family { lineage: &lineage_of, properties: Vec::new(), children: Vec::new() };
        let options = WriteOptions { share_layers: true, ..WriteOptions::default() };
        let outcome = write(&family, "t/x", &options, &ctx).ok();

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
        assert_eq!(
            asked,
            [
                "zfs clone -o canmount=noauto t/a@final t/x-partial",
                "zfs set canmount=on t/x-partial",
                "zfs rename t/x-partial t/x"
            ]
        );
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
