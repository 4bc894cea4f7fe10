//! Who asks: users and passwords in the files that podman, skopeo and docker share (containers-auth.json(5)), and the
//! programs that keep them elsewhere.

use std::fmt;
use std::io::ErrorKind as IoKind;
use std::path::{Path, PathBuf};

use aurora_engine::fs;
use aurora_engine::host::{CommandError, CommandLine, Programs};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Map, Value, json};

use super::{RegistryError, RegistryName};
use crate::{Error, Result};

/// A file of credentials has some KiB.
const MAX_FILE: u64 = 1 << 20;
/// What docker calls its own registry in these files.
const DOCKER_KEY: &str = "https://index.docker.io/v1/";
/// The user that stands for a token in what helpers answer.
const TOKEN_USER: &str = "<token>";

/// The files: the first that knows a registry is believed.
#[derive(Debug, Clone, Default)]
pub struct CredentialFiles {
    /// Read, in this order; those that are not there are passed over.
    pub read: Vec<PathBuf>,
    /// Where `login` writes; none where there is no place for it.
    pub write: Option<PathBuf>,
}

/// What proves who asks. Never printed.
#[derive(Clone, PartialEq, Eq)]
pub enum Secret {
    /// A user and a password.
    Password(String, String),
    /// A token that is changed for others.
    Identity(String),
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("(secret)")
    }
}

fn wrong(path: &Path, reason: impl Into<String>) -> Error {
    RegistryError::File { path: path.display().to_string(), reason: reason.into() }.into()
}

/// The document in a file; nothing where the file is not there.
fn load(path: &Path) -> Result<Map<String, Value>> {
    let bytes = match fs::read_limited(path, MAX_FILE) {
        Err(e) if matches!(e.kind(), IoKind::NotFound | IoKind::NotADirectory) => return Ok(Map::new()),
        read => read.map_err(|e| Error::io(path.display().to_string(), e))?,
    };
    match serde_json::from_slice(&bytes) {
        _ if bytes.iter().all(u8::is_ascii_whitespace) => Ok(Map::new()),
        Ok(Value::Object(members)) => Ok(members),
        // The parser's own words could quote a password.
        _ => Err(wrong(path, "no JSON object")),
    }
}

/// The keys that stand for a repository, the most exact one first.
fn keys(name: &RegistryName) -> Vec<String> {
    let path = name.path();
    let mut keys: Vec<String> = Vec::new();
    let mut end = path.len();
    loop {
        keys.push(path[..end].to_owned());
        match path[..end].rfind('/') {
            Some(at) => end = at,
            None => break,
        }
    }
    if name.server() != name.host {
        keys.push(DOCKER_KEY.to_owned());
        keys.push(name.server().to_owned());
    }
    keys
}

/// A key as it is compared: docker writes URLs, too.
fn bare(key: &str) -> &str {
    if key == DOCKER_KEY {
        return key;
    }
    let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
    let key = key.trim_end_matches('/');
    key.strip_suffix("/v1").or_else(|| key.strip_suffix("/v2")).unwrap_or(key)
}

impl CredentialFiles {
    /// What is known for a repository: by the longest name in the first file that has one.
    pub(super) fn find(&self, name: &RegistryName, programs: &dyn Programs) -> Result<Option<Secret>> {
        for path in &self.read {
            let document = load(path)?;
            for key in keys(name) {
                if let Some(helper) = helper(&document, &key)
                    && let Some(secret) = ask(helper, &key, programs)?
                {
                    return Ok(Some(secret));
                }
                let auths = document.get("auths").and_then(Value::as_object);
                let entry = auths.and_then(|auths| auths.iter().find(|(k, _)| bare(k) == key));
                if let Some(secret) = entry.map(|(_, entry)| read(entry, path)).transpose()?.flatten() {
                    return Ok(Some(secret));
                }
            }
            // Docker's store of all passwords is asked last, for hosts alone.
            let store = document.get("credsStore").and_then(Value::as_str).filter(|s| !s.is_empty());
            let host = if name.server() == name.host { &name.host } else { DOCKER_KEY };
            if let Some(store) = store
                && let Some(secret) = ask(store, host, programs)?
            {
                return Ok(Some(secret));
            }
        }
        Ok(None)
    }

    /// Keeps a user and a password for `key`, a host or a repository; says where.
    pub fn login(&self, key: &str, user: &str, password: &str, programs: &dyn Programs) -> Result<String> {
        let path = self.place()?;
        let mut document = load(path)?;
        if let Some(helper) = helper(&document, key) {
            let entry = json!({"ServerURL": key, "Username": user, "Secret": password}).to_string();
            run(helper, "store", entry.as_bytes(), programs)?;
            return Ok(format!("docker-credential-{helper}"));
        }
        let auths = document.entry("auths").or_insert_with(|| json!({}));
        let auths = auths.as_object_mut().ok_or_else(|| wrong(path, "`auths` is no object"))?;
        auths.retain(|k, _| bare(k) != key);
        auths.insert(key.to_owned(), json!({"auth": STANDARD.encode(format!("{user}:{password}"))}));
        save(path, &document)?;
        Ok(path.display().to_string())
    }

    /// Forgets what is kept for `key`, or for all where there is none; the keys that were forgotten.
    pub fn logout(&self, key: Option<&str>, programs: &dyn Programs) -> Result<Vec<String>> {
        let path = self.place()?;
        let mut document = load(path)?;
        let mut forgotten = Vec::new();
        if let Some(key) = key
            && let Some(helper) = helper(&document, key)
        {
            run(helper, "erase", key.as_bytes(), programs)?;
            forgotten.push(key.to_owned());
        }
        if let Some(auths) = document.get_mut("auths").and_then(Value::as_object_mut) {
            let is_meant = |k: &str| key.is_none_or(|key| bare(k) == key);
            forgotten.extend(auths.keys().filter(|k| is_meant(k)).cloned());
            auths.retain(|k, _| !is_meant(k));
        }
        if !forgotten.is_empty() {
            save(path, &document)?;
        }
        Ok(forgotten)
    }

    fn place(&self) -> Result<&Path> {
        let place = self.write.as_deref();
        place.ok_or_else(|| Error::usage("there is no place for credentials: set HOME or --authfile FILE"))
    }
}

/// A key of these files for what a user types: `HOST` or `HOST/REPOSITORY`.
pub fn credential_key(text: &str) -> Result<String> {
    let text = bare(text.strip_prefix("docker://").unwrap_or(text));
    let has_path = text.contains('/');
    let probe = if has_path { text.to_owned() } else { format!("{text}/x") };
    let name: RegistryName = probe.parse().map_err(|e| Error::usage(format!("{e}")))?;
    let is_host =
        probe.split('/').next().is_some_and(|host| host.contains(['.', ':']) || host == "localhost");
    if !is_host || name.tag.is_some() || name.digest.is_some() {
        return Err(Error::usage(format!(
            "not a registry: {text}; it is HOST[:PORT], or a repository there"
        )));
    }
    Ok(if has_path { name.path() } else { name.host })
}

/// The program that keeps a registry's credentials.
fn helper<'a>(document: &'a Map<String, Value>, key: &str) -> Option<&'a str> {
    let helpers = document.get("credHelpers")?.as_object()?;
    helpers.iter().find(|(k, _)| bare(k) == key)?.1.as_str().filter(|name| !name.is_empty())
}

fn run(helper: &str, verb: &str, input: &[u8], programs: &dyn Programs) -> Result<Option<Vec<u8>>> {
    let fault = |reason: &str| RegistryError::Helper { helper: helper.to_owned(), reason: reason.to_owned() };
    // Its name comes out of a file, and becomes that of a program.
    if !helper.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_.".contains(&b)) {
        return Err(fault("not the name of a program").into());
    }
    let line = CommandLine::new(&format!("docker-credential-{helper}"), &[verb]);
    match programs.ask(&line, input) {
        Ok(printed) => Ok(Some(printed)),
        Err(e) if e.is_missing_program() => Err(fault("there is no such program").into()),
        // They print it, and some say it on standard error.
        Err(CommandError::Failed { .. }) if verb == "get" => Ok(None),
        Err(_) => Err(fault("it failed").into()),
    }
}

/// What a helper knows; `None` where it knows nothing.
fn ask(helper: &str, key: &str, programs: &dyn Programs) -> Result<Option<Secret>> {
    let Some(printed) = run(helper, "get", key.as_bytes(), programs)? else { return Ok(None) };
    let value: Value = serde_json::from_slice(&printed).unwrap_or_default();
    let text = |name: &str| value.get(name).and_then(Value::as_str).unwrap_or_default().to_owned();
    let (user, secret) = (text("Username"), text("Secret"));
    if secret.is_empty() {
        return Ok(None);
    }
    Ok(Some(if user == TOKEN_USER { Secret::Identity(secret) } else { Secret::Password(user, secret) }))
}

fn read(entry: &Value, path: &Path) -> Result<Option<Secret>> {
    let text = |name: &str| entry.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    if let Some(token) = text("identitytoken") {
        return Ok(Some(Secret::Identity(token.to_owned())));
    }
    if let Some(auth) = text("auth") {
        let decoded = STANDARD.decode(auth).ok().and_then(|bytes| String::from_utf8(bytes).ok());
        let pair = decoded.as_deref().and_then(|text| text.split_once(':'));
        let (user, password) =
            pair.ok_or_else(|| wrong(path, "an `auth` is not the base64 of USER:PASSWORD"))?;
        return Ok(Some(Secret::Password(user.to_owned(), password.trim_end_matches('\0').to_owned())));
    }
    Ok(text("username").zip(text("password")).map(|(u, p)| Secret::Password(u.to_owned(), p.to_owned())))
}

fn save(path: &Path, document: &Map<String, Value>) -> Result<()> {
    let mut bytes = serde_json::to_vec_pretty(document).expect("an object of texts has a JSON form");
    bytes.push(b'\n');
    fs::replace_private_file(path, &bytes).map_err(|e| Error::io(path.display().to_string(), e))
}

#[cfg(test)]
mod tests {
    use super::*;
    use aurora_engine::host::{Answer, HostPrograms, Recorded};

    fn files(dir: &tempfile::TempDir, texts: &[&str]) -> CredentialFiles {
        let mut read = Vec::new();
        for (n, text) in texts.iter().enumerate() {
            let path = dir.path().join(format!("{n}.json"));
            std::fs::write(&path, text).unwrap();
            read.push(path);
        }
        CredentialFiles { write: read.first().cloned(), read }
    }

    fn auth(text: &str) -> String {
        STANDARD.encode(text)
    }

    #[test]
    fn the_longest_name_of_the_first_file_that_knows() {
        let dir = tempfile::tempdir().unwrap();
        let first = format!(
            r#"{{"auths":{{"h.example":{{"auth":"{}"}},"https://h.example/team/v1/":{{"auth":"{}"}},"e.example":{{}},
            "t.example":{{"auth":"x","identitytoken":"T"}},"https://index.docker.io/v1/":{{"auth":"{}"}}}}}}"#,
            auth("all:1"),
            auth("team:2:3"),
            auth("docker:d"),
        );
        let second = format!(r#"{{"auths":{{"e.example":{{"auth":"{}"}}}}}}"#, auth("second:s"));
        let files = files(&dir, &[&first, &second, ""]);
        let find = |name: &str| files.find(&name.parse().unwrap(), &HostPrograms::default()).unwrap();
        let password = |user: &str, word: &str| Some(Secret::Password(user.into(), word.into()));
        assert_eq!(find("h.example/x"), password("all", "1"));
        assert_eq!(find("h.example/team/x"), password("team", "2:3"));
        assert_eq!(find("h.example/teams"), password("all", "1"));
        assert_eq!(find("e.example/x"), password("second", "s"));
        assert_eq!(find("t.example/x"), Some(Secret::Identity("T".into())));
        assert_eq!(find("alpine"), password("docker", "d"));
        assert_eq!(find("n.example/x"), None);
        assert_eq!(format!("{:?}", find("alpine")), "Some((secret))");
    }

    #[test]
    fn helpers_are_asked() {
        let dir = tempfile::tempdir().unwrap();
        let text = r#"{"credHelpers":{"h.example":"one","b.example":"x/../y"},"credsStore":"all"}"#;
        let files = files(&dir, &[text]);
        let programs = Recorded::new(|line| match line {
            "docker-credential-one get" => Answer::output(r#"{"Username":"u","Secret":"p"}"#),
            "docker-credential-all get" => Answer::output(r#"{"Username":"<token>","Secret":"t"}"#),
            "docker-credential-one store" | "docker-credential-one erase" => Answer::output(""),
            _ => Answer::failure("?"),
        });
        let find = |name: &str| files.find(&name.parse().unwrap(), &programs);
        assert_eq!(find("h.example/x").unwrap(), Some(Secret::Password("u".into(), "p".into())));
        assert_eq!(find("o.example/x").unwrap(), Some(Secret::Identity("t".into())));
        assert!(find("b.example/x").unwrap_err().to_string().contains("not the name of a program"));
        assert_eq!(files.login("h.example", "u", "pw", &programs).unwrap(), "docker-credential-one");
        assert_eq!(files.logout(Some("h.example"), &programs).unwrap(), ["h.example"]);
        assert!(!std::fs::read_to_string(&files.read[0]).unwrap().contains("pw"));
        let told = String::from_utf8(programs.received()).unwrap();
        assert!(told.contains(r#""Secret":"pw""#) && told.ends_with("h.example"), "{told}");
    }

    #[test]
    fn logins_are_kept_for_their_owner_alone() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("new/auth.json");
        let files = CredentialFiles { read: vec![path.clone()], write: Some(path.clone()) };
        let none = HostPrograms::default();
        files.login("h.example", "u", "old", &none).unwrap();
        files.login("h.example", "u", "p", &none).unwrap();
        files.login("h.example/a", "v", "q", &none).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let find = |name: &str| files.find(&name.parse().unwrap(), &none).unwrap();
        assert_eq!(find("h.example/b"), Some(Secret::Password("u".into(), "p".into())));
        assert_eq!(files.logout(Some("h.example"), &none).unwrap(), ["h.example"]);
        assert_eq!(files.logout(Some("h.example"), &none).unwrap(), Vec::<String>::new());
        assert_eq!((find("h.example/b"), find("h.example/a").is_some()), (None, true));
        assert_eq!(files.logout(None, &none).unwrap(), ["h.example/a"]);
    }

    #[test]
    fn damage_is_told_without_what_the_file_holds() {
        let dir = tempfile::tempdir().unwrap();
        for text in [r#"{"auths":{"h.example":{"auth":"!!secret"}}}"#, r#"["secret"]"#, "secret"] {
            let files = files(&dir, &[text]);
            let e = files
                .find(&"h.example/x".parse().unwrap(), &HostPrograms::default())
                .unwrap_err()
                .to_string();
            assert!(e.contains("0.json") && !e.contains("secret"), "{e}");
        }
    }

    #[test]
    fn keys_are_hosts_or_repositories() {
        for (text, want) in [
            ("h.example", Some("h.example")),
            ("https://h.example:5000/", Some("h.example:5000")),
            ("docker://h.example/a/b", Some("h.example/a/b")),
            ("docker.io", Some("docker.io")),
            ("localhost", Some("localhost")),
            ("alpine", None),
            ("a/b", None),
            ("h.example/a:1", None),
        ] {
            assert_eq!(credential_key(text).ok().as_deref(), want, "{text}");
        }
    }
}
