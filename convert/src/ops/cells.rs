//! Rows of the canonical listing as keys and values, and as JSON the way Python's `json.dumps` writes it.

use std::collections::BTreeMap;

use crate::tree::Row;

/// A value of a listing.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Cell {
    /// A string.
    Text(String),
    /// A number: as wide as times in nanoseconds can be.
    Number(i128),
    /// Attributes.
    Map(BTreeMap<String, String>),
}

impl Cell {
    /// As JSON, without blanks.
    pub fn to_json(&self) -> String {
        match self {
            Self::Text(text) => json_string(text),
            Self::Number(n) => n.to_string(),
            Self::Map(map) => {
                let pairs: Vec<String> =
                    map.iter().map(|(k, v)| format!("{}:{}", json_string(k), json_string(v))).collect();
                format!("{{{}}}", pairs.join(","))
            }
        }
    }
}

/// A JSON string: control characters escaped, everything else as it is.
pub fn json_string(text: &str) -> String {
    serde_json::to_string(text).expect("a string is always JSON")
}

/// The keys of a row that apply, in the listing's order.
pub fn cells(row: &Row) -> Vec<(&'static str, Cell)> {
    let mut out = vec![
        ("path", Cell::Text(row.path.clone())),
        ("type", Cell::Text(row.kind.to_owned())),
        ("mode", Cell::Text(row.mode.clone())),
        ("uid", Cell::Number(row.uid.into())),
        ("gid", Cell::Number(row.gid.into())),
        ("mtime_ns", Cell::Number(row.mtime_ns)),
    ];
    let text = |value: &Option<String>| value.clone().map(Cell::Text);
    let optional = [
        ("size", row.size.map(|n| Cell::Number(n.into()))),
        ("sha256", text(&row.sha256)),
        ("target", text(&row.target)),
        ("xattrs", (!row.xattrs.is_empty()).then(|| Cell::Map(row.xattrs.clone()))),
        ("hardlink", text(&row.hardlink)),
        ("rdev", text(&row.rdev)),
    ];
    out.extend(optional.into_iter().filter_map(|(key, cell)| Some((key, cell?))));
    out
}

/// One line of the canonical listing, without its end.
pub fn json_line(row: &Row) -> String {
    let pairs: Vec<String> =
        cells(row).iter().map(|(key, cell)| format!("\"{key}\":{}", cell.to_json())).collect();
    format!("{{{}}}", pairs.join(","))
}

/// The one line of a disk.
pub fn volume_line(size: u64, sha256: Option<&str>) -> String {
    let digest = sha256.map(|hex| format!(",\"sha256\":{}", json_string(hex))).unwrap_or_default();
    format!("{{\"type\":\"volume\",\"size\":{size}{digest}}}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn strings_are_written_as_the_oracle_writes_them() {
        // json.dumps(text, ensure_ascii=False) in Python 3.
        let cases = [
            ("\u{0}\u{8}\t\n\u{b}\u{c}\r\u{1f}", r#""\u0000\b\t\n\u000b\f\r\u001f""#),
            ("\u{7f}\u{80}\u{2028}☃\u{1f980}", "\"\u{7f}\u{80}\u{2028}☃\u{1f980}\""),
            (r#"a"b\c/d"#, r#""a\"b\\c/d""#),
        ];
        for (text, want) in cases {
            assert_eq!(json_string(text), want);
        }
    }

    #[test]
    fn keys_come_in_order_and_only_where_they_apply() {
        let mut row = Row {
            path: "a\\\\b".into(),
            kind: "file",
            mode: "04755".into(),
            uid: 1,
            gid: 4294967295,
            mtime_ns: -9_300_000_000_000_000_000_001,
            size: Some(3),
            sha256: Some("ab".into()),
            target: None,
            xattrs: [("user.b".to_owned(), "00".to_owned()), ("user.a".to_owned(), String::new())].into(),
            hardlink: Some("a".into()),
            rdev: None,
        };
        assert_eq!(
            json_line(&row),
            r#"{"path":"a\\\\b","type":"file","mode":"04755","uid":1,"gid":4294967295,"mtime_ns":-9300000000000000000001,"size":3,"sha256":"ab","xattrs":{"user.a":"","user.b":"00"},"hardlink":"a"}"#
        );
        row =
            Row { kind: "block", rdev: Some("8:1".into()), size: None, sha256: None, hardlink: None, ..row };
        row.xattrs.clear();
        assert!(json_line(&row).ends_with(r#"001,"rdev":"8:1"}"#));
        assert_eq!(volume_line(5, Some("ab")), r#"{"type":"volume","size":5,"sha256":"ab"}"#);
    }
}
