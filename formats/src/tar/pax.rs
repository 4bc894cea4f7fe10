//! PAX extended headers: records, and what their keys say (POSIX pax, "pax Extended Header").

use base64::Engine as _;
use base64::alphabet::STANDARD;
use base64::engine::{DecodePaddingMode, GeneralPurpose, GeneralPurposeConfig};

use super::error::{TarError, excerpt};
use super::number;
use super::sparse::PaxSparse;
use crate::model::{Timestamp, Xattrs};

/// What a key says: `None` nothing at all, `Some(None)` that a global value does not hold (an empty value).
type Said<T> = Option<Option<T>>;

/// Everything the keys of one or more extended headers say.
#[derive(Debug, Clone, Default)]
pub(super) struct Pax {
    pub(super) path: Option<Box<[u8]>>,
    pub(super) linkpath: Option<Box<[u8]>>,
    pub(super) size: Option<u64>,
    pub(super) uid: Said<u64>,
    pub(super) gid: Said<u64>,
    pub(super) mtime: Said<Timestamp>,
    pub(super) devmajor: Option<u64>,
    pub(super) devminor: Option<u64>,
    /// `SCHILY.xattr.*`.
    pub(super) xattrs: Xattrs,
    /// `LIBARCHIVE.xattr.*` and `RHT.security.selinux`: where the former does not say it.
    pub(super) other_xattrs: Xattrs,
    pub(super) acl_access: Option<Box<[u8]>>,
    pub(super) acl_default: Option<Box<[u8]>>,
    pub(super) acl_nfs4: bool,
    pub(super) flags: Option<Box<[u8]>>,
    pub(super) sparse: PaxSparse,
}

/// A record's offset in its header or its length, its key, its value.
type Record<'a> = (usize, &'a [u8], &'a [u8]);

/// Splits extended header data; a fault comes with its offset.
fn records(data: &[u8]) -> impl Iterator<Item = Result<Record<'_>, (usize, &'static str)>> {
    let mut at = 0;
    std::iter::from_fn(move || {
        if at >= data.len() {
            return None;
        }
        let start = at;
        // Whatever is wrong, nothing after it can be told apart.
        at = data.len();
        let rest = &data[start..];
        Some(record(rest).map_err(|fault| (start, fault)).map(|(len, key, value)| {
            at = start + len;
            (start, key, value)
        }))
    })
}

/// One record: its length, key and value.
fn record(rest: &[u8]) -> Result<Record<'_>, &'static str> {
    /// More digits than any length in an address space.
    const MAX_DIGITS: usize = 20;
    let space = rest.iter().take(MAX_DIGITS).position(|&b| b == b' ').ok_or("no length")?;
    let len = number::decimal(&rest[..space]).and_then(|n| usize::try_from(n).ok()).ok_or("no length")?;
    let body = rest.get(space + 1..len).ok_or("length runs past the header")?;
    let body = body.strip_suffix(b"\n").ok_or("no line end where the length says")?;
    let equals = body.iter().position(|&b| b == b'=').ok_or("no equals sign")?;
    if equals == 0 {
        return Err("no key");
    }
    Ok((len, &body[..equals], &body[equals + 1..]))
}

impl Pax {
    /// Reads the data of an extended header that begins at `offset`. Of a global one (`is_global`) the keys that
    /// can only be about one member are ignored: no writer means them, and tools disagree about them.
    pub(super) fn read(&mut self, data: &[u8], offset: u64, is_global: bool) -> Result<(), TarError> {
        for record in records(data) {
            let (at, key, value) = record.map_err(|(at, fault)| TarError::PaxRecord {
                offset: offset + at as u64,
                fault,
                record: excerpt(&data[at..]),
            })?;
            self.say(key, value, is_global).ok_or_else(|| TarError::PaxValue {
                offset: offset + at as u64,
                key: excerpt(key),
                value: excerpt(value),
            })?;
        }
        Ok(())
    }

    /// One record; `None` if the value is impossible.
    fn say(&mut self, key: &[u8], value: &[u8], is_global: bool) -> Option<()> {
        let said = |parsed: fn(&[u8]) -> Option<u64>| -> Option<Said<u64>> {
            if value.is_empty() { Some(Some(None)) } else { parsed(value).map(|v| Some(Some(v))) }
        };
        match key {
            b"path" | b"linkpath" | b"size" | b"SCHILY.devmajor" | b"SCHILY.devminor" if is_global => {}
            b"path" => self.path = name(value)?,
            b"linkpath" => self.linkpath = name(value)?,
            b"size" => self.size = said(number::decimal)?.flatten(),
            b"uid" => self.uid = said(number::decimal)?,
            b"gid" => self.gid = said(number::decimal)?,
            b"mtime" => {
                self.mtime = Some(if value.is_empty() { None } else { Some(number::time(value)?) });
            }
            b"SCHILY.devmajor" => self.devmajor = said(number::decimal)?.flatten(),
            b"SCHILY.devminor" => self.devminor = said(number::decimal)?.flatten(),
            b"SCHILY.acl.access" => self.acl_access = Some(value.into()),
            b"SCHILY.acl.default" => self.acl_default = Some(value.into()),
            b"SCHILY.acl.ace" => self.acl_nfs4 = !value.is_empty(),
            b"SCHILY.fflags" => self.flags = Some(value.into()).filter(|_| !value.is_empty()),
            b"RHT.security.selinux" if !value.is_empty() => {
                // The attribute's value ends in a NUL, which GNU tar leaves out of the record.
                let mut context = value.to_vec();
                if context.last() != Some(&0) {
                    context.push(0);
                }
                self.other_xattrs.insert((*b"security.selinux").into(), context.into());
            }
            _ => {
                if let Some(xattr) = key.strip_prefix(b"SCHILY.xattr.") {
                    self.xattrs.insert(xattr_name(xattr.to_vec())?, value.into());
                } else if let Some(xattr) = key.strip_prefix(b"LIBARCHIVE.xattr.") {
                    self.other_xattrs
                        .insert(xattr_name(url_decode(xattr))?, BASE64.decode(value).ok()?.into());
                } else if let Some(sparse) = key.strip_prefix(b"GNU.sparse.").filter(|_| !is_global) {
                    self.sparse.say(sparse, value)?;
                }
            }
        }
        Some(())
    }

    /// About how many bytes it keeps: what bounds global headers, which may follow each other without end.
    pub(super) fn weight(&self) -> usize {
        let xattrs = self.xattrs.iter().chain(&self.other_xattrs).map(|(k, v)| k.len() + v.len() + 64);
        let acls = [&self.acl_access, &self.acl_default, &self.flags];
        xattrs.sum::<usize>() + acls.iter().map(|a| a.as_ref().map_or(0, |a| a.len())).sum::<usize>()
    }
}

/// libarchive leaves the padding out; others do not.
const BASE64: GeneralPurpose = GeneralPurpose::new(
    &STANDARD,
    GeneralPurposeConfig::new()
        .with_decode_padding_mode(DecodePaddingMode::Indifferent)
        .with_decode_allow_trailing_bits(true),
);

/// A path: empty means that the header's own holds.
fn name(value: &[u8]) -> Option<Option<Box<[u8]>>> {
    (!value.contains(&0)).then(|| Some(value.into()).filter(|_| !value.is_empty()))
}

fn xattr_name(name: Vec<u8>) -> Option<Box<[u8]>> {
    (!name.is_empty() && !name.contains(&0)).then(|| name.into())
}

/// `%XX` to bytes; what is no such escape stays.
fn url_decode(text: &[u8]) -> Vec<u8> {
    let digit = |at: usize| text.get(at).and_then(|&b| char::from(b).to_digit(16));
    let mut out = Vec::with_capacity(text.len());
    let mut at = 0;
    while let Some(&byte) = text.get(at) {
        match (byte, digit(at + 1), digit(at + 2)) {
            (b'%', Some(high), Some(low)) => {
                out.push((high << 4 | low) as u8);
                at += 3;
            }
            _ => {
                out.push(byte);
                at += 1;
            }
        }
    }
    out
}

/// Appends one record.
pub(super) fn put(out: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    let body = key.len() + value.len() + 3;
    // The length counts its own digits.
    let mut len = body + 1;
    while body + len.to_string().len() != len {
        len = body + len.to_string().len();
    }
    out.extend(len.to_string().as_bytes());
    out.push(b' ');
    out.extend(key);
    out.push(b'=');
    out.extend(value);
    out.push(b'\n');
}

/// The key and value of an extended attribute: star's form, or libarchive's where the name has an equals sign,
/// which would end the key.
pub(super) fn xattr_record(name: &[u8], value: &[u8]) -> (Vec<u8>, Vec<u8>) {
    if !name.contains(&b'=') {
        return ([b"SCHILY.xattr.", name].concat(), value.to_vec());
    }
    let mut key = b"LIBARCHIVE.xattr.".to_vec();
    for &byte in name {
        match byte {
            b'=' | b'%' => key.extend(format!("%{byte:02X}").as_bytes()),
            _ => key.push(byte),
        }
    }
    (key, BASE64.encode(value).into_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(data: &[u8]) -> Result<Pax, TarError> {
        let mut pax = Pax::default();
        pax.read(data, 1000, false).map(|()| pax)
    }

    #[test]
    fn malformed_records_say_where() {
        let cases: &[(&[u8], &str, u64)] = &[
            (b"99 path=short\n", "length runs past", 1000),
            (b"6 a=b\n99 path=short\n", "length runs past", 1006),
            (b"6 a=b\n\0\0\0\0", "no length", 1006),
            (b" a=b\n", "no length", 1000),
            (b"5 a=b\n", "no line end", 1000),
            (b"2 ", "no line end", 1000),
            (b"0 ", "length runs past", 1000),
            (b"5 ab\n", "no equals", 1000),
            (b"5 =b\n", "no key", 1000),
            (b"99999999999999999999999 a=b\n", "no length", 1000),
            (b"12 path=a\0b\n", "impossible value", 1000),
            (b"9 size=x\n", "impossible value", 1000),
            (b"12 mtime=1e5\n", "", 1000),
        ];
        for (data, want, offset) in cases {
            let e = read(data).expect_err("malformed");
            assert!(e.to_string().contains(want) && e.offset() == *offset, "{e} at {}", e.offset());
        }
    }

    #[test]
    fn attributes_of_every_form() {
        let mut data = Vec::new();
        put(&mut data, b"SCHILY.xattr.user.a", b"1");
        put(&mut data, b"SCHILY.xattr.user.empty", b"");
        put(&mut data, b"LIBARCHIVE.xattr.user.x%3Dy%25", b"AGJpbv8");
        put(&mut data, b"LIBARCHIVE.xattr.user.a", b"bm90IHRoaXM=");
        put(&mut data, b"RHT.security.selinux", b"system_u:object_r:bin_t:s0");
        let pax = read(&data).unwrap();
        assert_eq!(pax.xattrs[&b"user.a"[..]], (*b"1").into());
        assert_eq!(pax.xattrs[&b"user.empty"[..]], (*b"").into());
        assert_eq!(pax.other_xattrs[&b"user.x=y%"[..]], (*b"\0bin\xff").into());
        assert_eq!(pax.other_xattrs[&b"security.selinux"[..]], (*b"system_u:object_r:bin_t:s0\0").into());
        let (key, value) = xattr_record(b"user.x=y%", b"\0bin\xff");
        assert_eq!((&key[..], &value[..]), (&b"LIBARCHIVE.xattr.user.x%3Dy%25"[..], &b"AGJpbv8="[..]));
    }

    #[test]
    fn record_lengths_count_themselves() {
        for len in 0..1200 {
            let mut out = Vec::new();
            put(&mut out, b"comment", &vec![b'x'; len]);
            let (got, key, value) = record(&out).unwrap();
            assert_eq!((got, key, value.len()), (out.len(), &b"comment"[..], len));
        }
    }
}
