//! Packed name-value lists: package headers, BEGIN payloads, system-attribute xattrs, FUID tables.
//!
//! Read in XDR and in the native encoding of either byte order; written in XDR only.

/// Deepest nesting read: a package header needs six.
pub const MAX_DEPTH: usize = 12;
/// Longest packed list read: what `zfs receive` takes.
pub const MAX_PACKED: usize = 64 << 20;

const ENCODING_NATIVE: u8 = 0;
const ENCODING_XDR: u8 = 1;
const UNIQUE_NAMES: u32 = 1;

/// Data types, as the packed forms number them.
mod kind {
    pub(super) const BOOLEAN: u32 = 1;
    pub(super) const BYTE: u32 = 2;
    pub(super) const INT16: u32 = 3;
    pub(super) const UINT16: u32 = 4;
    pub(super) const INT32: u32 = 5;
    pub(super) const UINT32: u32 = 6;
    pub(super) const INT64: u32 = 7;
    pub(super) const UINT64: u32 = 8;
    pub(super) const STRING: u32 = 9;
    pub(super) const BYTE_ARRAY: u32 = 10;
    pub(super) const INT16_ARRAY: u32 = 11;
    pub(super) const UINT16_ARRAY: u32 = 12;
    pub(super) const INT32_ARRAY: u32 = 13;
    pub(super) const UINT32_ARRAY: u32 = 14;
    pub(super) const INT64_ARRAY: u32 = 15;
    pub(super) const UINT64_ARRAY: u32 = 16;
    pub(super) const STRING_ARRAY: u32 = 17;
    pub(super) const HRTIME: u32 = 18;
    pub(super) const NVLIST: u32 = 19;
    pub(super) const NVLIST_ARRAY: u32 = 20;
    pub(super) const BOOLEAN_VALUE: u32 = 21;
    pub(super) const INT8: u32 = 22;
    pub(super) const UINT8: u32 = 23;
    pub(super) const BOOLEAN_ARRAY: u32 = 24;
    pub(super) const INT8_ARRAY: u32 = 25;
    pub(super) const UINT8_ARRAY: u32 = 26;
}

/// Why bytes are no packed list.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum NvError {
    /// Longer than [`MAX_PACKED`].
    #[error("packed list is longer than 64 MiB: {length}")]
    TooLong {
        /// Its length.
        length: usize,
    },
    /// It ends in the middle of something.
    #[error("packed list ends early at {offset:#x}")]
    Truncated {
        /// Where in the list.
        offset: usize,
    },
    /// An encoding that is neither native nor XDR.
    #[error("packed list has an unknown encoding: {encoding}")]
    Encoding {
        /// The first byte.
        encoding: u8,
    },
    /// Nested deeper than [`MAX_DEPTH`].
    #[error("packed list is nested deeper than 12 at {offset:#x}")]
    TooDeep {
        /// Where in the list.
        offset: usize,
    },
    /// A type that does not exist.
    #[error("packed list has a value of unknown type at {offset:#x}: {kind}")]
    Type {
        /// Where in the list.
        offset: usize,
        /// The type's number.
        kind: u32,
    },
    /// A length or count that can't be.
    #[error("packed list contradicts itself at {offset:#x}")]
    Malformed {
        /// Where in the list.
        offset: usize,
    },
}

/// A value of a list.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Value {
    /// Present, no more.
    Boolean,
    /// `uint64`.
    U64(u64),
    /// `string`, without its NUL.
    String(Vec<u8>),
    /// `byte_array`.
    Bytes(Vec<u8>),
    /// `uint64_array`.
    U64Array(Vec<u64>),
    /// `string_array`.
    Strings(Vec<Vec<u8>>),
    /// `nvlist`.
    List(NvList),
    /// `nvlist_array`.
    Lists(Vec<NvList>),
    /// Any other scalar; its type's number and its value.
    Scalar(u32, i64),
    /// Any other array; its type's number and its values.
    Array(u32, Vec<i64>),
}

/// Names and values in the order they were packed.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct NvList {
    /// The pairs.
    pub pairs: Vec<(Vec<u8>, Value)>,
}

impl NvList {
    /// The value of a name.
    pub fn get(&self, name: &[u8]) -> Option<&Value> {
        self.pairs.iter().find(|(n, _)| n == name).map(|(_, value)| value)
    }

    /// A `uint64` of that name.
    pub fn get_u64(&self, name: &[u8]) -> Option<u64> {
        if let Value::U64(n) = self.get(name)? { Some(*n) } else { None }
    }

    /// A string of that name.
    pub fn get_string(&self, name: &[u8]) -> Option<&[u8]> {
        if let Value::String(s) = self.get(name)? { Some(s) } else { None }
    }

    /// A list of that name.
    pub fn get_list(&self, name: &[u8]) -> Option<&NvList> {
        if let Value::List(list) = self.get(name)? { Some(list) } else { None }
    }

    /// Adds a pair at the end.
    pub fn push(&mut self, name: impl Into<Vec<u8>>, value: Value) {
        self.pairs.push((name.into(), value));
    }
}

/// Reads a packed list of either encoding. What follows its end is ignored: attributes are padded.
pub fn unpack(packed: &[u8]) -> Result<NvList, NvError> {
    if packed.len() > MAX_PACKED {
        return Err(NvError::TooLong { length: packed.len() });
    }
    let mut cursor = Cursor { bytes: packed, at: 0, is_le: false };
    let header: [u8; 4] = cursor.array()?;
    match header[0] {
        ENCODING_XDR => cursor.xdr_list(0),
        ENCODING_NATIVE => {
            cursor.is_le = header[1] == 1;
            cursor.take(8)?;
            cursor.native_pairs(0)
        }
        encoding => Err(NvError::Encoding { encoding }),
    }
}

struct Cursor<'a> {
    bytes: &'a [u8],
    at: usize,
    /// Byte order of the native encoding; XDR is always big-endian.
    is_le: bool,
}

impl<'a> Cursor<'a> {
    fn take(&mut self, n: usize) -> Result<&'a [u8], NvError> {
        let part = self.bytes.get(self.at..).and_then(|rest| rest.get(..n));
        let part = part.ok_or(NvError::Truncated { offset: self.at })?;
        self.at += n;
        Ok(part)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], NvError> {
        let offset = self.at;
        self.take(N)?.try_into().map_err(|_| NvError::Truncated { offset })
    }

    fn u32(&mut self) -> Result<u32, NvError> {
        let bytes = self.array()?;
        Ok(if self.is_le { u32::from_le_bytes(bytes) } else { u32::from_be_bytes(bytes) })
    }

    fn u64(&mut self) -> Result<u64, NvError> {
        let bytes = self.array()?;
        Ok(if self.is_le { u64::from_le_bytes(bytes) } else { u64::from_be_bytes(bytes) })
    }

    fn u16(&mut self) -> Result<u16, NvError> {
        let bytes = self.array()?;
        Ok(if self.is_le { u16::from_le_bytes(bytes) } else { u16::from_be_bytes(bytes) })
    }

    /// A count, which can't be more than the bytes that are left: everything counted takes one at least.
    fn count(&self, n: u32) -> Result<usize, NvError> {
        let n = usize::try_from(n).unwrap_or(usize::MAX);
        if n > self.bytes.len() - self.at { Err(NvError::Malformed { offset: self.at }) } else { Ok(n) }
    }

    fn check_depth(&self, depth: usize) -> Result<(), NvError> {
        if depth > MAX_DEPTH { Err(NvError::TooDeep { offset: self.at }) } else { Ok(()) }
    }

    // XDR

    fn xdr_list(&mut self, depth: usize) -> Result<NvList, NvError> {
        self.check_depth(depth)?;
        self.take(8)?;
        let mut list = NvList::default();
        loop {
            let (encoded, decoded) = (self.u32()?, self.u32()?);
            if encoded == 0 && decoded == 0 {
                return Ok(list);
            }
            let name = self.xdr_string()?;
            let (offset, kind, n) = (self.at, self.u32()?, self.u32()?);
            let value = self.xdr_value(kind, n, depth, offset)?;
            list.pairs.push((name, value));
        }
    }

    fn xdr_string(&mut self) -> Result<Vec<u8>, NvError> {
        let len = self.u32()?;
        let len = self.count(len)?;
        let text = self.take(len)?.to_vec();
        self.take(padding(len, 4))?;
        Ok(text)
    }

    fn xdr_value(&mut self, kind: u32, n: u32, depth: usize, offset: usize) -> Result<Value, NvError> {
        let count = self.count(n)?;
        Ok(match kind {
            kind::BOOLEAN => Value::Boolean,
            kind::UINT64 => Value::U64(self.u64()?),
            kind::INT64 | kind::HRTIME => Value::Scalar(kind, self.u64()? as i64),
            kind::BYTE | kind::INT8..=kind::UINT8 | kind::INT16..=kind::UINT32 | kind::BOOLEAN_VALUE => {
                Value::Scalar(kind, widened(kind, self.u32()?))
            }
            kind::STRING => Value::String(self.xdr_string()?),
            kind::BYTE_ARRAY => {
                let bytes = self.take(count)?.to_vec();
                self.take(padding(count, 4))?;
                Value::Bytes(bytes)
            }
            kind::STRING_ARRAY => {
                Value::Strings((0..count).map(|_| self.xdr_string()).collect::<Result<_, _>>()?)
            }
            kind::NVLIST => Value::List(self.xdr_list(depth + 1)?),
            kind::NVLIST_ARRAY => {
                Value::Lists((0..count).map(|_| self.xdr_list(depth + 1)).collect::<Result<_, _>>()?)
            }
            kind::UINT64_ARRAY => {
                let n = self.xdr_count()?;
                Value::U64Array((0..n).map(|_| self.u64()).collect::<Result<_, _>>()?)
            }
            kind::INT64_ARRAY => {
                let n = self.xdr_count()?;
                Value::Array(kind, (0..n).map(|_| Ok(self.u64()? as i64)).collect::<Result<_, NvError>>()?)
            }
            kind::INT16_ARRAY..=kind::UINT32_ARRAY | kind::BOOLEAN_ARRAY..=kind::UINT8_ARRAY => {
                let n = self.xdr_count()?;
                let values = (0..n).map(|_| Ok(widened(kind, self.u32()?)));
                Value::Array(kind, values.collect::<Result<_, NvError>>()?)
            }
            kind => return Err(NvError::Type { offset, kind }),
        })
    }

    fn xdr_count(&mut self) -> Result<usize, NvError> {
        let n = self.u32()?;
        self.count(n)
    }

    // Native

    fn native_pairs(&mut self, depth: usize) -> Result<NvList, NvError> {
        self.check_depth(depth)?;
        let mut list = NvList::default();
        loop {
            let start = self.at;
            let size = self.u32()?;
            if size == 0 {
                return Ok(list);
            }
            let malformed = NvError::Malformed { offset: start };
            let end = start.checked_add(self.count(size)?).ok_or_else(|| malformed.clone())?;
            let name_size = usize::from(self.u16()?);
            self.take(2)?;
            let (n, kind) = (self.u32()?, self.u32()?);
            let name = self.take(name_size)?;
            let name = name.split_last().filter(|(nul, _)| **nul == 0).ok_or_else(|| malformed.clone())?.1;
            self.take(padding(16 + name_size, 8))?;
            let dead_end = self.at;
            let value = self.native_value(kind, n, start, end)?;
            let value = match value {
                Some(value) => {
                    if self.at > end {
                        return Err(malformed);
                    }
                    self.at = end;
                    value
                }
                // Lists stand behind their pair; within it are only dead structures.
                None => {
                    self.at = end.max(dead_end);
                    if kind == kind::NVLIST {
                        Value::List(self.native_pairs(depth + 1)?)
                    } else {
                        let n = self.count(n)?;
                        let lists = (0..n).map(|_| self.native_pairs(depth + 1));
                        Value::Lists(lists.collect::<Result<_, _>>()?)
                    }
                }
            };
            list.pairs.push((name.to_vec(), value));
        }
    }

    fn native_string(&mut self, end: usize) -> Result<Vec<u8>, NvError> {
        let offset = self.at;
        let rest = self.bytes.get(offset..end).ok_or(NvError::Truncated { offset })?;
        let len = rest.iter().position(|&b| b == 0).ok_or(NvError::Malformed { offset })?;
        let text = rest[..len].to_vec();
        self.at += len + 1;
        Ok(text)
    }

    /// `None` for lists.
    fn native_value(
        &mut self,
        kind: u32,
        n: u32,
        start: usize,
        end: usize,
    ) -> Result<Option<Value>, NvError> {
        let count = self.count(n)?;
        Ok(Some(match kind {
            kind::BOOLEAN => Value::Boolean,
            kind::UINT64 => Value::U64(self.u64()?),
            kind::STRING => Value::String(self.native_string(end)?),
            kind::BYTE_ARRAY => Value::Bytes(self.take(count)?.to_vec()),
            kind::UINT64_ARRAY => Value::U64Array((0..count).map(|_| self.u64()).collect::<Result<_, _>>()?),
            kind::STRING_ARRAY => {
                self.take(count.checked_mul(8).ok_or(NvError::Malformed { offset: start })?)?;
                Value::Strings((0..count).map(|_| self.native_string(end)).collect::<Result<_, _>>()?)
            }
            kind::NVLIST | kind::NVLIST_ARRAY => return Ok(None),
            kind::BYTE | kind::INT8 | kind::UINT8 => Value::Scalar(kind, self.small(kind)?),
            kind::INT16..=kind::INT64 | kind::HRTIME | kind::BOOLEAN_VALUE => {
                Value::Scalar(kind, self.small(kind)?)
            }
            kind::INT16_ARRAY..=kind::INT64_ARRAY | kind::BOOLEAN_ARRAY..=kind::UINT8_ARRAY => {
                Value::Array(kind, (0..count).map(|_| self.small(kind)).collect::<Result<_, _>>()?)
            }
            kind => return Err(NvError::Type { offset: start, kind }),
        }))
    }

    /// One integer of the natural size of a scalar type or of an array's elements.
    fn small(&mut self, kind: u32) -> Result<i64, NvError> {
        Ok(match kind {
            kind::INT8 | kind::INT8_ARRAY => i64::from(i8::from_ne_bytes(self.array()?)),
            kind::BYTE | kind::UINT8 | kind::UINT8_ARRAY => i64::from(self.array::<1>()?[0]),
            kind::INT16 | kind::INT16_ARRAY => i64::from(self.u16()? as i16),
            kind::UINT16 | kind::UINT16_ARRAY => i64::from(self.u16()?),
            kind::INT32 | kind::INT32_ARRAY => i64::from(self.u32()? as i32),
            kind::INT64 | kind::INT64_ARRAY | kind::HRTIME => self.u64()? as i64,
            _ => i64::from(self.u32()?),
        })
    }
}

/// What a word in XDR stands for, which narrower integers were widened to.
fn widened(kind: u32, word: u32) -> i64 {
    match kind {
        kind::UINT32 | kind::UINT32_ARRAY | kind::BOOLEAN_VALUE | kind::BOOLEAN_ARRAY => i64::from(word),
        _ => i64::from(word as i32),
    }
}

fn padding(len: usize, to: usize) -> usize {
    len.wrapping_neg() % to
}

/// Packs in XDR, names unique, pairs in their order: what `zfs` itself makes.
pub fn pack(list: &NvList) -> Vec<u8> {
    let mut out = vec![ENCODING_XDR, 1, 0, 0];
    pack_list(list, &mut out);
    out
}

fn pack_list(list: &NvList, out: &mut Vec<u8>) {
    put(out, 0);
    put(out, UNIQUE_NAMES);
    for (name, value) in &list.pairs {
        let start = out.len();
        put(out, 0);
        put(out, decoded_size(name, value));
        put_string(out, name);
        let (kind, n) = kind_and_count(value);
        put(out, kind);
        put(out, n);
        pack_value(value, out);
        let size = u32::try_from(out.len() - start).expect("lists that are written are far below 4 GiB");
        out[start..start + 4].copy_from_slice(&size.to_be_bytes());
    }
    put(out, 0);
    put(out, 0);
}

fn put(out: &mut Vec<u8>, n: u32) {
    out.extend_from_slice(&n.to_be_bytes());
}

fn put_len(out: &mut Vec<u8>, n: usize) {
    put(out, u32::try_from(n).expect("lists that are written are far below 4 GiB"));
}

fn put_string(out: &mut Vec<u8>, text: &[u8]) {
    put_len(out, text.len());
    out.extend_from_slice(text);
    out.resize(out.len() + padding(text.len(), 4), 0);
}

fn kind_and_count(value: &Value) -> (u32, u32) {
    let count = |n: usize| u32::try_from(n).expect("lists that are written are far below 4 GiB");
    match value {
        Value::Boolean => (kind::BOOLEAN, 0),
        Value::U64(_) => (kind::UINT64, 1),
        Value::String(_) => (kind::STRING, 1),
        Value::Bytes(bytes) => (kind::BYTE_ARRAY, count(bytes.len())),
        Value::U64Array(values) => (kind::UINT64_ARRAY, count(values.len())),
        Value::Strings(values) => (kind::STRING_ARRAY, count(values.len())),
        Value::List(_) => (kind::NVLIST, 1),
        Value::Lists(lists) => (kind::NVLIST_ARRAY, count(lists.len())),
        Value::Scalar(kind, _) => (*kind, 1),
        Value::Array(kind, values) => (*kind, count(values.len())),
    }
}

/// Bytes of the pair in a kernel's memory: decoders check it against what is left.
fn decoded_size(name: &[u8], value: &Value) -> u32 {
    let element = |kind: u32| match kind {
        kind::BYTE | kind::INT8 | kind::UINT8 | kind::INT8_ARRAY | kind::UINT8_ARRAY => 1,
        kind::INT16 | kind::UINT16 | kind::INT16_ARRAY | kind::UINT16_ARRAY => 2,
        kind::INT64 | kind::HRTIME | kind::INT64_ARRAY => 8,
        _ => 4,
    };
    let size: usize = match value {
        Value::Boolean => 0,
        Value::U64(_) => 8,
        Value::String(text) => text.len() + 1,
        Value::Bytes(bytes) => bytes.len(),
        Value::U64Array(values) => 8 * values.len(),
        Value::Strings(texts) => texts.iter().map(|t| 8 + t.len() + 1).sum(),
        Value::List(_) => 24,
        Value::Lists(lists) => 32 * lists.len(),
        Value::Scalar(kind, _) => element(*kind),
        Value::Array(kind, values) => element(*kind) * values.len(),
    };
    let size = (16 + name.len() + 1).next_multiple_of(8) + size.next_multiple_of(8);
    u32::try_from(size).expect("lists that are written are far below 4 GiB")
}

fn pack_value(value: &Value, out: &mut Vec<u8>) {
    match value {
        Value::Boolean => {}
        Value::U64(n) => out.extend_from_slice(&n.to_be_bytes()),
        Value::String(text) => put_string(out, text),
        Value::Bytes(bytes) => {
            out.extend_from_slice(bytes);
            out.resize(out.len() + padding(bytes.len(), 4), 0);
        }
        Value::U64Array(values) => {
            put_len(out, values.len());
            values.iter().for_each(|n| out.extend_from_slice(&n.to_be_bytes()));
        }
        Value::Strings(texts) => texts.iter().for_each(|t| put_string(out, t)),
        Value::List(list) => pack_list(list, out),
        Value::Lists(lists) => lists.iter().for_each(|l| pack_list(l, out)),
        Value::Scalar(kind::INT64 | kind::HRTIME, n) => out.extend_from_slice(&n.to_be_bytes()),
        // Narrow values are widened to a word; the cast keeps its low half, whichever the sign.
        Value::Scalar(_, n) => put(out, *n as u32),
        Value::Array(kind, values) => {
            put_len(out, values.len());
            for n in values {
                match *kind {
                    kind::INT64_ARRAY => out.extend_from_slice(&n.to_be_bytes()),
                    _ => put(out, *n as u32),
                }
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn list(pairs: Vec<(&str, Value)>) -> NvList {
        NvList { pairs: pairs.into_iter().map(|(n, v)| (n.as_bytes().to_vec(), v)).collect() }
    }

    fn everything() -> NvList {
        let inner = list(vec![("n", Value::U64(u64::MAX)), ("s", Value::String(b"t\xe4xt".to_vec()))]);
        list(vec![
            ("not_recursive", Value::Boolean),
            ("user.x", Value::Bytes(b"12345".to_vec())),
            ("empty", Value::Bytes(vec![])),
            ("lists", Value::Lists(vec![inner.clone(), NvList::default()])),
            ("texts", Value::Strings(vec![b"a".to_vec(), b"bcde".to_vec()])),
            ("numbers", Value::U64Array(vec![1, 2, 3])),
            ("word", Value::Scalar(kind::INT32, -5)),
            ("long", Value::Scalar(kind::INT64, i64::MIN)),
            ("flags", Value::Array(kind::BOOLEAN_ARRAY, vec![1, 0])),
            ("words", Value::Array(kind::UINT32_ARRAY, vec![0xff00_0000, 7])),
            ("signed", Value::Array(kind::INT32_ARRAY, vec![-16_777_216, 7])),
            ("inner", Value::List(inner)),
        ])
    }

    #[test]
    fn packs_and_unpacks() {
        let packed = pack(&everything());
        assert_eq!(unpack(&packed).unwrap(), everything());
        for len in 0..packed.len() {
            assert!(unpack(&packed[..len]).is_err(), "cut off at {len}");
        }
    }

    #[test]
    fn packed_form_is_that_of_zfs() {
        let packed = pack(&list(vec![("user.a", Value::Bytes(b"1".to_vec()))]));
        let want = b"\x01\x01\0\0\0\0\0\0\0\0\0\x01\0\0\0\x20\0\0\0\x20\0\0\0\x06user.a\0\0\0\0\0\x0a\0\0\0\x011\0\0\0\0\0\0\0\0\0\0\0";
        assert_eq!(packed.escape_ascii().to_string(), want.escape_ascii().to_string());
    }

    /// `{a: 7, l: {s: "xy"}, z: boolean}` in the native encoding.
    fn native(is_le: bool) -> Vec<u8> {
        let mut out = vec![0, u8::from(is_le), 0, 0];
        let u32s = |out: &mut Vec<u8>, n: u32| {
            out.extend(if is_le { n.to_le_bytes() } else { n.to_be_bytes() });
        };
        let pair = |out: &mut Vec<u8>, name: u8, kind: u32, n: u32, value: &[u8]| {
            u32s(out, 24 + value.len() as u32);
            out.extend(if is_le { 2u16.to_le_bytes() } else { 2u16.to_be_bytes() });
            out.extend([0, 0]);
            u32s(out, n);
            u32s(out, kind);
            out.extend([name, 0, 0, 0, 0, 0, 0, 0]);
            out.extend(value);
        };
        u32s(&mut out, 0);
        u32s(&mut out, 1);
        let seven = if is_le { 7u64.to_le_bytes() } else { 7u64.to_be_bytes() };
        pair(&mut out, b'a', kind::UINT64, 1, &seven);
        pair(&mut out, b'l', kind::NVLIST, 1, &[0xee; 24]);
        pair(&mut out, b's', kind::STRING, 1, b"xy\0\0\0\0\0\0");
        u32s(&mut out, 0);
        pair(&mut out, b'z', kind::BOOLEAN, 0, b"");
        u32s(&mut out, 0);
        out
    }

    #[test]
    fn native_lists_of_either_order() {
        let want = list(vec![
            ("a", Value::U64(7)),
            ("l", Value::List(list(vec![("s", Value::String(b"xy".to_vec()))]))),
            ("z", Value::Boolean),
        ]);
        for is_le in [false, true] {
            let packed = native(is_le);
            assert_eq!(unpack(&packed).unwrap(), want);
            for len in 0..packed.len() {
                assert!(unpack(&packed[..len]).is_err(), "cut off at {len}");
            }
        }
    }

    #[test]
    fn hostile_lists_are_refused() {
        let mut deep = NvList::default();
        for _ in 0..MAX_DEPTH + 1 {
            deep = list(vec![("d", Value::List(deep))]);
        }
        assert!(matches!(unpack(&pack(&deep)), Err(NvError::TooDeep { .. })));
        let mut many = pack(&list(vec![("n", Value::U64Array(vec![1]))]));
        let at = many.len() - 8 - 8 - 4;
        many[at..at + 4].copy_from_slice(&u32::MAX.to_be_bytes());
        assert!(matches!(unpack(&many), Err(NvError::Malformed { .. })));
        assert!(matches!(unpack(&[7, 0, 0, 0]), Err(NvError::Encoding { encoding: 7 })));
    }
}
