//! The three zonecfg that are in use.

use crate::{Refusal, Result};

/// Whose zonecfg is to read the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Dialect {
    /// illumos-gate's: OpenIndiana, Tribblix.
    Gate,
    /// OmniOS's.
    OmniOs,
    /// SmartOS's.
    SmartOs,
}

impl Dialect {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Gate, Self::OmniOs, Self::SmartOs];

    /// The word for it.
    pub fn name(self) -> &'static str {
        match self {
            Self::Gate => "illumos-gate",
            Self::OmniOs => "OmniOS",
            Self::SmartOs => "SmartOS",
        }
    }

    /// Brands that a container's zone can have there. (Not those of machines, which boot no program.)
    fn brands(self) -> &'static [&'static str] {
        match self {
            Self::Gate => &["ipkg", "nlipkg", "aurora"],
            Self::OmniOs => &["lipkg", "ipkg", "sparse", "pkgsrc", "illumos", "lx", "aurora"],
            Self::SmartOs => &["joyent", "joyent-minimal", "lx"],
        }
    }

    pub(crate) fn check_brand(self, field: &str, brand: &str) -> Result<()> {
        if self.brands().contains(&brand) {
            return Ok(());
        }
        Err(Refusal::Dialect { field: field.to_owned(), dialect: self.name(), value: brand.to_owned() })
    }

    /// Whether `net` has `global-nic`, `mac-addr`, and properties, and the brand makes the VNIC when the zone
    /// boots. Elsewhere it is made beforehand.
    pub(crate) fn makes_vnics(self) -> bool {
        self != Self::Gate
    }

    /// Whether what is process 1 is told by attributes of the zone instead of boot arguments.
    pub(crate) fn has_init_attributes(self) -> bool {
        self == Self::SmartOs
    }
}
