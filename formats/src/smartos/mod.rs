//! SmartOS images: the manifest of imgadm and the image servers, version 2, and what its parts mean
//! (shared facts: `docs/smartos-images.md`).
//!
//! A manifest is kept as the JSON it was ([`Manifest`]): members keep their order, unknown ones stay, and one
//! that nobody changed is written back byte for byte. Nothing is hashed here: digests are text.

pub mod docker;
mod error;
mod fields;
mod file;
mod json;
mod manifest;
mod platform;
mod profile;
mod requirements;
mod types;
mod upgrade;
mod uuid;
mod validate;

pub use error::SmartosError;
pub use file::{FileCompression, ImageFile};
pub use json::{Json, MAX_DOCUMENT, Object};
pub use manifest::{Manifest, Record, parse_iso, to_iso};
pub use platform::{PlatformError, SysInfo, check_platform};
pub use profile::Profile;
pub use types::{ImageOs, ImageType};
pub use uuid::{Uuid, UuidError};
pub use validate::{Code, Finding, validate};
