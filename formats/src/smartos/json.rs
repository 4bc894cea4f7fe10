//! JSON with members in the order they stand in: errors are reported in it, and people read it.

use std::fmt;

use serde::de::{self, MapAccess, SeqAccess, Visitor};
use serde::ser::{SerializeMap, SerializeSeq};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Number;

use super::SmartosError;

/// Largest document that is read: tags may hold 100 KiB, so real manifests stay far below.
pub const MAX_DOCUMENT: usize = 4 << 20;

/// A value.
#[derive(Debug, Clone, PartialEq)]
pub enum Json {
    /// `null`
    Null,
    /// `true`, `false`
    Bool(bool),
    /// Any number.
    Number(Number),
    /// Text.
    String(String),
    /// `[…]`
    Array(Vec<Json>),
    /// `{…}`
    Object(Object),
}

/// Members in order. A repeated name replaces the earlier value and keeps its place, as in JavaScript.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Object(Vec<(String, Json)>);

impl Object {
    /// The value of a member.
    pub fn get(&self, name: &str) -> Option<&Json> {
        self.0.iter().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// The value of a member, to be changed.
    pub fn get_mut(&mut self, name: &str) -> Option<&mut Json> {
        self.0.iter_mut().find(|(n, _)| n == name).map(|(_, v)| v)
    }

    /// Sets a member: in its place, or last.
    pub fn set(&mut self, name: impl Into<String>, value: impl Into<Json>) {
        let (name, value) = (name.into(), value.into());
        match self.get_mut(&name) {
            Some(old) => *old = value,
            None => self.0.push((name, value)),
        }
    }

    /// Takes a member out.
    pub fn remove(&mut self, name: &str) -> Option<Json> {
        let at = self.0.iter().position(|(n, _)| n == name)?;
        Some(self.0.remove(at).1)
    }

    /// Members, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Json)> {
        self.0.iter().map(|(n, v)| (n.as_str(), v))
    }

    /// How many members there are.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// Whether there are none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl<N: Into<String>> FromIterator<(N, Json)> for Object {
    fn from_iter<I: IntoIterator<Item = (N, Json)>>(members: I) -> Self {
        Self(members.into_iter().map(|(n, v)| (n.into(), v)).collect())
    }
}

impl Json {
    /// Reads a document of at most [`MAX_DOCUMENT`] bytes.
    pub fn parse(bytes: &[u8]) -> Result<Self, SmartosError> {
        Self::parse_up_to(bytes, MAX_DOCUMENT)
    }

    /// Reads a document of at most `limit` bytes. As a value it can take thirty times that.
    pub fn parse_up_to(bytes: &[u8], limit: usize) -> Result<Self, SmartosError> {
        if bytes.len() > limit {
            return Err(SmartosError::TooLarge { limit, actual: bytes.len() });
        }
        serde_json::from_slice(bytes).map_err(|e| {
            let before: usize = bytes
                .split_inclusive(|b| *b == b'\n')
                .take(e.line().saturating_sub(1))
                .map(<[u8]>::len)
                .sum();
            let offset = (before + e.column().saturating_sub(1)).min(bytes.len());
            let text = e.to_string();
            let reason = text.rsplit_once(" at line ").map_or(text.as_str(), |(reason, _)| reason);
            SmartosError::Json { offset, reason: reason.to_owned() }
        })
    }

    /// As people read it and `imgadm` writes it: indented by two spaces, without a newline at the end.
    pub fn to_pretty(&self) -> String {
        serde_json::to_string_pretty(self).expect("a value without foreign types always serialises")
    }

    /// On one line, without spaces.
    pub fn to_compact(&self) -> String {
        serde_json::to_string(self).expect("a value without foreign types always serialises")
    }

    /// The text of a string.
    pub fn as_str(&self) -> Option<&str> {
        match self {
            Self::String(text) => Some(text),
            _ => None,
        }
    }

    /// The members of an object.
    pub fn as_object(&self) -> Option<&Object> {
        match self {
            Self::Object(object) => Some(object),
            _ => None,
        }
    }

    /// The elements of an array.
    pub fn as_array(&self) -> Option<&[Json]> {
        match self {
            Self::Array(items) => Some(items),
            _ => None,
        }
    }

    /// `true` and `false`, and the strings that stand for them in manifests.
    pub fn as_flag(&self) -> Option<bool> {
        match self {
            Self::Bool(flag) => Some(*flag),
            Self::String(text) if text == "true" => Some(true),
            Self::String(text) if text == "false" => Some(false),
            _ => None,
        }
    }

    /// A whole number from 0 up, or a string of its digits.
    pub fn as_count(&self) -> Option<u64> {
        match self {
            Self::Number(n) => n.as_u64().or_else(|| whole(n).and_then(|n| u64::try_from(n).ok())),
            Self::String(text) if !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()) => {
                text.parse().ok()
            }
            _ => None,
        }
    }

    /// What kind of value it is, in the words of JSON.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Null => "null",
            Self::Bool(_) => "a boolean",
            Self::Number(_) => "a number",
            Self::String(_) => "a string",
            Self::Array(_) => "an array",
            Self::Object(_) => "an object",
        }
    }

    /// For messages: compact, at most 80 characters.
    pub fn shortened(&self) -> String {
        let text = self.to_compact();
        if text.chars().count() <= 80 { text } else { text.chars().take(79).chain(['…']).collect() }
    }
}

/// The value of a number without a fraction, however it was written (`2.0`).
pub(super) fn whole(number: &Number) -> Option<i64> {
    // Beyond 2^53 a double no longer tells neighbours apart.
    const EXACT: f64 = 9_007_199_254_740_992.0;
    number
        .as_i64()
        .or_else(|| number.as_f64().filter(|f| f.fract() == 0.0 && f.abs() <= EXACT).map(|f| f as i64))
}

impl From<&str> for Json {
    fn from(text: &str) -> Self {
        Self::String(text.to_owned())
    }
}

impl From<String> for Json {
    fn from(text: String) -> Self {
        Self::String(text)
    }
}

impl From<bool> for Json {
    fn from(flag: bool) -> Self {
        Self::Bool(flag)
    }
}

impl From<u64> for Json {
    fn from(number: u64) -> Self {
        Self::Number(number.into())
    }
}

impl From<Object> for Json {
    fn from(object: Object) -> Self {
        Self::Object(object)
    }
}

impl From<Vec<Json>> for Json {
    fn from(items: Vec<Json>) -> Self {
        Self::Array(items)
    }
}

impl From<&serde_json::Value> for Json {
    fn from(value: &serde_json::Value) -> Self {
        use serde_json::Value;
        match value {
            Value::Null => Self::Null,
            Value::Bool(flag) => Self::Bool(*flag),
            Value::Number(number) => Self::Number(number.clone()),
            Value::String(text) => Self::String(text.clone()),
            Value::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Value::Object(members) => {
                Self::Object(members.iter().map(|(n, v)| (n.clone(), Self::from(v))).collect())
            }
        }
    }
}

impl From<&Json> for serde_json::Value {
    fn from(json: &Json) -> Self {
        match json {
            Json::Null => Self::Null,
            Json::Bool(flag) => Self::Bool(*flag),
            Json::Number(number) => Self::Number(number.clone()),
            Json::String(text) => Self::String(text.clone()),
            Json::Array(items) => Self::Array(items.iter().map(Self::from).collect()),
            Json::Object(members) => {
                Self::Object(members.iter().map(|(n, v)| (n.to_owned(), Self::from(v))).collect())
            }
        }
    }
}

impl Serialize for Json {
    fn serialize<S: Serializer>(&self, s: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Null => s.serialize_unit(),
            Self::Bool(flag) => s.serialize_bool(*flag),
            Self::Number(number) => number.serialize(s),
            Self::String(text) => s.serialize_str(text),
            Self::Array(items) => {
                let mut seq = s.serialize_seq(Some(items.len()))?;
                for item in items {
                    seq.serialize_element(item)?;
                }
                seq.end()
            }
            Self::Object(object) => {
                let mut map = s.serialize_map(Some(object.len()))?;
                for (name, value) in object.iter() {
                    map.serialize_entry(name, value)?;
                }
                map.end()
            }
        }
    }
}

impl<'de> Deserialize<'de> for Json {
    fn deserialize<D: Deserializer<'de>>(d: D) -> Result<Self, D::Error> {
        d.deserialize_any(JsonVisitor)
    }
}

struct JsonVisitor;

impl<'de> Visitor<'de> for JsonVisitor {
    type Value = Json;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Json, E> {
        Ok(Json::Null)
    }

    fn visit_bool<E>(self, flag: bool) -> Result<Json, E> {
        Ok(Json::Bool(flag))
    }

    fn visit_u64<E>(self, number: u64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_i64<E>(self, number: i64) -> Result<Json, E> {
        Ok(Json::Number(number.into()))
    }

    fn visit_f64<E: de::Error>(self, number: f64) -> Result<Json, E> {
        Number::from_f64(number).map(Json::Number).ok_or_else(|| E::custom("number is not finite"))
    }

    fn visit_str<E>(self, text: &str) -> Result<Json, E> {
        Ok(Json::String(text.to_owned()))
    }

    fn visit_string<E>(self, text: String) -> Result<Json, E> {
        Ok(Json::String(text))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut seq: A) -> Result<Json, A::Error> {
        let mut items = Vec::new();
        while let Some(item) = seq.next_element()? {
            items.push(item);
        }
        Ok(Json::Array(items))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Json, A::Error> {
        // Names are looked up in a set beside, so that a hostile object of many members costs no square of them.
        let mut places = std::collections::BTreeMap::<String, usize>::new();
        let mut members: Vec<(String, Json)> = Vec::new();
        while let Some((name, value)) = map.next_entry::<String, Json>()? {
            match places.get(&name) {
                Some(at) => members[*at].1 = value,
                None => {
                    places.insert(name.clone(), members.len());
                    members.push((name, value));
                }
            }
        }
        Ok(Json::Object(Object(members)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_keep_their_order_and_repeats_their_place() {
        let json = Json::parse(br#"{"z":1,"a":[true,null,1.50],"z":"x\u00e9"}"#).unwrap();
        assert_eq!(json.to_compact(), "{\"z\":\"xé\",\"a\":[true,null,1.5]}");
    }

    #[test]
    fn errors_name_the_offset() {
        let cases: &[(&[u8], usize)] = &[(b"{\n \"a\": }", 8), (b"{} x", 3), (b"", 0), (b"{\"a\":1", 5)];
        for (bytes, want) in cases {
            let Err(SmartosError::Json { offset, .. }) = Json::parse(bytes) else { panic!("{bytes:?}") };
            assert_eq!(offset, *want, "{}", bytes.escape_ascii());
        }
        let deep = vec![b'['; 100_000];
        assert!(matches!(Json::parse(&deep), Err(SmartosError::Json { .. })));
        let large = vec![b' '; MAX_DOCUMENT + 1];
        assert!(matches!(Json::parse(&large), Err(SmartosError::TooLarge { .. })));
    }

    #[test]
    fn messy_scalars_are_understood() {
        let cases = [
            ("\"12\"", Some(12), None),
            ("12.0", Some(12), None),
            ("-1", None, None),
            ("\"true\"", None, Some(true)),
            ("false", None, Some(false)),
            ("\"1e3\"", None, None),
        ];
        for (text, count, flag) in cases {
            let json = Json::parse(text.as_bytes()).unwrap();
            assert_eq!((json.as_count(), json.as_flag()), (count, flag), "{text}");
        }
    }
}
