//! Images as lines of columns, as imgadm prints them.

use std::cmp::Ordering;
use std::str::FromStr;

use aurora_formats::smartos::{Json, Manifest, parse_iso};

/// What `avail` shows unless told.
pub const AVAIL_COLUMNS: &str = "uuid,name,version,os,type,pub";
/// Columns that are computed; any field of a manifest is one as well.
const COMPUTED: &[&str] = &["pub", "published", "published_date", "source", "size", "tags"];
/// The fields that manifests have.
const FIELDS: &[&str] = &[
    "v",
    "uuid",
    "owner",
    "name",
    "version",
    "description",
    "homepage",
    "eula",
    "icon",
    "state",
    "disabled",
    "public",
    "published_at",
    "type",
    "os",
    "origin",
    "nic_driver",
    "disk_driver",
    "cpu_type",
    "image_size",
    "generate_passwords",
    "urn",
];

/// Columns to show or to sort by.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Columns(Vec<(String, bool)>);

/// Why a text is no list of columns.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("no such column: {0}; there are {known}", known = [COMPUTED, FIELDS].concat().join(", "))]
pub struct ColumnError(String);

/// `A,B,-C`: a `-` sorts the other way round.
impl FromStr for Columns {
    type Err = ColumnError;

    fn from_str(text: &str) -> Result<Self, ColumnError> {
        let column = |name: &str| {
            let (name, is_reverse) = name.strip_prefix('-').map_or((name, false), |name| (name, true));
            let is_known = COMPUTED.contains(&name) || FIELDS.contains(&name) || name.starts_with("tags.");
            let error = || ColumnError(name.chars().take(80).collect());
            is_known.then(|| (name.to_owned(), is_reverse)).ok_or_else(error)
        };
        text.split(',').map(|name| column(name.trim())).collect::<Result<_, _>>().map(Self)
    }
}

/// An image as a line.
#[derive(Clone, Copy)]
pub struct Row<'a> {
    /// What it is.
    pub manifest: &'a Manifest,
    /// Who has it.
    pub source: &'a str,
}

impl Columns {
    /// Headings.
    pub fn headings(&self) -> Vec<String> {
        self.0.iter().map(|(name, _)| name.to_ascii_uppercase()).collect()
    }

    /// The cells of a line; `-` stands for what a manifest does not say.
    pub fn cells(&self, row: Row<'_>) -> Vec<String> {
        let cell = |(name, _): &(String, bool)| value(row, name).unwrap_or_else(|| "-".to_owned());
        self.0.iter().map(cell).collect()
    }

    /// Which of two comes first.
    pub fn compare(&self, a: Row<'_>, b: Row<'_>) -> Ordering {
        for (name, is_reverse) in &self.0 {
            let by =
                |row| if matches!(name.as_str(), "pub") { value(row, "published") } else { value(row, name) };
            let (left, right) = (by(a), by(b));
            let numbers = |text: &Option<String>| text.as_deref().and_then(|t| t.parse::<u64>().ok());
            let order = match (numbers(&left), numbers(&right)) {
                (Some(left), Some(right)) => left.cmp(&right),
                _ => left.cmp(&right),
            };
            if order != Ordering::Equal {
                return if *is_reverse { order.reverse() } else { order };
            }
        }
        Ordering::Equal
    }
}

fn value(row: Row<'_>, name: &str) -> Option<String> {
    let text = |json: &Json| match json {
        Json::Null => None,
        Json::String(text) => Some(text.clone()),
        other => Some(other.to_compact()),
    };
    let published = || row.manifest.text("published_at").ok().flatten().filter(|t| parse_iso(t).is_some());
    match name {
        "source" => Some(row.source.to_owned()),
        "pub" | "published_date" => published().and_then(|t| t.get(..10).map(str::to_owned)),
        // Without milliseconds.
        "published" => published().and_then(|t| Some(format!("{}Z", t.get(..19)?))),
        "size" => {
            let files = row.manifest.files().ok()?;
            let sum = files.iter().filter_map(|file| file.size).fold(0_u64, u64::saturating_add);
            (!files.is_empty()).then(|| sum.to_string())
        }
        _ => match name.split_once('.') {
            Some(("tags", tag)) => row.manifest.tag(tag).and_then(text),
            _ => row.manifest.object().get(name).and_then(text),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_say_what_manifests_say() {
        let parse = |text: &str| Manifest::parse(text.as_bytes()).unwrap();
        let old = parse(
            r#"{"v":2,"uuid":"u","name":"a","version":18.1,"published_at":"2018-05-02T18:44:07.371Z",
            "files":[{"size":10}],"tags":{"role":"os"}}"#,
        );
        let new = parse(r#"{"v":2,"name":"b","published_at":"2019-01-01T00:00:00Z","files":[{"size":9}]}"#);
        let row = |manifest| Row { manifest, source: "http://s" };
        let columns: Columns = "uuid,name,version,os,pub,published,size,source,tags.role".parse().unwrap();
        assert_eq!(columns.headings()[..2], ["UUID", "NAME"]);
        let want = ["u", "a", "18.1", "-", "2018-05-02", "2018-05-02T18:44:07Z", "10", "http://s", "os"];
        assert_eq!(columns.cells(row(&old)), want);
        for (sort, order) in [
            ("pub", Ordering::Less),
            ("-pub", Ordering::Greater),
            ("size", Ordering::Greater),
            ("source,name", Ordering::Less),
            ("source", Ordering::Equal),
        ] {
            let sort: Columns = sort.parse().unwrap();
            assert_eq!(sort.compare(row(&old), row(&new)), order, "{sort:?}");
        }
        assert!(
            "uuid,colour".parse::<Columns>().unwrap_err().to_string().starts_with("no such column: colour")
        );
        let odd = parse(r#"{"v":2,"published_at":"é é é é é"}"#);
        assert_eq!(columns.cells(row(&odd))[4], "-");
    }
}
