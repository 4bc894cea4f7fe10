//! Where images come from: a file like imgadm's own, `{"sources": [{"url": …, "type": "imgapi"}]}`.

use std::io;
use std::path::Path;

use aurora_engine::fs;
use aurora_engine::remote::{Url, UrlError};
use aurora_formats::smartos::{Json, Object};

use crate::{Error, ErrorKind, Result};

/// The server that is asked where nothing else is said.
pub const DEFAULT_SOURCE: &str = "https://images.smartos.org";
/// The file is small.
const MAX_FILE: u64 = 1 << 20;
/// The type of the servers that are asked; imgadm knows others.
const IMGAPI: &str = "imgapi";

/// One source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Source {
    /// Where it is.
    pub url: Url,
    /// What it speaks; only `imgapi` is asked.
    pub kind: String,
}

impl Source {
    /// An image server.
    pub fn imgapi(url: Url) -> Self {
        Self { url, kind: IMGAPI.to_owned() }
    }

    /// Whether it is an image server.
    pub fn is_imgapi(&self) -> bool {
        self.kind == IMGAPI
    }
}

/// All sources, in the order in which they are asked.
#[derive(Debug, Clone)]
pub struct Sources {
    list: Vec<Source>,
    /// The document; what else is in it stays.
    document: Object,
}

impl Default for Sources {
    fn default() -> Self {
        let url = DEFAULT_SOURCE.parse().expect("the default is a URL and tests read it");
        Self { list: vec![Source::imgapi(url)], document: Object::default() }
    }
}

impl Sources {
    /// Reads the file; without one there is the default source.
    pub fn load(path: &Path) -> Result<Self> {
        let bytes = match fs::read_limited(path, MAX_FILE) {
            Err(e) if e.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            read => read.map_err(|e| Error::io(path.display().to_string(), e))?,
        };
        let named = |e: Error| e.in_image(path.display().to_string());
        let json = Json::parse(&bytes).map_err(|e| named(e.into()))?;
        Self::parse(&json).map_err(|text| named(ErrorKind::Usage(text).into()))
    }

    fn parse(json: &Json) -> std::result::Result<Self, String> {
        let document = json.as_object().ok_or("the document is no object")?;
        let elements = match document.get("sources") {
            // As imgadm has it: a file that does not speak of sources leaves them as they are.
            None => return Ok(Self { document: document.clone(), ..Self::default() }),
            Some(sources) => sources.as_array().ok_or("`sources` is no array")?,
        };
        let mut list = Vec::new();
        for (number, element) in elements.iter().enumerate() {
            let text = |name| element.as_object().and_then(|o| o.get(name)).and_then(Json::as_str);
            let url = text("url").ok_or_else(|| format!("sources[{number}] has no url"))?;
            let url = url.parse().map_err(|e: UrlError| format!("sources[{number}]: {e}"))?;
            list.push(Source { url, kind: text("type").unwrap_or(IMGAPI).to_owned() });
        }
        Ok(Self { list, document: document.clone() })
    }

    /// All of them.
    pub fn list(&self) -> &[Source] {
        &self.list
    }

    /// Adds one at the end, unless it is there. Whether it was not.
    pub fn add(&mut self, source: Source) -> bool {
        let is_new = !self.list.contains(&source);
        if is_new {
            self.list.push(source);
        }
        is_new
    }

    /// Takes those of a URL away. Whether there was one. A URL without user means one with a user, too.
    pub fn remove(&mut self, url: &Url) -> bool {
        let before = self.list.len();
        self.list.retain(|source| source.url != *url && source.url.to_string() != url.to_secret_string());
        self.list.len() < before
    }

    /// Writes the file, readable by its owner alone: URLs can hold passwords. Folders above it are made.
    pub fn save(&self, path: &Path) -> Result<()> {
        let source = |source: &Source| {
            let members =
                [("url", Json::from(source.url.to_secret_string())), ("type", source.kind.as_str().into())];
            Json::Object(members.into_iter().collect())
        };
        let mut document = self.document.clone();
        document.set("sources", self.list.iter().map(source).collect::<Vec<_>>());
        let text = Json::Object(document).to_pretty() + "\n";
        fs::replace_private_file(path, text.as_bytes()).map_err(|e| Error::io(path.display().to_string(), e))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sources_are_kept_in_order_with_all_else_in_the_file() {
        use std::os::unix::fs::PermissionsExt;
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("a/b/sources.json");
        let mut sources = Sources::load(&path).unwrap();
        assert_eq!(sources.list()[0].url.to_string(), DEFAULT_SOURCE);
        assert!(sources.add(Source::imgapi("u:p@h/x/".parse().unwrap())));
        assert!(!sources.add(Source::imgapi("http://u:p@h:80/x".parse().unwrap())), "the same");
        sources.save(&path).unwrap();
        assert_eq!(std::fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("http://u:p@h/x"), "{text}");

        std::fs::write(&path, text.replacen('{', "{\"other\": 1,", 1)).unwrap();
        let mut sources = Sources::load(&path).unwrap();
        assert_eq!(sources.list().len(), 2);
        assert!(sources.remove(&"http://h/x".parse().unwrap()), "without its secret");
        assert!(!sources.remove(&"http://h/x".parse().unwrap()));
        sources.save(&path).unwrap();
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains("\"other\": 1") && !text.contains("u:p"), "{text}");
        assert_eq!(std::fs::read_dir(path.parent().unwrap()).unwrap().count(), 1);
    }

    #[test]
    fn what_is_wrong_in_the_file_is_named() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("sources.json");
        let cases = [
            ("[]", "no object"),
            ("{\"sources\":1}", "`sources` is no array"),
            ("{\"sources\":[{}]}", "sources[0] has no url"),
            ("{\"sources\":[{\"url\":\"ftp://x\"}]}", "sources[0]: not an http"),
            ("{", "no JSON"),
        ];
        for (text, want) in cases {
            std::fs::write(&path, text).unwrap();
            let e = Sources::load(&path).unwrap_err().to_string();
            assert!(e.contains(want) && e.contains("sources.json"), "{text}: {e}");
        }
        std::fs::write(&path, "{}").unwrap();
        assert_eq!(Sources::load(&path).unwrap().list().len(), 1);
    }
}
