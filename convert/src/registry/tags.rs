//! The tags of a repository (distribution-spec, "Listing Tags").

use aurora_engine::remote::{Method, Payload, Url};
use serde_json::Value;

use super::remote::{Call, Remote};
use crate::{Ctx, ErrorKind, Result};

/// Tags a page: registries give no more at once.
const PAGE: &str = "1000";
/// Bytes of a page.
const MAX_PAGE: u64 = 4 << 20;
/// Tags of one repository: more than any has.
const MAX_TAGS: usize = 1_000_000;

impl Remote {
    /// All tags, as the registry sorts them.
    pub(crate) fn tags(&self, ctx: &Ctx<'_>) -> Result<Vec<String>> {
        let mut tags: Vec<String> = Vec::new();
        let mut url = self.url("tags/list").join(&[], &[("n", PAGE)]);
        loop {
            ctx.check()?;
            let call =
                Call { method: Method::Get, url: &url, headers: &[], payload: Payload::None, max: MAX_PAGE };
            let answer = self.call(&call)?;
            match answer.status {
                200 => {}
                404 => {
                    return Err(ErrorKind::NoSuchImage(format!("no repository {}", self.name.path())).into());
                }
                _ => return Err(self.refused(&url, &answer)),
            }
            let value: Value =
                serde_json::from_slice(&answer.bytes).map_err(|_| self.broken(&url, "no JSON"))?;
            let page = match value.get("tags") {
                None | Some(Value::Null) => &[],
                Some(Value::Array(page)) => &page[..],
                Some(_) => return Err(self.broken(&url, "`tags` is no list")),
            };
            tags.extend(page.iter().filter_map(Value::as_str).map(str::to_owned));
            if tags.len() > MAX_TAGS {
                return Err(ErrorKind::Limit { what: "tags", limit: MAX_TAGS as u64 }.into());
            }
            match answer.header("link").and_then(next) {
                // A page of nothing that leads on would lead on for ever.
                Some(_) if page.is_empty() => return Ok(tags),
                Some(link) => url = self.follow(&url, &link)?,
                None => return Ok(tags),
            }
        }
    }

    /// A page is of the same registry.
    pub(super) fn follow(&self, url: &Url, link: &str) -> Result<Url> {
        let next = url.resolve(link).map_err(|_| self.broken(url, "a Link that is no URL"))?;
        if !next.is_same_server(url) {
            return Err(self.broken(url, "a Link to another server"));
        }
        Ok(next)
    }
}

/// `<URL>; rel="next"`
pub(super) fn next(link: &str) -> Option<String> {
    let (url, rest) = link.trim().strip_prefix('<')?.split_once('>')?;
    rest.contains("next").then(|| url.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_lead_on() {
        assert_eq!(
            next(r#"</v2/x/tags/list?last=b&n=2>; rel="next""#).as_deref(),
            Some("/v2/x/tags/list?last=b&n=2")
        );
        assert_eq!(next(r#"</v2/x>; rel="prev""#), None);
        assert_eq!(next("x"), None);
    }
}
