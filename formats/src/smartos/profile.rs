//! For whom a manifest is to be good enough.

use std::fmt;
use std::str::FromStr;

/// Who is to take the manifest.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Profile {
    /// `imgadm install`.
    Minimal,
    /// A data centre's server.
    Dc,
    /// A public server: every image is public.
    Public,
    /// A private server: no image is.
    Private,
}

impl Profile {
    /// Every one.
    pub const ALL: &'static [Self] = &[Self::Minimal, Self::Dc, Self::Public, Self::Private];

    /// As the command line has it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Minimal => "minimal",
            Self::Dc => "dc",
            Self::Public => "public",
            Self::Private => "private",
        }
    }

    /// Whether this is a server.
    pub fn is_server(self) -> bool {
        self != Self::Minimal
    }

    /// The fields that are required, in the order in which they are checked.
    pub(super) fn required(self) -> &'static [&'static str] {
        match self {
            Self::Minimal => &["v", "uuid", "name", "version", "type", "os"],
            Self::Dc | Self::Public | Self::Private => &[
                "v",
                "uuid",
                "owner",
                "name",
                "version",
                "disabled",
                "activated",
                "published_at",
                "public",
                "state",
                "type",
                "os",
                "files",
                "nic_driver",
                "disk_driver",
                "cpu_type",
                "image_size",
            ],
        }
    }
}

impl FromStr for Profile {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let found = Self::ALL.iter().copied().find(|p| p.name() == text);
        found.ok_or_else(|| format!("a profile is minimal, dc, public or private: {text}"))
    }
}

impl fmt::Display for Profile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
