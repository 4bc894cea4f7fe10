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

    /// The brand of zones that are not told one: what runs programs of this system with what the image has.
    pub fn brand(self, is_linux: bool) -> &'static str {
        match self {
            // Where there is none for them, its name is what the refusal says.
            _ if is_linux => "lx",
            // The others of it have boot environments for roots.
            Self::Gate => "aurora",
            Self::OmniOs => "illumos",
            Self::SmartOs => "joyent-minimal",
        }
    }

    /// The one of a host, by what uname(1) and `/etc/release` say; none for another system.
    pub fn of_host(sysname: &str, version: &str, release: &str) -> Option<Self> {
        if sysname != "SunOS" {
            return None;
        }
        let first = release.lines().next().unwrap_or_default();
        Some(match () {
            () if version.starts_with("joyent") || first.contains("SmartOS") => Self::SmartOs,
            () if version.starts_with("omnios") || first.contains("OmniOS") => Self::OmniOs,
            () => Self::Gate,
        })
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn hosts_say_what_they_are() {
        let cases = [
            ("SunOS", "joyent_20240111T000000Z", "", Some(Dialect::SmartOs)),
            ("SunOS", "illumos-x", "      SmartOS 20240111T000000Z x86_64\n", Some(Dialect::SmartOs)),
            ("SunOS", "omnios-r151046-5b8ef3e1a4", "  OmniOS v11 r151046\n", Some(Dialect::OmniOs)),
            ("SunOS", "illumos-73ad0ac1e7", "  OpenIndiana Hipster 2024.04\nOmniOS\n", Some(Dialect::Gate)),
            ("Linux", "joyent", "OmniOS", None),
        ];
        for (sysname, version, release, want) in cases {
            assert_eq!(Dialect::of_host(sysname, version, release), want, "{version}");
        }
        // Each has the brand that it would take.
        for dialect in Dialect::ALL {
            dialect.check_brand("brand", dialect.brand(false)).unwrap();
        }
    }
}
