//! The local store as a target.

use std::collections::BTreeMap;
use std::sync::Mutex;

use aurora_formats::oci::{Descriptor, Index, media};

use super::{Origin, Target};
use crate::registry::{Sent, fallback_tag};
use crate::source::oci::digest;
use crate::store::Local;
use crate::{Ctx, Error, Result};

/// A store, and the name that the image gets there.
pub(crate) struct StoredTarget<'a> {
    local: &'a Local,
    /// `NAME:TAG`; none if it is to be found by its digest alone.
    name: Option<String>,
    /// `NAME`, under which lists of what hangs on images are kept.
    family: String,
    attached: Mutex<BTreeMap<String, Vec<Descriptor>>>,
}

impl<'a> StoredTarget<'a> {
    /// `local` is held until all is named: nothing is swept away meanwhile.
    pub(crate) fn new(local: &'a Local, name: Option<String>, family: String) -> Self {
        Self { local, name, family, attached: Mutex::default() }
    }
}

impl Target for StoredTarget<'_> {
    fn has_whole(&self, _: &Descriptor) -> Result<bool> {
        // A manifest may be there whose blobs are not: each is looked for, which costs nothing here.
        Ok(false)
    }

    fn take(&self, descriptor: &Descriptor, origin: &dyn Origin, ctx: &Ctx<'_>) -> Result<Sent> {
        let blobs = self.local.blobs();
        let Some(mut landing) = blobs.land(&digest(&descriptor.digest)?, descriptor.size)? else {
            return Ok(Sent::There);
        };
        origin.send(descriptor, &mut landing, ctx)?;
        landing.commit().map_err(|e| Error::io(descriptor.digest.clone(), e))?;
        Ok(Sent::Copied)
    }

    fn put(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<bool> {
        use aurora_engine::remote::Destination;
        let named = |e| Error::io(descriptor.digest.clone(), e);
        let landing = self.local.blobs().land(&digest(&descriptor.digest)?, bytes.len() as u64)?;
        if let Some(mut landing) = landing {
            landing.append(bytes).map_err(named)?;
            landing.commit().map_err(named)?;
        }
        Ok(false)
    }

    fn attach(&self, subject: &str, referrers: &[Descriptor]) -> Result<()> {
        let mut attached = self.attached.lock().expect("no holder of this lock can panic");
        attached.entry(subject.to_owned()).or_default().extend_from_slice(referrers);
        Ok(())
    }

    fn finish(&self, top: &Descriptor, _: &[u8], _: &Ctx<'_>) -> Result<Vec<(String, String)>> {
        let attached = std::mem::take(&mut *self.attached.lock().expect("no holder of this lock can panic"));
        let mut lists = Vec::new();
        for (subject, manifests) in attached {
            let bytes = Index { manifests, ..Index::default() }.to_bytes();
            let digest = self.local.blobs().put(&bytes)?;
            let list = Descriptor::new(media::INDEX, digest.to_string(), bytes.len() as u64);
            lists.push((list, format!("{}:{}", self.family, fallback_tag(&subject))));
        }
        let old = self.local.edit(|refs| {
            for (list, name) in lists {
                refs.set(list, &name);
            }
            Ok(match &self.name {
                Some(name) => refs.set(top.clone(), name),
                None => {
                    refs.keep(top.clone());
                    None
                }
            })
        })?;
        let name = self.name.clone().unwrap_or_else(|| top.digest.clone());
        let mut facts = vec![("name".to_owned(), name)];
        facts.extend(old.map(|digest| ("name was of".to_owned(), digest)));
        Ok(facts)
    }
}
