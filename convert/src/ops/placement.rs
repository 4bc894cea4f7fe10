//! Moves the trees of a lineage to where the target wants them.

use std::sync::Arc;

use aurora_engine::digest::Digest;

use crate::lineage::{Lineage, Snapshot};
use crate::names::ImageName;
use crate::tree::Tree;
use crate::tree::place::{self, Placement};
use crate::{Ctx, ErrorKind, Loss, LossKind, Result};

/// Places all trees as [`place`] does for a form that is no dataset: what is below `root/` becomes the root where it is
/// wanted, or where nothing is wanted and it looks like a zonepath.
pub(super) fn lift(
    lineage: &mut Lineage,
    src: &ImageName,
    wanted: Option<Placement>,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let Some(last) = lineage.steps.last() else { return Ok(()) };
    let found = || wanted.unwrap_or_else(|| place::detect(&last.tree));
    if src.is_zfs() && found() == Placement::Root { up(lineage, ctx) } else { Ok(()) }
}

/// Places all trees. `wanted` is where the root file system lies in the dataset: of the result if that is a ZFS
/// stream, else of the source; `None` leaves a stream written with its root at the top, and tells a zonepath
/// that is read by its looks. A SmartOS image is always written as a zonepath.
pub(crate) fn place(
    lineage: &mut Lineage,
    src: &ImageName,
    dst: &ImageName,
    wanted: Option<Placement>,
    ctx: &Ctx<'_>,
) -> Result<()> {
    let Some(last) = lineage.steps.last() else { return Ok(()) };
    if !dst.is_zfs() {
        return lift(lineage, src, wanted, ctx);
    }
    let found = || if src.is_zfs() { place::detect(&last.tree) } else { Placement::Top };
    let wanted = match dst {
        ImageName::Smartos { .. } => wanted.or(Some(Placement::Root)),
        _ => wanted,
    };
    match wanted {
        // From one dataset to another: as it is, unless something else is asked for.
        None => Ok(()),
        Some(Placement::Root) if found() == Placement::Top => {
            down(lineage);
            Ok(())
        }
        Some(Placement::Top) if found() == Placement::Root => up(lineage, ctx),
        Some(_) => Ok(()),
    }
}

fn down(lineage: &mut Lineage) {
    // An inode keeps its number from step to step, so the directory `root` needs one that is free in all.
    let free = lineage.steps.iter().map(|step| step.tree.inode_count()).max().unwrap_or(0);
    for step in &mut lineage.steps {
        let mut tree = Tree::clone(&step.tree);
        tree.fill_to(free);
        step.tree = Arc::new(place::to_root(&tree));
        step.chain_id = Digest::sha256(format!("aurora: below root/: {}", step.chain_id).as_bytes());
        if let Some(snapshot) = &mut step.snapshot {
            snapshot.guid = other_guid(snapshot.guid);
        }
    }
}

/// What a snapshot's guid is turned by when its tree is moved.
const MOVED: u64 = 0x6175_726f_7261_2f72;

/// Another tree is another snapshot: under the old guid a receiver would take increments that do not fit. Moved
/// twice it is the old one again, so that a trip through OCI leads back to the same stream.
fn other_guid(guid: u64) -> u64 {
    // Guids are never 0.
    if guid == MOVED { guid } else { guid ^ MOVED }
}

fn up(lineage: &mut Lineage, ctx: &Ctx<'_>) -> Result<()> {
    let last = lineage.steps.len().saturating_sub(1);
    for (i, step) in lineage.steps.iter_mut().enumerate() {
        let (tree, beside) = match place::to_top(&step.tree) {
            Some(found) => found,
            // A snapshot from before the zone was installed.
            None if i < last => (Tree::new(step.tree.inode(Tree::ROOT).meta.clone()), Vec::new()),
            None => {
                return Err(ErrorKind::Unsupported(
                    "no directory `root` that the root file system could be in; use --placement top".into(),
                )
                .into());
            }
        };
        let again = place::to_root(&tree);
        let is_whole = beside.is_empty() && again.inode(Tree::ROOT).meta == step.tree.inode(Tree::ROOT).meta;
        step.snapshot = step
            .snapshot
            .take()
            .filter(|_| is_whole)
            .map(|snapshot| Snapshot { guid: other_guid(snapshot.guid), ..snapshot });
        step.tree = Arc::new(tree);
        if i == last {
            for path in beside {
                let detail = "beside root/ of the zonepath: no part of the root file system".to_owned();
                ctx.lose(Loss { path: Some(path), kind: LossKind::Config, detail });
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use aurora_formats::model::Metadata;

    use super::*;
    use crate::image::Image;
    use crate::lineage::Step;
    use crate::tree::{Kind, ListOptions, rows};
    use crate::{Cancel, NoProgress, Options};

    fn tree(paths: &[&str]) -> Tree {
        let mut tree = Tree::new(Metadata { mode: 0o755, ..Metadata::default() });
        for path in paths {
            let mut dir = Tree::ROOT;
            for name in path.split('/') {
                dir = tree.child(dir, name.as_bytes()).unwrap_or_else(|| {
                    let meta = Metadata { mode: 0o755, ..Metadata::default() };
                    let id = tree.add(meta, Kind::Dir(Arc::default()));
                    tree.link(dir, name.as_bytes(), id);
                    id
                });
            }
        }
        tree
    }

    fn lineage(trees: Vec<Tree>) -> Lineage {
        let step = |tree| Step {
            tree: Arc::new(tree),
            chain_id: Digest::sha256(b""),
            snapshot: None,
            created: None,
            created_by: None,
        };
        Lineage { image: Image::default(), steps: trees.into_iter().map(step).collect() }
    }

    fn paths(lineage: &Lineage, ctx: &Ctx<'_>) -> Vec<Vec<String>> {
        let list = |s: &Step| {
            rows(&s.tree, ListOptions::default(), ctx).unwrap().into_iter().map(|r| r.path).collect()
        };
        lineage.steps.iter().map(list).collect()
    }

    #[test]
    fn trees_go_where_they_are_wanted() {
        let zone = ["cores", "root/bin", "root/etc"];
        let flat = ["bin", "etc"];
        use Placement::{Root, Top};
        let (zone, flat) = (&zone[..], &flat[..]);
        let cases = [
            ("zfs:a", "oci:b", None, zone, ". bin etc"),
            ("zfs:a", "oci:b", None, flat, ". bin etc"),
            ("zfs:a", "tar:b", Some(Top), zone, ". cores root root/bin root/etc"),
            ("zfs:a", "dir:b", Some(Root), zone, ". bin etc"),
            ("zfs:a", "dir:b", Some(Root), flat, "error"),
            ("zfs:a", "zfs:b", None, zone, ". cores root root/bin root/etc"),
            ("zfs:a", "zfs:b", Some(Top), zone, ". bin etc"),
            ("zfs:a", "zfs:b", Some(Root), zone, ". cores root root/bin root/etc"),
            ("zfs:a", "zfs:b", Some(Root), flat, ". root root/bin root/etc"),
            ("oci:a", "zfs:b", None, flat, ". bin etc"),
            ("oci:a", "zfs:b", Some(Root), flat, ". root root/bin root/etc"),
            // What an image has below /root is the superuser's own, whatever it looks like.
            ("oci:a", "zfs:b", Some(Root), zone, ". root root/cores root/root root/root/bin root/root/etc"),
            ("oci:a", "zfs:b", Some(Top), zone, ". cores root root/bin root/etc"),
        ];
        let cancel = Cancel::default();
        for (src, dst, wanted, before, want) in cases {
            let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
            let mut lineage = lineage(vec![tree(before)]);
            let placed = place(&mut lineage, &src.parse().unwrap(), &dst.parse().unwrap(), wanted, &ctx);
            let got = match placed {
                Ok(()) => paths(&lineage, &ctx)[0].join(" "),
                Err(_) => "error".to_owned(),
            };
            assert_eq!(got, want, "{src} {dst} {wanted:?}");
            let lost = want.starts_with(". bin") && before.contains(&"cores");
            assert_eq!(ctx.losses().len(), usize::from(lost), "{src} {dst} {wanted:?}");
        }
    }

    #[test]
    fn the_directory_root_is_one_inode_in_all_steps() {
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
        let mut chain = lineage(vec![tree(&["bin"]), tree(&["bin", "etc", "usr"])]);
        let (src, dst) = ("oci:a".parse().unwrap(), "zfs:b".parse().unwrap());
        place(&mut chain, &src, &dst, Some(Placement::Root), &ctx).unwrap();
        let ids: Vec<_> = chain.steps.iter().map(|s| s.tree.child(Tree::ROOT, b"root")).collect();
        assert!(ids[0].is_some() && ids[0] == ids[1], "{ids:?}");
        assert_eq!(paths(&chain, &ctx)[0], [".", "root", "root/bin"]);

        // Another tree is another snapshot, and the way back leads to the first.
        let dataset = |guid| Some(Snapshot { name: b"t@s".to_vec(), guid, creation_time: 1 });
        chain.steps[0].snapshot = dataset(7);
        chain.steps[1].snapshot = dataset(8);
        let (zfs, oci): (ImageName, ImageName) = ("zfs:a".parse().unwrap(), "oci:a".parse().unwrap());
        place(&mut chain, &zfs, &oci, None, &ctx).unwrap();
        let guids = |chain: &Lineage| -> Vec<_> {
            chain.steps.iter().map(|s| s.snapshot.as_ref().map(|s| s.guid)).collect()
        };
        let moved = guids(&chain);
        assert!(moved[0].is_some_and(|g| g != 7) && moved[0] != moved[1], "{moved:?}");
        place(&mut chain, &oci, &zfs, Some(Placement::Root), &ctx).unwrap();
        assert_eq!(guids(&chain), [Some(7), Some(8)]);
        // Unless something was left behind.
        let mut zone = lineage(vec![tree(&["cores", "root/bin"])]);
        zone.steps[0].snapshot = dataset(7);
        place(&mut zone, &zfs, &oci, None, &ctx).unwrap();
        assert_eq!(guids(&zone), [None]);

        // A zonepath's first snapshot may be empty.
        let mut chain = lineage(vec![tree(&[]), tree(&["root/bin"])]);
        place(&mut chain, &"zfs:a".parse().unwrap(), &"oci:b".parse().unwrap(), None, &ctx).unwrap();
        assert_eq!(paths(&chain, &ctx), [vec!["."], vec![".", "bin"]]);
    }
}
