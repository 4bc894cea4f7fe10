//! Several servers, and images that build on others.

use std::collections::BTreeSet;

use aurora_formats::smartos::{Manifest, Uuid};

use super::{Filter, ImgapiError, Server};
use crate::{Ctx, Error, ErrorKind, Result};

/// Longest chain of origins. Real ones have a handful of images, docker's about a hundred.
pub const MAX_ORIGINS: usize = 1000;

/// Servers in the order in which they are asked.
pub struct Catalog<'a> {
    servers: Vec<Server<'a>>,
}

/// A server that could not be asked.
#[derive(Debug)]
pub struct Missed {
    /// Its URL.
    pub source: String,
    /// Why.
    pub error: Error,
}

/// An image, and who has it.
#[derive(Clone)]
pub struct Ancestor<'a> {
    /// What it is.
    pub manifest: Manifest,
    /// Who has it.
    pub server: Server<'a>,
}

impl<'a> Catalog<'a> {
    /// A catalog of servers.
    pub fn new(servers: Vec<Server<'a>>) -> Self {
        Self { servers }
    }

    /// The images of all servers that fit the filters, each once, as the first that has it tells. What one server does
    /// wrong does not hide the others; it goes to `missed`.
    pub fn list(
        &self,
        filters: &[Filter],
        missed: &mut Vec<Missed>,
        ctx: &Ctx<'_>,
    ) -> Result<Vec<Ancestor<'a>>> {
        let mut seen = BTreeSet::new();
        let mut images = Vec::new();
        for server in &self.servers {
            let listed = match server.list(filters, ctx) {
                Ok(listed) => listed,
                Err(e) => {
                    miss(server, e, missed)?;
                    continue;
                }
            };
            for manifest in listed {
                let fits = filters.iter().all(|filter| filter.fits(&manifest));
                if fits && manifest.uuid().is_ok_and(|uuid| seen.insert(uuid)) {
                    images.push(Ancestor { manifest, server: server.clone() });
                }
            }
        }
        Ok(images)
    }

    /// The image, from the first server that has it. If none has it, it is not known to be nowhere unless all could be
    /// asked.
    pub fn find(&self, uuid: Uuid, missed: &mut Vec<Missed>, ctx: &Ctx<'_>) -> Result<Ancestor<'a>> {
        let before = missed.len();
        for server in &self.servers {
            match server.show(uuid, ctx) {
                Ok(manifest) => return Ok(Ancestor { manifest, server: server.clone() }),
                Err(e) if e.is_no_such_image() => {}
                Err(e) => miss(server, e, missed)?,
            }
        }
        // The error that stands in the way is the error of the whole.
        if missed.len() > before {
            return Err(missed.remove(before).error);
        }
        let asked: Vec<String> = self.servers.iter().map(|server| server.url().to_string()).collect();
        let asked = if asked.is_empty() { "there is no source".to_owned() } else { asked.join(", ") };
        Err(ErrorKind::NoSuchImage(format!("{uuid} ({asked})")).into())
    }

    /// The image and all it builds on, itself first. `is_known` are images that need no asking: there the chain ends.
    pub fn chain(
        &self,
        top: Ancestor<'a>,
        is_known: &dyn Fn(Uuid) -> bool,
        missed: &mut Vec<Missed>,
        ctx: &Ctx<'_>,
    ) -> Result<Vec<Ancestor<'a>>> {
        let mut seen = BTreeSet::from([top.manifest.uuid()?]);
        let mut chain = vec![top];
        while let Some(last) = chain.last() {
            let Some(origin) = last.manifest.origin()?.filter(|origin| !is_known(*origin)) else { break };
            if !seen.insert(origin) {
                return Err(ImgapiError::Circle(origin).into());
            }
            if chain.len() > MAX_ORIGINS {
                return Err(
                    ErrorKind::Limit { what: "origins of an image", limit: MAX_ORIGINS as u64 }.into()
                );
            }
            // Who has the image most likely has what it builds on.
            let near = last.server.show(origin, ctx);
            let found = match near {
                Ok(manifest) => Ancestor { manifest, server: last.server.clone() },
                Err(e) if e.is_no_such_image() => self.find(origin, missed, ctx).map_err(|e| {
                    if !e.is_no_such_image() {
                        return e;
                    }
                    let of = last.manifest.uuid().map_or_else(|_| String::new(), |uuid| uuid.to_string());
                    ErrorKind::NoSuchImage(format!("{origin}, the origin of {of}, at {}", last.server.url()))
                        .into()
                })?,
                Err(e) => return Err(e),
            };
            chain.push(found);
        }
        Ok(chain)
    }
}

/// Notes a failure, unless it is the user who wants no more.
fn miss(server: &Server<'_>, error: Error, missed: &mut Vec<Missed>) -> Result<()> {
    if matches!(error.kind(), ErrorKind::Interrupted) {
        return Err(error);
    }
    missed.push(Missed { source: server.url().to_string(), error });
    Ok(())
}
