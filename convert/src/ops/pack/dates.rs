//! `SOURCE_DATE_EPOCH` (<https://reproducible-builds.org/specs/source-date-epoch/>).

use std::sync::Arc;

use aurora_formats::model::{EntryPath, Timestamp};

use crate::lineage::{Base, Lineage};

/// Dates the layers, and sets back what is newer: that is from the making of it. What the base has with the same time
/// keeps it. How many inodes of the last tree it was.
pub(super) fn no_later_than(lineage: &mut Lineage, base: Option<&Base>, latest: Timestamp) -> usize {
    let mut count = 0;
    for step in &mut lineage.steps {
        step.created = Some(latest);
        count = 0;
        let of_base = |path: &EntryPath| {
            base.and_then(|base| Some(base.tree.inode(base.tree.lookup(path)?).meta.mtime))
        };
        let newer: Vec<_> = step
            .tree
            .walk()
            .into_iter()
            .map(|(path, id)| (of_base(&path), step.tree.inode(id).meta.mtime, id))
            .filter(|(of_base, mtime, _)| *mtime > latest && *of_base != Some(*mtime))
            .map(|(_, _, id)| id)
            .collect();
        if newer.is_empty() {
            continue;
        }
        let tree = Arc::make_mut(&mut step.tree);
        for id in newer {
            let mtime = &mut tree.inode_mut(id).meta.mtime;
            // Of several names of one inode the first has done it.
            if *mtime > latest {
                *mtime = latest;
                count += 1;
            }
        }
        step.become_other(format_args!("times until {}.{:09}", latest.secs, latest.nanos));
    }
    count
}
