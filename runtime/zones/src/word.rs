//! Values as zonecfg reads them: bare words, and words in quotes. There are no escapes (zonecfg(8), lexical
//! rules of its grammar), so that some values can't be written at all.

use crate::{Refusal, Result};

/// zonecfg keeps paths and values in buffers of MAXPATHLEN bytes.
const MAX_LENGTH: usize = 1023;

/// A value that can be written. As it is, without quotes.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Word(String);

impl Word {
    /// Checks a value; `field` is where it comes from.
    pub(crate) fn new(field: &str, value: &str) -> Result<Self> {
        let cant = |what| Err(Refusal::Text { field: field.to_owned(), what, value: value.to_owned() });
        if value.is_empty() {
            return cant("an empty value");
        }
        if value.len() > MAX_LENGTH {
            return cant("a value of more than 1023 bytes");
        }
        if value.contains('"') {
            return cant("a double quote");
        }
        if value.contains(['\n', '\r']) {
            return cant("a line break");
        }
        if value.contains(char::is_control) {
            return cant("a control character");
        }
        Ok(Self(value.to_owned()))
    }

    /// One that needs no check.
    pub(crate) fn fixed(value: &'static str) -> Self {
        Self::new("", value).expect("it is written here in the code, and a test writes all of them")
    }

    pub(crate) fn as_str(&self) -> &str {
        &self.0
    }

    /// Bare if nothing in it can mean anything else anywhere; in quotes otherwise.
    pub(crate) fn quoted(&self) -> String {
        let plain = |c: char| c.is_ascii_alphanumeric() || "_./:@%+-".contains(c);
        if self.0.chars().all(plain) { self.0.clone() } else { format!("\"{}\"", self.0) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_can_be_written() {
        let cases = [
            ("/zones/a-b_c.d", Some("/zones/a-b_c.d")),
            ("10.0.0.5/24", Some("10.0.0.5/24")),
            ("a b", Some("\"a b\"")),
            ("size=1", Some("\"size=1\"")),
            ("a;b", Some("\"a;b\"")),
            ("#x", Some("\"#x\"")),
            ("é", Some("\"é\"")),
            ("(a,[b])", Some("\"(a,[b])\"")),
            ("", None),
            ("a\"b", None),
            ("a\nb", None),
            ("a\rb", None),
            ("a\0b", None),
            ("a\tb", None),
        ];
        for (value, want) in cases {
            assert_eq!(Word::new("f", value).ok().map(|w| w.quoted()).as_deref(), want, "{value:?}");
        }
        assert!(Word::new("f", &"x".repeat(1023)).is_ok());
        let refusal = Word::new("mounts.source", &"x".repeat(1024)).unwrap_err().to_string();
        assert!(
            refusal.starts_with("mounts.source: zonecfg can't express a value of more than 1023 bytes: ")
        );
        let refusal = Word::new("hostname", "a\"b").unwrap_err().to_string();
        assert_eq!(refusal, "hostname: zonecfg can't express a double quote: \"a\\\"b\"");
    }
}
