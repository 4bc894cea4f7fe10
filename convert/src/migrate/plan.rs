//! The plan of a migration: one document that a person can read, edit and check in (`docs/migrate.md`).

use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};

use crate::names::ImageName;
use crate::{Error, ErrorKind, Result};

/// What the document calls itself.
const KIND: &str = "aurora migration plan";
/// The version that is written, and the only one that is read.
const VERSION: u32 = 1;
/// Largest plan: 100 000 images have about 60 MiB.
pub const MAX_PLAN: u64 = 256 << 20;
/// Images of one plan: as many as a server may have.
const MAX_IMAGES: usize = 100_000;
/// Images whose order is not settled that a message names.
const MAX_NAMED: usize = 5;

/// A plan.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    kind: String,
    version: u32,
    /// Where the images come from, as it was given.
    pub source: String,
    /// Where they go, as it was given.
    pub target: String,
    /// How they are called there.
    pub template: String,
    /// How what is written is packed; the form's own way without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub compress: Option<String>,
    /// Whether a loss is a failure.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub strict: bool,
    /// What was asked for, for people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub filters: Vec<String>,
    /// The steps, each image behind the one that it builds on.
    pub images: Vec<Planned>,
}

/// One step: an image, and what becomes of it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Planned {
    /// What the journal calls it: the uuid of a SmartOS image, the name of any other.
    pub id: String,
    /// Its name.
    pub name: String,
    /// Its version, or its tag.
    pub version: String,
    /// What a manifest calls `type`; the form of any other image.
    #[serde(rename = "type")]
    pub image_type: String,
    /// What a manifest calls `os`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub os: Option<String>,
    /// When it was published.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published: Option<String>,
    /// Where it is: an image name.
    pub from: String,
    /// The image of this plan that it builds on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Set where the filters leave the image out, and others of the plan need it.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub needed_only: bool,
    /// What is done with it.
    pub how: How,
    /// Where it goes: an image name.
    pub to: String,
    /// Further names there.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub also: Vec<String>,
    /// Bytes of its file, as far as they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub bytes: Option<u64>,
    /// SHA-1 of its file. What has another one by the time of the run is another image.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sha1: Option<String>,
    /// What is to be known beforehand: expected losses, names that were changed, why it can't be done.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expect: Vec<String>,
    /// What the target had of it when the plan was made.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done: Option<String>,
}

impl Planned {
    /// Where it is.
    pub(super) fn from(&self) -> Result<ImageName> {
        self.name_of(&self.from)
    }

    /// Where it goes.
    pub(super) fn to(&self) -> Result<ImageName> {
        self.name_of(&self.to)
    }

    fn name_of(&self, text: &str) -> Result<ImageName> {
        text.parse().map_err(|e| ErrorKind::Plan(format!("{}: {e}", self.id)).into())
    }

    /// Name and version, for people.
    pub fn shown(&self) -> String {
        format!("{} {}", self.name, self.version)
    }
}

/// What is done with an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum How {
    /// A layer for each image of its chain; those of the origin are not made again.
    Layers,
    /// The manifest and the file as they came, as an OCI artifact: disks.
    Artifact,
    /// The manifest and the file as they came, in a folder.
    Files,
    /// Any other conversion, as `imageadm convert` does it.
    Convert,
    /// The bytes that it has, as `imageadm copy` does it.
    Copy,
}

impl How {
    /// As it stands in the plan.
    pub fn name(self) -> &'static str {
        match self {
            Self::Layers => "layers",
            Self::Artifact => "artifact",
            Self::Files => "files",
            Self::Convert => "convert",
            Self::Copy => "copy",
        }
    }
}

impl Plan {
    /// A plan of these images, which are put in order.
    pub fn new(source: &str, target: &str, template: &str, images: Vec<Planned>) -> Result<Self> {
        let mut plan = Self {
            kind: KIND.to_owned(),
            version: VERSION,
            source: source.to_owned(),
            target: target.to_owned(),
            template: template.to_owned(),
            compress: None,
            strict: false,
            filters: Vec::new(),
            images: Vec::new(),
        };
        plan.images = ordered(images)?;
        Ok(plan)
    }

    /// Reads a plan, and checks all that can be told from it alone.
    pub fn parse(bytes: &[u8]) -> Result<Self> {
        let bad = |e: &dyn std::fmt::Display| Error::from(ErrorKind::Plan(e.to_string()));
        // The head first: what is no plan, or a later one, should not be told which field it lacks.
        let head: Head = serde_json::from_slice(bytes).map_err(|e| bad(&e))?;
        if head.kind.as_deref() != Some(KIND) {
            return Err(bad(&format!("it does not say that it is one: `kind` must be \"{KIND}\"")));
        }
        if head.version != Some(u64::from(VERSION)) {
            let found = head.version.map_or_else(|| "none".to_owned(), |found| found.to_string());
            return Err(bad(&format!("version {VERSION} is read, and this is version {found}")));
        }
        let mut plan: Self = serde_json::from_slice(bytes).map_err(|e| bad(&e))?;
        plan.check()?;
        plan.images = ordered(plan.images)?;
        Ok(plan)
    }

    /// The document: always the same for the same plan.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("texts and numbers always have a JSON form");
        bytes.push(b'\n');
        bytes
    }

    /// What tells this migration from others: where from and where to, so that an edited plan keeps its journal.
    pub fn key(&self) -> String {
        let text = format!("aurora migration\n{}\n{}\n", self.source, self.target);
        aurora_engine::digest::Digest::sha256(text.as_bytes()).hex()[..16].to_owned()
    }

    /// Bytes to be read in all, as far as they are known.
    pub fn bytes(&self) -> u64 {
        self.images.iter().filter_map(|image| image.bytes).fold(0, u64::saturating_add)
    }

    fn check(&self) -> Result<()> {
        let mut ids = BTreeSet::new();
        let mut names: BTreeMap<&str, &str> = BTreeMap::new();
        for image in &self.images {
            let bad = |text: String| Error::from(ErrorKind::Plan(format!("{}: {text}", image.id)));
            if image.id.is_empty() || !ids.insert(image.id.as_str()) {
                return Err(bad("the id is empty, or stands there twice".to_owned()));
            }
            for name in [&image.from, &image.to].into_iter().chain(&image.also) {
                name.parse::<ImageName>().map_err(|e| bad(e.to_string()))?;
            }
            for name in [&image.to].into_iter().chain(&image.also) {
                if let Some(other) = names.insert(name, &image.id) {
                    return Err(bad(format!("{name} is also where {other} goes")));
                }
            }
        }
        Ok(())
    }
}

/// What is looked at first.
#[derive(Deserialize)]
struct Head {
    kind: Option<String>,
    version: Option<u64>,
}

/// The same images, each behind its origin and otherwise in the order they have.
fn ordered(images: Vec<Planned>) -> Result<Vec<Planned>> {
    if images.len() > MAX_IMAGES {
        return Err(ErrorKind::Limit { what: "images of a plan", limit: MAX_IMAGES as u64 }.into());
    }
    let all: BTreeSet<String> = images.iter().map(|image| image.id.clone()).collect();
    for image in &images {
        if let Some(origin) = image.origin.as_ref().filter(|origin| !all.contains(*origin)) {
            let text = format!("{}: its origin is not in the plan: {origin}", image.id);
            return Err(ErrorKind::Plan(text).into());
        }
    }
    let mut waiting: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    let mut next = Vec::new();
    for (at, image) in images.iter().enumerate().rev() {
        match &image.origin {
            Some(origin) => waiting.entry(origin.clone()).or_default().push(at),
            None => next.push(at),
        }
    }
    let mut order = Vec::with_capacity(images.len());
    while let Some(at) = next.pop() {
        order.push(at);
        next.extend(waiting.remove(&images[at].id).into_iter().flatten());
    }
    if !waiting.is_empty() {
        let left: Vec<&str> =
            waiting.values().flatten().map(|at| images[*at].id.as_str()).take(MAX_NAMED).collect();
        return Err(ErrorKind::Plan(format!("origins lead in a circle: {}", left.join(", "))).into());
    }
    let mut images: Vec<Option<Planned>> = images.into_iter().map(Some).collect();
    Ok(order.into_iter().filter_map(|at| images[at].take()).collect())
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// An image of a plan.
    pub(in crate::migrate) fn planned(id: &str, origin: Option<&str>) -> Planned {
        Planned {
            id: id.to_owned(),
            name: id.to_owned(),
            version: "1".to_owned(),
            image_type: "zone-dataset".to_owned(),
            os: Some("smartos".to_owned()),
            published: None,
            from: format!("smartos:images/{id}.imgmanifest"),
            origin: origin.map(str::to_owned),
            needed_only: false,
            how: How::Layers,
            to: format!("oci:out:{id}"),
            also: Vec::new(),
            bytes: Some(7),
            sha1: None,
            expect: Vec::new(),
            done: None,
        }
    }

    fn plan(images: Vec<Planned>) -> Result<Plan> {
        Plan::new("smartos:images", "oci:out", "{name}:{version}", images)
    }

    #[test]
    fn plans_are_in_the_order_of_origins_and_survive() {
        let images = vec![
            planned("c", Some("b")),
            planned("d", Some("a")),
            planned("b", Some("a")),
            planned("a", None),
            planned("e", None),
        ];
        let made = plan(images).unwrap();
        let ids: Vec<&str> = made.images.iter().map(|image| image.id.as_str()).collect();
        assert_eq!(ids, ["a", "d", "b", "c", "e"], "depth first, so that little is held at once");
        let again = Plan::parse(&made.to_bytes()).unwrap();
        assert_eq!((again.to_bytes(), again.key(), again.bytes()), (made.to_bytes(), made.key(), 35));
    }

    #[test]
    fn what_makes_no_plan_is_told() {
        let circle = plan(vec![planned("a", Some("b")), planned("b", Some("a"))]).unwrap_err();
        assert!(circle.to_string().contains("origins lead in a circle: b, a"), "{circle}");
        let lost = plan(vec![planned("a", Some("x"))]).unwrap_err();
        assert!(lost.to_string().contains("a: its origin is not in the plan: x"), "{lost}");
        let good = String::from_utf8(plan(vec![planned("a", None), planned("b", None)]).unwrap().to_bytes());
        let good = good.unwrap();
        for (from, to, says) in [
            ("\"kind\": \"aurora migration plan\"", "\"kind\": \"x\"", "does not say that it is one"),
            ("\"version\": 1", "\"version\": 9", "version 1 is read, and this is version 9"),
            ("\"how\": \"layers\"", "\"how\": \"magic\"", "magic"),
            ("\"bytes\"", "\"byets\"", "byets"),
            ("oci:out:a", "/x", "a path needs its form"),
            ("oci:out:b", "oci:out:a", "is also where a goes"),
            ("\"id\": \"b\"", "\"id\": \"a\"", "stands there twice"),
            ("[", "", "at line"),
        ] {
            let bad = good.replacen(from, to, 1);
            assert_ne!(bad, good, "{from}");
            let error = Plan::parse(bad.as_bytes()).unwrap_err().to_string();
            assert!(
                error.starts_with("not a plan that can be run: ") && error.contains(says),
                "{to}: {error}"
            );
        }
    }
}
