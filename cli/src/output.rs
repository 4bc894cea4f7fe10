//! Standard output, and text that is safe to show.

use std::fmt::Write as _;
use std::io::{self, BufWriter, IsTerminal, StdoutLock, Write};

use aurora_convert::ops::json_string;

/// Results go here. A reader that has seen enough and closed its end is no failure.
pub(crate) struct Output {
    out: BufWriter<StdoutLock<'static>>,
}

impl Output {
    pub(crate) fn new() -> Self {
        Self { out: BufWriter::with_capacity(1 << 16, io::stdout().lock()) }
    }

    /// One line.
    pub(crate) fn line(&mut self, text: &str) -> io::Result<()> {
        self.out.write_all(text.as_bytes())?;
        self.out.write_all(b"\n")
    }

    /// Text as it is.
    pub(crate) fn raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.out.write_all(bytes)
    }

    /// All is out.
    pub(crate) fn finish(mut self) -> io::Result<()> {
        self.out.flush()
    }
}

/// Whether standard output is a terminal, which no image may be written to.
pub(crate) fn is_terminal() -> bool {
    io::stdout().is_terminal()
}

/// Nothing that an image says may move a cursor or colour a terminal.
pub(crate) fn safe(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    for c in text.chars() {
        // Besides the control characters: those that turn the direction of what follows.
        if c.is_control() || matches!(c, '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}') {
            let _ = write!(out, "{}", c.escape_default());
        } else {
            out.push(c);
        }
    }
    out
}

/// Keys and values below each other, the values aligned.
pub(crate) fn table(rows: &[(String, String)]) -> Vec<String> {
    let width = rows.iter().map(|(key, _)| key.chars().count()).max().unwrap_or(0) + 2;
    rows.iter().map(|(key, value)| format!("{:width$}{}", format!("{key}:"), safe(value))).collect()
}

/// Columns below each other; nothing behind the last.
pub(crate) fn aligned(rows: &[Vec<String>]) -> Vec<String> {
    let rows: Vec<Vec<String>> = rows.iter().map(|row| row.iter().map(|cell| safe(cell)).collect()).collect();
    let columns = rows.iter().map(Vec::len).max().unwrap_or(0);
    let width = |at: usize| rows.iter().filter_map(|row| row.get(at)).map(|cell| cell.chars().count()).max();
    let widths: Vec<usize> = (0..columns).map(|at| width(at).unwrap_or(0)).collect();
    let line = |row: &Vec<String>| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

/// A JSON object of texts in their order; a key that comes again has a list of all its values.
pub(crate) fn json_facts(facts: &[(String, String)]) -> String {
    let mut keys: Vec<&str> = Vec::new();
    for (key, _) in facts {
        if !keys.contains(&key.as_str()) {
            keys.push(key);
        }
    }
    let member = |key: &&str| {
        let values: Vec<String> =
            facts.iter().filter(|(k, _)| k == key).map(|(_, v)| json_string(v)).collect();
        match &values[..] {
            [one] => format!("{}:{one}", json_string(key)),
            many => format!("{}:[{}]", json_string(key), many.join(",")),
        }
    };
    format!("{{{}}}", keys.iter().map(member).collect::<Vec<_>>().join(","))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_reaches_the_terminal_as_a_command() {
        assert_eq!(safe("a\u{1b}[31m\n\u{9b}\u{202e}☃ \\"), "a\\u{1b}[31m\\n\\u{9b}\\u{202e}☃ \\");
    }

    #[test]
    fn facts_keep_their_order() {
        let fact = |k: &str, v: &str| (k.to_owned(), v.to_owned());
        let facts = [fact("z", "1"), fact("layer", "a"), fact("b", "2"), fact("layer", "c")];
        assert_eq!(json_facts(&facts), r#"{"z":"1","layer":["a","c"],"b":"2"}"#);
        assert_eq!(table(&facts[..2]), ["z:     1", "layer: a"]);
    }
}
