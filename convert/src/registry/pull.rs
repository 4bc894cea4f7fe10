//! Out of a registry: manifests and blobs (distribution-spec, "Pull").

use aurora_engine::digest::{Digest, VerifyError};
use aurora_engine::remote::{Destination, Length, Method, Payload, RemoteError, Url};
use aurora_formats::oci::{Descriptor, json, media};
use serde_json::Value;

use super::RegistryName;
use super::remote::{Call, Purpose, Remote};
use crate::source::oci::{check_size, digest};
use crate::{Ctx, Error, Result};

/// Kinds of manifests, those of attachments too.
const ACCEPT: &str = "application/vnd.oci.image.index.v1+json, application/vnd.oci.image.manifest.v1+json, \
                      application/vnd.docker.distribution.manifest.list.v2+json, \
                      application/vnd.docker.distribution.manifest.v2+json, */*";

/// How often a download that is refused for want of a good token is begun again.
const MAX_RENEWALS: u32 = 3;

impl Remote {
    /// Finds an image: at the first server that has it, mirrors before the registry itself. Whatever goes wrong with a
    /// mirror is no more than a reason to ask the next one.
    pub(crate) fn reach(name: &RegistryName, ctx: &Ctx<'_>) -> Result<(Self, Descriptor, Vec<u8>)> {
        ctx.progress.phase("manifests");
        let (remote, (top, bytes)) = Self::first(name, ctx, |remote| {
            let found = remote.manifest(&name.reference())?;
            found.ok_or_else(|| remote.missing(&name.reference()))
        })?;
        Ok((remote, top, bytes))
    }

    /// Asks the first server that can answer.
    pub(crate) fn any<T>(name: &RegistryName, ctx: &Ctx<'_>, ask: impl Fn(&Self) -> Result<T>) -> Result<T> {
        Self::first(name, ctx, ask).map(|(_, answer)| answer)
    }

    fn first<T>(name: &RegistryName, ctx: &Ctx<'_>, ask: impl Fn(&Self) -> Result<T>) -> Result<(Self, T)> {
        let mut last = None;
        for endpoint in Self::endpoints(name, Purpose::Pull, ctx)? {
            ctx.check()?;
            let asked = Self::open(&endpoint, Purpose::Pull, None, ctx);
            match asked.and_then(|remote| ask(&remote).map(|answer| (remote, answer))) {
                Ok(found) => return Ok(found),
                Err(e) => last = Some(e),
            }
        }
        Err(ctx.check().err().or(last).unwrap_or_else(|| Error::usage("no server is left to ask")))
    }

    /// A manifest or index by tag or digest, and what it is; `None` if there is none.
    pub(crate) fn manifest(&self, reference: &str) -> Result<Option<(Descriptor, Vec<u8>)>> {
        let url = self.url(&format!("manifests/{reference}"));
        let answer = self.call(&Call {
            method: Method::Get,
            url: &url,
            headers: &[("accept", ACCEPT)],
            payload: Payload::None,
            max: json::MAX_DOCUMENT,
        })?;
        match answer.status {
            200 => {}
            404 => return Ok(None),
            _ => return Err(self.refused(&url, &answer)),
        }
        let said = answer.header("docker-content-digest").and_then(|text| text.parse::<Digest>().ok());
        let wanted = reference.parse::<Digest>().ok();
        let mut digest = Digest::sha256(&answer.bytes);
        for expected in wanted.iter().chain(&said) {
            let actual = Digest::of(expected.algorithm(), &answer.bytes);
            if *expected != actual {
                let lie = VerifyError::Mismatch { expected: expected.clone(), actual };
                return Err(Error::from(lie).in_image(url.to_string()));
            }
        }
        digest = wanted.unwrap_or(digest);
        let media_type = media_type(answer.header("content-type"), &answer.bytes);
        let descriptor = Descriptor::new(&media_type, digest.to_string(), answer.bytes.len() as u64);
        Ok(Some((descriptor, answer.bytes)))
    }

    /// A document that a descriptor names.
    pub(crate) fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        json::check_size(&descriptor.digest, descriptor.size)?;
        let digest: Digest = digest(&descriptor.digest)?;
        let is_manifest = media::kind(&descriptor.media_type) != media::Kind::Other;
        let bytes = if is_manifest {
            let found = self.manifest(&descriptor.digest)?;
            found.ok_or_else(|| self.missing(&descriptor.digest))?.1
        } else {
            let mut bytes = Bytes(Vec::new());
            self.blob(descriptor, &mut bytes, &|_| {})?;
            bytes.0
        };
        check_size(&digest, descriptor.size, bytes.len() as u64)?;
        match Digest::of(digest.algorithm(), &bytes) {
            actual if actual != digest => Err(VerifyError::Mismatch { expected: digest, actual }.into()),
            _ => Ok(bytes),
        }
    }

    /// Fetches a blob, going on after every break. Whether it is the right one, `to` finds out.
    pub(crate) fn blob(
        &self,
        descriptor: &Descriptor,
        to: &mut dyn Destination,
        count: &dyn Fn(u64),
    ) -> Result<()> {
        let url = self.url(&format!("blobs/{}", descriptor.digest));
        match self.download(&url, descriptor.size, to, count) {
            // Such layers need not be in the registry; their owners say where they are.
            Err(e) if is_missing(&e) => match descriptor.urls.first().map(|text| text.parse::<Url>()) {
                Some(Ok(url)) => self.download(&url, descriptor.size, to, count),
                _ => Err(self.missing(&descriptor.digest)),
            },
            done => done,
        }
    }

    fn download(&self, url: &Url, size: u64, to: &mut dyn Destination, count: &dyn Fn(u64)) -> Result<()> {
        let mut renewals = 0;
        loop {
            let header = self.authorization(url)?;
            let headers: Vec<(&str, &str)> = header.iter().map(|h| ("authorization", h.as_str())).collect();
            let got = self.client.download(url, &headers, Length::Exactly(size), to, count, &self.stop());
            match got {
                Ok(_) => return Ok(()),
                // A token that has become stale meanwhile, or one that is for something else.
                Err(RemoteError::Status { status: 401, .. }) if renewals < MAX_RENEWALS => {
                    renewals += 1;
                    self.renew(url)?;
                }
                Err(e) => return Err(e.into()),
            }
        }
    }
}

fn is_missing(e: &Error) -> bool {
    matches!(e.kind(), crate::ErrorKind::Remote(RemoteError::Status { status: 404, .. }))
}

/// What the document says of itself, or else what the registry says.
fn media_type(header: Option<&str>, bytes: &[u8]) -> String {
    let value: Value = serde_json::from_slice(bytes).unwrap_or_default();
    if let Some(text) = value.get("mediaType").and_then(Value::as_str).filter(|text| !text.is_empty()) {
        return text.to_owned();
    }
    let header = header.and_then(|text| text.split(';').next()).map(str::trim).unwrap_or_default();
    match media::kind(header) {
        media::Kind::Other if value.get("manifests").is_some() => media::INDEX.to_owned(),
        media::Kind::Other if value.get("layers").is_some() => media::MANIFEST.to_owned(),
        _ => header.to_owned(),
    }
}

/// A small blob in memory: its size is bounded before.
struct Bytes(Vec<u8>);

impl Destination for Bytes {
    fn position(&self) -> u64 {
        self.0.len() as u64
    }

    fn append(&mut self, bytes: &[u8]) -> std::io::Result<()> {
        self.0.extend_from_slice(bytes);
        Ok(())
    }

    fn restart(&mut self) -> std::io::Result<()> {
        self.0.clear();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn documents_say_what_they_are() {
        let of = |header, text: &str| media_type(header, text.as_bytes());
        assert_eq!(of(Some("text/plain"), r#"{"mediaType":"application/x"}"#), "application/x");
        assert_eq!(of(Some(media::DOCKER_MANIFEST), "{}"), media::DOCKER_MANIFEST);
        assert_eq!(of(Some("application/vnd.oci.image.index.v1+json; charset=utf-8"), "{}"), media::INDEX);
        assert_eq!(of(None, r#"{"manifests":[]}"#), media::INDEX);
        assert_eq!(of(Some("application/json"), r#"{"layers":[]}"#), media::MANIFEST);
        assert_eq!(of(None, "no json"), "");
    }
}
