//! A zone, as the host knows it.

use serde::{Deserialize, Serialize};

use super::language::Configured;
use super::processes::Process;

/// zones(7), "Zone States": in this order, as zoneadm compares them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum State {
    Configured,
    Incomplete,
    Installed,
    Ready,
    Mounted,
    Running,
    ShuttingDown,
    Down,
}

impl State {
    /// As `zoneadm list` prints it.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Configured => "configured",
            Self::Incomplete => "incomplete",
            Self::Installed => "installed",
            Self::Ready => "ready",
            Self::Mounted => "mounted",
            Self::Running => "running",
            Self::ShuttingDown => "shutting_down",
            Self::Down => "down",
        }
    }
}

/// What there is of a zone.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Zone {
    pub(crate) state: State,
    pub(crate) properties: Vec<(String, String)>,
    pub(crate) resources: Vec<(String, Vec<(String, String)>)>,
    /// Given when it is installed: zoneadm(8), `list -p`.
    pub(crate) uuid: String,
    /// While the kernel has it.
    pub(crate) id: Option<u32>,
    /// Process 1, while it runs.
    pub(crate) init: Option<Process>,
}

impl Zone {
    pub(crate) fn new(configured: &Configured) -> Self {
        Self {
            state: State::Configured,
            properties: configured.properties.clone(),
            resources: configured.resources.clone(),
            uuid: String::new(),
            id: None,
            init: None,
        }
    }

    pub(crate) fn configured(&self) -> Configured {
        Configured { properties: self.properties.clone(), resources: self.resources.clone() }
    }

    fn property(&self, name: &str) -> &str {
        let found = self.properties.iter().find(|(known, _)| known == name);
        found.map_or("", |(_, value)| value.as_str())
    }

    pub(crate) fn path(&self) -> &str {
        self.property("zonepath")
    }

    /// The root file system, from outside.
    pub(crate) fn root(&self) -> String {
        format!("{}/root", self.path())
    }

    pub(crate) fn brand(&self) -> &str {
        self.property("brand")
    }

    pub(crate) fn bootargs(&self) -> &str {
        self.property("bootargs")
    }

    /// Whether it has a network stack of its own.
    pub(crate) fn is_exclusive(&self) -> bool {
        self.property("ip-type") == "exclusive"
    }

    /// A generic attribute.
    pub(crate) fn attribute(&self, name: &str) -> Option<String> {
        let configured = self.configured();
        let mut attributes = configured.of("attr");
        let found =
            attributes.find(|all| all.iter().any(|(known, value)| known == "name" && value == name))?;
        found.iter().find(|(known, _)| known == "value").map(|(_, value)| value.clone())
    }
}
