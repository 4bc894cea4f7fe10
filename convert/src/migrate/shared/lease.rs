//! Who works on an image: one at a time, even where a message came twice.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use aurora_engine::remote::nats::{Delivery, NatsError};
use serde::{Deserialize, Serialize};

use super::place::{Shared, safe};
use crate::{ErrorKind, Result};

/// What stands in the bucket.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Note {
    /// Who has it; nobody once it is given back.
    worker: Option<String>,
    /// The message by which it was taken.
    sequence: u64,
    /// Counts on while it is held, so that others see that somebody lives.
    beat: u64,
    /// How often it was taken: deliveries count those too that only waited for it.
    tries: u64,
}

/// The right to work on an image. Not given back when dropped: who is killed can't either.
#[derive(Debug, Clone)]
pub(super) struct Lease {
    key: String,
    note: Note,
    revision: u64,
}

/// Leases of others: their revision, and since when it is that.
pub(super) type Watched = BTreeMap<String, (u64, SystemTime)>;

impl Lease {
    /// Takes the right, if nobody has it. Of one who holds it, is silent for `ack_wait` and so must have given up, it is taken
    /// away: the same message comes again only then, and of another one the lease itself tells.
    pub(super) fn take(
        shared: &mut Shared,
        id: &str,
        worker: &str,
        delivery: &Delivery,
        ack_wait: Duration,
        (watched, now): (&mut Watched, SystemTime),
    ) -> Result<Option<Self>> {
        let key = format!("lease.{}", safe(id));
        let found = shared.entry(&key)?;
        let note: Option<Note> = found.as_ref().and_then(|entry| serde_json::from_slice(&entry.value).ok());
        let tries = note.as_ref().map_or(0, |note| note.tries) + 1;
        let revision = found.map_or(0, |entry| entry.revision);
        if let Some(held) = note.filter(|note| note.worker.is_some()) {
            let is_same = held.sequence == delivery.sequence && delivery.count > 1;
            let since = match watched.get(&key) {
                Some((seen, since)) if *seen == revision => *since,
                _ => {
                    watched.insert(key.clone(), (revision, now));
                    now
                }
            };
            let is_silent = now.duration_since(since).is_ok_and(|silent| silent > ack_wait);
            if !is_same && !is_silent {
                return Ok(None);
            }
        }
        watched.remove(&key);
        let note = Note { worker: Some(worker.to_owned()), sequence: delivery.sequence, beat: 0, tries };
        let lease = Self { key, note, revision };
        lease.write(shared)
    }

    /// How often it was taken, this time included.
    pub(super) fn tries(&self) -> u64 {
        self.note.tries
    }

    /// Tells others that somebody lives; `None` where the right was taken away.
    pub(super) fn renew(mut self, shared: &mut Shared) -> Result<Option<Self>> {
        self.note.beat += 1;
        self.write(shared)
    }

    /// Gives it back.
    pub(super) fn give_back(mut self, shared: &mut Shared) -> Result<()> {
        self.note.worker = None;
        self.write(shared).map(drop)
    }

    fn write(mut self, shared: &mut Shared) -> Result<Option<Self>> {
        let bytes = serde_json::to_vec(&self.note).expect("texts and numbers always have a JSON form");
        match shared.update(&self.key, &bytes, self.revision) {
            Ok(revision) => {
                self.revision = revision;
                Ok(Some(self))
            }
            Err(e) => match e.kind() {
                // A request that was repeated after a break may meet its own first try.
                ErrorKind::Queue(NatsError::Conflict { .. }) => {
                    let found = shared.entry(&self.key)?;
                    let is_ours = |entry: &aurora_engine::remote::nats::Entry| {
                        serde_json::from_slice::<Note>(&entry.value).is_ok_and(|note| note == self.note)
                    };
                    Ok(found.filter(is_ours).map(|entry| Self { revision: entry.revision, ..self }))
                }
                _ => Err(e),
            },
        }
    }
}
