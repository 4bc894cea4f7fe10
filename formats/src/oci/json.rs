//! Reading members with their place for errors, and writing JSON that is the same bytes each time.
//!
//! Documents are taken apart by hand rather than by derived types: every error then names the member at fault, a
//! member that nobody here knows is no error and is not lost, and `null` counts as absent, as it does for the Go
//! programs that write most images. (`oci-spec` drops unknown members, refuses some images that its own peers take,
//! and keeps annotations in hash maps, so its output is in no order.)

use serde_json::{Map, Value};

use super::OciError;

/// Largest document: what registries take (4 MiB), far beyond any real one.
pub const MAX_DOCUMENT: u64 = 4 << 20;
/// Largest `index.json`: it names all images of a layout, and no registry has to take it.
pub const MAX_LISTING: u64 = 64 << 20;
/// Most images that one may name.
pub const MAX_LISTED: usize = 200_000;
/// Most elements of one list: descriptors of an index, layers, history.
pub const MAX_ELEMENTS: usize = 10_000;

/// Parses a document. Depth is bounded by the parser (128).
pub fn parse(document: &str, bytes: &[u8]) -> Result<Value, OciError> {
    check_size(document, bytes.len() as u64)?;
    parse_any(document, bytes)
}

/// The same of an `index.json`.
pub fn parse_listing(document: &str, bytes: &[u8]) -> Result<Value, OciError> {
    check_listing(document, bytes.len() as u64)?;
    parse_any(document, bytes)
}

fn parse_any(document: &str, bytes: &[u8]) -> Result<Value, OciError> {
    serde_json::from_slice(bytes).map_err(|e| OciError::Json {
        document: document.into(),
        offset: offset_of(bytes, e.line(), e.column()),
        message: e.to_string(),
    })
}

/// Refuses a document by its size before it is read.
pub fn check_size(document: &str, size: u64) -> Result<(), OciError> {
    check_limit(document, size, MAX_DOCUMENT)
}

/// The same of an `index.json`.
pub fn check_listing(document: &str, size: u64) -> Result<(), OciError> {
    check_limit(document, size, MAX_LISTING)
}

fn check_limit(document: &str, size: u64, limit: u64) -> Result<(), OciError> {
    match size > limit {
        true => Err(OciError::TooLarge { document: document.into(), limit, actual: size }),
        false => Ok(()),
    }
}

/// The byte that a line and column (both from 1) stand for.
fn offset_of(bytes: &[u8], line: usize, column: usize) -> u64 {
    let before: usize =
        bytes.split_inclusive(|&b| b == b'\n').take(line.saturating_sub(1)).map(<[u8]>::len).sum();
    (before + column.saturating_sub(1)) as u64
}

/// Bytes of a value with sorted keys and no white space: the only writer of documents made here.
pub fn canonical(value: &Value) -> Vec<u8> {
    let mut out = Vec::new();
    write(value, &mut out);
    out
}

fn write(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Object(members) => {
            out.push(b'{');
            // Sorted here and not by the map, whose order is a feature of the crate that anyone may switch on.
            let mut sorted: Vec<_> = members.iter().collect();
            sorted.sort_unstable_by_key(|(key, _)| *key);
            for (n, (key, value)) in sorted.into_iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(&Value::String(key.clone()), out);
                out.push(b':');
                write(value, out);
            }
            out.push(b'}');
        }
        Value::Array(elements) => {
            out.push(b'[');
            for (n, value) in elements.iter().enumerate() {
                if n > 0 {
                    out.push(b',');
                }
                write(value, out);
            }
            out.push(b']');
        }
        scalar => out.extend_from_slice(scalar.to_string().as_bytes()),
    }
}

/// A value within a document and the way to it.
#[derive(Clone, Copy)]
pub(super) struct At<'a> {
    pub(super) document: &'a str,
    pub(super) path: &'a str,
    pub(super) value: &'a Value,
}

/// The name of a value's type.
fn type_name(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "an array",
        Value::Object(_) => "an object",
    }
}

impl<'a> At<'a> {
    pub(super) fn top(document: &'a str, value: &'a Value) -> Self {
        Self { document, path: "", value }
    }

    fn mistyped(self, expected: &'static str) -> OciError {
        let path = if self.path.is_empty() { "the whole" } else { self.path };
        let (document, path) = (self.document.into(), path.into());
        OciError::Type { document, path, expected, actual: type_name(self.value) }
    }

    pub(super) fn wrong(self, expected: &'static str, actual: impl Into<String>) -> OciError {
        let actual: String = actual.into();
        let actual = actual.chars().take(160).collect();
        OciError::Value { document: self.document.into(), path: self.path.into(), expected, actual }
    }

    pub(super) fn object(self) -> Result<&'a Map<String, Value>, OciError> {
        self.value.as_object().ok_or_else(|| self.mistyped("an object"))
    }

    pub(super) fn text(self) -> Result<&'a str, OciError> {
        self.value.as_str().ok_or_else(|| self.mistyped("a string"))
    }

    /// Calls `read` with a member, unless it is absent or null.
    pub(super) fn optional<T>(
        self,
        key: &str,
        read: impl FnOnce(At<'_>) -> Result<T, OciError>,
    ) -> Result<Option<T>, OciError> {
        let Some(value) = self.object()?.get(key).filter(|v| !v.is_null()) else { return Ok(None) };
        let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
        read(At { document: self.document, path: &path, value }).map(Some)
    }

    /// Calls `read` with a member that must be there.
    pub(super) fn required<T>(
        self,
        key: &str,
        read: impl FnOnce(At<'_>) -> Result<T, OciError>,
    ) -> Result<T, OciError> {
        self.optional(key, read)?.ok_or_else(|| {
            let path = if self.path.is_empty() { key.to_owned() } else { format!("{}.{key}", self.path) };
            OciError::Missing { document: self.document.into(), path }
        })
    }

    /// Calls `read` with every element.
    pub(super) fn list<T>(self, read: impl FnMut(At<'_>) -> Result<T, OciError>) -> Result<Vec<T>, OciError> {
        self.list_up_to(MAX_ELEMENTS, read)
    }

    /// The same of a list that may be longer than most.
    pub(super) fn list_up_to<T>(
        self,
        limit: usize,
        mut read: impl FnMut(At<'_>) -> Result<T, OciError>,
    ) -> Result<Vec<T>, OciError> {
        let elements = self.value.as_array().ok_or_else(|| self.mistyped("an array"))?;
        if elements.len() > limit {
            let (document, path) = (self.document.into(), self.path.into());
            return Err(OciError::TooMany { document, path, limit, actual: elements.len() });
        }
        let read = |(n, value)| {
            let path = format!("{}[{n}]", self.path);
            read(At { document: self.document, path: &path, value })
        };
        elements.iter().enumerate().map(read).collect()
    }
}

// Functions and not methods, so that they fit wherever a reader of any lifetime is wanted.

pub(super) fn owned_text(at: At<'_>) -> Result<String, OciError> {
    at.text().map(str::to_owned)
}

pub(super) fn unsigned(at: At<'_>) -> Result<u64, OciError> {
    at.value.as_u64().ok_or_else(|| at.mistyped("a whole number, not negative"))
}

pub(super) fn boolean(at: At<'_>) -> Result<bool, OciError> {
    at.value.as_bool().ok_or_else(|| at.mistyped("a boolean"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn written_json_is_sorted_and_dense() {
        let value = json!({"b": [1, 2.5, null, true], "a": {"z": "q\"\n\u{1}☃", "": {}}, "c": []});
        let bytes = canonical(&value);
        assert_eq!(
            String::from_utf8(bytes.clone()).unwrap(),
            r#"{"a":{"":{},"z":"q\"\n\u0001☃"},"b":[1,2.5,null,true],"c":[]}"#
        );
        assert_eq!(parse("x", &bytes).unwrap(), value);
    }

    #[test]
    fn errors_name_the_byte_and_the_member() {
        let bad = parse("index.json", b"{\n \"a\": x}").unwrap_err();
        let OciError::Json { offset, .. } = bad else { panic!("{bad}") };
        assert_eq!(offset, 8);
        let value = json!({"m": [{"size": -1}]});
        let top = At::top("index.json", &value);
        let read = |m: At<'_>| m.list(|d| d.required("size", unsigned));
        let e = top.required("m", read).unwrap_err();
        assert_eq!(
            e.to_string(),
            "index.json: m[0].size must be a whole number, not negative, found a number"
        );
        assert_eq!(top.required("n", text_len).unwrap_err().to_string(), "index.json lacks n");
        let deep = [vec![b'['; 4000], vec![b']'; 4000]].concat();
        assert!(parse("x", &deep).is_err(), "depth is bounded");
    }

    fn text_len(at: At<'_>) -> Result<usize, OciError> {
        at.text().map(str::len)
    }
}
