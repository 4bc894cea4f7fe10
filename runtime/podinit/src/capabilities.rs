//! Linux capabilities of a program, as `process.capabilities` has them.

use std::collections::BTreeMap;

use rustix::io::Errno;
use rustix::thread::{self, CapabilitySet, CapabilitySets};

/// Linux numbers them in one word of this many bits.
const BITS: u32 = 64;

/// The five sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Capabilities {
    bounding: CapabilitySet,
    effective: CapabilitySet,
    permitted: CapabilitySet,
    inheritable: CapabilitySet,
    ambient: CapabilitySet,
}

impl Capabilities {
    /// From the sets' names to the names in them. The second part is names that this build does not know:
    /// what can't be granted is a warning and no error, says the runtime specification.
    pub(crate) fn parse(sets: &BTreeMap<String, Vec<String>>) -> (Self, Vec<String>) {
        let mut unknown = Vec::new();
        let mut set = |which: &str| {
            let mut found = CapabilitySet::empty();
            for name in sets.get(which).into_iter().flatten() {
                match name.strip_prefix("CAP_").and_then(CapabilitySet::from_name) {
                    Some(capability) => found |= capability,
                    None if unknown.contains(name) => {}
                    None => unknown.push(name.clone()),
                }
            }
            found
        };
        let parsed = Self {
            bounding: set("bounding"),
            effective: set("effective"),
            permitted: set("permitted"),
            inheritable: set("inheritable"),
            ambient: set("ambient"),
        };
        (parsed, unknown)
    }

    /// What has to be done while the process may still do everything.
    pub(crate) fn before_ids(&self) -> Result<(), Errno> {
        for bit in (0..BITS).map(|n| CapabilitySet::from_bits_retain(1 << n)) {
            if !self.bounding.contains(bit) {
                match thread::remove_capability_from_bounding_set(bit) {
                    // This kernel has no such capability, so no one has it.
                    Ok(()) | Err(Errno::INVAL) => {}
                    // Without the right to, only what is already gone is fine.
                    Err(Errno::PERM) if !thread::capability_is_in_bounding_set(bit)? => {}
                    Err(error) => return Err(error),
                }
            }
        }
        thread::set_keep_capabilities(true)
    }

    /// The sets themselves, when the process has become who it is to be. What it does not have, it can't be
    /// given.
    pub(crate) fn after_ids(&self) -> Result<(), Errno> {
        let have = thread::capabilities(None)?;
        let permitted = self.permitted & have.permitted;
        let inheritable = self.inheritable & (have.permitted | have.inheritable);
        let effective = self.effective & permitted;
        thread::set_capabilities(None, CapabilitySets { effective, permitted, inheritable })?;
        thread::clear_ambient_capability_set()?;
        for bit in (self.ambient & permitted & inheritable).iter() {
            thread::configure_capability_in_ambient_set(bit, true)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_become_sets() {
        let sets = BTreeMap::from([
            ("bounding".to_owned(), vec!["CAP_KILL".to_owned(), "CAP_CHOWN".to_owned()]),
            ("effective".to_owned(), vec!["CAP_KILL".to_owned(), "CAP_FLY".to_owned(), "KILL".to_owned()]),
            ("ambient".to_owned(), vec!["CAP_FLY".to_owned()]),
        ]);
        let (parsed, unknown) = Capabilities::parse(&sets);
        assert_eq!(parsed.bounding, CapabilitySet::KILL | CapabilitySet::CHOWN);
        assert_eq!(parsed.effective, CapabilitySet::KILL);
        assert!(parsed.ambient.is_empty() && parsed.permitted.is_empty() && parsed.inheritable.is_empty());
        assert_eq!(unknown, ["CAP_FLY", "KILL"]);
    }
}
