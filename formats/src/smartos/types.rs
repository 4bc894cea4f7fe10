//! Kinds of images and of what runs in them.

use std::fmt;
use std::str::FromStr;

/// `type`: what the file holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageType {
    /// A zone's dataset.
    ZoneDataset,
    /// The dataset of a Linux (lx) zone.
    LxDataset,
    /// A disk.
    Zvol,
    /// One layer of a docker image, as a tar.
    Docker,
    /// An LXD image: metadata and root file system, perhaps in two files.
    Lxd,
    /// Anything.
    Other,
}

/// `os`: what runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum ImageOs {
    /// SmartOS.
    Smartos,
    /// Linux.
    Linux,
    /// Windows.
    Windows,
    /// A BSD.
    Bsd,
    /// Another illumos.
    Illumos,
    /// Anything.
    Other,
}

macro_rules! words {
    ($name:ident, $($variant:ident = $word:literal),+) => {
        impl $name {
            /// Every one, in the order of the documentation.
            pub const ALL: &'static [Self] = &[$(Self::$variant),+];

            /// As manifests write it.
            pub fn name(self) -> &'static str {
                match self { $(Self::$variant => $word),+ }
            }
        }

        impl FromStr for $name {
            type Err = ();

            fn from_str(text: &str) -> Result<Self, ()> {
                Self::ALL.iter().copied().find(|v| v.name() == text).ok_or(())
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(self.name())
            }
        }
    };
}

words!(
    ImageType,
    ZoneDataset = "zone-dataset",
    LxDataset = "lx-dataset",
    Zvol = "zvol",
    Docker = "docker",
    Lxd = "lxd",
    Other = "other"
);
words!(
    ImageOs,
    Smartos = "smartos",
    Linux = "linux",
    Windows = "windows",
    Bsd = "bsd",
    Illumos = "illumos",
    Other = "other"
);
