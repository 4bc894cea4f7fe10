//! What commands have configured.

use aurora_zones::Dialect;

use super::resources::{resource, scaled};

/// A resource's kind, and its properties in order, with lists as their items one by one.
pub(crate) type Resource = (String, Vec<(String, String)>);

/// A zone's configuration.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Configured {
    /// Global properties, in the order in which they were set.
    pub(crate) properties: Vec<(String, String)>,
    /// Resources, in the order in which they were added.
    pub(crate) resources: Vec<Resource>,
}

/// The first property of this name.
pub(crate) fn property<'a>(of: &'a [(String, String)], name: &str) -> Option<&'a str> {
    of.iter().find(|(known, _)| known == name).map(|(_, value)| value.as_str())
}

impl Configured {
    /// A global property.
    pub(crate) fn get(&self, name: &str) -> Option<&str> {
        property(&self.properties, name)
    }

    /// The resources of a kind.
    pub(crate) fn of(&self, kind: &str) -> impl Iterator<Item = &[(String, String)]> {
        self.resources.iter().filter(move |(known, _)| known == kind).map(|(_, all)| all.as_slice())
    }

    /// A property of each resource of a kind, all items of a list.
    pub(crate) fn all(&self, kind: &str, name: &str) -> Vec<&str> {
        let all = self.of(kind).flatten().filter(|(known, _)| known == name);
        all.map(|(_, value)| value.as_str()).collect()
    }

    /// What zonecfg(8) says of `verify` and of each resource; the first thing that is wrong.
    pub(crate) fn verify(&self, dialect: Dialect) -> Result<(), String> {
        for global in ["zonepath", "brand"] {
            if self.get(global).is_none() {
                return Err(format!("{global} not specified"));
            }
        }
        once("fs: dir", self.all("fs", "dir"))?;
        once("attr: name", self.all("attr", "name"))?;
        once("rctl: name", self.all("rctl", "name"))?;
        once("net: physical", self.all("net", "physical"))?;
        let single = |kind: &&str| resource(kind, dialect).is_some_and(|known| known.single);
        once("resource", self.resources.iter().map(|(kind, _)| kind.as_str()).filter(single).collect())?;
        let exclusive = self.get("ip-type") == Some("exclusive");
        for net in self.of("net") {
            for name in ["address", "defrouter"] {
                if exclusive && property(net, name).is_some() {
                    return Err(format!("net: {name} cannot be specified for an exclusive IP type"));
                }
            }
            if !exclusive && property(net, "address").is_none() {
                return Err("net: address not specified".to_owned());
            }
        }
        for dedicated in self.of("dedicated-cpu") {
            let ncpus = property(dedicated, "ncpus").unwrap_or_default();
            let other = ["cpu-shares", "pool"].into_iter().find(|name| self.get(name).is_some());
            let other = other.or(self.of("capped-cpu").next().map(|_| "capped-cpu"));
            if let Some(other) = other {
                return Err(format!("dedicated-cpu and {other} are incompatible: {ncpus}"));
            }
        }
        for memory in self.of("capped-memory") {
            let size = |name| property(memory, name).and_then(scaled);
            if let (Some(physical), Some(locked)) = (size("physical"), size("locked"))
                && locked > physical
            {
                return Err("The locked cap must be less than or equal to the physical cap.".to_owned());
            }
        }
        Ok(())
    }
}

fn once(what: &str, mut all: Vec<&str>) -> Result<(), String> {
    all.sort_unstable();
    match all.windows(2).find(|two| two[0] == two[1]) {
        Some(two) => Err(format!("{what} twice: {}", two[0])),
        None => Ok(()),
    }
}
