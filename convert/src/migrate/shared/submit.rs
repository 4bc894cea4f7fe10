//! Puts a plan into a queue.

use std::collections::BTreeMap;
use std::time::{Duration, SystemTime};

use super::place::{Card, Head, Shared};
use crate::migrate::{Cause, Plan};
use crate::{Ctx, Result};

/// What tunes a submission.
#[derive(Debug, Clone)]
pub struct SubmitOptions {
    /// After so long without a word from its worker a message is delivered again.
    pub ack_wait: Duration,
    /// Queues what has failed for a reason that lasts, too.
    pub retry: bool,
}

/// What was submitted.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Submitted {
    /// Of the plan.
    pub images: usize,
    /// Queued now; the others follow what they build on.
    pub queued: usize,
    /// Done before, by what the bucket says.
    pub done: usize,
    /// Failed before for a reason that lasts, and left at that.
    pub failed: usize,
}

/// Submits a plan, which may have been submitted before: what is done is not queued again.
pub fn submit(plan: &Plan, shared: &mut Shared, options: &SubmitOptions, ctx: &Ctx<'_>) -> Result<Submitted> {
    ctx.progress.phase("submitting");
    shared.make(options.ack_wait)?;
    let mut head = plan.clone();
    head.images.clear();
    shared.set_head(&Head { plan: head, ack_wait: options.ack_wait.as_secs().max(1) })?;
    let mut children: BTreeMap<&str, Vec<String>> = BTreeMap::new();
    for image in &plan.images {
        if let Some(origin) = &image.origin {
            children.entry(origin).or_default().push(image.id.clone());
        }
    }
    for image in &plan.images {
        ctx.check()?;
        let children = children.remove(image.id.as_str()).unwrap_or_default();
        shared.set_card(&Card { image: image.clone(), children })?;
    }
    let mut out = Submitted { images: plan.images.len(), ..Submitted::default() };
    // A later submission is another one, whatever the queue remembers of the first.
    let now = ctx.options.remote.pace.now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let nonce = format!("submit{}", now.as_nanos());
    let mut is_done: BTreeMap<&str, bool> = BTreeMap::new();
    for image in &plan.images {
        ctx.check()?;
        let outcome = shared.outcome(&image.id)?.filter(|outcome| outcome.to == image.to);
        let done = outcome.as_ref().is_some_and(|outcome| outcome.is_done());
        is_done.insert(&image.id, done);
        let is_lasting = |cause: Cause| cause.is_lasting() || cause == Cause::Origin;
        if done {
            out.done += 1;
            continue;
        }
        if outcome.as_ref().and_then(|o| o.cause()).is_some_and(is_lasting) && !options.retry {
            out.failed += 1;
            continue;
        }
        if outcome.is_some() {
            shared.forget_tries(&image.id)?;
            shared.set_outcome(&image.id, None)?;
        }
        // The others are queued by whoever brings their origin.
        if image.origin.as_deref().is_none_or(|origin| is_done.get(origin) == Some(&true)) {
            shared.queue(&image.id, &nonce)?;
            out.queued += 1;
        }
    }
    Ok(out)
}
