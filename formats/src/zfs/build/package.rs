//! Packages: the streams of several snapshots of one file system in one file, as `zfs send -R` writes them
//! (`docs/zfs-send-stream.md` §1.16).

use super::nvlist::{List, Value, pack};
use super::{BuildError, Sealer, begin};
use crate::zfs::checksum::Sum;
use crate::zfs::format::{FEATURES_SHIFT, HEADER_COMPOUND};
use crate::zfs::record::{End, Header, RECORD_LEN};

/// A snapshot that a package carries.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// What is behind the `@`.
    pub name: Vec<u8>,
    /// Its guid.
    pub guid: u64,
}

/// What stands before the first stream: BEGIN, the list of the snapshots, END. `members` are all of them, oldest
/// first, the first one sent whole.
pub fn header(dataset: &[u8], members: &[Member], features: u64) -> Result<Vec<u8>, BuildError> {
    let last = members.last().ok_or_else(|| BuildError::SnapshotName(dataset.to_vec()))?;
    let to_name = [dataset, b"@", &last.name].concat();
    let snaps: List = members.iter().map(|member| (member.name.clone(), Value::Word(member.guid))).collect();
    let no_props: List =
        members.iter().map(|member| (member.name.clone(), Value::List(List::new()))).collect();
    let filesystem = List::from([
        (b"name".to_vec(), Value::Text(dataset.to_vec())),
        (b"parentfromsnap".to_vec(), Value::Word(0)),
        (b"props".to_vec(), Value::List(List::new())),
        (b"snaps".to_vec(), Value::List(snaps)),
        (b"snapprops".to_vec(), Value::List(no_props)),
    ]);
    // The key is the dataset's guid. There is no dataset; any number that is none of another one will do.
    let key = format!("0x{:x}", last.guid).into_bytes();
    let payload = pack(&List::from([
        (b"tosnap".to_vec(), Value::Text(last.name.clone())),
        (b"fss".to_vec(), Value::List(List::from([(key, Value::List(filesystem))]))),
    ]));

    let mut opening = begin(&to_name, 0, 0, 0, 0)?;
    opening.version_info = features << FEATURES_SHIFT | HEADER_COMPOUND;
    // Fields of BEGIN are below 64 MiB for any lineage that fits in memory.
    opening.payload_len = payload.len() as u32;
    let (sealer, bytes) = Sealer::begin(&opening, &payload);
    Ok([&bytes[..], &payload, &sealer.end_of_header()].concat())
}

/// What stands after the last stream.
pub fn trailer() -> [u8; RECORD_LEN] {
    Header::End(End { sum: Sum::default(), to_guid: 0 }).to_bytes()
}
