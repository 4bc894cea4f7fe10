//! A zone's configuration.

use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::word::Word;
use crate::{Refusal, Result};

/// Everything that zonecfg is told, and what the caller should know that it was not.
#[derive(Debug, Clone)]
pub struct Zone {
    pub(crate) name: String,
    pub(crate) zonepath: Word,
    pub(crate) brand: Word,
    /// Global properties with their values, beyond those that every zone here has.
    pub(crate) properties: Vec<(&'static str, Word)>,
    pub(crate) fs: Vec<Fs>,
    pub(crate) nets: Vec<Net>,
    /// Name, and value as a string.
    pub(crate) attrs: Vec<(&'static str, Word)>,
    /// Delegated to the zone.
    pub(crate) datasets: Vec<Word>,
    /// Hundredths of a processor.
    pub(crate) capped_cpu: Option<u64>,
    pub(crate) capped_memory: CappedMemory,
    pub(crate) notes: Vec<Note>,
    /// What process 1 is told.
    pub(crate) podinit: Value,
}

/// A file system to mount.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Fs {
    pub(crate) dir: Word,
    pub(crate) special: Word,
    pub(crate) kind: &'static str,
    pub(crate) options: Vec<Word>,
}

/// A network interface of the zone's own stack.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Net {
    pub(crate) physical: Word,
    /// What it is made over: by the brand, or, where zonecfg has no word for it, beforehand.
    pub(crate) lower: Option<Word>,
    pub(crate) mac: Option<Word>,
    pub(crate) allowed_address: Option<Word>,
    /// Properties of `net`, for brands that read them.
    pub(crate) properties: Vec<(&'static str, Word)>,
    /// Link protections, for dladm.
    pub(crate) protection: Option<Word>,
}

/// Sizes as zonecfg reads them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct CappedMemory {
    pub(crate) physical: Option<Word>,
    pub(crate) swap: Option<Word>,
    pub(crate) locked: Option<Word>,
}

/// Something that is not done, and need not be: brand or podinit do it, or a zone is so anyway.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Note {
    /// The member.
    pub field: String,
    /// Why it is left out.
    pub why: &'static str,
    /// Whether it is so all the same: something else than zonecfg does it, or every zone has it.
    pub is_done: bool,
}

impl Zone {
    /// Its name.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// What process 1 is told: `config.json` of the control directory `ro`.
    pub fn podinit(&self) -> &Value {
        &self.podinit
    }

    /// Whether its program has a terminal, which is the zone's console. Else it has pipes in the control directory.
    pub fn has_terminal(&self) -> bool {
        self.podinit["process"]["terminal"] == Value::Bool(true)
    }

    /// Whether it runs Linux programs, podinit among them.
    pub fn is_lx(&self) -> bool {
        self.brand.as_str() == crate::bundle::LX
    }

    /// What was left out.
    pub fn notes(&self) -> &[Note] {
        &self.notes
    }

    pub(crate) fn note(&mut self, field: impl Into<String>, why: &'static str) {
        self.notes.push(Note { field: field.into(), why, is_done: false });
    }

    /// Of what something else than zonecfg does, or every zone has.
    pub(crate) fn note_done(&mut self, field: impl Into<String>, by: &'static str) {
        self.notes.push(Note { field: field.into(), why: by, is_done: true });
    }
}

/// The name of a container's zone: ids are longer than a zone's name may be, and two roots may have the same.
pub fn zone_name(root: &str, id: &str) -> String {
    let mut hash = Sha256::new();
    hash.update(root.as_bytes());
    // Neither has it in itself.
    hash.update([0]);
    hash.update(id.as_bytes());
    let hex: String = hash.finalize().iter().take(20).map(|byte| format!("{byte:02x}")).collect();
    format!("aurora-{hex}")
}

/// zonecfg(8): 63 characters, of letters, digits, `-`, `_` and `.`, of which the first is a letter or digit;
/// some are reserved.
pub(crate) fn check_name(name: &str) -> Result<()> {
    let problem =
        |problem| Err(Refusal::Value { field: "zone name".to_owned(), problem, value: name.to_owned() });
    let plain = |c: char| c.is_ascii_alphanumeric() || "-_.".contains(c);
    if name.len() > 63 || !name.starts_with(|c: char| c.is_ascii_alphanumeric()) || !name.chars().all(plain) {
        return problem("not a name for a zone");
    }
    if name == "global" || name.starts_with("SUNW") {
        return problem("reserved");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names() {
        let name = zone_name("/run/runz", &"a".repeat(64));
        assert_eq!(name.len(), 47);
        check_name(&name).unwrap();
        assert_ne!(name, zone_name("/run/other", &"a".repeat(64)));
        assert_ne!(zone_name("a", "bc"), zone_name("ab", "c"));
        for bad in ["", "global", "SUNWx", "-a", ".a", "a b", "a/b", "é", &"a".repeat(64)] {
            check_name(bad).unwrap_err();
        }
    }
}
