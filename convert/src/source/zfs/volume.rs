//! Volumes: one object of data, and its size in another.

use aurora_formats::zfs::ZfsError;
use aurora_formats::zfs::format::{VOLUME_DATA, VOLUME_PROPERTIES, key, object_type};

use super::dataset::{Data, MAX_SIZE};
use crate::Result;
use crate::content::Content;

/// Data and block size of a volume.
pub(super) fn open(data: Data<'_>) -> Result<(Content, u32)> {
    let object = data.object(VOLUME_DATA, object_type::ZVOL, "volume's data")?;
    let properties = data.object(VOLUME_PROPERTIES, object_type::ZVOL_PROP, "volume's properties")?;
    let mut size = None;
    data.each_entry(VOLUME_PROPERTIES, properties, |entry| {
        if entry.name == key::SIZE {
            size = entry.single();
        }
        Ok(())
    })?;
    let size = size.ok_or(ZfsError::MissingKey { object: VOLUME_PROPERTIES, key: "size" })?;
    if size == 0 || size > MAX_SIZE {
        return Err(ZfsError::Value { object: VOLUME_PROPERTIES, what: "size", value: size }.into());
    }
    Ok((data.content(object, size), object.block_size))
}
