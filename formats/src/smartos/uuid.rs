//! UUIDs as manifests write them.

use std::fmt;
use std::str::FromStr;

/// 128 bits, written in lower case as 8-4-4-4-12 digits. Version and variant bits mean nothing here: the ones
/// that are derived from layers have none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Uuid([u8; 16]);

/// Why a text is no [`Uuid`].
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("not a lower-case uuid: {0:?}")]
pub struct UuidError(pub String);

/// Places of the hyphens.
const HYPHENS: [usize; 4] = [8, 13, 18, 23];

impl Uuid {
    /// All zeros: "nobody" as an owner.
    pub const NIL: Self = Self([0; 16]);

    /// The first 16 bytes of a hash given in hex.
    pub fn from_hash(hex: &str) -> Option<Self> {
        let mut bytes = [0; 16];
        for (at, byte) in bytes.iter_mut().enumerate() {
            let pair = hex.get(2 * at..2 * at + 2).filter(|p| p.bytes().all(|b| b.is_ascii_hexdigit()))?;
            *byte = u8::from_str_radix(pair, 16).ok()?;
        }
        Some(Self(bytes))
    }

    /// The first 16 bytes of a hash, marked as RFC 9562's version 8 ("custom"): for uuids that we derive by a
    /// rule of our own, so that none is ever taken for one of another scheme.
    pub fn custom(hex: &str) -> Option<Self> {
        let Self(mut bytes) = Self::from_hash(hex)?;
        bytes[6] = bytes[6] & 0x0f | 0x80;
        bytes[8] = bytes[8] & 0x3f | 0x80;
        Some(Self(bytes))
    }
}

impl FromStr for Uuid {
    type Err = UuidError;

    fn from_str(text: &str) -> Result<Self, UuidError> {
        let error = || UuidError(text.chars().take(80).collect());
        let is_form = text.len() == 36
            && text.bytes().enumerate().all(|(at, b)| match HYPHENS.contains(&at) {
                true => b == b'-',
                false => matches!(b, b'0'..=b'9' | b'a'..=b'f'),
            });
        if !is_form {
            return Err(error());
        }
        Self::from_hash(&text.replace('-', "")).ok_or_else(error)
    }
}

impl fmt::Display for Uuid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (at, byte) in self.0.iter().enumerate() {
            if matches!(at, 4 | 6 | 8 | 10) {
                f.write_str("-")?;
            }
            write!(f, "{byte:02x}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn texts_are_uuids_or_not() {
        let good = "1f9b7958-289e-4ea3-8f88-5486a40d6823";
        assert_eq!(good.parse::<Uuid>().unwrap().to_string(), good);
        let bad = [
            "",
            "1F9B7958-289E-4EA3-8F88-5486A40D6823",
            "1f9b7958289e4ea38f885486a40d6823",
            "1f9b7958-289e-4ea3-8f88-5486a40d682é",
            "1f9b7958-289e-4ea3-8f88-5486a40d68234",
        ];
        for text in bad {
            assert!(text.parse::<Uuid>().is_err(), "{text}");
        }
    }

    #[test]
    fn our_own_say_so_in_their_version() {
        let hex = "ff".repeat(32);
        assert_eq!(Uuid::custom(&hex).unwrap().to_string(), "ffffffff-ffff-8fff-bfff-ffffffffffff");
        assert_eq!(Uuid::from_hash(&hex).unwrap().to_string(), "ffffffff-ffff-ffff-ffff-ffffffffffff");
        assert_eq!(Uuid::from_hash("ab"), None);
    }
}
