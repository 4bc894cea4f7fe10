//! Goes through a plan: what is done is left alone, what is not is done, several images at once.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, SystemTime};

use aurora_engine::digest::Digest;
use aurora_engine::fs;

use super::each::each;
use super::outcome::{Ended, Outcome};
use super::presence::{Presence, Standing};
use super::queue::Queue;
use super::step::{Delivered, step};
use super::workshop::Workshop;
use super::{Cause, History, How, Journal, Plan, Planned};
use crate::image::time::{Timestamp, timestamp, to_rfc3339};
use crate::names::ImageName;
use crate::{Ctx, Error, ErrorKind, Progress, Result};

/// Temporary files of a run, in the folder of the migration: what is left of one that was killed is found there.
const WORK: &str = "work";

/// Questions to a target at once: they take a server's time and none of this machine's.
const LOOKS: usize = 8;

/// What tunes a run.
#[derive(Debug, Clone)]
pub struct RunOptions {
    /// Images at once.
    pub jobs: usize,
    /// Nothing more is begun after the first failure.
    pub fail_fast: bool,
    /// Only tells what would be done.
    pub dry_run: bool,
    /// Tries what has failed for a reason that lasts, too.
    pub retry: bool,
}

/// Watches a run. Called from any thread.
pub trait Observer: Sync {
    /// So many images are to be done, of so many bytes.
    fn begins(&self, images: usize, bytes: u64);
    /// The progress of a job, counted from 0.
    fn job(&self, job: usize) -> &dyn Progress;
    /// A job has begun an image.
    fn started(&self, job: usize, image: &Planned);
    /// An image is done with, on disk and all. `job` has done it, unless it is one that failed with its origin.
    fn ended(&self, job: Option<usize>, outcome: &Outcome);
}

/// What a run has come to.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Summary {
    /// What became of each image of the plan, in its order; nothing where it was not come to.
    pub outcomes: Vec<Option<Outcome>>,
    /// Images that this run has brought to the target.
    pub done: usize,
    /// Images that were there before.
    pub there: usize,
    /// Images that failed, in this run or for good in an earlier one.
    pub failed: usize,
    /// Images that were not come to.
    pub left: usize,
    /// Why the run ended before its time.
    pub stopped: Option<String>,
}

impl Summary {
    /// Whether all of the plan is at the target.
    pub fn is_whole(&self) -> bool {
        self.failed == 0 && self.left == 0
    }
}

/// Goes through a plan. `dir` is the folder of the migration: its journal, and files on their way.
pub fn run(
    plan: &Plan,
    dir: &Path,
    options: &RunOptions,
    observer: &dyn Observer,
    ctx: &Ctx<'_>,
) -> Result<Summary> {
    let now = || rfc3339(ctx.options.remote.pace.now());
    if options.dry_run {
        let history = History::read(dir)?;
        return look(plan, &history, options, ctx).map(|seen| seen.summary(plan));
    }
    let (journal, history) = Journal::open(dir)?;
    let work = dir.join(WORK);
    let failed = |e| Error::io(work.display().to_string(), e);
    // The journal is ours alone, and so is what is left there.
    if fs::exists(&work).map_err(failed)? {
        fs::remove_dir_all(&work).map_err(failed)?;
    }
    fs::create_dir_all(&work).map_err(failed)?;
    let done = journal
        .begin(&Digest::sha256(&plan.to_bytes()).to_string(), plan.images.len(), now())
        .and_then(|()| look(plan, &history, options, ctx))
        .and_then(|seen| {
            let ctx = ctx.within(work.clone());
            let run = Run::new(plan, dir, seen, options, &journal, observer, &ctx)?;
            run.all()
        });
    // What is left there the next run takes away.
    let _ = fs::remove_dir_all(&work);
    done
}

/// How things are before a run.
struct Seen {
    outcomes: Vec<Option<Outcome>>,
    todo: Vec<usize>,
    /// What the journal does not know yet.
    news: Vec<usize>,
}

impl Seen {
    fn summary(self, plan: &Plan) -> Summary {
        let mut summary = Summary { left: self.todo.len(), ..Summary::default() };
        for outcome in self.outcomes.iter().flatten() {
            match outcome.is_done() {
                true => summary.there += 1,
                false => summary.failed += 1,
            }
        }
        debug_assert_eq!(summary.left + summary.there + summary.failed, plan.images.len());
        summary.outcomes = self.outcomes;
        summary
    }
}

/// Looks at the journal and at the target: documents alone are asked for.
fn look(plan: &Plan, history: &History, options: &RunOptions, ctx: &Ctx<'_>) -> Result<Seen> {
    ctx.progress.phase("looking at the target");
    let presence = Presence::new(ctx);
    let found = each(options.jobs.max(LOOKS), &plan.images, |image| {
        ctx.check()?;
        let known = history.outcomes.get(&image.id).filter(|outcome| outcome.to == image.to);
        let is_lost = known.and_then(Outcome::cause).is_some_and(Cause::is_lasting);
        if is_lost && !options.retry {
            return Ok(known.cloned());
        }
        Ok::<_, Error>(judged(image, known, history, presence.standing(image)?))
    });
    let mut seen = Seen { outcomes: Vec::new(), todo: Vec::new(), news: Vec::new() };
    let mut lost: BTreeSet<&str> = BTreeSet::new();
    for (at, (image, found)) in plan.images.iter().zip(found).enumerate() {
        let mut found = found?;
        // What has failed for good takes with it all that builds on it.
        if found.is_none()
            && let Some(origin) = image.origin.as_deref().filter(|origin| lost.contains(origin))
        {
            found = Some(blank(image, without(origin)));
        }
        match &found {
            None => seen.todo.push(at),
            Some(outcome) => {
                if !outcome.is_done() {
                    lost.insert(&image.id);
                }
                let known = history.outcomes.get(&outcome.id);
                if known.is_none_or(|known| known.is_done() != outcome.is_done() || known.to != outcome.to) {
                    seen.news.push(at);
                }
            }
        }
        seen.outcomes.push(found);
    }
    Ok(seen)
}

/// What has become of an image by the journal and by what has its name; nothing where it is to be done.
pub(super) fn judged(
    image: &Planned,
    known: Option<&Outcome>,
    history: &History,
    standing: Standing,
) -> Option<Outcome> {
    let known = known.filter(|outcome| outcome.is_done());
    let (there, is_it) = match standing {
        Standing::Absent => return None,
        Standing::There(there) => (there, true),
        // Results get their name when they are whole, so what was begun is done.
        Standing::Silent(there) => (there, known.is_none() && history.begun.contains(&image.id)),
        Standing::Other(there) => (there, false),
    };
    let is_known = known.is_some_and(|outcome| outcome.digest == there.digest);
    if is_known || is_it {
        let outcome = known.filter(|_| is_known).cloned();
        let outcome = outcome.unwrap_or_else(|| blank(image, Ended::There));
        return Some(Outcome { result: Ended::There, digest: there.digest, ..outcome });
    }
    let digest = there.digest.map(|digest| format!(", {digest}")).unwrap_or_default();
    let message = format!("something else has its name there: {}{digest}", image.to);
    Some(blank(image, Ended::Failed { cause: Cause::Conflict, message, hint: Some(CONFLICT.to_owned()) }))
}

/// What can be done about a name that is taken.
const CONFLICT: &str = "take it away and `retry`, or give the image another name in the plan";

/// An image that was not touched.
pub(super) fn blank(image: &Planned, result: Ended) -> Outcome {
    Outcome {
        id: image.id.clone(),
        name: image.shown(),
        to: image.to.clone(),
        how: image.how,
        result,
        digest: None,
        of: image.sha1.clone(),
        before: image.bytes.unwrap_or(0),
        after: 0,
        sent: 0,
        seconds: 0.0,
        losses: Vec::new(),
        lost: 0,
    }
}

pub(super) fn without(origin: &str) -> Ended {
    let message = format!("what it builds on was not migrated: {origin}");
    Ended::Failed { cause: Cause::Origin, message, hint: None }
}

/// A run that goes on.
struct Run<'a> {
    plan: &'a Plan,
    shop: Workshop<'a>,
    options: &'a RunOptions,
    journal: &'a Journal,
    observer: &'a dyn Observer,
    ctx: &'a Ctx<'a>,
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    queue: Queue,
    summary: Summary,
    error: Option<Error>,
}

impl<'a> Run<'a> {
    fn new(
        plan: &'a Plan,
        dir: &Path,
        seen: Seen,
        options: &'a RunOptions,
        journal: &'a Journal,
        observer: &'a dyn Observer,
        ctx: &'a Ctx<'a>,
    ) -> Result<Self> {
        for at in &seen.todo {
            // One writer at a time makes a layout; here are several.
            if let ImageName::Oci { dir, .. } = plan.images[*at].to()? {
                crate::transfer::begin_layout(&dir)?;
            }
        }
        let shop = Workshop::new(plan, dir, &seen.todo);
        for outcome in seen.outcomes.iter().flatten().filter(|outcome| outcome.is_done()) {
            shop.is_at_target(&outcome.id, outcome.digest.clone());
        }
        let bytes = seen.todo.iter().filter_map(|at| plan.images[*at].bytes).fold(0, u64::saturating_add);
        observer.begins(seen.todo.len(), bytes);
        let queue = Queue::new(&plan.images, &seen.todo);
        for at in &seen.news {
            if let Some(outcome) = &seen.outcomes[*at] {
                journal.commit(outcome, rfc3339(ctx.options.remote.pace.now()))?;
            }
        }
        let state = State { queue, summary: seen.summary(plan), error: None };
        let (state, changed) = (Mutex::new(state), Condvar::new());
        Ok(Self { plan, shop, options, journal, observer, ctx, state, changed })
    }

    fn all(self) -> Result<Summary> {
        for (image, outcome) in self.plan.images.iter().zip(&self.state().summary.outcomes) {
            let Some(outcome) = outcome else { continue };
            // Killed behind the last step of an image, and before this.
            self.shop.forget_file(image);
            self.observer.ended(None, outcome);
        }
        thread::scope(|scope| {
            let run = &self;
            for job in 1..self.options.jobs.max(1) {
                // Fewer threads do it as well.
                let _ = thread::Builder::new()
                    .name(format!("image-{job}"))
                    .spawn_scoped(scope, move || run.work(job));
            }
            self.work(0);
        });
        let State { summary, error, .. } = self.state.into_inner().unwrap_or_else(PoisonError::into_inner);
        self.ctx.check()?;
        match error {
            Some(e) => Err(e),
            None => Ok(summary),
        }
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn work(&self, job: usize) {
        while let Some(at) = self.next() {
            let image = &self.plan.images[at];
            self.observer.started(job, image);
            let ended = self.one(job, image);
            self.shop.is_over(image);
            let mut state = self.state();
            if let Err(e) = ended.and_then(|outcome| self.note(at, job, outcome, &mut state)) {
                state.queue.close();
                state.queue.failed(at);
                state.error.get_or_insert(e);
            }
            drop(state);
            self.changed.notify_all();
        }
        self.changed.notify_all();
    }

    /// The next image, waiting for one if there will be one.
    fn next(&self) -> Option<usize> {
        let mut state = self.state();
        loop {
            if self.ctx.cancel.is_set() {
                state.queue.close();
            }
            if let Some(at) = state.queue.next() {
                return Some(at);
            }
            if state.queue.is_over() {
                return None;
            }
            // Looked at now and then, as nobody wakes this when the work is to stop.
            let waited = self.changed.wait_timeout(state, Duration::from_millis(200));
            state = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Does one image. An error is one of the run: of an image it is an outcome.
    fn one(&self, job: usize, image: &Planned) -> Result<Outcome> {
        let threads = (self.ctx.options.threads / self.options.jobs.max(1)).max(1);
        let ctx = self.ctx.job(self.observer.job(job), threads);
        if image.how == How::Convert {
            self.journal.begin_image(&image.id, rfc3339(self.ctx.options.remote.pace.now()))?;
        }
        let outcome = attempt(image, &self.shop, &ctx)?;
        if outcome.is_done() {
            self.shop.is_at_target(&image.id, outcome.digest.clone());
        }
        // What may go well the next time goes on with what was fetched.
        if outcome.cause().is_none_or(Cause::is_lasting) {
            self.shop.forget_file(image);
        }
        Ok(outcome)
    }

    /// Notes what became of an image, and of those that went with it.
    fn note(&self, at: usize, job: usize, outcome: Outcome, state: &mut State) -> Result<()> {
        let now = || rfc3339(self.ctx.options.remote.pace.now());
        self.journal.commit(&outcome, now())?;
        self.observer.ended(Some(job), &outcome);
        state.summary.left -= 1;
        if outcome.is_done() {
            state.queue.done(at);
            state.summary.done += 1;
        } else {
            state.summary.failed += 1;
            // Those may go well the next time: nothing is told of what builds on it.
            let doomed = state.queue.failed(at);
            // Of a list of many places one may be gone.
            let is_passing = outcome.cause().is_some_and(Cause::is_everyones)
                && (outcome.cause() == Some(Cause::Disk) || !self.plan.source.starts_with("list:"));
            for child in if is_passing { Vec::new() } else { doomed } {
                let image = &self.plan.images[child];
                let doomed = blank(image, without(image.origin.as_deref().unwrap_or_default()));
                self.journal.commit(&doomed, now())?;
                self.observer.ended(None, &doomed);
                self.shop.is_over(image);
                state.summary.left -= 1;
                state.summary.failed += 1;
                state.summary.outcomes[child] = Some(doomed);
            }
            if is_passing || self.options.fail_fast {
                state.queue.close();
                let Ended::Failed { message, .. } = &outcome.result else { return Ok(()) };
                state.summary.stopped.get_or_insert_with(|| message.clone());
            }
        }
        state.summary.outcomes[at] = Some(outcome);
        Ok(())
    }
}

/// Does an image. The only error is that the work is to stop: every other is what became of it.
pub(super) fn attempt(image: &Planned, shop: &Workshop<'_>, ctx: &Ctx<'_>) -> Result<Outcome> {
    let clock = &ctx.options.remote.pace;
    let start = clock.now();
    let ended = step(image, shop, ctx);
    let seconds = clock.now().duration_since(start).unwrap_or_default().as_secs_f64();
    let outcome = Outcome { seconds, ..blank(image, Ended::Done) };
    match ended {
        Ok(Delivered { digest, after, sent }) => {
            Ok(Outcome { digest, after, sent, ..outcome }.with_losses(&ctx.losses()))
        }
        Err(e) if matches!(e.kind(), ErrorKind::Interrupted) => Err(e),
        Err(e) => Ok(Outcome { result: Ended::failed(&e), ..outcome }),
    }
}

/// A moment as journals have it.
fn rfc3339(time: SystemTime) -> String {
    to_rfc3339(Timestamp::from_secs(timestamp(time).secs)).unwrap_or_default()
}
