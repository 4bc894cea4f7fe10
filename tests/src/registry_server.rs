//! A registry on this machine that follows distribution-spec 1.1, unless it is told to do wrong.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, Mutex};

use aurora_engine::digest::{Algorithm, Digest};

use crate::http::{Fault, HttpServer, Reply, Request};

/// Who is let in.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Door {
    /// Anyone.
    #[default]
    Open,
    /// Who sends `Basic` and this.
    Basic(&'static str),
    /// Who has a token that is good for so many requests; tokens are given to who sends `Basic` and this.
    Token(&'static str, usize),
}

#[derive(Default)]
struct Content {
    blobs: BTreeMap<String, Vec<u8>>,
    /// Repositories, and the blobs that they have.
    links: BTreeSet<(String, String)>,
    /// By `REPOSITORY` and digest or tag: media type and bytes.
    manifests: BTreeMap<(String, String), (String, Vec<u8>)>,
    uploads: Vec<Vec<u8>>,
    /// Requests that the last token is good for.
    token_left: usize,
    tokens: usize,
    lists_referrers: bool,
    /// Tags a page.
    page: usize,
    door: Door,
}

/// A registry; gone when dropped.
pub struct RegistryServer {
    server: HttpServer,
    content: Arc<Mutex<Content>>,
}

impl RegistryServer {
    /// Starts an empty one.
    pub fn new(door: Door) -> Self {
        let content = Content { door, lists_referrers: true, page: 1000, ..Content::default() };
        let content = Arc::new(Mutex::new(content));
        let shared = Arc::clone(&content);
        let server = HttpServer::new(move |request| shared.lock().unwrap().answer(request));
        Self { server, content }
    }

    /// Host and port.
    pub fn host(&self) -> String {
        self.server.host()
    }

    /// See [`HttpServer::next`].
    pub fn next(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.server.next(path, faults);
    }

    /// See [`HttpServer::always`].
    pub fn always(&self, path: &str, fault: Fault) {
        self.server.always(path, fault);
    }

    /// The requests since the last time, but for the one that asks whether there is a registry.
    pub fn requests(&self) -> Vec<String> {
        self.server.requests().into_iter().filter(|line| line.as_str() != "GET /v2/").collect()
    }

    /// Whether it has an API for referrers.
    pub fn lists_referrers(&self, does: bool) {
        self.content.lock().unwrap().lists_referrers = does;
    }

    /// Tags a page.
    pub fn page(&self, tags: usize) {
        self.content.lock().unwrap().page = tags;
    }

    /// A manifest by repository, and tag or digest.
    pub fn manifest(&self, repository: &str, reference: &str) -> Option<Vec<u8>> {
        let key = (repository.to_owned(), reference.to_owned());
        self.content.lock().unwrap().manifests.get(&key).map(|(_, bytes)| bytes.clone())
    }

    /// Puts a manifest there.
    pub fn put_manifest(&self, repository: &str, reference: &str, media_type: &str, bytes: &[u8]) {
        let key = (repository.to_owned(), reference.to_owned());
        self.content.lock().unwrap().manifests.insert(key, (media_type.to_owned(), bytes.to_vec()));
    }

    /// Puts a blob there.
    pub fn put_blob(&self, repository: &str, bytes: &[u8]) {
        let mut content = self.content.lock().unwrap();
        let digest = Digest::sha256(bytes).to_string();
        content.links.insert((repository.to_owned(), digest.clone()));
        content.blobs.insert(digest, bytes.to_vec());
    }

    /// Bytes of a blob.
    pub fn blob(&self, digest: &str) -> Option<Vec<u8>> {
        self.content.lock().unwrap().blobs.get(digest).cloned()
    }
}

fn error(status: u16, code: &str) -> Reply {
    Reply::new(status, format!(r#"{{"errors":[{{"code":"{code}","message":"told so"}}]}}"#))
}

impl Content {
    fn answer(&mut self, request: &Request) -> Reply {
        if request.path == "/token" {
            return self.token(request);
        }
        if let Some(refusal) = self.refusal(request) {
            return refusal;
        }
        if matches!(request.path.as_str(), "/v2/" | "/v2") {
            return Reply::new(200, "{}");
        }
        let path = request.path.strip_prefix("/v2/").unwrap_or_default();
        let find = |mark: &str| {
            path.rfind(mark).map(|at| (path[..at].to_owned(), path[at + mark.len()..].to_owned()))
        };
        let method = request.method.as_str();
        if let Some((repository, rest)) = find("/blobs/uploads/") {
            return self.upload(method, &repository, &rest, request);
        }
        if let Some(key) = find("/blobs/") {
            return match (method, self.blobs.get(&key.1).filter(|_| self.links.contains(&key))) {
                ("GET" | "HEAD", Some(bytes)) => Reply::new(200, bytes.clone()),
                _ => error(404, "BLOB_UNKNOWN"),
            };
        }
        if let Some((repository, reference)) = find("/manifests/") {
            return self.manifests(method, repository, reference, request);
        }
        if let Some((repository, _)) = find("/tags/list") {
            return self.tags(&repository, request);
        }
        match find("/referrers/") {
            Some((repository, digest)) if self.lists_referrers => self.referrers(&repository, &digest),
            _ => error(404, "NOT_FOUND"),
        }
    }

    fn refusal(&mut self, request: &Request) -> Option<Reply> {
        let sent = request.header("authorization").unwrap_or_default();
        let challenge = match &self.door {
            Door::Open => return None,
            Door::Basic(pair) if sent == format!("Basic {pair}") => return None,
            Door::Basic(_) => r#"Basic realm="test""#.to_owned(),
            Door::Token(..) if sent == format!("Bearer t{}", self.tokens) && self.token_left > 0 => {
                self.token_left -= 1;
                return None;
            }
            Door::Token(..) => {
                let host = request.header("host").unwrap_or_default();
                format!(r#"Bearer realm="http://{host}/token",service="test",scope="repository:x:pull""#)
            }
        };
        Some(error(401, "UNAUTHORIZED").with("WWW-Authenticate", challenge))
    }

    fn token(&mut self, request: &Request) -> Reply {
        let Door::Token(pair, uses) = self.door.clone() else { return error(404, "NOT_FOUND") };
        let sent = request.header("authorization").unwrap_or_default();
        let form = String::from_utf8_lossy(&request.body).into_owned();
        let is_known = sent == format!("Basic {pair}")
            || form.contains("refresh_token=I-am-me&")
            || form.ends_with("refresh_token=I-am-me");
        if !is_known {
            return error(401, "DENIED");
        }
        self.tokens += 1;
        self.token_left = uses;
        Reply::new(200, format!(r#"{{"token":"t{}","expires_in":300}}"#, self.tokens))
    }

    fn upload(&mut self, method: &str, repository: &str, rest: &str, request: &Request) -> Reply {
        let at = |n: usize, reply: Reply| {
            reply.with("Location", format!("/v2/{repository}/blobs/uploads/{n}?state=x"))
        };
        if method == "POST" {
            if let Some(digest) = request.query.get("mount")
                && let Some(from) = request.query.get("from")
                && self.links.contains(&(from.clone(), digest.clone()))
            {
                self.links.insert((repository.to_owned(), digest.clone()));
                return Reply::new(201, "");
            }
            self.uploads.push(Vec::new());
            return at(self.uploads.len() - 1, Reply::new(202, ""));
        }
        let Some((n, upload)) = rest.parse::<usize>().ok().and_then(|n| Some((n, self.uploads.get_mut(n)?)))
        else {
            return error(404, "BLOB_UPLOAD_UNKNOWN");
        };
        assert_eq!(
            request.query.get("state").map(String::as_str),
            Some("x"),
            "the Location is used as it is"
        );
        let range = |upload: &Vec<u8>| format!("0-{}", upload.len().saturating_sub(1));
        if let Some(start) =
            request.header("content-range").and_then(|r| r.split('-').next()?.parse::<usize>().ok())
            && start != upload.len()
        {
            return error(416, "BLOB_UPLOAD_INVALID");
        }
        match method {
            "GET" => {
                let range = range(upload);
                at(n, Reply::new(204, "").with("Range", range))
            }
            "PATCH" => {
                upload.extend_from_slice(&request.body);
                let range = range(upload);
                at(n, Reply::new(202, "").with("Range", range))
            }
            _ => {
                upload.extend_from_slice(&request.body);
                let bytes = std::mem::take(upload);
                let wanted: Option<Digest> = request.query.get("digest").and_then(|d| d.parse().ok());
                match wanted {
                    Some(digest) if Digest::of(digest.algorithm(), &bytes) == digest => {
                        self.links.insert((repository.to_owned(), digest.to_string()));
                        self.blobs.insert(digest.to_string(), bytes);
                        Reply::new(201, "")
                    }
                    _ => error(400, "DIGEST_INVALID"),
                }
            }
        }
    }

    fn manifests(&mut self, method: &str, repository: String, reference: String, request: &Request) -> Reply {
        let key = (repository.clone(), reference);
        if method == "PUT" {
            let text = String::from_utf8_lossy(&request.body).into_owned();
            let digest = Digest::of(Algorithm::Sha256, &request.body).to_string();
            let is_there = |name: &str| {
                self.links.contains(&(repository.clone(), name.to_owned()))
                    || self.manifests.contains_key(&(repository.clone(), name.to_owned()))
            };
            let value: serde_json::Value = serde_json::from_str(&text).unwrap_or_default();
            let named = ["config", "layers", "manifests"].iter().flat_map(|key| match &value[*key] {
                serde_json::Value::Array(all) => all.clone(),
                one => vec![one.clone()],
            });
            let digests: Vec<String> =
                named.filter_map(|d| d["digest"].as_str().map(str::to_owned)).collect();
            if !digests.iter().all(|name| is_there(name)) {
                return error(400, "MANIFEST_BLOB_UNKNOWN");
            }
            let kind = request.header("content-type").unwrap_or_default().to_owned();
            self.manifests.insert((repository, digest.clone()), (kind.clone(), request.body.clone()));
            self.manifests.insert(key, (kind, request.body.clone()));
            let reply = Reply::new(201, "").with("Docker-Content-Digest", digest);
            return match value["subject"]["digest"].as_str() {
                Some(subject) if self.lists_referrers => reply.with("OCI-Subject", subject),
                _ => reply,
            };
        }
        match self.manifests.get(&key) {
            Some((kind, bytes)) => Reply::new(200, bytes.clone()).with("Content-Type", kind.clone()),
            None => error(404, "MANIFEST_UNKNOWN"),
        }
    }

    fn tags(&self, repository: &str, request: &Request) -> Reply {
        let last = request.query.get("last").cloned().unwrap_or_default();
        let of_it =
            self.manifests.keys().filter(|(r, reference)| r == repository && !reference.contains(':'));
        let all: Vec<&String> = of_it.map(|(_, tag)| tag).collect();
        if all.is_empty() {
            return error(404, "NAME_UNKNOWN");
        }
        let rest: Vec<&String> = all.into_iter().filter(|tag| **tag > last).collect();
        let page: Vec<String> = rest.iter().take(self.page).map(|tag| format!("\"{tag}\"")).collect();
        let reply = Reply::new(200, format!(r#"{{"name":"{repository}","tags":[{}]}}"#, page.join(",")));
        match rest.get(self.page) {
            Some(_) => {
                let last = rest[self.page - 1];
                reply.with("Link", format!(r#"</v2/{repository}/tags/list?n=2&last={last}>; rel="next""#))
            }
            None => reply,
        }
    }

    fn referrers(&self, repository: &str, digest: &str) -> Reply {
        let mut list = Vec::new();
        for ((r, reference), (kind, bytes)) in &self.manifests {
            let value: serde_json::Value = serde_json::from_slice(bytes).unwrap_or_default();
            if r == repository && reference.contains(':') && value["subject"]["digest"] == digest {
                list.push(serde_json::json!({"mediaType": kind, "digest": reference, "size": bytes.len()}));
            }
        }
        let index = serde_json::json!({"schemaVersion": 2, "manifests": list,
            "mediaType": "application/vnd.oci.image.index.v1+json"});
        Reply::new(200, index.to_string()).with("Content-Type", "application/vnd.oci.image.index.v1+json")
    }
}
