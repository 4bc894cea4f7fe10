//! The local store as a target.

use aurora_engine::store::Landing;
use aurora_formats::oci::Descriptor;

use super::{Attached, Origin, Target, list_of, put, take};
use crate::registry::{Sent, fallback_tag};
use crate::source::oci::digest;
use crate::store::Local;
use crate::{Ctx, Result};

/// A store, and the name that the image gets there.
pub(crate) struct StoredTarget<'a> {
    local: &'a Local,
    /// `NAME:TAG`; none if it is to be found by its digest alone.
    name: Option<String>,
    /// `NAME`, under which lists of what hangs on images are kept.
    family: String,
}

impl<'a> StoredTarget<'a> {
    /// `local` is held until all is named: nothing is swept away meanwhile.
    pub(crate) fn new(local: &'a Local, name: Option<String>, family: String) -> Self {
        Self { local, name, family }
    }

    fn land(&self, descriptor: &Descriptor) -> Result<Option<Landing>> {
        Ok(self.local.blobs().land(&digest(&descriptor.digest)?, descriptor.size)?)
    }
}

impl Target for StoredTarget<'_> {
    fn has_whole(&self, _: &Descriptor) -> Result<bool> {
        // A manifest may be there whose blobs are not: each is looked for, which costs nothing here.
        Ok(false)
    }

    fn take(&self, descriptor: &Descriptor, origin: &dyn Origin, ctx: &Ctx<'_>) -> Result<Sent> {
        take(self.land(descriptor)?, descriptor, origin, ctx)
    }

    fn put(&self, descriptor: &Descriptor, bytes: &[u8]) -> Result<bool> {
        put(self.land(descriptor)?, descriptor, bytes).map(|()| false)
    }

    fn finish(&self, top: &Descriptor, _: &[u8], attached: &Attached) -> Result<Vec<(String, String)>> {
        let mut lists = Vec::new();
        for (subject, manifests) in attached {
            let (list, bytes) = list_of(manifests);
            put(self.land(&list)?, &list, &bytes)?;
            lists.push((list, format!("{}:{}", self.family, fallback_tag(subject))));
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
