//! The objects that every file system or volume has besides what is in it (`docs/zfs-send-stream.md` §2.3).

use super::zap::{self, Value, Zap};
use super::{BuildError, layout};
use crate::zfs::format::{REGISTRY, ZPL_VERSION, key, object_type};

/// SA master.
pub const SA_MASTER: u64 = 32;
/// Unlinked set, always empty.
pub const DELETE_QUEUE: u64 = 33;
/// Root directory.
pub const ROOT: u64 = 34;
/// Attribute registry.
pub const SA_REGISTRY: u64 = 35;
/// Attribute lists.
pub const SA_LAYOUTS: u64 = 36;
/// The first number for what is in a file system. Kernels too begin a new block of dnodes there.
pub const FIRST_FREE: u64 = 64;

/// An object that holds a table and no attributes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SystemObject {
    /// Number.
    pub object: u64,
    /// `object_type::*`.
    pub object_type: u32,
    /// What it holds.
    pub zap: Zap,
}

/// Those of a file system, by number; the root directory is not among them. They are always the same.
pub fn filesystem() -> Result<Vec<SystemObject>, BuildError> {
    let object = |object, object_type, entries: &[(&[u8], u64)]| {
        zap::build(entries, zap::salt(object)).map(|zap| SystemObject { object, object_type, zap })
    };
    let registry: Vec<(&[u8], u64)> = REGISTRY
        .iter()
        .zip(0..)
        .map(|(spec, number)| {
            (spec.name.as_bytes(), u64::from(spec.len) << 24 | u64::from(spec.swap) << 16 | number)
        })
        .collect();
    let layouts: Vec<(String, Value)> =
        layout::all().map(|(number, list)| (number.to_string(), Value::Shorts(list.to_vec()))).collect();
    let layouts: Vec<(&[u8], Value)> =
        layouts.iter().map(|(name, value)| (name.as_bytes(), value.clone())).collect();
    Ok(vec![
        object(
            1,
            object_type::MASTER_NODE,
            &[
                (key::VERSION, ZPL_VERSION),
                (key::NORMALIZATION, 0),
                (key::UTF8_ONLY, 0),
                (key::CASE_SENSITIVITY, 0),
                (key::SA_ATTRS, SA_MASTER),
                (key::DELETE_QUEUE, DELETE_QUEUE),
                (key::ROOT, ROOT),
            ],
        )?,
        object(
            SA_MASTER,
            object_type::SA_MASTER_NODE,
            &[(key::REGISTRY, SA_REGISTRY), (key::LAYOUTS, SA_LAYOUTS)],
        )?,
        object(DELETE_QUEUE, object_type::UNLINKED_SET, &[])?,
        object(SA_REGISTRY, object_type::SA_REGISTRATION, &registry)?,
        SystemObject {
            object: SA_LAYOUTS,
            object_type: object_type::SA_LAYOUTS,
            zap: zap::build_fat(&layouts, zap::salt(SA_LAYOUTS))?,
        },
    ])
}

/// A volume's second object: how large it is.
pub fn volume_properties(size: u64) -> Result<Zap, BuildError> {
    zap::build(&[(key::SIZE, size)], zap::salt(2))
}
