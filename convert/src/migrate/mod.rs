//! Many images from one place to another: a [`plan`], a [`run`] of it with a [`Journal`], and a [`Report`]
//! (`docs/migrate.md`).
//!
//! The target is the evidence of what is done, and the journal a cache of it with the figures: without one, a run finds by
//! itself what is there. Each step is an operation that single images go through as well, and gives the same bytes each
//! time, so that a step that was cut off is done again.

mod candidates;
mod deliver;
mod each;
mod filter;
mod html;
mod journal;
mod list;
mod names;
mod outcome;
mod plan;
mod presence;
mod queue;
mod report;
mod run;
pub mod shared;
mod source;
mod step;
mod survey;
mod target;
mod template;
mod workshop;

pub use filter::{Date, DateError, Filters};
pub use html::html;
pub use journal::{History, Journal, JournalError};
pub use names::Registry;
pub use outcome::{Cause, Ended, Outcome};
pub use plan::{How, MAX_PLAN, Plan, Planned};
pub use report::{Failures, Report, Totals};
pub use run::{Observer, RunOptions, Summary, run};
pub use source::{Source, SourceError};
pub use survey::{PlanOptions, plan};
pub use target::{Target, TargetError};
pub use template::{DEFAULT_TEMPLATE, Template, TemplateError};

use std::io::Read;
use std::path::{Path, PathBuf};

use aurora_engine::fs;
use aurora_engine::store::Access;

use crate::names::FileName;
use crate::store::Local;
use crate::{Ctx, Error, ErrorKind, Result};

/// Where the migrations of a store are, below its side directory: derived, like all that is there.
const FOLDER: &str = "aurora/migrate";

/// The folder of a migration in the local store, which is made if something is to be written.
pub fn folder(plan: &Plan, is_written: bool, ctx: &Ctx<'_>) -> Result<PathBuf> {
    if is_written {
        Local::open(Access::Write, ctx)?;
    }
    Ok(crate::store::dir(ctx)?.join(FOLDER).join(plan.key()))
}

/// The folder of a worker, in the local store, which is made.
pub fn worker_folder(key: &str, name: &str, ctx: &Ctx<'_>) -> Result<PathBuf> {
    Local::open(Access::Write, ctx)?;
    let is_plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_');
    let name: String = name.chars().map(|c| if is_plain(c) { c } else { '_' }).collect();
    Ok(crate::store::dir(ctx)?.join(FOLDER).join(key).join(format!("worker-{name}")))
}

/// Reads a plan.
pub fn read_plan(file: &FileName) -> Result<Plan> {
    let shown = match file {
        FileName::Pipe => "standard input".to_owned(),
        FileName::Path(path) => path.display().to_string(),
    };
    let bytes = match file {
        FileName::Path(path) => fs::read_limited(path, MAX_PLAN),
        FileName::Pipe => fs::stdin().and_then(|input| {
            let mut bytes = Vec::new();
            input.take(MAX_PLAN).read_to_end(&mut bytes).map(|_| bytes)
        }),
    };
    let bytes = bytes.map_err(|e| match e.kind() {
        std::io::ErrorKind::NotFound => ErrorKind::NoSuchImage(format!("no plan: {shown}")).into(),
        _ => Error::io(shown.as_str(), e),
    })?;
    Plan::parse(&bytes).map_err(|e| e.in_image(shown))
}

/// Writes a plan, in place of the one that was there.
pub fn write_plan(plan: &Plan, file: &FileName) -> Result<()> {
    let FileName::Path(path) = file else { return Err(Error::usage("a plan is written to a file")) };
    fs::replace_file(path, &plan.to_bytes()).map_err(|e| Error::io(path.display().to_string(), e))
}

/// Writes the page of a report.
pub fn write_html(report: &Report<'_>, path: &Path) -> Result<()> {
    fs::replace_file(path, html(report).as_bytes()).map_err(|e| Error::io(path.display().to_string(), e))
}
