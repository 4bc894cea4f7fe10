//! The identity of a ZFS snapshot on the layer that holds its changes, so that the way back gives the same stream.

use aurora_formats::oci::Annotations;

use crate::Snapshot;

/// Annotation of a layer: the snapshot's full name, `dataset@snapshot`. Bytes outside of printable ASCII, blanks
/// and `%` are written `%XX`.
pub const SNAPSHOT_NAME: &str = "org.aurora-images.zfs.snapshot";
/// Annotation of a layer: the snapshot's guid, decimal.
pub const SNAPSHOT_GUID: &str = "org.aurora-images.zfs.guid";
/// Annotation of a layer: when the snapshot was made, seconds since 1970, decimal.
pub const SNAPSHOT_CREATION_TIME: &str = "org.aurora-images.zfs.creation-time";

/// Longest name of a snapshot: ZFS_MAX_DATASET_NAME_LEN.
const MAX_NAME: usize = 256;

/// What a layer says of its snapshot; the odd thing if it can't be read.
pub(super) fn from_annotations(annotations: &Annotations) -> Result<Option<Snapshot>, String> {
    let Some(name) = annotations.get(SNAPSHOT_NAME) else { return Ok(None) };
    let number = |key: &str| {
        let text = annotations.get(key).ok_or_else(|| format!("annotation is missing: {key}"))?;
        text.parse::<u64>().map_err(|_| format!("annotation {key} is no number: {}", text.escape_default()))
    };
    let (guid, creation_time) = (number(SNAPSHOT_GUID)?, number(SNAPSHOT_CREATION_TIME)?);
    let bad = || format!("annotation {SNAPSHOT_NAME} is no snapshot name: {}", name.escape_default());
    let name = unescape(name).filter(|n| n.contains(&b'@') && n.len() < MAX_NAME).ok_or_else(bad)?;
    if guid == 0 {
        return Err(format!("annotation {SNAPSHOT_GUID} is 0"));
    }
    Ok(Some(Snapshot { name, guid, creation_time }))
}

/// The annotations that say it.
pub(crate) fn to_annotations(snapshot: &Snapshot) -> Annotations {
    let mut name = String::new();
    for &byte in &snapshot.name {
        if byte.is_ascii_graphic() && byte != b'%' {
            name.push(char::from(byte));
        } else {
            name.push_str(&format!("%{byte:02X}"));
        }
    }
    Annotations::from([
        (SNAPSHOT_NAME.to_owned(), name),
        (SNAPSHOT_GUID.to_owned(), snapshot.guid.to_string()),
        (SNAPSHOT_CREATION_TIME.to_owned(), snapshot.creation_time.to_string()),
    ])
}

fn unescape(text: &str) -> Option<Vec<u8>> {
    let mut out = Vec::new();
    let mut rest = text.as_bytes();
    while let [byte, tail @ ..] = rest {
        rest = tail;
        if *byte != b'%' {
            out.push(*byte);
            continue;
        }
        let digits = std::str::from_utf8(rest.get(..2)?).ok()?;
        out.push(u8::from_str_radix(digits, 16).ok()?);
        rest = &rest[2..];
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn identities_survive() {
        for name in ["tank/a@b", "t/a b%@\u{e9}"] {
            let one = Snapshot { name: name.into(), guid: u64::MAX, creation_time: 7 };
            let mut annotations = to_annotations(&one);
            assert_eq!(from_annotations(&annotations), Ok(Some(one)));
            annotations.insert(SNAPSHOT_GUID.into(), "x".into());
            assert!(from_annotations(&annotations).is_err());
        }
        assert_eq!(from_annotations(&Annotations::new()), Ok(None));
    }
}
