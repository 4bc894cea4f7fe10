//! Packed nvlists in XDR, as far as streams need them written (`docs/zfs-send-stream.md` §5.1).

use std::collections::BTreeMap;

/// Values that are written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    /// Type 8.
    Word(u64),
    /// Type 9.
    Text(Vec<u8>),
    /// Type 10.
    Bytes(Vec<u8>),
    /// Type 19.
    List(List),
}

/// Pairs in the order of their names.
pub(super) type List = BTreeMap<Vec<u8>, Value>;

/// Packs a list with the 4 bytes that say it is XDR.
pub(super) fn pack(list: &List) -> Vec<u8> {
    // Encoding 1 is XDR; the second byte is the order of the packer's machine, which XDR does not depend on.
    let mut out = vec![1, 1, 0, 0];
    put_list(&mut out, list);
    out
}

/// Extended attributes as the DXATTR attribute holds them.
pub fn xattrs<'a>(xattrs: impl IntoIterator<Item = (&'a [u8], &'a [u8])>) -> Vec<u8> {
    pack(&xattrs.into_iter().map(|(name, value)| (name.to_vec(), Value::Bytes(value.to_vec()))).collect())
}

fn put_list(out: &mut Vec<u8>, list: &List) {
    put_word(out, 0); // version
    put_word(out, 1); // names are unique
    for (name, value) in list {
        let mut pair = Vec::new();
        put_opaque(&mut pair, name);
        let size = put_value(&mut pair, value);
        // The size that the pair has in memory: receivers allocate by it and check that it is plausible.
        let decoded = (16 + name.len() + 1).next_multiple_of(8) + size.next_multiple_of(8);
        put_word(out, pair.len() + 8);
        put_word(out, decoded);
        out.extend_from_slice(&pair);
    }
    out.extend_from_slice(&[0; 8]);
}

/// Type, count and value; the bytes that the value has in memory.
fn put_value(out: &mut Vec<u8>, value: &Value) -> usize {
    match value {
        Value::Word(word) => {
            put_words(out, [8, 1]);
            out.extend_from_slice(&word.to_be_bytes());
            8
        }
        Value::Text(text) => {
            put_words(out, [9, 1]);
            put_opaque(out, text);
            text.len() + 1
        }
        Value::Bytes(bytes) => {
            put_words(out, [10, bytes.len()]);
            put_padded(out, bytes);
            bytes.len()
        }
        Value::List(list) => {
            put_words(out, [19, 1]);
            put_list(out, list);
            24
        }
    }
}

fn put_words(out: &mut Vec<u8>, words: [usize; 2]) {
    words.into_iter().for_each(|word| put_word(out, word));
}

/// Sizes here are of one attribute or of a package's header: far below 2^32.
fn put_word(out: &mut Vec<u8>, word: usize) {
    out.extend_from_slice(&(word as u32).to_be_bytes());
}

fn put_opaque(out: &mut Vec<u8>, bytes: &[u8]) {
    put_word(out, bytes.len());
    put_padded(out, bytes);
}

fn put_padded(out: &mut Vec<u8>, bytes: &[u8]) {
    out.extend_from_slice(bytes);
    out.resize(out.len().next_multiple_of(4), 0);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bytes_are_those_of_the_kernel() {
        // What Linux wrote for `setfattr -n user.a -v xyz`.
        let want: &[u8] = &[
            1, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1, // header, version, unique names
            0, 0, 0, 32, 0, 0, 0, 32, // sizes, encoded and decoded
            0, 0, 0, 6, b'u', b's', b'e', b'r', b'.', b'a', 0, 0, // name
            0, 0, 0, 10, 0, 0, 0, 3, b'x', b'y', b'z', 0, // byte array of 3
            0, 0, 0, 0, 0, 0, 0, 0, // end
        ];
        assert_eq!(xattrs([(&b"user.a"[..], &b"xyz"[..])]), want);
    }
}
