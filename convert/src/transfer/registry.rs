//! Registries as origins and targets.

use std::io;

use aurora_engine::body::{Body, Spool, SpoolBudget};
use aurora_engine::digest::{Hasher, VerifyError};
use aurora_engine::remote::Destination;
use aurora_formats::oci::Descriptor;

use super::{Attached, Origin, Target};
use crate::registry::{RegistryName, Remote, Sent};
use crate::source::oci::{check_size, digest};
use crate::{Counter, Ctx, Error, Result};

/// A repository that gives.
pub(crate) struct RegistryOrigin {
    remote: Remote,
    /// The document that was found first, and would be fetched again otherwise.
    top: (String, Vec<u8>),
}

impl RegistryOrigin {
    pub(crate) fn new(remote: Remote, top: &Descriptor, bytes: Vec<u8>) -> Self {
        Self { remote, top: (top.digest.clone(), bytes) }
    }
}

impl Origin for RegistryOrigin {
    fn document(&self, descriptor: &Descriptor) -> Result<Vec<u8>> {
        if self.top.0 == descriptor.digest && self.top.1.len() as u64 == descriptor.size {
            return Ok(self.top.1.clone());
        }
        self.remote.document(descriptor)
    }

    fn send(&self, descriptor: &Descriptor, to: &mut dyn Destination, ctx: &Ctx<'_>) -> Result<()> {
        self.remote.blob(descriptor, to, &|n| ctx.progress.count(Counter::BytesRead, n))
    }

    fn body(&self, descriptor: &Descriptor, ctx: &Ctx<'_>) -> Result<Body> {
        let expected = digest(&descriptor.digest)?;
        let hasher = Hasher::new(expected.algorithm());
        let mut spooled = Spooled { spool: Spool::new(&ctx.spools), hasher, budget: ctx.spools.clone() };
        self.send(descriptor, &mut spooled, ctx)?;
        check_size(&expected, descriptor.size, spooled.position())?;
        let actual = spooled.hasher.finish();
        if actual != expected {
            return Err(VerifyError::Mismatch { expected, actual }.into());
        }
        spooled.spool.finish().map_err(|e| Error::io(descriptor.digest.clone(), e))
    }

    fn referrers(&self, digest: &str) -> Result<Vec<Descriptor>> {
        self.remote.referrers(digest)
    }

    fn repository(&self) -> Option<&RegistryName> {
        Some(self.remote.name())
    }
}

/// Bytes kept for later, and hashed as they come.
struct Spooled {
    spool: Spool,
    hasher: Hasher,
    budget: SpoolBudget,
}

impl Destination for Spooled {
    fn position(&self) -> u64 {
        self.spool.position()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.hasher.update(bytes);
        self.spool.append(bytes).map(drop)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.spool = Spool::new(&self.budget);
        self.hasher = self.hasher.anew();
        Ok(())
    }
}

/// A repository that takes.
pub(crate) struct RegistryTarget {
    remote: Remote,
    /// The names that the image gets; none if it is to be found by its digest alone.
    tags: Vec<String>,
}

impl RegistryTarget {
    pub(crate) fn new(remote: Remote, tags: Vec<String>) -> Self {
        Self { remote, tags }
    }
}

impl Target for RegistryTarget {
    fn has_whole(&self, descriptor: &Descriptor) -> Result<bool> {
        self.remote.has_manifest(&descriptor.digest)
    }

    fn take(&self, descriptor: &Descriptor, origin: &dyn Origin, ctx: &Ctx<'_>) -> Result<Sent> {
        let here = self.remote.name();
        let is_other = |from: &&RegistryName| from.host == here.host && from.repository != here.repository;
        let mount = origin.repository().filter(is_other).map(|from| from.repository.as_str());
        let is_near = origin.repository().is_none();
        let count = |n| {
            ctx.progress.count(Counter::BytesWritten, n);
            // What is on this machine is read as it is sent; what was fetched has been counted.
            if is_near {
                ctx.progress.count(Counter::BytesRead, n);
            }
        };
        self.remote.send(descriptor, &|| origin.body(descriptor, ctx), mount, &count)
    }

    fn put(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<bool> {
        self.remote.put_manifest(&descriptor.digest, &descriptor.media_type, bytes)
    }

    fn finish(&self, top: &Descriptor, bytes: &[u8], attached: &Attached) -> Result<Vec<(String, String)>> {
        for (subject, referrers) in attached {
            self.remote.list_referrers(subject, referrers)?;
        }
        for tag in &self.tags {
            // One that means this already is not put again.
            let is_there = self.remote.manifest(tag)?.is_some_and(|(found, _)| found.digest == top.digest);
            if !is_there {
                self.remote.put_manifest(tag, &top.media_type, bytes)?;
            }
        }
        let path = self.remote.name().path();
        let named = |shown: String| ("name".to_owned(), shown);
        if self.tags.is_empty() {
            return Ok(vec![named(format!("{path}@{}", top.digest))]);
        }
        Ok(self.tags.iter().map(|tag| named(format!("{path}:{tag}"))).collect())
    }
}
