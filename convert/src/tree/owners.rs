//! Owners on the way to a host whose numbers are others.

use std::fmt;
use std::str::FromStr;

use aurora_formats::model::{EntryPath, Owner};

use super::Tree;
use crate::{Ctx, Error, ErrorKind, Loss, LossKind, Result};

/// Numbers of an image that are others on the host: `IMAGE:HOST[:SIZE]`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct IdRange {
    /// The first, as the image has it.
    pub image: u32,
    /// The first, as the host has it.
    pub host: u32,
    /// How many.
    pub size: u32,
}

impl FromStr for IdRange {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let mut parts = text.split(':').map(str::parse::<u32>);
        let range = match (parts.next(), parts.next(), parts.next(), parts.next()) {
            (Some(Ok(image)), Some(Ok(host)), None, None) => Self { image, host, size: 1 },
            (Some(Ok(image)), Some(Ok(host)), Some(Ok(size)), None) if size > 0 => Self { image, host, size },
            _ => return Err(format!("IMAGE:HOST[:SIZE] is needed, not {text}")),
        };
        // The last number means "leave it" to every system.
        let ends = |first: u32| first.checked_add(range.size).is_some();
        if ends(range.image) && ends(range.host) {
            Ok(range)
        } else {
            Err(format!("beyond all numbers: {text}"))
        }
    }
}

impl fmt::Display for IdRange {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}:{}", self.image, self.host, self.size)
    }
}

/// What becomes of owners.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum OwnerMap {
    /// They stay.
    #[default]
    Same,
    /// Users and groups in these ranges are others; what is in none is an error. An empty list leaves them.
    Ranges {
        /// Of users.
        users: Vec<IdRange>,
        /// Of groups.
        groups: Vec<IdRange>,
    },
    /// All is this user's and this group's, who stand for root. That others owned it is lost.
    All(u32, u32),
}

/// What it does, in a spelling that stays: guids of snapshots are made from it.
impl fmt::Display for OwnerMap {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let ranges = |f: &mut fmt::Formatter<'_>, what: &str, ranges: &[IdRange]| {
            write!(f, "{what}")?;
            ranges.iter().try_for_each(|range| write!(f, " {range}"))
        };
        match self {
            Self::Same => f.write_str("same"),
            Self::Ranges { users, groups } => {
                ranges(f, "users", users)?;
                ranges(f, " groups", groups)
            }
            Self::All(uid, gid) => write!(f, "all {uid}:{gid}"),
        }
    }
}

impl OwnerMap {
    /// Ranges of which no two have a number in common, on either side: or there would be no way back.
    pub fn ranges(users: Vec<IdRange>, groups: Vec<IdRange>) -> Result<Self, String> {
        let meet = |a: u32, b: u32, one: &IdRange, other: &IdRange| {
            u64::from(a) < u64::from(b) + u64::from(other.size)
                && u64::from(b) < u64::from(a) + u64::from(one.size)
        };
        for list in [&users, &groups] {
            for (n, one) in list.iter().enumerate() {
                for other in &list[..n] {
                    if meet(one.image, other.image, one, other) || meet(one.host, other.host, one, other) {
                        return Err(format!("ranges of owners overlap: {other} and {one}"));
                    }
                }
            }
        }
        Ok(Self::Ranges { users, groups })
    }

    /// Changes the owners of a tree.
    pub fn apply(&self, tree: &mut Tree, ctx: &Ctx<'_>) -> Result<()> {
        if *self == Self::Same {
            return Ok(());
        }
        change(tree, |owner, path| self.map(owner, path, ctx).map_err(|e| e.at_entry(path)))
    }

    /// Turns what [`OwnerMap::apply`] did to a tree round. Of a tree where all was one user's, each name is again as `base`
    /// has it, and root's where it has none.
    pub fn turn_back(&self, tree: &mut Tree, base: Option<&Tree>, ctx: &Ctx<'_>) -> Result<()> {
        let turned = |ranges: &[IdRange]| -> Vec<IdRange> {
            ranges.iter().map(|r| IdRange { image: r.host, host: r.image, size: r.size }).collect()
        };
        let caller = match self {
            Self::Same => return Ok(()),
            Self::Ranges { users, groups } => {
                return Self::Ranges { users: turned(users), groups: turned(groups) }.apply(tree, ctx);
            }
            Self::All(uid, _) => *uid,
        };
        change(tree, |owner, path| {
            if owner.uid != caller {
                let detail = format!("{}:{}: all is root's", owner.uid, owner.gid);
                ctx.lose(Loss { path: Some(path.clone()), kind: LossKind::Owner, detail });
            }
            let of_base = base.and_then(|base| Some(base.inode(base.lookup(path)?).meta.owner));
            Ok(of_base.unwrap_or_default())
        })
    }

    fn map(&self, owner: Owner, path: &EntryPath, ctx: &Ctx<'_>) -> Result<Owner> {
        match self {
            Self::Same => Ok(owner),
            Self::Ranges { users, groups } => {
                Ok(Owner { uid: mapped("user", owner.uid, users)?, gid: mapped("group", owner.gid, groups)? })
            }
            Self::All(uid, gid) => {
                if owner != Owner::default() {
                    let detail = format!("{}:{}: all is root's", owner.uid, owner.gid);
                    ctx.lose(Loss { path: Some(path.clone()), kind: LossKind::Owner, detail });
                }
                Ok(Owner { uid: *uid, gid: *gid })
            }
        }
    }
}

/// Gives every inode another owner; of several names the first counts.
fn change(tree: &mut Tree, other: impl Fn(Owner, &EntryPath) -> Result<Owner>) -> Result<()> {
    let mut done = vec![false; tree.inode_count()];
    for (path, id) in tree.walk() {
        if std::mem::replace(&mut done[id.0 as usize], true) {
            continue;
        }
        let owner = tree.inode(id).meta.owner;
        let new = other(owner, &path)?;
        if new != owner {
            tree.inode_mut(id).meta.owner = new;
        }
    }
    Ok(())
}

fn mapped(what: &str, id: u32, ranges: &[IdRange]) -> Result<u32> {
    if ranges.is_empty() {
        return Ok(id);
    }
    let fits = |range: &&IdRange| id >= range.image && id - range.image < range.size;
    match ranges.iter().find(fits) {
        Some(range) => Ok(range.host + (id - range.image)),
        None => Err(Error::from(ErrorKind::Unsupported(format!("{what} {id} is in no range of the map")))),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use aurora_formats::model::Metadata;

    use super::*;
    use crate::tree::Kind;
    use crate::{Cancel, NoProgress, Options};

    fn owned(uid: u32, gid: u32) -> Metadata {
        Metadata { owner: Owner { uid, gid }, ..Metadata::default() }
    }

    fn mapped_tree(map: &OwnerMap) -> Result<(Vec<(u32, u32)>, usize)> {
        let mut tree = Tree::new(owned(0, 0));
        let dir = tree.add(owned(10, 20), Kind::Dir(Arc::default()));
        tree.link(Tree::ROOT, b"a", dir);
        let fifo = tree.add(owned(0, 5), Kind::Fifo);
        // Of two names there is one owner, mapped once.
        tree.link(dir, b"b", fifo);
        tree.link(dir, b"c", fifo);
        let cancel = Cancel::default();
        let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
        map.apply(&mut tree, &ctx)?;
        let owner = |id| (tree.inode(id).meta.owner.uid, tree.inode(id).meta.owner.gid);
        Ok((vec![owner(Tree::ROOT), owner(dir), owner(fifo)], ctx.losses().len()))
    }

    #[test]
    fn ranges_are_read() {
        let range = |image, host, size| Ok(IdRange { image, host, size });
        for (text, want) in [("0:1000", range(0, 1000, 1)), ("0:100000:65536", range(0, 100_000, 65536))] {
            assert_eq!(text.parse::<IdRange>(), want, "{text}");
        }
        for text in ["", "1", "1:2:0", "1:2:3:4", "a:b", "1:-1", "1:4294967295", "4294967000:0:300"] {
            assert!(text.parse::<IdRange>().is_err(), "{text}");
        }
    }

    #[test]
    fn owners_are_turned_back() {
        let tree = |a: (u32, u32), b: (u32, u32)| {
            let mut tree = Tree::new(owned(a.0, a.1));
            let fifo = tree.add(owned(b.0, b.1), Kind::Fifo);
            tree.link(Tree::ROOT, b"f", fifo);
            tree
        };
        let cancel = Cancel::default();
        let turned = |map: &OwnerMap, mut tree: Tree, base: Option<&Tree>| {
            let ctx = Ctx::new(Options::new(std::env::temp_dir()), &NoProgress, &cancel);
            map.turn_back(&mut tree, base, &ctx).unwrap();
            let owners: Vec<_> = tree.walk().iter().map(|(_, id)| tree.inode(*id).meta.owner.uid).collect();
            (owners, ctx.losses().len())
        };
        let ranges = OwnerMap::Ranges { users: vec!["0:1000:10".parse().unwrap()], groups: Vec::new() };
        assert_eq!(turned(&ranges, tree((1000, 0), (1003, 0)), None), (vec![0, 3], 0));
        let base = tree((5, 5), (6, 6));
        assert_eq!(turned(&OwnerMap::All(7, 7), tree((7, 7), (7, 9)), Some(&base)), (vec![5, 6], 0));
        assert_eq!(turned(&OwnerMap::All(7, 7), tree((7, 7), (8, 7)), None), (vec![0, 0], 1));
    }

    #[test]
    fn owners_are_mapped_or_refused() {
        assert_eq!(mapped_tree(&OwnerMap::Same).unwrap(), (vec![(0, 0), (10, 20), (0, 5)], 0));
        let users = vec!["0:1000:1".parse().unwrap(), "1:2001:100".parse().unwrap()];
        for (a, b) in [("0:5:1", "1:5:10"), ("0:5:2", "1:50:1"), ("4:0:4294967290", "0:4294967290:5")] {
            let ranges = vec![a.parse().unwrap(), b.parse().unwrap()];
            assert!(OwnerMap::ranges(Vec::new(), ranges).is_err(), "{a} {b}");
        }
        let map = OwnerMap::ranges(users.clone(), Vec::new()).unwrap();
        assert_eq!(mapped_tree(&map).unwrap().0, [(1000, 0), (2010, 20), (1000, 5)]);
        let map = OwnerMap::Ranges { users, groups: vec!["0:0:6".parse().unwrap()] };
        let e = mapped_tree(&map).unwrap_err();
        assert_eq!(e.to_string(), "a: the target can't hold this: group 20 is in no range of the map");
        assert_eq!(mapped_tree(&OwnerMap::All(7, 8)).unwrap(), (vec![(7, 8); 3], 2));
        assert_eq!(map.to_string(), "users 0:1000:1 1:2001:100 groups 0:0:6");
    }
}
