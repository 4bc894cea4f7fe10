//! Lists of images that people and scripts write: JSON, CSV, or a name a line.

use aurora_formats::oci::json;
use serde_json::Value;

use crate::names::ImageName;
use crate::{Error, Result};

/// Largest list.
pub(super) const MAX_LIST: u64 = 64 << 20;

/// An image of a list, and what it is to be called if the list says so.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Listed {
    pub(super) image: ImageName,
    pub(super) name: Option<String>,
    pub(super) version: Option<String>,
}

/// Reads a list: JSON where it begins with `[`, CSV where its first line has a column `image`, else a name a line.
pub(super) fn parse(file: &str, bytes: &[u8]) -> Result<Vec<Listed>> {
    let bad = |text: String| Error::usage(text).in_image(file.to_owned());
    let text =
        std::str::from_utf8(bytes).map_err(|e| bad(format!("not UTF-8 at byte {}", e.valid_up_to())))?;
    if text.trim_start().starts_with('[') {
        return of_json(file, bytes);
    }
    let rows = rows(text).map_err(|line| bad(format!("line {line}: a quote has no end")))?;
    let header = rows.first().map(|(_, cells)| cells.iter().map(|c| c.trim().to_ascii_lowercase()).collect());
    let header: Vec<String> = header.unwrap_or_default();
    let column = |name: &str| header.iter().position(|cell| cell == name);
    let Some(image) = column("image") else { return of_lines(text).map_err(bad) };
    let (name, version) = (column("name"), column("version"));
    let mut out = Vec::new();
    for (line, cells) in &rows[1..] {
        let cell = |at: Option<usize>| {
            at.and_then(|at| cells.get(at)).map(|c| c.trim().to_owned()).filter(|c| !c.is_empty())
        };
        let text = cell(Some(image)).ok_or_else(|| bad(format!("line {line}: no image")))?;
        let image = text.parse().map_err(|e| bad(format!("line {line}: {e}")))?;
        out.push(Listed { image, name: cell(name), version: cell(version) });
    }
    Ok(out)
}

fn of_lines(text: &str) -> Result<Vec<Listed>, String> {
    let mut out = Vec::new();
    for (number, line) in text.lines().enumerate() {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let image = line.parse().map_err(|e| format!("line {}: {e}", number + 1))?;
        out.push(Listed { image, name: None, version: None });
    }
    Ok(out)
}

fn of_json(file: &str, bytes: &[u8]) -> Result<Vec<Listed>> {
    let value = json::parse_listing(file, bytes)?;
    let bad =
        |at: usize, text: &str| Error::usage(format!("element {}: {text}", at + 1)).in_image(file.to_owned());
    let mut out = Vec::new();
    for (at, element) in value.as_array().into_iter().flatten().enumerate() {
        let text = |key: &str| element.get(key).and_then(Value::as_str).map(str::to_owned);
        let image = element.as_str().map(str::to_owned).or_else(|| text("image"));
        let image = image.ok_or_else(|| bad(at, "neither a name nor an object with `image`"))?;
        let image = image.parse().map_err(|e: crate::names::NameError| bad(at, &e.to_string()))?;
        out.push(Listed { image, name: text("name"), version: text("version") });
    }
    Ok(out)
}

/// Records of CSV (RFC 4180) with the lines that they begin at; empty ones are left out. The line of a quote without end
/// is the error.
fn rows(text: &str) -> Result<Vec<(usize, Vec<String>)>, usize> {
    let (mut rows, mut cells, mut cell) = (Vec::new(), Vec::new(), String::new());
    let (mut line, mut begun, mut quoted) = (1, 1, None);
    let mut chars = text.trim_start_matches('\u{feff}').chars().peekable();
    while let Some(c) = chars.next() {
        line += usize::from(c == '\n');
        match (c, quoted) {
            ('"', Some(_)) if chars.peek() == Some(&'"') => cell.extend(chars.next()),
            ('"', Some(_)) => quoted = None,
            (c, Some(_)) => cell.push(c),
            ('"', None) if cell.is_empty() => quoted = Some(line),
            (',', None) => cells.push(std::mem::take(&mut cell)),
            ('\r', None) if chars.peek() == Some(&'\n') => {}
            ('\n', None) => {
                cells.push(std::mem::take(&mut cell));
                rows.push((begun, std::mem::take(&mut cells)));
                begun = line;
            }
            (c, None) => cell.push(c),
        }
    }
    if let Some(line) = quoted {
        return Err(line);
    }
    cells.push(cell);
    rows.push((begun, cells));
    rows.retain(|(_, cells)| cells.iter().any(|cell| !cell.trim().is_empty()));
    Ok(rows)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(text: &str) -> Vec<(String, Option<String>)> {
        let listed = parse("x", text.as_bytes()).unwrap_or_else(|e| panic!("{text}: {e}"));
        listed.into_iter().map(|one| (one.image.to_string(), one.name)).collect()
    }

    #[test]
    fn three_forms_say_the_same() {
        let want = vec![("oci:a:b".to_owned(), None), ("zfs:c,d.zfs".to_owned(), None)];
        assert_eq!(names("# two\n\noci:a:b\n  zfs:c,d.zfs\n"), want);
        assert_eq!(names(r#" ["oci:a:b", {"image": "zfs:c,d.zfs"}]"#), want);
        assert_eq!(names("image\r\noci:a:b\r\n\"zfs:c,d.zfs\"\r\n"), want);
        let named = names("Name,Image,x\nweb,oci:a,1\n,\"zfs:\"\"q\"\"\",\n");
        assert_eq!(named, [("oci:a".to_owned(), Some("web".to_owned())), ("zfs:\"q\"".to_owned(), None)]);
        assert!(names("").is_empty() && names("[]").is_empty());
    }

    #[test]
    fn faults_are_told_with_their_place() {
        for (text, says) in [
            ("oci:a\n/b\n", "line 2: a path needs its form"),
            ("image,name\noci:a,\"x\n", "line 2: a quote has no end"),
            ("image,name\n,x\n", "line 2: no image"),
            ("[1]", "element 1: neither"),
            ("[\"oci:a\", {\"image\": \"/x\"}]", "element 2: a path needs its form"),
            ("[", "EOF while parsing"),
        ] {
            let error = parse("images", text.as_bytes()).unwrap_err().to_string();
            assert!(error.contains(says), "{text}: {error}");
        }
        assert!(parse("images", b"oci:\xff").is_err());
    }
}
