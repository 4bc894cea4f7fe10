//! Registries as origins and targets.

use std::io::{self, Read};
use std::sync::Mutex;

use aurora_engine::body::{Body, Spool, SpoolBudget};
use aurora_engine::digest::VerifyingReader;
use aurora_engine::remote::Destination;
use aurora_formats::oci::Descriptor;

use super::{Origin, Target};
use crate::registry::{RegistryName, Remote, Sent};
use crate::source::oci::{BodyReader, digest};
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
        let mut spooled = Spooled { spool: Spool::new(&ctx.spools), budget: ctx.spools.clone() };
        self.send(descriptor, &mut spooled, ctx)?;
        let named = |e| Error::io(descriptor.digest.clone(), e);
        let body = spooled.spool.finish().map_err(named)?;
        let reader = BodyReader::new(body.clone());
        let mut reader = VerifyingReader::new(reader, digest(&descriptor.digest)?, descriptor.size);
        io::copy(&mut reader.by_ref(), &mut io::sink()).map_err(named)?;
        Ok(body)
    }

    fn referrers(&self, digest: &str) -> Result<Vec<Descriptor>> {
        self.remote.referrers(digest)
    }

    fn repository(&self) -> Option<&RegistryName> {
        Some(self.remote.name())
    }
}

struct Spooled {
    spool: Spool,
    budget: SpoolBudget,
}

impl Destination for Spooled {
    fn position(&self) -> u64 {
        self.spool.position()
    }

    fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.spool.append(bytes).map(drop)
    }

    fn restart(&mut self) -> io::Result<()> {
        self.spool = Spool::new(&self.budget);
        Ok(())
    }
}

/// A repository that takes.
pub(crate) struct RegistryTarget {
    remote: Remote,
    /// The name that the image gets; none if it is to be found by its digest alone.
    tag: Option<String>,
    attached: Mutex<Vec<(String, Descriptor)>>,
}

impl RegistryTarget {
    pub(crate) fn new(remote: Remote, tag: Option<String>) -> Self {
        Self { remote, tag, attached: Mutex::default() }
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

    fn attach(&self, subject: &str, referrers: &[Descriptor]) -> Result<()> {
        let mut attached = self.attached.lock().expect("no holder of this lock can panic");
        attached.extend(referrers.iter().map(|r| (subject.to_owned(), r.clone())));
        Ok(())
    }

    fn finish(&self, top: &Descriptor, bytes: &[u8], _: &Ctx<'_>) -> Result<Vec<(String, String)>> {
        let attached = std::mem::take(&mut *self.attached.lock().expect("no holder of this lock can panic"));
        for (subject, referrer) in attached {
            self.remote.list_referrers(&subject, &[referrer])?;
        }
        if let Some(tag) = &self.tag {
            // One that means this already is not put again.
            let is_there = self.remote.manifest(tag)?.is_some_and(|(found, _)| found.digest == top.digest);
            if !is_there {
                self.remote.put_manifest(tag, &top.media_type, bytes)?;
            }
        }
        let name = self.remote.name();
        let shown = match &self.tag {
            Some(tag) => format!("{}:{tag}", name.path()),
            None => format!("{}@{}", name.path(), top.digest),
        };
        Ok(vec![("name".to_owned(), shown)])
    }
}
