//! Receiving a stream further, that was cut: where (the property `receive_resume_token`), and how the stream says so.
//!
//! A token is `1-CHECKSUM-SIZE-HEX`: the first word of the Fletcher-4 sum of what `HEX` stands for, which is a zlib stream,
//! and the size of the nvlist that it unpacks to (OpenZFS, `dsl_dataset.c`, `get_receive_resume_token_impl`).

use super::block::{BlockCodec, decompress};
use super::checksum::Fletcher4;
use super::nvlist::{NvList, Value, pack, unpack};
use super::record::{Endian, Header, TO_END};

/// Longest nvlist in a token. Those of the kernel have a dozen numbers and a name.
const MAX_PACKED: usize = 64 << 10;
/// The version of tokens.
const VERSION: &str = "1";

/// What was received last, of which nothing is sure but that all before it is there.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResumePoint {
    /// The object.
    pub object: u64,
    /// Where in it, in bytes; 0 is its beginning, the OBJECT record.
    pub offset: u64,
}

/// What a receiver knows of a stream that was cut.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResumeToken {
    /// The snapshot being received.
    pub to_guid: u64,
    /// The snapshot that it goes on from; 0 for a whole stream.
    pub from_guid: u64,
    /// Where to go on.
    pub point: ResumePoint,
}

/// Why a text is no token.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not a resume token: {0}")]
pub struct TokenError(&'static str);

impl ResumeToken {
    /// Reads one.
    pub fn parse(text: &str) -> Result<Self, TokenError> {
        let mut parts = text.split('-');
        let (Some(VERSION), Some(sum), Some(size), Some(hex), None) =
            (parts.next(), parts.next(), parts.next(), parts.next(), parts.next())
        else {
            return Err(TokenError("its form"));
        };
        let number = |text| u64::from_str_radix(text, 16).map_err(|_| TokenError("a number"));
        let (sum, size) = (number(sum)?, number(size)? as usize);
        if size > MAX_PACKED || hex.len() > 2 * MAX_PACKED {
            return Err(TokenError("its size"));
        }
        let stored = unhex(hex).ok_or(TokenError("its digits"))?;
        // The sum is of the host's words; what is left over behind the last is not in it.
        let mut hash = Fletcher4::new(if cfg!(target_endian = "big") { Endian::Big } else { Endian::Little });
        hash.update(&stored[..stored.len() / 4 * 4]);
        if hash.sum().0[0] != sum {
            return Err(TokenError("its checksum"));
        }
        let mut packed = vec![0; size];
        decompress(BlockCodec::Gzip, &stored, &mut packed).map_err(|_| TokenError("its compression"))?;
        let list = unpack(&packed).map_err(|_| TokenError("its nvlist"))?;
        let number = |name: &str| list.get_u64(name.as_bytes());
        let (Some(to_guid), Some(object)) = (number("toguid"), number("object")) else {
            return Err(TokenError("toguid or object is missing"));
        };
        let point = ResumePoint { object, offset: number("offset").unwrap_or_default() };
        Ok(Self { to_guid, from_guid: number("fromguid").unwrap_or_default(), point })
    }
}

impl ResumePoint {
    /// What follows the BEGIN record of a stream that goes on here, whose feature is `RESUMING`.
    pub fn payload(self) -> Vec<u8> {
        let mut list = NvList::default();
        list.push("resume_object", Value::U64(self.object));
        list.push("resume_offset", Value::U64(self.offset));
        pack(&list)
    }

    /// Whether a record stands before it, and so does not come again. That of the object itself does.
    pub fn is_past(self, header: &Header) -> bool {
        match header {
            Header::Object(object) => object.object < self.object,
            Header::FreeObjects(free) => free.first.saturating_add(free.count) <= self.object,
            Header::Write(write) => Self { object: write.object, offset: write.offset } < self,
            Header::Free(free) => {
                let is_before = |end| Self { object: free.object, offset: end } <= self;
                match free.length {
                    TO_END => free.object < self.object,
                    length => is_before(free.offset.saturating_add(length)),
                }
            }
            Header::Spill(spill) => spill.object < self.object,
            _ => false,
        }
    }
}

fn unhex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: &u8| char::from(*byte).to_digit(16);
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    let byte = |[high, low]: &[u8; 2]| Some((digit(high)? << 4 | digit(low)?) as u8);
    if rest.is_empty() { pairs.iter().map(byte).collect() } else { None }
}

#[cfg(test)]
mod tests {
    use std::io::Write as _;

    use super::*;

    /// As a kernel makes them, but for the encoding of the nvlist.
    fn token(fields: &[(&str, u64)]) -> String {
        let mut list = NvList::default();
        fields.iter().for_each(|(name, value)| list.push(*name, Value::U64(*value)));
        let packed = pack(&list);
        let mut zlib = flate2::write::ZlibEncoder::new(Vec::new(), flate2::Compression::new(6));
        zlib.write_all(&packed).unwrap();
        let stored = zlib.finish().unwrap();
        let mut hash = Fletcher4::new(Endian::Little);
        hash.update(&stored[..stored.len() / 4 * 4]);
        let hex: String = stored.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("1-{:x}-{:x}-{hex}", hash.sum().0[0], packed.len())
    }

    #[test]
    fn tokens_are_read_or_refused() {
        let good = token(&[("fromguid", 1), ("object", 130), ("offset", 1 << 20), ("toguid", u64::MAX)]);
        let point = ResumePoint { object: 130, offset: 1 << 20 };
        assert_eq!(ResumeToken::parse(&good), Ok(ResumeToken { to_guid: u64::MAX, from_guid: 1, point }));
        let bad = |text: &str| ResumeToken::parse(text).unwrap_err().0;
        assert_eq!(bad("-"), "its form");
        assert_eq!(bad("1-x-1-00"), "a number");
        assert_eq!(bad("1-1-ffffffff-00"), "its size");
        assert_eq!(bad("1-1-1-0"), "its digits");
        assert_eq!(bad(&good[..good.len() - 8]), "its checksum");
        assert_eq!(bad(&token(&[("object", 1)])), "toguid or object is missing");
        let (head, hex) = good.rsplit_once('-').unwrap();
        assert_eq!(
            bad(&format!("{}0-{hex}", head.rsplit_once('-').unwrap().0.to_owned() + "-1")),
            "its compression"
        );
    }

    #[test]
    fn what_was_received_does_not_come_again() {
        use crate::zfs::record::{Free, FreeObjects, Spill, Write};
        let point = ResumePoint { object: 5, offset: 512 };
        let write = |object, offset| {
            Header::Write(Write {
                object,
                object_type: 0,
                offset,
                logical_size: 512,
                to_guid: 1,
                checksum_type: 0,
                flags: 0,
                compression: 0,
                compressed_size: 0,
            })
        };
        let free = |object, offset, length| Header::Free(Free { object, offset, length, to_guid: 1 });
        let objects = |first, count| Header::FreeObjects(FreeObjects { first, count, to_guid: 1 });
        let spill = |object| {
            Header::Spill(Spill {
                object,
                length: 512,
                to_guid: 1,
                flags: 0,
                compression: 0,
                compressed_size: 0,
            })
        };
        for past in
            [write(4, 9999), write(5, 0), free(5, 0, 512), free(4, 0, TO_END), objects(2, 3), spill(4)]
        {
            assert!(point.is_past(&past), "{past:?}");
        }
        for future in
            [write(5, 512), write(6, 0), free(5, 0, TO_END), free(5, 512, 1), objects(6, 1), spill(5)]
        {
            assert!(!point.is_past(&future), "{future:?}");
        }
    }
}
