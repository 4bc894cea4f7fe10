//! What image servers have.

use std::path::Path;

use aurora_formats::smartos::{Json, Manifest, Object, Uuid};

use crate::imgapi::{
    self, Ancestor, Catalog, Channel, Client, Columns, Filter, ImportOptions, Imported, Missed, Row, Server,
    Url, with_client,
};
use crate::source::smartos;
use crate::{Ctx, Result};

/// An image, and who has it.
#[derive(Debug, Clone, PartialEq)]
pub struct Found {
    /// What it is.
    pub manifest: Manifest,
    /// The server's URL, or the path of the manifest.
    pub source: String,
}

/// A result, and the servers that could not be asked for it.
#[derive(Debug)]
pub struct Answer<T> {
    /// What the others said.
    pub result: Result<T>,
    /// Who said nothing.
    pub missed: Vec<Missed>,
}

impl From<Ancestor<'_>> for Found {
    fn from(found: Ancestor<'_>) -> Self {
        Self { source: found.server.url().to_string(), manifest: found.manifest }
    }
}

impl Found {
    /// As a line of a table.
    pub fn row(&self) -> Row<'_> {
        Row { manifest: &self.manifest, source: &self.source }
    }

    /// The manifest alone, as people read it.
    pub fn to_pretty(&self) -> String {
        Json::Object(self.manifest.object().clone()).to_pretty()
    }

    /// As `imgadm avail -j` has it.
    pub fn to_json(&self) -> String {
        let mut object = Object::default();
        object.set("manifest", self.manifest.object().clone());
        object.set("source", self.source.as_str());
        Json::Object(object).to_compact()
    }
}

fn ask<T>(
    servers: &[Url],
    ctx: &Ctx<'_>,
    question: impl FnOnce(&Catalog<'_>, &mut Vec<Missed>) -> Result<T>,
) -> Answer<T> {
    let mut missed = Vec::new();
    let result = with_client(ctx, |client: &Client| {
        let servers = servers.iter().map(|url| Server::new(url.clone(), client)).collect();
        question(&Catalog::new(servers), &mut missed)
    });
    Answer { result, missed }
}

/// The images of all servers that fit the filters, sorted.
pub fn avail(servers: &[Url], filters: &[Filter], sort: &Columns, ctx: &Ctx<'_>) -> Answer<Vec<Found>> {
    ask(servers, ctx, |catalog, missed| {
        ctx.progress.phase("listing images");
        let mut found: Vec<Found> =
            catalog.list(filters, missed, ctx)?.into_iter().map(Found::from).collect();
        found.sort_by(|a, b| sort.compare(a.row(), b.row()));
        Ok(found)
    })
}

/// The manifest of an image, from the first server that has it.
pub fn show(servers: &[Url], uuid: Uuid, ctx: &Ctx<'_>) -> Answer<Found> {
    ask(servers, ctx, |catalog, missed| Ok(catalog.find(uuid, missed, ctx)?.into()))
}

/// An image and all that it builds on, itself first.
pub fn ancestry(servers: &[Url], uuid: Uuid, ctx: &Ctx<'_>) -> Answer<Vec<Found>> {
    ask(servers, ctx, |catalog, missed| {
        let top = catalog.find(uuid, missed, ctx)?;
        let chain = catalog.chain(top, &|_| false, missed, ctx)?;
        Ok(chain.into_iter().map(Found::from).collect())
    })
}

/// The same of an image in a folder.
pub fn local_ancestry(path: &Path, ctx: &Ctx<'_>) -> Result<Vec<Found>> {
    let mut chain = smartos::survey(path, &[], ctx)?;
    chain.reverse();
    let found =
        |(path, manifest): (std::path::PathBuf, _)| Found { manifest, source: path.display().to_string() };
    Ok(chain.into_iter().map(found).collect())
}

/// Brings an image and all that it builds on into a folder.
pub fn import(servers: &[Url], uuid: Uuid, options: &ImportOptions, ctx: &Ctx<'_>) -> Answer<Vec<Imported>> {
    ask(servers, ctx, |catalog, missed| imgapi::import(catalog, uuid, options, missed, ctx))
}

/// Whether there is an image server.
pub fn ping(server: &Url, ctx: &Ctx<'_>) -> Result<()> {
    with_client(ctx, |client| Server::new(server.clone(), client).ping(ctx))
}

/// The channels of a server.
pub fn channels(server: &Url, ctx: &Ctx<'_>) -> Result<Vec<Channel>> {
    with_client(ctx, |client| Server::new(server.clone(), client).channels(ctx))
}
