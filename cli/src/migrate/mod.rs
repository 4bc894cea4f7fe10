//! `migrate`: many images at once.

pub(crate) mod args;
mod board;
mod print;
mod queue;

use std::path::{Path, PathBuf};
use std::sync::Arc;

use aurora_convert::migrate::shared::{Address, Shared};
use aurora_convert::migrate::{
    self, Filters, History, Plan, PlanOptions, Report, RunOptions, Summary, read_plan, write_plan,
};
use aurora_convert::names::FileName;
use aurora_convert::{Ctx, RateLimit};

use self::args::{Command, Migrate, Planned, Running};
use self::board::Board;
use crate::exit::Exit;
use crate::session::{Session, Stop};

pub(crate) fn run(args: &Migrate, session: &Session) -> Result<Exit, Stop> {
    match &args.command {
        Command::Plan(args) => plan(args, session),
        Command::Run(args) => go(&args.planned, &args.running, args.dry_run, false, session),
        Command::Retry(args) => go(&args.planned, &args.running, false, true, session),
        Command::Status(args) => status(args, session),
        Command::Report(args) => report(args, session),
        Command::Submit(args) => queue::submit(args, session),
        Command::Worker(args) => queue::worker(args, session),
    }
}

fn file_name(path: &Path) -> FileName {
    if path.as_os_str() == "-" { FileName::Pipe } else { FileName::Path(path.to_owned()) }
}

fn plan(args: &args::Plan, session: &Session) -> Result<Exit, Stop> {
    let options = PlanOptions {
        filters: Filters { fields: args.filters.clone(), since: args.since, until: args.until },
        template: args.template.clone(),
        compress: args.compress.map(|compression| compression.to_string()),
        strict: args.strict,
        jobs: args.jobs,
    };
    let plan = migrate::plan(&args.source, &args.target, &options, &session.ctx())?;
    let mut out = session.done(&[]);
    match file_name(&args.output) {
        FileName::Pipe => out.raw(&plan.to_bytes())?,
        file => {
            write_plan(&plan, &file)?;
            if !session.common.quiet {
                print::plan(&plan, &mut out)?;
            }
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// The plan, and the folder of its journal.
fn planned(args: &Planned, is_written: bool, ctx: &Ctx<'_>) -> Result<(Plan, PathBuf), Stop> {
    let plan = read_plan(&file_name(&args.plan))?;
    let dir = match &args.journal {
        Some(dir) => dir.clone(),
        None => migrate::folder(&plan, is_written, ctx)?,
    };
    Ok((plan, dir))
}

fn go(
    args: &Planned,
    running: &Running,
    dry_run: bool,
    retry: bool,
    session: &Session,
) -> Result<Exit, Stop> {
    let mut ctx = session.ctx();
    let (plan, dir) = planned(args, !dry_run, &ctx)?;
    let jobs = running.jobs.unwrap_or_else(|| session.threads().div_ceil(2));
    ctx.options.remote.limit = running.limit_rate.map(|rate| Arc::new(RateLimit::new(rate)));
    let options = RunOptions { jobs, fail_fast: running.fail_fast, dry_run, retry };
    let board = Board::new(jobs, running.jsonl, &session.watch, !session.common.quiet);
    let done = migrate::run(&plan, &dir, &options, &board, &ctx);
    board.finish();
    let summary = done?;
    let mut out = session.done(&[]);
    if running.json {
        out.line(&print::document(&summary, dry_run))?;
    } else if !running.jsonl && !session.common.quiet {
        print::summary(&plan, &summary, dry_run, &mut out)?;
    }
    out.finish()?;
    if let Some(why) = &summary.stopped {
        let word = if running.fail_fast {
            "stopped at the first failure"
        } else {
            "stopped, as the rest would fail too"
        };
        crate::errors::message("error", &format!("{word}: {why}"), Some(GO_ON));
    }
    board.printed()?;
    Ok(if dry_run || Summary::is_whole(&summary) { Exit::Done } else { Exit::Failed })
}

/// What can be done about a run that has ended before its time.
const GO_ON: &str = "put that right and give the same command again; what is done is not done again";

/// A plan, and what became of its images.
fn history(args: &Planned, nats: Option<&Address>, session: &Session) -> Result<(Plan, History), Stop> {
    let ctx = session.ctx();
    if let Some(address) = nats {
        let plan = read_plan(&file_name(&args.plan))?;
        let mut shared = Shared::new(address, &plan.key(), &queue::own_name(), &ctx);
        let history = shared.history(&plan)?;
        return Ok((plan, history));
    }
    let (plan, dir) = planned(args, false, &ctx)?;
    let history = History::read(&dir)?;
    Ok((plan, history))
}

fn status(args: &args::Status, session: &Session) -> Result<Exit, Stop> {
    let (plan, history) = history(&args.planned, args.nats.as_ref(), session)?;
    let mut out = session.done(&[]);
    print::status(&Report::new(&plan, &history), args.json, &mut out)?;
    out.finish()?;
    Ok(Exit::Done)
}

fn report(args: &args::Report, session: &Session) -> Result<Exit, Stop> {
    let (plan, history) = history(&args.planned, args.nats.as_ref(), session)?;
    let report = Report::new(&plan, &history);
    if let Some(path) = &args.html {
        migrate::write_html(&report, path)?;
    }
    let mut out = session.done(&[]);
    if args.json {
        out.line(&report.to_json())?;
    } else if args.html.is_none() {
        print::report(&report, &mut out)?;
    }
    out.finish()?;
    Ok(Exit::Done)
}
