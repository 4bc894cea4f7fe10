//! Takes images from a queue, until there are none.

use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use aurora_engine::fs;
use aurora_engine::remote::nats::{Address, Delivery};

use super::lease::{Lease, Watched};
use super::place::{Card, Head, Shared};
use crate::migrate::presence::Presence;
use crate::migrate::run::{attempt, blank, judged, without};
use crate::migrate::workshop::Workshop;
use crate::migrate::{Cause, Ended, History, How, Observer, Outcome};
use crate::{Cancel, Ctx, Error, ErrorKind, Result};

/// How long the queue is asked for a message at once.
const WAIT: Duration = Duration::from_secs(2);
/// How soon what somebody else works on, or what has failed for a reason that passes, is tried again.
const DELAY: Duration = Duration::from_secs(2);
/// A message is told to be worked on so often in the time after which it would be delivered again.
const BEATS: u32 = 4;
/// How soon the end of a step reaches its heartbeat.
const LOOK: Duration = Duration::from_millis(50);

/// What tunes a worker.
#[derive(Debug, Clone)]
pub struct WorkerOptions {
    /// What it is called; no two of a migration are called the same.
    pub name: String,
    /// After so many tries an image is given up.
    pub tries: u64,
    /// Goes on when there is nothing more to do: for plans that are still to be submitted.
    pub stays: bool,
}

/// What a worker has done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Worked {
    /// Images that it has brought to the target.
    pub done: usize,
    /// Images that were there.
    pub there: usize,
    /// Images that failed.
    pub failed: usize,
}

/// Works until the queue is empty. `dir` is for files on their way, and this worker's alone.
pub fn worker(
    address: &Address,
    key: &str,
    dir: &Path,
    options: &WorkerOptions,
    observer: &dyn Observer,
    ctx: &Ctx<'_>,
) -> Result<Worked> {
    let named = |e| Error::io(dir.display().to_string(), e);
    fs::create_dir_all(dir).map_err(named)?;
    let ctx = &ctx.within(dir.to_owned());
    let mut shared = Shared::new(address, key, &options.name, ctx);
    let head = shared.head()?;
    let ack_wait = Duration::from_secs(head.ack_wait);
    let beat = Shared::with_patience(address, key, &format!("{}beat", options.name), ack_wait / BEATS, ctx);
    observer.begins(0, 0);
    let mut worker = Worker {
        shared,
        beat,
        head,
        ack_wait,
        dir,
        options,
        observer,
        ctx,
        watched: Watched::new(),
        worked: Worked::default(),
    };
    loop {
        ctx.check()?;
        match worker.shared.next(WAIT)? {
            Some(delivery) => worker.take(&delivery)?,
            None if !options.stays && worker.shared.queued()?.unwrap_or(0) == 0 => return Ok(worker.worked),
            None => {}
        }
    }
}

struct Worker<'a> {
    shared: Shared,
    /// The same over another connection, for the heartbeat.
    beat: Shared,
    head: Head,
    ack_wait: Duration,
    dir: &'a Path,
    options: &'a WorkerOptions,
    observer: &'a dyn Observer,
    ctx: &'a Ctx<'a>,
    watched: Watched,
    worked: Worked,
}

impl Worker<'_> {
    fn take(&mut self, delivery: &Delivery) -> Result<()> {
        let id = String::from_utf8_lossy(&delivery.payload).into_owned();
        let card = self.shared.card(&id)?;
        // Delivered twice, or done by one who did not come to say so.
        if let Some(outcome) = self.shared.outcome(&id)? {
            return self.close(&card, &outcome, delivery);
        }
        let now = self.ctx.options.remote.pace.now();
        let watched = (&mut self.watched, now);
        let lease = Lease::take(&mut self.shared, &id, &self.options.name, delivery, self.ack_wait, watched)?;
        let Some(lease) = lease else { return Ok(self.shared.js.put_off(delivery, DELAY)?) };
        let tries = lease.tries();
        if tries > self.options.tries {
            let text = format!("given up: tried {} times, and no worker came to its end", tries - 1);
            let result = Ended::Failed { cause: Cause::Other, message: text, hint: None };
            self.shared.bury(&id, tries)?;
            return self.finish(&card, &blank(&card.image, result), delivery, lease);
        }
        self.observer.started(0, &card.image);
        let (outcome, lease) = self.work(&card, delivery, lease)?;
        // Taken away meanwhile: the message is somebody else's now.
        let Some(lease) = lease else { return Ok(()) };
        let Some(outcome) = outcome else { return Ok(()) };
        let passes = outcome.cause().is_some_and(|cause| !cause.is_lasting());
        if passes && tries < self.options.tries {
            self.observer.ended(Some(0), &outcome);
            lease.give_back(&mut self.shared)?;
            return Ok(self.shared.js.put_off(delivery, DELAY)?);
        }
        if passes {
            self.shared.bury(&id, tries)?;
        }
        match &outcome.result {
            Ended::Done => self.worked.done += 1,
            Ended::There => self.worked.there += 1,
            Ended::Failed { .. } => self.worked.failed += 1,
        }
        self.observer.ended(Some(0), &outcome);
        self.finish(&card, &outcome, delivery, lease)
    }

    /// Writes down what became of an image, and lets it go.
    fn finish(&mut self, card: &Card, outcome: &Outcome, delivery: &Delivery, lease: Lease) -> Result<()> {
        self.shared.set_outcome(&card.image.id, Some(outcome))?;
        lease.give_back(&mut self.shared)?;
        self.close(card, outcome, delivery)
    }

    /// What follows from what became of an image; then it is done with. All of it may be done twice.
    fn close(&mut self, card: &Card, outcome: &Outcome, delivery: &Delivery) -> Result<()> {
        if outcome.is_done() {
            for child in &card.children {
                if self.shared.outcome(child)?.is_none() {
                    self.shared.queue(child, &delivery.sequence.to_string())?;
                }
            }
        } else {
            let mut doomed: Vec<(String, String)> =
                card.children.iter().map(|child| (child.clone(), card.image.id.clone())).collect();
            while let Some((id, origin)) = doomed.pop() {
                let card = self.shared.card(&id)?;
                if self.shared.outcome(&id)?.is_none() {
                    let outcome = blank(&card.image, without(&origin));
                    self.shared.set_outcome(&id, Some(&outcome))?;
                    self.observer.ended(None, &outcome);
                    self.worked.failed += 1;
                }
                doomed.extend(card.children.iter().map(|child| (child.clone(), id.clone())));
            }
        }
        Ok(self.shared.js.ack(delivery)?)
    }

    /// Does an image while a heartbeat tells so. No outcome where it was broken off, no lease where that was taken away.
    fn work(
        &mut self,
        card: &Card,
        delivery: &Delivery,
        lease: Lease,
    ) -> Result<(Option<Outcome>, Option<Lease>)> {
        let (chain, known) = self.shared.chain(card)?;
        let has_begun = self.shared.has_begun(&card.image.id)?;
        if card.image.how == How::Convert && !has_begun {
            self.shared.begin(&card.image.id)?;
        }
        let mut plan = self.head.plan.clone();
        plan.images = chain;
        let stop = Cancel::default();
        let is_over = AtomicBool::new(false);
        let (beat, ack_wait, whole) = (&mut self.beat, self.ack_wait, self.ctx);
        let (outcome, lease) = thread::scope(|scope| {
            let heart =
                Heart { shared: beat, delivery, ack_wait, stop: &stop, is_over: &is_over, ctx: whole };
            let heart = scope.spawn(move || heart.run(lease));
            let ctx = self.ctx.cancelled_by(&stop, self.observer.job(0));
            let outcome = bring(&plan, &known, has_begun, self.dir, &ctx);
            is_over.store(true, Ordering::Relaxed);
            (outcome, heart.join().unwrap_or(None))
        });
        self.ctx.check()?;
        match outcome {
            Ok(outcome) => Ok((Some(outcome), lease)),
            Err(e) if matches!(e.kind(), ErrorKind::Interrupted) => Ok((None, lease)),
            Err(e) => Ok((Some(blank(&card.image, Ended::failed(&e))), lease)),
        }
    }
}

/// Brings the last image of a chain to the target, unless it is there.
fn bring(
    plan: &crate::migrate::Plan,
    known: &std::collections::BTreeMap<String, Outcome>,
    has_begun: bool,
    dir: &Path,
    ctx: &Ctx<'_>,
) -> Result<Outcome> {
    let last = plan.images.len() - 1;
    let image = &plan.images[last];
    let mut history = History::default();
    if has_begun {
        history.begun.insert(image.id.clone());
    }
    let standing = Presence::new(ctx).standing(image)?;
    if let Some(outcome) = judged(image, None, &history, standing) {
        return Ok(outcome);
    }
    if let crate::names::ImageName::Oci { dir, .. } = image.to()? {
        crate::transfer::begin_layout(&dir)?;
    }
    let shop = Workshop::new(plan, dir, &[last]);
    for (id, outcome) in known.iter().filter(|(_, outcome)| outcome.is_done()) {
        shop.is_at_target(id, outcome.digest.clone());
    }
    let outcome = attempt(image, &shop, ctx)?;
    if outcome.cause().is_none_or(Cause::is_lasting) {
        shop.forget_file(image);
    }
    Ok(outcome)
}

/// Tells the queue and the other workers that an image is worked on.
struct Heart<'a, 'c> {
    shared: &'a mut Shared,
    delivery: &'a Delivery,
    ack_wait: Duration,
    stop: &'a Cancel,
    is_over: &'a AtomicBool,
    ctx: &'a Ctx<'c>,
}

impl Heart<'_, '_> {
    /// Beats until the step is over; the lease then, unless it was lost. Who could tell nobody for so long that others may
    /// have begun stops its step before they do.
    fn run(mut self, mut lease: Lease) -> Option<Lease> {
        let clock = &self.ctx.options.remote.pace;
        let mut last = clock.now();
        loop {
            let mut left = self.ack_wait / BEATS;
            while !left.is_zero() {
                if self.is_over.load(Ordering::Relaxed) {
                    return Some(lease);
                }
                if self.ctx.cancel.is_set() {
                    self.stop.set();
                }
                let nap = LOOK.min(left);
                thread::sleep(nap);
                left -= nap;
            }
            match self.beat(lease.clone()) {
                Ok(Some(renewed)) => {
                    lease = renewed;
                    last = clock.now();
                }
                Ok(None) => {
                    self.stop.set();
                    return None;
                }
                Err(_) => {
                    let silent = clock.now().duration_since(last).unwrap_or_default();
                    if silent > self.ack_wait / 2 {
                        self.stop.set();
                        return None;
                    }
                }
            }
        }
    }

    fn beat(&mut self, lease: Lease) -> Result<Option<Lease>, Error> {
        self.shared.js.in_progress(self.delivery)?;
        lease.renew(self.shared)
    }
}
