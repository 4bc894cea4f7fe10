//! What an input holds, told without reading what its records mean.

use std::collections::BTreeMap;

use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::format::objset;
use aurora_formats::zfs::parse;
use aurora_formats::zfs::record::{Endian, Header, RECORD_LEN};

use super::input::{Input, Records};
use crate::names::FileName;
use crate::{Ctx, Result};

/// Substreams told of: far more than any package has.
const MAX_LISTED: usize = 1 << 20;

/// The stream of one snapshot.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubstreamInfo {
    /// `dataset@snapshot`.
    pub name: String,
    /// Guid of the snapshot.
    pub guid: u64,
    /// Guid of what it is an increment to; 0 for a full stream.
    pub from_guid: u64,
    /// Seconds since 1970.
    pub creation_time: u64,
    /// `filesystem` or `volume`.
    pub kind: &'static str,
    /// Byte order of the sender.
    pub is_big_endian: bool,
    /// `drr_flags` of BEGIN.
    pub flags: u32,
    /// Feature bits by name.
    pub features: Vec<&'static str>,
    /// Records by name.
    pub records: BTreeMap<&'static str, u64>,
    /// Records that carry no checksum.
    pub unsummed: u64,
    /// First byte in the uncompressed input.
    pub offset: u64,
    /// Bytes, records and payloads.
    pub bytes: u64,
    /// Whether it is one of a package.
    pub in_package: bool,
    /// Why its files can't be read, though nothing is wrong with it.
    pub refusal: Option<ZfsError>,
}

/// Reads a whole input, checks its structure and all its checksums, and tells what it holds.
pub fn survey(file: &FileName, ctx: &Ctx<'_>) -> Result<Vec<SubstreamInfo>> {
    let mut records = Records::open(&Input::File(file.clone()), ctx)?;
    let mut found: Vec<SubstreamInfo> = Vec::new();
    let mut in_package = false;
    while let Some(record) = records.next()? {
        records.skip(&record)?;
        if record.is_frame {
            // A package's frame is BEGIN, END, and a last END.
            in_package = match record.header {
                Header::Begin(_) => true,
                _ => in_package && found.last().is_none_or(|s| s.offset + s.bytes != record.offset),
            };
            continue;
        }
        if let Header::Begin(begin) = &record.header {
            if found.len() >= MAX_LISTED {
                let what = "streams in a package";
                return Err(crate::ErrorKind::Limit { what, limit: MAX_LISTED as u64 }.into());
            }
            let name: Vec<u8> = begin.to_name.iter().copied().take_while(|&b| b != 0).collect();
            found.push(SubstreamInfo {
                name: name.escape_ascii().to_string(),
                guid: begin.to_guid,
                from_guid: begin.from_guid,
                creation_time: begin.creation_time,
                kind: if begin.objset_type == objset::ZVOL { "volume" } else { "filesystem" },
                is_big_endian: records.endian() == Endian::Big,
                flags: begin.flags,
                features: parse::feature_names(parse::features(begin)),
                records: BTreeMap::new(),
                unsummed: 0,
                offset: record.offset,
                bytes: 0,
                in_package,
                refusal: parse::refusal(begin, record.offset),
            });
        }
        if let Some(stream) = found.last_mut() {
            *stream.records.entry(record.header.name()).or_default() += 1;
            stream.unsummed += u64::from(record.is_unsummed);
            stream.bytes += RECORD_LEN as u64 + record.payload;
        }
    }
    Ok(found)
}
