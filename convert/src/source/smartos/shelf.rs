//! Folders of images as others see them.

use std::path::Path;

use aurora_formats::smartos::Uuid;

use super::library::Library;
use crate::Result;
use crate::names::ImageName;

/// The images in a folder, by their uuids.
pub(crate) struct Shelf(Library);

impl Shelf {
    /// Reads the manifests of a folder.
    pub(crate) fn open(folder: &Path) -> Result<Self> {
        Library::open(folder).map(Self)
    }

    /// The manifest of an image.
    pub(crate) fn find(&self, uuid: Uuid) -> Option<&Path> {
        Some(&self.0.find(uuid)?.path)
    }
}

/// The origins that a user has named.
pub(crate) struct Shelves {
    shelves: Vec<Shelf>,
    /// Streams do not say whose they are.
    has_streams: bool,
}

impl Shelves {
    /// Reads the manifests of those that are images.
    pub(crate) fn open(origins: &[ImageName]) -> Result<Self> {
        let mut shelves = Vec::new();
        for origin in origins {
            if let ImageName::Smartos { path } = origin {
                shelves.push(Shelf::open(path)?);
            }
        }
        let has_streams = origins.iter().any(|origin| matches!(origin, ImageName::Zfs { .. }));
        Ok(Self { shelves, has_streams })
    }

    /// Whether an image is, or may be, among them.
    pub(crate) fn hold(&self, uuid: Uuid) -> bool {
        self.has_streams || self.shelves.iter().any(|shelf| shelf.find(uuid).is_some())
    }
}
