//! `index.json` of the store: which names there are. Members that nobody here knows stay as they are.

use aurora_formats::oci::descriptor::{CONTAINERD_NAME, REF_NAME};
use aurora_formats::oci::{Descriptor, Index, layout, reference};
use serde_json::Value;

use super::StoredName;
use crate::{ErrorKind, Result};

/// An entry of the index.
#[derive(Debug, Clone, PartialEq)]
pub(crate) struct Entry {
    /// As it is read.
    pub(crate) descriptor: Descriptor,
    /// As it stands there.
    raw: Value,
}

/// All names.
pub(crate) struct Refs {
    entries: Vec<Entry>,
    rest: Value,
}

impl Entry {
    /// A new one.
    fn new(descriptor: Descriptor) -> Self {
        Self { raw: descriptor.to_value(), descriptor }
    }

    /// Name and tag, as far as it has them.
    pub(crate) fn name(&self) -> (Option<String>, Option<String>) {
        let full = self.descriptor.annotations.get(CONTAINERD_NAME).map(String::as_str);
        let Some(full) = full.or(self.descriptor.ref_name()) else { return (None, None) };
        match reference::tag_of(full) {
            Some(tag) => (Some(full[..full.len() - tag.len() - 1].to_owned()), Some(tag.to_owned())),
            None => (Some(full.to_owned()), None),
        }
    }

    /// The name as it is typed.
    pub(crate) fn shown(&self) -> String {
        match self.name() {
            (Some(name), Some(tag)) => format!("{name}:{tag}"),
            (Some(name), None) => name,
            (None, _) => self.descriptor.digest.clone(),
        }
    }

    fn set_name(&mut self, name: Option<&str>) {
        let annotations = &mut self.descriptor.annotations;
        annotations.remove(CONTAINERD_NAME);
        match name {
            Some(name) => annotations.insert(REF_NAME.into(), name.into()),
            None => annotations.remove(REF_NAME),
        };
        let Value::Object(raw) = &mut self.raw else { return };
        match annotations.is_empty() {
            true => raw.remove("annotations"),
            false => raw.insert("annotations".into(), serde_json::json!(annotations)),
        };
    }
}

impl Refs {
    /// Reads the index; it has been checked as every index is.
    pub(crate) fn parse(bytes: &[u8]) -> Result<Self> {
        let index = Index::parse_listing(layout::INDEX_FILE, bytes)?.value;
        let rest = aurora_formats::oci::json::parse_listing(layout::INDEX_FILE, bytes)?;
        let raw = rest.get("manifests").and_then(Value::as_array).cloned().unwrap_or_default();
        let pairs = index.manifests.into_iter().zip(raw);
        let entries = pairs.map(|(descriptor, raw)| Entry { descriptor, raw }).collect();
        Ok(Self { entries, rest })
    }

    /// The bytes of the index.
    pub(crate) fn to_bytes(&self) -> Vec<u8> {
        let mut rest = self.rest.clone();
        if let Value::Object(members) = &mut rest {
            let entries = self.entries.iter().map(|entry| entry.raw.clone()).collect();
            members.insert("manifests".into(), Value::Array(entries));
        }
        aurora_formats::oci::json::canonical(&rest)
    }

    /// All entries, in their order.
    pub(crate) fn entries(&self) -> &[Entry] {
        &self.entries
    }

    /// The entries that a name means. Several are the same image under the same name, or of several platforms.
    pub(crate) fn find(&self, name: &StoredName) -> Result<Vec<&Entry>> {
        let found = name.find(self.entries.iter().map(|entry| &entry.descriptor));
        let is_found = |entry: &&Entry| found.iter().any(|d| std::ptr::eq(*d, &raw const entry.descriptor));
        let entries: Vec<&Entry> = self.entries.iter().filter(is_found).collect();
        match &entries[..] {
            [] => Err(ErrorKind::NoSuchImage(format!("{name} is not in the local store")).into()),
            [first, rest @ ..] => {
                let same = |e: &&Entry| e.descriptor.digest == first.descriptor.digest;
                if matches!(name, StoredName::Digest { .. }) && !rest.iter().all(same) {
                    let candidates = entries.iter().map(|e| e.descriptor.digest.clone()).collect();
                    return Err(ErrorKind::Ambiguous { name: name.to_string(), candidates }.into());
                }
                Ok(entries)
            }
        }
    }

    /// Gives an image a name, which no other image has afterwards; what had it, if it was another one.
    pub(crate) fn set(&mut self, mut descriptor: Descriptor, name: &str) -> Option<String> {
        let mut old = None;
        self.entries.retain(|entry| {
            let is_it = entry.shown() == name || entry.descriptor.ref_name() == Some(name);
            if is_it && entry.descriptor.digest != descriptor.digest {
                old = Some(entry.descriptor.digest.clone());
            }
            // The same image without a name has one now.
            let is_nameless = entry.name().0.is_none() && entry.descriptor.digest == descriptor.digest;
            !is_it && !is_nameless
        });
        descriptor.annotations.remove(CONTAINERD_NAME);
        descriptor.annotations.insert(REF_NAME.into(), name.into());
        self.entries.push(Entry::new(descriptor));
        old
    }

    /// Keeps an image that needs no name, for who asks for its digest.
    pub(crate) fn keep(&mut self, mut descriptor: Descriptor) {
        descriptor.annotations.remove(CONTAINERD_NAME);
        descriptor.annotations.remove(REF_NAME);
        if !self.entries.iter().any(|entry| entry.descriptor.digest == descriptor.digest) {
            self.entries.push(Entry::new(descriptor));
        }
    }

    /// Gives the entry another name, besides its own.
    pub(crate) fn copy(&mut self, entry: &Entry, name: &str) -> Option<String> {
        let mut copy = entry.clone();
        let old = self.set(entry.descriptor.clone(), name);
        // What nobody here knows of the entry comes along.
        copy.set_name(Some(name));
        if let Some(last) = self.entries.last_mut() {
            *last = copy;
        }
        old
    }

    /// Takes the name away; the image stays, without one if it has no other.
    pub(crate) fn unname(&mut self, entry: &Entry) {
        let others = self.entries.iter().filter(|e| e.descriptor.digest == entry.descriptor.digest).count();
        if others > 1 {
            self.remove(entry);
        } else if let Some(found) = self.entries.iter_mut().find(|e| *e == entry) {
            found.set_name(None);
        }
    }

    /// Removes one entry.
    pub(crate) fn remove(&mut self, entry: &Entry) {
        if let Some(at) = self.entries.iter().position(|e| e == entry) {
            self.entries.remove(at);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const INDEX: &str = r#"{"extra":[1],"manifests":[
        {"mediaType":"m","digest":"sha256:DIGEST1","size":1,"new":{"x":1},"annotations":{"org.opencontainers.image.ref.name":"a:1","k":"v"}},
        {"mediaType":"m","digest":"sha256:DIGEST2","size":2,"annotations":{"org.opencontainers.image.ref.name":"1","io.containerd.image.name":"docker.io/library/c:1"}},
        {"mediaType":"m","digest":"sha256:DIGEST2","size":2}],"schemaVersion":2}"#;

    fn refs() -> Refs {
        let text = INDEX.replace("DIGEST1", &"11".repeat(32)).replace("DIGEST2", &"22".repeat(32));
        Refs::parse(text.as_bytes()).unwrap()
    }

    fn find(refs: &Refs, name: &str) -> Result<Entry> {
        refs.find(&name.parse().unwrap()).map(|found| found[0].clone())
    }

    fn shown(refs: &Refs) -> Vec<String> {
        refs.entries().iter().map(|e| e.shown().chars().take(12).collect()).collect()
    }

    #[test]
    fn what_is_unknown_stays() {
        let mut refs = refs();
        let (before, a) = (refs.to_bytes(), find(&refs, "a:1").unwrap());
        refs.copy(&a, "b:2");
        let text = String::from_utf8(refs.to_bytes()).unwrap();
        assert_eq!((text.matches(r#""new":{"x":1}"#).count(), text.matches(r#""k":"v""#).count()), (2, 2));
        assert!(text.contains(r#""extra":[1]"#));
        let b = find(&refs, "b:2").unwrap();
        refs.remove(&b);
        assert_eq!(refs.to_bytes(), before);
    }

    #[test]
    fn a_name_is_of_one_image() {
        let mut refs = refs();
        assert_eq!(shown(&refs), ["a:1", "docker.io/li", "sha256:22222"]);
        let two = find(&refs, "c:1").unwrap();
        assert_eq!(find(&refs, "sha256:22222222").unwrap().descriptor.digest, two.descriptor.digest);
        // The entry without a name goes, as its image has one.
        let was = refs.copy(&two, "a:1");
        assert_eq!(was.unwrap(), format!("sha256:{}", "11".repeat(32)));
        assert_eq!(shown(&refs), ["docker.io/li", "a:1"]);
        assert_eq!(refs.copy(&two, "a:1"), None);
        // Of two names one is left, and then none.
        let a = find(&refs, "a:1").unwrap();
        refs.unname(&a);
        assert_eq!(shown(&refs), ["docker.io/li"]);
        let c = find(&refs, "c:1").unwrap();
        refs.unname(&c);
        assert_eq!(shown(&refs), ["sha256:22222"]);
        assert!(find(&refs, "c:1").is_err());
    }

    #[test]
    fn digests_that_begin_alike_are_told_apart() {
        let text = INDEX.replace("DIGEST1", &"11".repeat(32)).replace("DIGEST2", &("11".repeat(31) + "22"));
        let refs = Refs::parse(text.as_bytes()).unwrap();
        let e = find(&refs, "sha256:11111111").unwrap_err();
        assert!(matches!(e.kind(), ErrorKind::Ambiguous { .. }), "{e}");
        assert!(find(&refs, &format!("sha256:{}", "11".repeat(32))).is_ok());
    }
}
