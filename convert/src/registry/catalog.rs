//! The repositories of a registry (Docker's API, "Listing Repositories"; not in the OCI specification, but registries that
//! are meant to be browsed have it).

use aurora_engine::remote::{Method, Payload};
use serde_json::Value;

use super::remote::{Call, Purpose, Remote};
use super::tags::next;
use crate::{Ctx, ErrorKind, Result};

/// Names a page.
const PAGE: &str = "1000";
/// Bytes of a page.
const MAX_PAGE: u64 = 4 << 20;
/// Repositories of one registry.
const MAX_REPOSITORIES: usize = 1_000_000;

impl Remote {
    /// All repositories, as the registry sorts them.
    pub(crate) fn catalog(host: &str, ctx: &Ctx<'_>) -> Result<Vec<String>> {
        // A registry is reached by way of a repository; which one, does not matter here.
        let name = format!("//{host}/x")
            .parse()
            .map_err(|e: super::RegistryNameError| crate::Error::usage(e.to_string()))?;
        let endpoints = Self::endpoints(&name, Purpose::List, ctx)?;
        let endpoint = endpoints.last().expect("a registry is asked for at its own place at least");
        let remote = Self::open(endpoint, Purpose::List, None, ctx)?;
        let mut names: Vec<String> = Vec::new();
        let mut url = remote.top("_catalog").join(&[], &[("n", PAGE)]);
        loop {
            ctx.check()?;
            let call =
                Call { method: Method::Get, url: &url, headers: &[], payload: Payload::None, max: MAX_PAGE };
            let answer = remote.call(&call)?;
            if answer.status != 200 {
                return Err(remote.refused(&url, &answer));
            }
            let value: Value =
                serde_json::from_slice(&answer.bytes).map_err(|_| remote.broken(&url, "no JSON"))?;
            let page = match value.get("repositories") {
                None | Some(Value::Null) => &[],
                Some(Value::Array(page)) => &page[..],
                Some(_) => return Err(remote.broken(&url, "`repositories` is no list")),
            };
            names.extend(page.iter().filter_map(Value::as_str).map(str::to_owned));
            if names.len() > MAX_REPOSITORIES {
                let limit = MAX_REPOSITORIES as u64;
                return Err(ErrorKind::Limit { what: "repositories of a registry", limit }.into());
            }
            match answer.header("link").and_then(next) {
                Some(link) if !page.is_empty() => url = remote.follow(&url, &link)?,
                _ => return Ok(names),
            }
        }
    }
}
