//! What hangs on an image: signatures, bills of materials, attestations (distribution-spec, "Listing Referrers").

use aurora_engine::remote::{Method, Payload};
use aurora_formats::oci::{Descriptor, Index, json, media};

use super::remote::{Call, Remote};
use super::tags::next;
use crate::{ErrorKind, Result};

/// Most things on one image.
const MAX_REFERRERS: usize = 10_000;

/// The tag under which registries without an API of their own keep the list ("Referrers Tag Schema").
pub(crate) fn fallback_tag(digest: &str) -> String {
    digest.replacen(':', "-", 1)
}

impl Remote {
    /// The manifests whose subject this digest is.
    pub(crate) fn referrers(&self, digest: &str) -> Result<Vec<Descriptor>> {
        let mut url = self.url(&format!("referrers/{digest}"));
        let mut found = Vec::new();
        loop {
            let call = Call {
                method: Method::Get,
                url: &url,
                headers: &[("accept", media::INDEX)],
                payload: Payload::None,
                max: json::MAX_DOCUMENT,
            };
            let answer = self.call(&call)?;
            if answer.status != 200 {
                // It has no such API; what has been told so far was told by one that has.
                return match found.is_empty() {
                    true => self.listed(&fallback_tag(digest)),
                    false => Err(self.refused(&url, &answer)),
                };
            }
            let page = Index::parse(&url.to_string(), Some(media::INDEX), &answer.bytes)?.value.manifests;
            let is_empty = page.is_empty();
            found.extend(page);
            if found.len() > MAX_REFERRERS {
                return Err(ErrorKind::Limit { what: "referrers", limit: MAX_REFERRERS as u64 }.into());
            }
            match answer.header("link").and_then(next) {
                Some(link) if !is_empty => url = self.follow(&url, &link)?,
                _ => return Ok(found),
            }
        }
    }

    /// The manifests of an index under a tag; none where there is no such tag.
    fn listed(&self, tag: &str) -> Result<Vec<Descriptor>> {
        let Some((descriptor, bytes)) = self.manifest(tag)? else { return Ok(Vec::new()) };
        if media::kind(&descriptor.media_type) != media::Kind::Index {
            return Ok(Vec::new());
        }
        Ok(Index::parse(tag, None, &bytes)?.value.manifests)
    }

    /// Adds to the list of a registry that makes none of itself.
    pub(crate) fn list_referrers(&self, digest: &str, more: &[Descriptor]) -> Result<()> {
        let tag = fallback_tag(digest);
        let mut all = self.listed(&tag)?;
        let before = all.len();
        for descriptor in more {
            if !all.iter().any(|d| d.digest == descriptor.digest) {
                all.push(descriptor.clone());
            }
        }
        if all.len() == before {
            return Ok(());
        }
        let bytes = Index { manifests: all, ..Index::default() }.to_bytes();
        self.put_manifest(&tag, media::INDEX, &bytes).map(drop)
    }
}
