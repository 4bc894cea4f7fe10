//! `migrate submit` and `migrate worker`: many machines.

use std::sync::Arc;
use std::time::Duration;

use aurora_convert::RateLimit;
use aurora_convert::migrate::shared::{self, Shared, SubmitOptions, WorkerOptions};
use aurora_convert::migrate::{self, read_plan};

use super::args::{Submit, Worker};
use super::board::Board;
use super::file_name;
use crate::exit::Exit;
use crate::output::table;
use crate::session::{Session, Stop};

/// A name that no other process has.
pub(super) fn own_name() -> String {
    let host = rustix::system::uname().nodename().to_string_lossy().into_owned();
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    format!("{host}-{}-{}", std::process::id(), now.as_nanos() % 1_000_000_000)
}

pub(super) fn submit(args: &Submit, session: &Session) -> Result<Exit, Stop> {
    let ctx = session.ctx();
    let plan = read_plan(&file_name(&args.plan))?;
    let mut queue = Shared::new(&args.nats, &plan.key(), &own_name(), &ctx);
    let options = SubmitOptions { ack_wait: Duration::from_secs(args.ack_wait), retry: args.retry };
    let submitted = shared::submit(&plan, &mut queue, &options, &ctx)?;
    let mut out = session.done(&[]);
    if args.json {
        out.line(&format!(
            "{{\"key\":\"{}\",\"images\":{},\"queued\":{},\"done\":{},\"failed\":{}}}",
            plan.key(),
            submitted.images,
            submitted.queued,
            submitted.done,
            submitted.failed
        ))?;
    } else if !session.common.quiet {
        let rows = [
            ("key", plan.key()),
            ("images", submitted.images.to_string()),
            ("queued now", submitted.queued.to_string()),
            ("done before", submitted.done.to_string()),
            ("failed before", submitted.failed.to_string()),
        ];
        for line in table(&rows.map(|(key, value)| (key.to_owned(), value))) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

pub(super) fn worker(args: &Worker, session: &Session) -> Result<Exit, Stop> {
    let mut ctx = session.ctx();
    ctx.options.remote.limit = args.limit_rate.map(|rate| Arc::new(RateLimit::new(rate)));
    let name = args.name.clone().unwrap_or_else(own_name);
    let options = WorkerOptions { name, tries: args.tries, stays: args.stay };
    let board = Board::new(1, args.jsonl, &session.watch, !session.common.quiet);
    let dir = match &args.work {
        Some(dir) => dir.clone(),
        None => migrate::worker_folder(&args.key, &options.name, &ctx)?,
    };
    let worked = shared::worker(&args.nats, &args.key, &dir, &options, &board, &ctx);
    board.finish();
    let worked = worked?;
    if args.work.is_none() {
        // Its own, and empty but for what was left of images that are done.
        std::fs::remove_dir_all(&dir)?;
    }
    let mut out = session.done(&[]);
    if !args.jsonl && !session.common.quiet {
        let rows = [("done", worked.done), ("there before", worked.there), ("failed", worked.failed)];
        for line in table(&rows.map(|(key, value)| (key.to_owned(), value.to_string()))) {
            out.line(&line)?;
        }
    }
    out.finish()?;
    board.printed()?;
    Ok(Exit::Done)
}
