//! From the top of an image to its blobs, and their way to the target.

use std::collections::BTreeSet;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;

use aurora_formats::oci::media::{self, Kind};
use aurora_formats::oci::{Descriptor, Index, Manifest, OciError, json};
use serde_json::Value;

use super::{Attached, Moved, Origin, Target};
use crate::registry::Sent;
use crate::{Ctx, Error, ErrorKind, Result};

/// Indexes within indexes: real ones have one level.
const MAX_NESTING: usize = 8;
/// Manifests and indexes of one image.
const MAX_DOCUMENTS: usize = 20_000;
/// Bytes of them together, which are all held.
const MAX_BYTES: usize = 512 << 20;

/// What is to be moved.
pub(crate) struct Move<'a> {
    pub(crate) origin: &'a dyn Origin,
    pub(crate) target: &'a dyn Target,
    /// Where it begins.
    pub(crate) top: Descriptor,
    /// Whether what hangs on the image comes along.
    pub(crate) with_referrers: bool,
    /// Blobs at once.
    pub(crate) jobs: usize,
}

#[derive(Default)]
struct Plan {
    seen: BTreeSet<String>,
    blobs: Vec<Descriptor>,
    /// Each behind all that it names.
    documents: Vec<(Descriptor, Vec<u8>)>,
    bytes: usize,
    moved: Moved,
}

/// Moves an image; what was moved, and what the target has to say.
pub(crate) fn transfer(job: &Move<'_>, ctx: &Ctx<'_>) -> Result<(Moved, Vec<(String, String)>)> {
    ctx.progress.phase("manifests");
    let mut plan = Plan::default();
    let top = job.origin.document(&job.top)?;
    visit(job, &job.top, Some(top.clone()), 0, &mut plan, ctx)?;
    let total = plan.blobs.iter().fold(0, |sum: u64, blob| sum.saturating_add(blob.size));
    ctx.progress.total(total);
    ctx.progress.phase("blobs");
    let mut moved = plan.moved;
    for (sent, size) in blobs(job, &plan.blobs, ctx)? {
        match sent {
            Sent::There => moved.there += 1,
            Sent::Mounted => moved.mounted += 1,
            Sent::Copied => {
                moved.copied += 1;
                moved.bytes += size;
            }
        }
    }
    ctx.progress.phase("manifests");
    let mut attached = Attached::new();
    for (descriptor, bytes) in &plan.documents {
        ctx.check()?;
        let is_noted = job.target.put(descriptor, bytes)?;
        moved.documents += 1;
        if let Some((subject, referrer)) = referrer(descriptor, bytes)
            && !is_noted
        {
            attached.entry(subject).or_default().push(referrer);
        }
    }
    ctx.check()?;
    let facts = job.target.finish(&job.top, &top, &attached)?;
    Ok((moved, facts))
}

fn visit(
    job: &Move<'_>,
    descriptor: &Descriptor,
    bytes: Option<Vec<u8>>,
    level: usize,
    plan: &mut Plan,
    ctx: &Ctx<'_>,
) -> Result<()> {
    ctx.check()?;
    if !plan.seen.insert(descriptor.digest.clone()) {
        return Ok(());
    }
    let kind = media::kind(&descriptor.media_type);
    match kind {
        Kind::Schema1 => return Err(OciError::Schema1 { document: descriptor.digest.clone() }.into()),
        Kind::Other => {
            if !must_stay(descriptor) {
                plan.blobs.push(descriptor.clone());
            }
            return Ok(());
        }
        Kind::Index | Kind::Manifest => {}
    }
    if level > MAX_NESTING || plan.documents.len() >= MAX_DOCUMENTS {
        return Err(ErrorKind::Limit { what: "manifests of one image", limit: MAX_DOCUMENTS as u64 }.into());
    }
    if job.target.has_whole(descriptor)? {
        plan.moved.there += 1;
    } else {
        let bytes = match bytes {
            Some(bytes) => bytes,
            None => job.origin.document(descriptor).map_err(|e| e.in_image(descriptor.digest.clone()))?,
        };
        plan.bytes += bytes.len();
        if plan.bytes > MAX_BYTES {
            return Err(ErrorKind::Limit { what: "bytes of manifests", limit: MAX_BYTES as u64 }.into());
        }
        let (name, media_type) = (&descriptor.digest, Some(descriptor.media_type.as_str()));
        let children = match kind {
            Kind::Index => Index::parse(name, media_type, &bytes)?.value.manifests,
            _ => {
                let manifest = Manifest::parse(name, media_type, &bytes)?.value;
                let mut children = manifest.layers;
                children.push(manifest.config);
                children
            }
        };
        for child in &children {
            visit(job, child, None, level + 1, plan, ctx)?;
        }
        plan.documents.push((descriptor.clone(), bytes));
    }
    if job.with_referrers {
        for referrer in job.origin.referrers(&descriptor.digest)? {
            visit(job, &referrer, None, level + 1, plan, ctx)?;
        }
    }
    Ok(())
}

/// Layers that only their owner may give, and of which it is said where they are to be had.
fn must_stay(descriptor: &Descriptor) -> bool {
    media::layer(&descriptor.media_type).is_some_and(|l| !l.distributable) && !descriptor.urls.is_empty()
}

/// Moves all blobs, several at once. After a failure no further one is begun.
fn blobs(job: &Move<'_>, blobs: &[Descriptor], ctx: &Ctx<'_>) -> Result<Vec<(Sent, u64)>> {
    let next = AtomicUsize::new(0);
    let has_failed = AtomicBool::new(false);
    let outcomes: Mutex<Vec<(usize, Result<Sent>)>> = Mutex::default();
    let work = || {
        while !has_failed.load(Ordering::Relaxed) {
            let at = next.fetch_add(1, Ordering::Relaxed);
            let Some(blob) = blobs.get(at) else { break };
            let sent = ctx.check().and_then(|()| job.target.take(blob, job.origin, ctx));
            if sent.is_err() {
                has_failed.store(true, Ordering::Relaxed);
            }
            outcomes.lock().expect("no holder of this lock can panic").push((at, sent));
        }
    };
    thread::scope(|scope| {
        for number in 1..job.jobs.clamp(1, blobs.len().max(1)) {
            // Fewer threads do it as well.
            let _ = thread::Builder::new().name(format!("blob-{number}")).spawn_scoped(scope, work);
        }
        work();
    });
    let mut outcomes = outcomes.into_inner().expect("no holder of this lock can panic");
    outcomes.sort_by_key(|(at, _)| *at);
    let named = |(at, sent): (usize, Result<Sent>)| match sent {
        Ok(sent) => Ok((sent, blobs[at].size)),
        Err(e) if matches!(e.kind(), ErrorKind::Interrupted) => Err(e),
        Err(e) => Err(e.in_image(blobs[at].digest.clone())),
    };
    // An interruption of one may show as a failure of another.
    outcomes.into_iter().map(named).collect::<Result<_>>().map_err(|e: Error| ctx.check().err().unwrap_or(e))
}

/// What a manifest hangs on, and how it is listed there (image-spec, "subject").
fn referrer(descriptor: &Descriptor, bytes: &[u8]) -> Option<(String, Descriptor)> {
    let value: Value = json::parse(&descriptor.digest, bytes).ok()?;
    let text =
        |value: Option<&Value>| value.and_then(Value::as_str).filter(|t| !t.is_empty()).map(str::to_owned);
    let subject = text(value.get("subject")?.get("digest"))?;
    if !aurora_formats::oci::descriptor::is_digest(&subject) {
        return None;
    }
    let kind = text(value.get("artifactType"));
    let kind = kind.or_else(|| text(value.get("config").and_then(|config| config.get("mediaType"))));
    let mut out = Descriptor::new(&descriptor.media_type, descriptor.digest.clone(), descriptor.size);
    out.artifact_type = kind;
    if let Some(annotations) = value.get("annotations").and_then(Value::as_object) {
        let pairs = annotations.iter().filter_map(|(k, v)| Some((k.clone(), v.as_str()?.to_owned())));
        out.annotations = pairs.collect();
    }
    Some((subject, out))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn referrers_are_listed_as_the_specification_has_it() {
        let digest = format!("sha256:{}", "1".repeat(64));
        let descriptor = Descriptor::new(media::MANIFEST, digest.clone(), 7);
        let text = format!(
            r#"{{"subject":{{"digest":"{digest}"}},"config":{{"mediaType":"application/x"}},"annotations":{{"a":"b","n":1}}}}"#
        );
        let (subject, found) = referrer(&descriptor, text.as_bytes()).unwrap();
        assert_eq!((subject, found.artifact_type.as_deref(), found.size), (digest, Some("application/x"), 7));
        assert_eq!(found.annotations.len(), 1);
        assert!(referrer(&descriptor, b"{}").is_none());
        assert!(referrer(&descriptor, br#"{"subject":{"digest":"x"}}"#).is_none());
    }
}
