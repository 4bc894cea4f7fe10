//! What is where in the bucket of a migration, and how its queue is called.

use std::collections::BTreeMap;
use std::time::Duration;

use aurora_engine::digest::Digest;
use aurora_engine::remote::nats::{Address, Delivery, Entry, JetStream};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};

use crate::migrate::{History, Outcome, Plan, Planned};
use crate::{Ctx, ErrorKind, Result};

/// For how long a queue that can't be reached is waited for.
const PATIENCE: Duration = Duration::from_secs(120);
/// Images from an image down to its base: as many as origins are followed elsewhere.
const MAX_CHAIN: usize = 1000;

/// A migration in a queue.
pub struct Shared {
    pub(super) js: JetStream,
    key: String,
}

/// What concerns all images.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Head {
    /// The plan without its images.
    pub(super) plan: Plan,
    /// Seconds after which a message that nobody tells of is delivered again.
    pub(super) ack_wait: u64,
}

/// An image, and those that build on it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(super) struct Card {
    pub(super) image: Planned,
    pub(super) children: Vec<String>,
}

impl Shared {
    /// The migration of that key; nothing is sent. `name` tells this process from all others.
    pub fn new(address: &Address, key: &str, name: &str, ctx: &Ctx<'_>) -> Self {
        Self::with_patience(address, key, name, PATIENCE, ctx)
    }

    pub(super) fn with_patience(
        address: &Address,
        key: &str,
        name: &str,
        patience: Duration,
        ctx: &Ctx<'_>,
    ) -> Self {
        let stop = ctx.cancel.flag();
        let js = JetStream::new(address.clone(), name, patience, move || {
            stop.load(std::sync::atomic::Ordering::Relaxed)
        });
        Self { js, key: key.to_owned() }
    }

    /// Makes queue and bucket, as far as they are not there.
    pub(super) fn make(&mut self, ack_wait: Duration) -> Result<()> {
        self.js.make_bucket(&self.bucket())?;
        let (stream, subject) = (self.stream(), self.subject());
        Ok(self.js.make_queue(&stream, &[&subject], ack_wait)?)
    }

    fn bucket(&self) -> String {
        format!("migrate_{}", self.key)
    }

    fn stream(&self) -> String {
        format!("MIGRATE_{}", self.key)
    }

    fn subject(&self) -> String {
        format!("migrate.{}.image", self.key)
    }

    /// Queues an image. The same `nonce` again is the same message.
    pub(super) fn queue(&mut self, id: &str, nonce: &str) -> Result<()> {
        let subject = self.subject();
        Ok(self.js.publish(&subject, &format!("{}.{nonce}", safe(id)), id.as_bytes())?)
    }

    /// The next message.
    pub(super) fn next(&mut self, wait: Duration) -> Result<Option<Delivery>> {
        let stream = self.stream();
        Ok(self.js.next(&stream, wait)?)
    }

    /// Images that are queued or worked on; `None` where nothing was ever submitted.
    pub fn queued(&mut self) -> Result<Option<u64>> {
        let stream = self.stream();
        Ok(self.js.outstanding(&stream)?)
    }

    pub(super) fn head(&mut self) -> Result<Head> {
        let missing =
            || ErrorKind::NoSuchImage(format!("no migration of that key was submitted: {}", self.key));
        let missing = missing();
        self.read("head")?.ok_or_else(|| missing.into())
    }

    pub(super) fn set_head(&mut self, head: &Head) -> Result<()> {
        self.write("head", head).map(drop)
    }

    pub(super) fn card(&mut self, id: &str) -> Result<Card> {
        let key = format!("image.{}", safe(id));
        self.read(&key)?.ok_or_else(|| ErrorKind::Plan(format!("{id}: queued, and not submitted")).into())
    }

    pub(super) fn set_card(&mut self, card: &Card) -> Result<()> {
        self.write(&format!("image.{}", safe(&card.image.id)), card).map(drop)
    }

    /// What became of an image.
    pub(super) fn outcome(&mut self, id: &str) -> Result<Option<Outcome>> {
        Ok(self.read::<Option<Outcome>>(&format!("result.{}", safe(id)))?.flatten())
    }

    /// Notes what became of an image; nothing takes the note away.
    pub(super) fn set_outcome(&mut self, id: &str, outcome: Option<&Outcome>) -> Result<()> {
        self.write(&format!("result.{}", safe(id)), &outcome).map(drop)
    }

    /// Whether a conversion has begun whose result does not tell whose it is.
    pub(super) fn has_begun(&mut self, id: &str) -> Result<bool> {
        Ok(self.read::<bool>(&format!("begun.{}", safe(id)))?.unwrap_or(false))
    }

    pub(super) fn begin(&mut self, id: &str) -> Result<()> {
        self.write(&format!("begun.{}", safe(id)), &true).map(drop)
    }

    /// Forgets how often an image was tried.
    pub(super) fn forget_tries(&mut self, id: &str) -> Result<()> {
        self.write(&format!("lease.{}", safe(id)), &()).map(drop)
    }

    /// Keeps a message that nobody could finish.
    pub(super) fn bury(&mut self, id: &str, count: u64) -> Result<()> {
        self.write(&format!("dead.{}", safe(id)), &serde_json::json!({"id": id, "tries": count})).map(drop)
    }

    /// An image and all that it builds on as a plan, base first; and what is known of those below.
    pub(super) fn chain(&mut self, card: &Card) -> Result<(Vec<Planned>, BTreeMap<String, Outcome>)> {
        let mut chain = vec![card.image.clone()];
        let mut known = BTreeMap::new();
        while let Some(origin) = chain.last().and_then(|image| image.origin.clone()) {
            if chain.len() > MAX_CHAIN {
                return Err(ErrorKind::Limit { what: "origins of an image", limit: MAX_CHAIN as u64 }.into());
            }
            known.extend(self.outcome(&origin)?.map(|outcome| (origin.clone(), outcome)));
            chain.push(self.card(&origin)?.image);
        }
        chain.reverse();
        Ok((chain, known))
    }

    /// What became of the images of a plan, as a journal would tell it.
    pub fn history(&mut self, plan: &Plan) -> Result<History> {
        let mut history = History::default();
        for image in &plan.images {
            let found = self.outcome(&image.id)?;
            history.outcomes.extend(found.map(|outcome| (image.id.clone(), outcome)));
        }
        Ok(history)
    }

    pub(super) fn entry(&mut self, key: &str) -> Result<Option<Entry>> {
        let bucket = self.bucket();
        Ok(self.js.get(&bucket, key)?)
    }

    /// Writes a key that nobody has written since `revision`; its new revision.
    pub(super) fn update(&mut self, key: &str, value: &[u8], revision: u64) -> Result<u64> {
        let bucket = self.bucket();
        Ok(self.js.update(&bucket, key, value, revision)?)
    }

    fn read<T: DeserializeOwned>(&mut self, key: &str) -> Result<Option<T>> {
        let Some(entry) = self.entry(key)? else { return Ok(None) };
        let bad = |e: serde_json::Error| ErrorKind::Plan(format!("{key} of the queue's bucket: {e}")).into();
        serde_json::from_slice(&entry.value).map(Some).map_err(bad)
    }

    fn write<T: Serialize>(&mut self, key: &str, value: &T) -> Result<u64> {
        let bytes = serde_json::to_vec(value).expect("texts and numbers always have a JSON form");
        let bucket = self.bucket();
        Ok(self.js.put(&bucket, key, &bytes)?)
    }
}

/// An id as part of a key, which has few letters.
pub(super) fn safe(id: &str) -> String {
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    match !id.is_empty() && id.len() <= 64 && id.chars().all(is_plain) {
        true => id.to_owned(),
        false => Digest::sha256(id.as_bytes()).hex().to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_id_makes_a_key() {
        assert_eq!(safe("01b2c898-945f-11e1-a523-af1afbe22822"), "01b2c898-945f-11e1-a523-af1afbe22822");
        for id in ["", "docker://h/x:1", "a.b", "a b", &"x".repeat(65)] {
            assert_eq!(safe(id).len(), 64, "{id}");
        }
    }
}
