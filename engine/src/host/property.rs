//! Properties of datasets as people write them.

use std::fmt;
use std::str::FromStr;

/// `PROPERTY=VALUE`: a native property or a user's, whose name has a colon. (zfsprops(7).)
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Property {
    name: String,
    value: String,
}

/// Longest name and value of a user's property.
const MAX_NAME: usize = 256;
const MAX_VALUE: usize = 8192;

impl Property {
    /// One of this name and value; `None` where no property is called so, or that makes a clone of a dataset.
    pub fn new(name: &str, value: &str) -> Option<Self> {
        let is_letter = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || b":+._-".contains(&b);
        let is_name = !name.is_empty()
            && name.len() < MAX_NAME
            && !name.starts_with('-')
            && name.bytes().all(is_letter)
            && name != "origin";
        let is_value = value.len() < MAX_VALUE && !value.contains('\0');
        (is_name && is_value).then(|| Self { name: name.to_owned(), value: value.to_owned() })
    }

    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Its value.
    pub fn value(&self) -> &str {
        &self.value
    }
}

impl FromStr for Property {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let pair = text.split_once('=');
        pair.and_then(|(name, value)| Self::new(name, value))
            .ok_or_else(|| format!("PROPERTY=VALUE is needed, not {}", text.escape_default()))
    }
}

impl fmt::Display for Property {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.name, self.value)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn properties_are_read() {
        for text in ["compression=lz4", "com.example:a-b=x=y", "quota="] {
            assert_eq!(text.parse::<Property>().unwrap().to_string(), text);
        }
        for text in ["", "compression", "=x", "-x=1", "A=1", "origin=t/x@y", "a b=1", "a=\0"] {
            assert!(text.parse::<Property>().is_err(), "{text}");
        }
    }
}
