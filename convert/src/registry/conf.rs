//! `registries.conf`: mirrors, registries elsewhere, and those that need no trust (containers-registries.conf(5),
//! version 2). Keys that nobody here knows are for others, and passed over.

use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use aurora_engine::fs;
use toml::{Table, Value};

use super::{RegistryError, RegistryName};
use crate::{Error, Result};

/// Such files have some KiB.
const MAX_FILE: u64 = 1 << 20;

/// What the files say.
#[derive(Debug, Clone, Default)]
pub struct RegistriesConf {
    rules: Vec<Rule>,
}

#[derive(Debug, Clone)]
struct Rule {
    prefix: String,
    location: String,
    insecure: bool,
    blocked: bool,
    mirror_by_digest_only: bool,
    mirrors: Vec<Mirror>,
    path: PathBuf,
}

#[derive(Debug, Clone)]
struct Mirror {
    location: String,
    insecure: bool,
    /// `pull-from-mirror`: `all`, `digest-only` or `tag-only`.
    takes: String,
}

/// Where an image may be had.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Endpoint {
    /// Its name there.
    pub name: RegistryName,
    /// Whether the connection needs not to be trusted.
    pub insecure: bool,
    /// Whether it is a mirror, which only gives.
    pub is_mirror: bool,
}

impl RegistriesConf {
    /// Reads the first of these files that is there, and then the files in these folders, in the order of their names
    /// (containers-registries.conf.d(5)): what a later one says of a prefix goes before what was said earlier.
    pub fn load(paths: &[PathBuf], folders: &[PathBuf]) -> Result<Self> {
        let mut conf = Self::default();
        for path in paths {
            if let Some(found) = Self::read(path)? {
                conf = found;
                break;
            }
        }
        for folder in folders {
            let found = match fs::read_dir(folder) {
                Err(e) if is_absent(&e) => continue,
                found => found.map_err(|e| Error::io(folder.display().to_string(), e))?,
            };
            for path in found.iter().filter(|path| path.extension().is_some_and(|ext| ext == "conf")) {
                let more = Self::read(path)?.unwrap_or_default();
                conf.rules.retain(|rule| !more.rules.iter().any(|other| other.prefix == rule.prefix));
                conf.rules.extend(more.rules);
            }
        }
        Ok(conf)
    }

    fn read(path: &Path) -> Result<Option<Self>> {
        match fs::read_limited(path, MAX_FILE) {
            Err(e) if is_absent(&e) => Ok(None),
            read => {
                let bytes = read.map_err(|e| Error::io(path.display().to_string(), e))?;
                Self::parse(path, &bytes).map(Some)
            }
        }
    }

    fn parse(path: &Path, bytes: &[u8]) -> Result<Self> {
        let fault = |reason: String| RegistryError::File { path: path.display().to_string(), reason };
        let text = std::str::from_utf8(bytes).map_err(|_| fault("not UTF-8".into()))?;
        let table: Table = text.parse().map_err(|e: toml::de::Error| fault(e.message().to_owned()))?;
        let mut rules = Vec::new();
        for (n, registry) in tables(&table, "registry").map_err(fault)?.into_iter().enumerate() {
            let at = |reason: String| fault(format!("registry {}: {reason}", n + 1));
            rules.push(rule(registry, path).map_err(at)?);
        }
        Ok(Self { rules })
    }

    /// Where a repository is asked for, in order: for reading its mirrors first, then the registry itself.
    pub fn endpoints(&self, name: &RegistryName, is_read: bool) -> Result<Vec<Endpoint>> {
        let fitting = self.rules.iter().filter(|rule| fits(&rule.prefix, name));
        let Some(rule) = fitting.max_by_key(|rule| rule.prefix.len()) else {
            return Ok(vec![Endpoint { name: name.clone(), insecure: false, is_mirror: false }]);
        };
        if rule.blocked {
            let (prefix, path) = (rule.prefix.clone(), rule.path.display().to_string());
            return Err(RegistryError::Blocked { prefix, path }.into());
        }
        let by_digest = name.digest.is_some();
        let moved = |location: &str| -> Result<RegistryName> {
            // `*.example` stands for hosts, and keeps them.
            let rest = match rule.prefix.strip_prefix("*.") {
                Some(_) => format!("/{}", name.repository),
                None => name.path()[rule.prefix.len()..].to_owned(),
            };
            let fault = |e: super::RegistryNameError| RegistryError::File {
                path: rule.path.display().to_string(),
                reason: e.to_string(),
            };
            Ok(name.at(&format!("{location}{rest}")).map_err(fault)?)
        };
        let mut out = Vec::new();
        for mirror in rule.mirrors.iter().filter(|_| is_read) {
            let only_digests = rule.mirror_by_digest_only || mirror.takes == "digest-only";
            if (only_digests && !by_digest) || (mirror.takes == "tag-only" && by_digest) {
                continue;
            }
            out.push(Endpoint { name: moved(&mirror.location)?, insecure: mirror.insecure, is_mirror: true });
        }
        let name = if rule.location.is_empty() { name.clone() } else { moved(&rule.location)? };
        out.push(Endpoint { name, insecure: rule.insecure, is_mirror: false });
        Ok(out)
    }
}

fn is_absent(e: &std::io::Error) -> bool {
    matches!(e.kind(), IoKind::NotFound | IoKind::NotADirectory)
}

fn tables<'a>(table: &'a Table, key: &str) -> Result<Vec<&'a Table>, String> {
    match table.get(key) {
        None => Ok(Vec::new()),
        Some(Value::Array(all)) => {
            let one =
                |value: &'a Value| value.as_table().ok_or_else(|| format!("`{key}` is not a list of tables"));
            all.iter().map(one).collect()
        }
        Some(_) => Err(format!("`{key}` is not a list of tables")),
    }
}

fn text(table: &Table, key: &str) -> Result<String, String> {
    match table.get(key) {
        None => Ok(String::new()),
        Some(Value::String(text)) => Ok(text.trim_end_matches('/').to_owned()),
        Some(_) => Err(format!("`{key}` is no text")),
    }
}

fn flag(table: &Table, key: &str) -> Result<bool, String> {
    match table.get(key) {
        None => Ok(false),
        Some(Value::Boolean(flag)) => Ok(*flag),
        Some(_) => Err(format!("`{key}` is neither true nor false")),
    }
}

fn rule(table: &Table, path: &Path) -> Result<Rule, String> {
    let (prefix, location) = (text(table, "prefix")?, text(table, "location")?);
    if prefix.is_empty() && location.is_empty() {
        return Err("neither `prefix` nor `location`".into());
    }
    let mut mirrors = Vec::new();
    for mirror in tables(table, "mirror")? {
        let location = text(mirror, "location")?;
        if location.is_empty() {
            return Err("a mirror without `location`".into());
        }
        let takes = text(mirror, "pull-from-mirror")?;
        mirrors.push(Mirror { location, insecure: flag(mirror, "insecure")?, takes });
    }
    let is_wild = prefix.starts_with("*.");
    Ok(Rule {
        prefix: if prefix.is_empty() { location.clone() } else { prefix },
        // A wild prefix with a location of its own sends all its hosts there.
        location: if is_wild && location.is_empty() { String::new() } else { location },
        insecure: flag(table, "insecure")?,
        blocked: flag(table, "blocked")?,
        mirror_by_digest_only: flag(table, "mirror-by-digest-only")?,
        mirrors,
        path: path.to_owned(),
    })
}

/// Whether a prefix is that of a repository: whole parts of its path, or `*.` and the end of its host.
fn fits(prefix: &str, name: &RegistryName) -> bool {
    if let Some(domain) = prefix.strip_prefix("*.") {
        let host = name.host.split(':').next().unwrap_or_default();
        return host.strip_suffix(domain).is_some_and(|rest| rest.ends_with('.'));
    }
    let path = name.path();
    path.strip_prefix(prefix).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const CONF: &str = r#"
unqualified-search-registries = ["x.example"]
short-name-mode = "permissive"
[[registry]]
prefix = "a.example/team"
location = "b.example/mirrored/"
[[registry.mirror]]
location = "m.example/team"
insecure = true
[[registry.mirror]]
location = "d.example"
pull-from-mirror = "digest-only"
[[registry]]
location = "a.example"
insecure = true
[[registry]]
prefix = "*.bad.example"
blocked = true
"#;

    fn shown(conf: &RegistriesConf, name: &str, is_read: bool) -> Vec<String> {
        let endpoints = conf.endpoints(&name.parse().unwrap(), is_read).unwrap();
        let one = |e: &Endpoint| {
            format!(
                "{}{}{}",
                e.name,
                if e.insecure { " insecure" } else { "" },
                if e.is_mirror { " mirror" } else { "" }
            )
        };
        endpoints.iter().map(one).collect()
    }

    #[test]
    fn the_longest_prefix_says_where() {
        let conf = RegistriesConf::parse(Path::new("r.conf"), CONF.as_bytes()).unwrap();
        assert_eq!(
            shown(&conf, "a.example/team/x:1", true),
            ["//m.example/team/x:1 insecure mirror", "//b.example/mirrored/x:1"]
        );
        assert_eq!(shown(&conf, "a.example/team/x:1", false), ["//b.example/mirrored/x:1"]);
        assert_eq!(shown(&conf, "a.example/teams/x", true), ["//a.example/teams/x:latest insecure"]);
        assert_eq!(shown(&conf, "c.example/x", true), ["//c.example/x:latest"]);
        let digest = format!("a.example/team/x@sha256:{}", "0".repeat(64));
        assert!(
            shown(&conf, &digest, true).iter().any(|e| e.contains("//d.example/x@") && e.ends_with("mirror"))
        );
        let e = conf.endpoints(&"x.bad.example/y".parse().unwrap(), true).unwrap_err().to_string();
        assert_eq!(e, "*.bad.example is blocked by r.conf");
        assert!(conf.endpoints(&"bad.example/y".parse().unwrap(), true).is_ok());
    }

    #[test]
    fn damage_is_told_with_its_place() {
        for (text, want) in [
            ("[[registry]]\n", "registry 1: neither"),
            ("registry = 1", "not a list of tables"),
            ("[[registry]]\nlocation = 1", "`location` is no text"),
            ("[[registry]]\nlocation = \"a\"\ninsecure = 1", "`insecure` is neither"),
            ("[[registry]]\nlocation = \"a\"\n[[registry.mirror]]\n", "a mirror without"),
            ("[", "r.conf"),
        ] {
            let e = RegistriesConf::parse(Path::new("r.conf"), text.as_bytes()).unwrap_err().to_string();
            assert!(e.contains(want) && e.contains("r.conf"), "{text}: {e}");
        }
        let none = ["/nonexistent/x".into()];
        assert!(RegistriesConf::load(&none, &none).unwrap().rules.is_empty());
    }

    #[test]
    fn later_files_go_before_earlier_ones() {
        let dir = tempfile::tempdir().unwrap();
        let (file, folder) = (dir.path().join("registries.conf"), dir.path().join("registries.conf.d"));
        std::fs::create_dir(&folder).unwrap();
        let rule =
            |location: &str| format!("[[registry]]\nprefix = \"a.example\"\nlocation = \"{location}\"\n");
        std::fs::write(
            &file,
            rule("main.example") + "[[registry]]\nlocation = \"kept.example\"\ninsecure = true\n",
        )
        .unwrap();
        std::fs::write(folder.join("2.conf"), rule("two.example")).unwrap();
        std::fs::write(folder.join("1.conf"), rule("one.example")).unwrap();
        std::fs::write(folder.join("3.txt"), "no configuration").unwrap();
        let conf = RegistriesConf::load(&[file], &[folder]).unwrap();
        assert_eq!(shown(&conf, "a.example/x", true), ["//two.example/x:latest"]);
        assert_eq!(shown(&conf, "kept.example/x", true), ["//kept.example/x:latest insecure"]);
    }
}
