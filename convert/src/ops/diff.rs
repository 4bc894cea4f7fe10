//! Two trees, compared in the canonical listing's terms.

use std::collections::{BTreeMap, BTreeSet};

use super::list::listing;
use super::{Cell, ListRequest, Listing, Selection, cells, one_pipe, read_lifted};
use crate::lineage::Layers;
use crate::names::ImageName;
use crate::tree::ListOptions;
use crate::tree::place::Placement;
use crate::{Ctx, Error, Result};

/// What is compared.
#[derive(Debug, Clone, Default)]
pub struct DiffOptions {
    /// Which images the names mean; origins and platform serve both sides.
    pub selection: Selection,
    /// Where in a dataset, on either side, the root file system is; `None` tells it by its looks.
    pub placement: Option<Placement>,
    /// What of each entry.
    pub list: ListOptions,
    /// Keys to leave out; also `dir_mtime` (times of directories alone) and `root` (the entry `.`).
    pub ignore: Vec<String>,
}

/// Keys that can be left out.
const IGNORABLE: &[&str] = &[
    "mode",
    "uid",
    "gid",
    "mtime_ns",
    "size",
    "sha256",
    "target",
    "xattrs",
    "hardlink",
    "rdev",
    "dir_mtime",
    "root",
];

/// One difference.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Difference {
    /// Only in the first.
    OnlyA {
        /// The entry.
        path: String,
        /// Its type.
        kind: String,
    },
    /// Only in the second.
    OnlyB {
        /// The entry.
        path: String,
        /// Its type.
        kind: String,
    },
    /// In both, and not the same.
    Field {
        /// The entry.
        path: String,
        /// The key.
        field: &'static str,
        /// In the first.
        a: Option<Cell>,
        /// In the second.
        b: Option<Cell>,
    },
}

/// The result.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Entries of the first.
    pub entries_a: usize,
    /// Entries of the second.
    pub entries_b: usize,
    /// By path, then by key.
    pub differences: Vec<Difference>,
}

impl Comparison {
    /// How often each key differs, and how many are only on one side.
    pub fn counts(&self) -> BTreeMap<&'static str, usize> {
        let mut counts = BTreeMap::new();
        for difference in &self.differences {
            let what = match difference {
                Difference::OnlyA { .. } => "only in A",
                Difference::OnlyB { .. } => "only in B",
                Difference::Field { field, .. } => field,
            };
            *counts.entry(what).or_default() += 1;
        }
        counts
    }
}

/// Compares two images.
pub fn diff(a: &ImageName, b: &ImageName, options: &DiffOptions, ctx: &Ctx<'_>) -> Result<Comparison> {
    one_pipe(options.selection.origins.iter().chain([a, b]))?;
    if let Some(key) = options.ignore.iter().find(|key| !IGNORABLE.contains(&key.as_str())) {
        return Err(Error::usage(format!("--ignore takes {}; not {key}", IGNORABLE.join(", "))));
    }
    let request = ListRequest {
        selection: options.selection.clone(),
        placement: options.placement,
        layer: None,
        options: options.list,
    };
    let side = |name: &ImageName| -> Result<Side> {
        // They are given for the side that needs them, and the other may be of a form that has none.
        let mut selection = options.selection.clone();
        selection.origins.retain(|_| name.is_zfs());
        let loaded = read_lifted(name, &selection, Layers::Squash, options.placement, ctx)?;
        let listing = listing(&loaded, &request, ctx).map_err(|e| e.in_image(name.to_string()))?;
        Ok(table(&listing, &options.ignore))
    };
    Ok(compare(&side(a)?, &side(b)?))
}

/// Entries by path, each key by name.
type Side = BTreeMap<String, BTreeMap<&'static str, Cell>>;

fn table(listing: &Listing, ignore: &[String]) -> Side {
    let ignored = |key: &str| ignore.iter().any(|i| i == key);
    let rows = match listing {
        Listing::Tree(rows) => rows,
        Listing::Volume { size, sha256 } => {
            let mut row = BTreeMap::from([
                ("type", Cell::Text("volume".into())),
                ("size", Cell::Number((*size).into())),
            ]);
            row.extend(sha256.clone().map(|hex| ("sha256", Cell::Text(hex))));
            return BTreeMap::from([(".".to_owned(), row)]);
        }
        Listing::Layer(_) => return Side::new(),
    };
    let mut side = Side::new();
    for row in rows.iter().filter(|row| !(row.path == "." && ignored("root"))) {
        let mut row_cells: BTreeMap<_, _> = cells(row).into_iter().collect();
        row_cells.retain(|key, _| {
            !(ignored(key) || (*key == "mtime_ns" && row.kind == "dir" && ignored("dir_mtime")))
        });
        row_cells.remove("path");
        side.insert(row.path.clone(), row_cells);
    }
    side
}

fn compare(a: &Side, b: &Side) -> Comparison {
    let mut differences = Vec::new();
    let kind = |cells: &BTreeMap<&'static str, Cell>| match cells.get("type") {
        Some(Cell::Text(kind)) => kind.clone(),
        _ => String::new(),
    };
    for path in a.keys().chain(b.keys()).collect::<BTreeSet<_>>() {
        let path = path.clone();
        match (a.get(&path), b.get(&path)) {
            (Some(left), None) => differences.push(Difference::OnlyA { path, kind: kind(left) }),
            (None, Some(right)) => differences.push(Difference::OnlyB { path, kind: kind(right) }),
            (None, None) => {}
            (Some(left), Some(right)) => {
                for field in left.keys().chain(right.keys()).copied().collect::<BTreeSet<_>>() {
                    let (a, b) = (left.get(field).cloned(), right.get(field).cloned());
                    if a != b {
                        differences.push(Difference::Field { path: path.clone(), field, a, b });
                    }
                }
            }
        }
    }
    Comparison { entries_a: a.len(), entries_b: b.len(), differences }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::tree::Row;

    fn row(path: &str, kind: &'static str, mtime_ns: i128, size: Option<u64>) -> Row {
        Row {
            path: path.into(),
            kind,
            mode: "0644".into(),
            uid: 0,
            gid: 0,
            mtime_ns,
            size,
            sha256: None,
            target: None,
            xattrs: BTreeMap::new(),
            hardlink: None,
            rdev: None,
        }
    }

    #[test]
    fn differences_are_told_by_path_and_key() {
        let a = Listing::Tree(vec![
            row(".", "dir", 1, None),
            row("a", "file", 1, Some(1)),
            row("b", "fifo", 1, None),
            row("d", "dir", 5, None),
        ]);
        let b = Listing::Tree(vec![
            row(".", "dir", 2, None),
            row("a", "file", 2, Some(3)),
            row("c", "socket", 1, None),
            row("d", "file", 5, Some(0)),
        ]);
        let told = |ignore: &[&str]| {
            let ignore: Vec<String> = ignore.iter().map(|s| (*s).to_owned()).collect();
            let found = compare(&table(&a, &ignore), &table(&b, &ignore));
            let tell = |d: &Difference| match d {
                Difference::OnlyA { path, kind } => format!("-{path}:{kind}"),
                Difference::OnlyB { path, kind } => format!("+{path}:{kind}"),
                Difference::Field { path, field, .. } => format!("{path}.{field}"),
            };
            found.differences.iter().map(tell).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told(&[]), "..mtime_ns a.mtime_ns a.size -b:fifo +c:socket d.size d.type");
        assert_eq!(told(&["dir_mtime"]), "a.mtime_ns a.size -b:fifo +c:socket d.mtime_ns d.size d.type");
        assert_eq!(told(&["root", "mtime_ns", "size"]), "-b:fifo +c:socket d.type");
        let volume = Listing::Volume { size: 7, sha256: None };
        let found = compare(&table(&a, &[]), &table(&volume, &[]));
        assert_eq!((found.entries_a, found.entries_b), (4, 1));
        assert_eq!(found.counts()["only in A"], 3);
        assert_eq!(found.counts()["type"], 1);
    }
}
