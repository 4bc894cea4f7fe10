//! One image server.

use std::collections::BTreeSet;

use aurora_engine::remote::{Client, RemoteError, Url};
use aurora_formats::smartos::{Json, MAX_DOCUMENT, Manifest, Object, SmartosError, Uuid};

use super::{Filter, ImgapiError};
use crate::{Ctx, Error, ErrorKind, Result};

/// Images a page: servers give no more at once.
const PAGE: usize = 1000;
/// Largest page. Real ones have two KiB an image; as values they take many times that.
const MAX_PAGE: usize = 16 << 20;
/// Where pages are too large because manifests are, shorter ones are asked for, down to this many images.
const MIN_PAGE: usize = 10;
/// Images of one server: more than any has.
const MAX_IMAGES: usize = 100_000;
/// Bytes of all pages together.
const MAX_LIST: usize = 256 << 20;
/// Version 2 of the protocol.
const HEADERS: &[(&str, &str)] = &[("accept-version", "~2"), ("accept", "application/json")];
/// Characters of a server's message that are told on.
const MAX_MESSAGE: usize = 200;

/// A server, and how to talk to it.
#[derive(Clone)]
pub struct Server<'a> {
    url: Url,
    client: &'a Client,
}

/// A channel of a server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Channel {
    /// Its name.
    pub name: String,
    /// What it is for.
    pub description: String,
    /// Whether it is meant where none is named.
    pub is_default: bool,
}

impl<'a> Server<'a> {
    /// The server of a URL; nothing is sent. `?channel=NAME` of the URL goes with every request.
    pub fn new(url: Url, client: &'a Client) -> Self {
        Self { url, client }
    }

    /// Where it is.
    pub fn url(&self) -> &Url {
        &self.url
    }

    /// How it is talked to.
    pub(super) fn client(&self) -> &'a Client {
        self.client
    }

    /// Whether there is an image server.
    pub fn ping(&self, ctx: &Ctx<'_>) -> Result<()> {
        let url = self.url.join(&["ping"], &[]);
        let not = |reason| ImgapiError::NotImgapi { url: url.to_string(), reason };
        let json = self.json(&url, MAX_DOCUMENT, ctx)?;
        match json.as_object().and_then(|o| o.get("imgapi")).and_then(Json::as_flag) {
            Some(true) => Ok(()),
            _ => Err(not("its ping does not say so").into()),
        }
    }

    /// All images that fit the filters, in the server's order.
    pub fn list(&self, filters: &[Filter], ctx: &Ctx<'_>) -> Result<Vec<Manifest>> {
        let mut images = Vec::new();
        let mut seen = BTreeSet::new();
        let (mut page_size, mut marker, mut bytes) = (PAGE, None::<Uuid>, 0_usize);
        loop {
            ctx.check()?;
            let limit = page_size.to_string();
            let marked = marker.map(|uuid| uuid.to_string());
            let mut parameters: Vec<(&str, &str)> = filters.iter().filter_map(Filter::parameter).collect();
            parameters.push(("limit", &limit));
            parameters.extend(marked.iter().map(|uuid| ("marker", uuid.as_str())));
            let url = self.url.join(&["images"], &parameters);
            let page = match self.bytes(&url, MAX_PAGE, ctx) {
                Err(e) if is_too_large(&e) && page_size > MIN_PAGE => {
                    page_size /= 10;
                    continue;
                }
                page => page?,
            };
            bytes += page.len();
            let rows = rows(&url, &page)?;
            let count = rows.len();
            let mut last = None;
            for row in rows {
                let manifest = Manifest::from_json(row).map_err(|e| answer(&url, e))?;
                let uuid = manifest.uuid().map_err(|e| answer(&url, e))?;
                // The marker comes again, and with it all that was published in the same moment.
                if seen.insert(uuid) {
                    last = Some(uuid);
                    images.push(manifest);
                }
            }
            if images.len() > MAX_IMAGES || bytes > MAX_LIST {
                return Err(ErrorKind::Limit { what: "images of a server", limit: MAX_IMAGES as u64 }.into());
            }
            // Fewer is the end; more, and the server has no pages.
            if count != page_size {
                break;
            }
            match (last, marker) {
                (Some(last), _) => marker = Some(last),
                (None, Some(marker)) => {
                    return Err(ImgapiError::NoProgress { url: url.to_string(), marker }.into());
                }
                (None, None) => break,
            }
        }
        Ok(images)
    }

    /// The manifest of an image, whatever its state.
    pub fn show(&self, uuid: Uuid, ctx: &Ctx<'_>) -> Result<Manifest> {
        let url = self.url.join(&["images", &uuid.to_string()], &[]);
        let bytes = match self.bytes(&url, MAX_DOCUMENT, ctx) {
            Err(e) if status(&e) == Some(404) => {
                return Err(ErrorKind::NoSuchImage(format!("{uuid} at {}", self.url)).into());
            }
            read => read?,
        };
        let manifest = Manifest::parse(&bytes).map_err(|e| answer(&url, e))?;
        let found = manifest.uuid().map_err(|e| answer(&url, e))?;
        if found != uuid {
            return Err(ImgapiError::OtherImage { url: url.to_string(), found }.into());
        }
        Ok(manifest)
    }

    /// Where the file of an image is.
    pub fn file_url(&self, uuid: Uuid) -> Url {
        self.url.join(&["images", &uuid.to_string(), "file"], &[])
    }

    /// The server's channels; none where it knows of no such thing.
    pub fn channels(&self, ctx: &Ctx<'_>) -> Result<Vec<Channel>> {
        let url = self.url.join(&["channels"], &[]);
        let bytes = match self.bytes(&url, MAX_DOCUMENT, ctx) {
            Err(e) if matches!(status(&e), Some(404 | 501)) => return Ok(Vec::new()),
            read => read?,
        };
        let channel = |json: Json| {
            let object = json.as_object().cloned().unwrap_or_default();
            let text = |name| object.get(name).and_then(Json::as_str).unwrap_or_default().to_owned();
            Channel {
                name: text("name"),
                description: text("description"),
                is_default: object.get("default").and_then(Json::as_flag) == Some(true),
            }
        };
        Ok(rows(&url, &bytes)?.into_iter().map(channel).collect())
    }

    fn json(&self, url: &Url, max: usize, ctx: &Ctx<'_>) -> Result<Json> {
        let bytes = self.bytes(url, max, ctx)?;
        Json::parse_up_to(&bytes, max).map_err(|e| answer(url, e).into())
    }

    fn bytes(&self, url: &Url, max: usize, ctx: &Ctx<'_>) -> Result<Vec<u8>> {
        let got = self.client.get(url, HEADERS, max as u64, &|| ctx.cancel.is_set());
        got.map(|document| document.bytes).map_err(failed)
    }
}

/// The headers of every request but those for documents.
pub(super) const FILE_HEADERS: &[(&str, &str)] = &[("accept-version", "~2")];

/// A failed request, in the server's words where it has any.
pub(super) fn failed(e: RemoteError) -> Error {
    match e {
        RemoteError::Status { url, status, message, body } => {
            let object = Json::parse(&body).ok().and_then(|json| json.as_object().cloned());
            match object.as_ref().and_then(|o| word(o, "code")) {
                Some(code) => {
                    let message = object.as_ref().and_then(|o| word(o, "message")).unwrap_or_default();
                    ImgapiError::Refused { url, status, code, message }.into()
                }
                None => RemoteError::Status { url, status, message, body }.into(),
            }
        }
        other => other.into(),
    }
}

fn word(object: &Object, name: &str) -> Option<String> {
    object.get(name).and_then(Json::as_str).map(|text| text.chars().take(MAX_MESSAGE).collect())
}

fn status(e: &Error) -> Option<u16> {
    match e.kind() {
        ErrorKind::Imgapi(ImgapiError::Refused { status, .. })
        | ErrorKind::Remote(RemoteError::Status { status, .. }) => Some(*status),
        _ => None,
    }
}

fn is_too_large(e: &Error) -> bool {
    matches!(e.kind(), ErrorKind::Remote(RemoteError::TooLarge { .. }))
}

fn answer(url: &Url, source: SmartosError) -> ImgapiError {
    ImgapiError::Answer { url: url.to_string(), source }
}

/// The elements of an answer that must be an array.
fn rows(url: &Url, bytes: &[u8]) -> Result<Vec<Json>> {
    match Json::parse_up_to(bytes, MAX_PAGE).map_err(|e| answer(url, e))? {
        Json::Array(rows) => Ok(rows),
        _ => Err(ImgapiError::NotImgapi { url: url.to_string(), reason: "its answer is no array" }.into()),
    }
}
