//! An image server on this machine that does what it is told, wrong things above all. Only `std`: tests of other
//! packages take this file by its path.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use super::http::{Fault, HttpServer, Reply, Request};

struct Image {
    manifest: String,
    published: String,
    file: Vec<u8>,
}

type Images = BTreeMap<String, Image>;

/// A server; gone when dropped.
pub struct FaultServer {
    server: HttpServer,
    images: Arc<Mutex<Images>>,
}

impl FaultServer {
    /// Starts one without images.
    pub fn new() -> Self {
        let images = Arc::new(Mutex::new(Images::new()));
        let shared = Arc::clone(&images);
        let server = HttpServer::new(move |request| {
            assert_eq!(request.header("accept-version"), Some("~2"));
            let (status, body) = right_answer(request, &shared.lock().unwrap());
            Reply::new(status, body)
        });
        Self { server, images }
    }

    /// Its URL.
    pub fn url(&self) -> String {
        format!("http://{}", self.server.host())
    }

    /// Gives it an image.
    pub fn add(&self, uuid: &str, manifest: String, file: Vec<u8>) {
        let published = manifest.split("\"published_at\"").nth(1).and_then(|rest| rest.split('"').nth(1));
        let image = Image { published: published.unwrap_or_default().to_owned(), manifest, file };
        self.images.lock().unwrap().insert(uuid.to_owned(), image);
    }

    /// What happens to the next requests whose path ends so.
    pub fn next(&self, path: &str, faults: impl IntoIterator<Item = Fault>) {
        self.server.next(path, faults);
    }

    /// What happens to every request whose path ends so.
    pub fn always(&self, path: &str, fault: Fault) {
        self.server.always(path, fault);
    }

    /// The requests since the last time: path, query, range, and headers that matter.
    pub fn requests(&self) -> Vec<String> {
        let plain = |line: String| line.strip_prefix("GET ").map(str::to_owned).unwrap_or(line);
        self.server.requests().into_iter().map(plain).collect()
    }
}

impl Default for FaultServer {
    fn default() -> Self {
        Self::new()
    }
}

fn right_answer(request: &Request, images: &Images) -> (u16, Vec<u8>) {
    let missing = || (404, br#"{"code":"ResourceNotFound","message":"not found"}"#.to_vec());
    let parts: Vec<&str> =
        request.path.split('/').skip_while(|part| !matches!(*part, "images" | "ping" | "channels")).collect();
    match parts[..] {
        ["ping"] => (200, br#"{"ping":"pong","version":"4.0","imgapi":true}"#.to_vec()),
        ["channels"] => (
            200,
            br#"[{"name":"dev","description":"all"},{"name":"release","description":"good","default":true}]"#
                .to_vec(),
        ),
        ["images"] => {
            let mut sorted: Vec<&Image> = images.values().collect();
            sorted.sort_by_key(|image| &image.published);
            let marker = request.query.get("marker").and_then(|uuid| images.get(uuid));
            let limit = request.query.get("limit").and_then(|n| n.parse().ok()).unwrap_or(1000);
            let fits = |image: &&&Image| {
                // A part of the name is enough for `~PART`, the rest is for the client to see.
                let name = request.query.get("name").map(|name| name.trim_start_matches('~'));
                marker.is_none_or(|marker| image.published >= marker.published)
                    && name.is_none_or(|name| image.manifest.contains(name))
            };
            let rows: Vec<&str> =
                sorted.iter().filter(fits).take(limit).map(|i| i.manifest.as_str()).collect();
            (200, format!("[{}]", rows.join(",")).into_bytes())
        }
        ["images", uuid] => images.get(uuid).map_or_else(missing, |i| (200, i.manifest.clone().into_bytes())),
        ["images", uuid, "file"] => images.get(uuid).map_or_else(missing, |i| (200, i.file.clone())),
        _ => missing(),
    }
}
