//! Into a registry: blobs and manifests (distribution-spec, "Push").

use aurora_engine::body::Body;
use aurora_engine::digest::Digest;
use aurora_engine::remote::{Answer, Method, Payload, RemoteError, Url};
use aurora_formats::oci::Descriptor;

use super::remote::{Broken, Call, Remote};
use crate::Result;

/// Answers to what is sent.
const MAX_ANSWER: u64 = 1 << 20;

/// How a blob came to be in the registry.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Sent {
    /// It was there.
    There,
    /// The registry has taken it from another repository of its own.
    Mounted,
    /// Byte by byte.
    Copied,
}

/// An upload that has begun.
struct Upload {
    location: Url,
    /// Bytes that the registry has.
    at: u64,
    /// Smallest piece that the registry takes, but for the last one.
    least: u64,
}

impl Remote {
    fn simple(&self, method: Method, url: &Url) -> Result<Answer> {
        self.call(&Call { method, url, headers: &[], payload: Payload::None, max: MAX_ANSWER })
    }

    /// Whether the registry has a blob.
    pub(crate) fn has_blob(&self, digest: &str) -> Result<bool> {
        self.has(&format!("blobs/{digest}"))
    }

    /// Whether the registry has a manifest.
    pub(crate) fn has_manifest(&self, digest: &str) -> Result<bool> {
        self.has(&format!("manifests/{digest}"))
    }

    fn has(&self, rest: &str) -> Result<bool> {
        let url = self.url(rest);
        let accept = [("accept", "*/*")];
        let call = Call { method: Method::Head, url: &url, headers: &accept, payload: Payload::None, max: 0 };
        let answer = self.call(&call)?;
        match answer.status {
            // Some send to where the bytes are.
            200 | 301 | 302 | 303 | 307 | 308 => Ok(true),
            404 => Ok(false),
            _ => Err(self.refused(&url, &answer)),
        }
    }

    /// Sends a blob, or has the registry take it from `mount`, a repository of its own.
    pub(crate) fn send(
        &self,
        descriptor: &Descriptor,
        body: &dyn Fn() -> Result<Body>,
        mount: Option<&str>,
        count: &dyn Fn(u64),
    ) -> Result<Sent> {
        if self.has_blob(&descriptor.digest)? {
            return Ok(Sent::There);
        }
        let mut upload = None;
        if let Some(from) = mount {
            match self.mount(&descriptor.digest, from)? {
                None => return Ok(Sent::Mounted),
                begun => upload = begun,
            }
        }
        let body = body()?;
        let mut failed = 0;
        loop {
            let (before, stop) = (upload.as_ref().map_or(0, |u: &Upload| u.at), self.stop());
            match self.step(descriptor, &body, &mut upload, count) {
                Ok(true) => return Ok(Sent::Copied),
                Ok(false) => failed = 0,
                Err(Broken::Error(e)) => return Err(e),
                Err(Broken::Failure(failure)) => {
                    failed += 1;
                    self.client.pause(failure, failed, &stop)?;
                    upload = upload.and_then(|upload| self.position(&upload));
                    if upload.as_ref().is_some_and(|u| u.at > before) {
                        failed = 0;
                    }
                }
            }
        }
    }

    /// Begins, or sends the next piece; whether the blob is there now.
    fn step(
        &self,
        descriptor: &Descriptor,
        body: &Body,
        upload: &mut Option<Upload>,
        count: &dyn Fn(u64),
    ) -> Result<bool, Broken> {
        let size = descriptor.size;
        let Some(begun) = upload else {
            *upload = Some(self.begin()?);
            return self.step(descriptor, body, upload, count);
        };
        let (at, left) = (begun.at, size - begun.at.min(size));
        let piece = self.chunk.max(begun.least);
        let is_last = left <= piece;
        let length = left.min(piece);
        // All at once needs no range, and some registries know nothing else.
        let range = format!("{at}-{}", (at + length).saturating_sub(1));
        let mut headers = vec![("content-type", "application/octet-stream")];
        if !(at == 0 && is_last) && length > 0 {
            headers.push(("content-range", range.as_str()));
        }
        let (method, url) = match is_last {
            true => (Method::Put, begun.location.join(&[], &[("digest", &descriptor.digest)])),
            false => (Method::Patch, begun.location.clone()),
        };
        let payload = Payload::Part(body, at, length);
        let call = Call { method, url: &url, headers: &headers, payload, max: MAX_ANSWER };
        let answer = self.call_once(&call, count)?;
        match (answer.status, is_last) {
            (201 | 204, true) => Ok(true),
            (202 | 204, false) => {
                begun.at = received(&answer).unwrap_or(at + length).min(at + length);
                begun.location = self.location(&url, &answer).map_err(Broken::Error)?;
                Ok(false)
            }
            // It has forgotten what it had, or has less than we think.
            (404 | 416, _) => {
                let (url, status) = (url.to_string(), answer.status);
                let message = super::error::message(&answer.bytes);
                *upload = None;
                let e = RemoteError::Status { url, status, message, body: answer.bytes };
                Err(Broken::Failure(aurora_engine::remote::Failure::passing(e)))
            }
            _ => Err(Broken::Error(self.refused(&url, &answer))),
        }
    }

    fn begin(&self) -> Result<Upload, Broken> {
        let url = self.url("blobs/uploads/");
        let call =
            Call { method: Method::Post, url: &url, headers: &[], payload: Payload::None, max: MAX_ANSWER };
        let answer = self.call_once(&call, &|_| {})?;
        self.begun(&url, &answer).map_err(Broken::Error)
    }

    fn begun(&self, url: &Url, answer: &Answer) -> Result<Upload> {
        if answer.status != 202 {
            return Err(self.refused(url, answer));
        }
        let least = answer.header("oci-chunk-min-length").and_then(|text| text.parse().ok()).unwrap_or(0);
        Ok(Upload { location: self.location(url, answer)?, at: 0, least })
    }

    /// `None` if the registry has taken the blob from there; else an upload has begun.
    fn mount(&self, digest: &str, from: &str) -> Result<Option<Upload>> {
        let url = self.url("blobs/uploads/").join(&[], &[("mount", digest), ("from", from)]);
        let answer = self.simple(Method::Post, &url)?;
        match answer.status {
            201 => Ok(None),
            // Not allowed to look there is no reason not to send.
            401 | 403 | 404 => self.begin().map(Some).map_err(|e| match e {
                Broken::Error(e) => e,
                Broken::Failure(failure) => failure.into_error().into(),
            }),
            _ => self.begun(&url, &answer).map(Some),
        }
    }

    /// How far an upload has come; `None` if the registry knows nothing of it.
    fn position(&self, upload: &Upload) -> Option<Upload> {
        let answer = self.simple(Method::Get, &upload.location).ok()?;
        if answer.status != 204 {
            return None;
        }
        let location = self.location(&upload.location, &answer).unwrap_or_else(|_| upload.location.clone());
        Some(Upload { location, at: received(&answer)?, least: upload.least })
    }

    fn location(&self, url: &Url, answer: &Answer) -> Result<Url> {
        let text = answer.header("location").ok_or_else(|| self.broken(url, "no Location"))?;
        let location = url.resolve(text).map_err(|_| self.broken(url, "a Location that is no URL"))?;
        if url.is_https() && !location.is_https() {
            return Err(self.broken(url, "sends on from https to http"));
        }
        Ok(location)
    }

    /// Puts a manifest or index under a tag or its digest. Whether the registry lists what it is about (`subject`).
    pub(crate) fn put_manifest(&self, reference: &str, media_type: &str, bytes: &[u8]) -> Result<bool> {
        let url = self.url(&format!("manifests/{reference}"));
        let headers = [("content-type", media_type)];
        let payload = Payload::Bytes(bytes);
        let call = Call { method: Method::Put, url: &url, headers: &headers, payload, max: MAX_ANSWER };
        let answer = self.call(&call)?;
        if !matches!(answer.status, 200..=204) {
            return Err(self.refused(&url, &answer));
        }
        let said = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        if let Some(expected) = said
            && expected != Digest::of(expected.algorithm(), bytes)
        {
            return Err(self.broken(&url, format!("it has made another manifest of it: {expected}")));
        }
        Ok(answer.header("oci-subject").is_some())
    }
}

/// `Range: 0-N`: the registry has N + 1 bytes, or none.
fn received(answer: &Answer) -> Option<u64> {
    let text = answer.header("range")?;
    let (_, last) = text.trim_start_matches("bytes=").split_once('-')?;
    let last: u64 = last.parse().ok()?;
    // An empty upload has no way to say so but this one.
    Some(if last == 0 { 0 } else { last + 1 })
}
