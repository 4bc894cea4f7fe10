//! Records in a row, each sealed by the checksum of all before it.

use super::BuildError;
use crate::zfs::checksum::{Fletcher4, Sum};
use crate::zfs::format::{FEATURES_SHIFT, HEADER_SUBSTREAM, MAGIC};
use crate::zfs::record::{Begin, End, Endian, Header, RECORD_LEN, TONAME_LEN, seal};

/// BEGIN of the stream of one snapshot, a full one until `from_guid` is set.
pub fn begin(
    name: &[u8],
    guid: u64,
    objset_type: u32,
    features: u64,
    flags: u32,
) -> Result<Begin, BuildError> {
    let at = name.iter().position(|&b| b == b'@');
    let is_valid = name.len() < TONAME_LEN && !name.contains(&0) && at.is_some_and(|at| at + 1 < name.len());
    if !is_valid {
        return Err(BuildError::SnapshotName(name.to_vec()));
    }
    let mut to_name = [0; TONAME_LEN];
    to_name[..name.len()].copy_from_slice(name);
    Ok(Begin {
        payload_len: 0,
        magic: MAGIC,
        version_info: features << FEATURES_SHIFT | HEADER_SUBSTREAM,
        creation_time: 0,
        objset_type,
        flags,
        to_guid: guid,
        from_guid: 0,
        to_name,
    })
}

/// Gives every record of one stream its checksum: all of them in turn, each followed by its payload.
pub struct Sealer {
    running: Fletcher4,
}

impl Sealer {
    /// Opens a stream: BEGIN has no checksum of its own. Returns its bytes; `payload` follows them.
    pub fn begin(begin: &Begin, payload: &[u8]) -> (Self, [u8; RECORD_LEN]) {
        let bytes = Header::Begin(begin.clone()).to_bytes();
        let mut running = Fletcher4::new(Endian::Little);
        running.update(&bytes);
        running.update(payload);
        (Self { running }, bytes)
    }

    /// One record. Of its payload, which may be summed apart, the sum and the length in bytes, a multiple of 4, are enough.
    pub fn record(&mut self, record: &mut [u8; RECORD_LEN], payload: Sum, payload_len: u64) {
        seal(record, &mut self.running);
        self.running.append(payload, payload_len / 4);
    }

    /// The last record.
    pub fn end(mut self, to_guid: u64) -> [u8; RECORD_LEN] {
        let mut bytes = Header::End(End { sum: self.running.sum(), to_guid }).to_bytes();
        self.record(&mut bytes, Sum::default(), 0);
        bytes
    }

    /// The end of a package's header, which has the sum but no checksum of its own, and no guid.
    pub fn end_of_header(self) -> [u8; RECORD_LEN] {
        Header::End(End { sum: self.running.sum(), to_guid: 0 }).to_bytes()
    }
}
