//! The commands about image servers: `avail`, `show`, `ancestry`, `import`, `sources`, `channels`.

pub(crate) mod args;
mod sources;

use aurora_convert::imgapi::{Columns, ImportOptions, Missed};
use aurora_convert::names::ImageName;
use aurora_convert::ops::{self, Answer, Found, json_string};

use self::args::{Ancestry, Avail, Channels, Import, Show, Table, Whose};
use self::sources::urls;
use crate::errors;
use crate::exit::Exit;
use crate::output::{Output, aligned, safe};
use crate::session::{Session, Stop};
use crate::units::show_size;

pub(crate) use sources::sources;

/// What `ancestry` shows unless told.
const ANCESTRY_COLUMNS: &str = "uuid,name,version,pub";

pub(crate) fn avail(args: &Avail, session: &Session) -> Result<Exit, Stop> {
    let servers = urls(&args.servers)?;
    let answer = ops::avail(&servers, &args.filters, &args.sort, &session.ctx());
    let is_whole = answer.missed.is_empty();
    let found = told(answer, session)?;
    let mut out = session.done(&[]);
    images(&mut out, &found, &args.table, &args.columns())?;
    out.finish()?;
    // A list that lacks what a server would have said must not pass for the whole.
    Ok(if is_whole { Exit::Done } else { Exit::Failed })
}

pub(crate) fn show(args: &Show, session: &Session) -> Result<Exit, Stop> {
    let found = told(ops::show(&urls(&args.servers)?, args.uuid, &session.ctx()), session)?;
    let mut out = session.done(&[]);
    out.line(&found.to_pretty())?;
    out.finish()?;
    Ok(Exit::Done)
}

pub(crate) fn ancestry(args: &Ancestry, session: &Session) -> Result<Exit, Stop> {
    let ctx = session.ctx();
    let found = match &args.image {
        Whose::Uuid(uuid) => told(ops::ancestry(&urls(&args.servers)?, *uuid, &ctx), session)?,
        Whose::Named(name) => match &**name {
            ImageName::Imgapi { url, uuid } => {
                told(ops::ancestry(std::slice::from_ref(url), *uuid, &ctx), session)?
            }
            other => {
                let path =
                    other.path().expect("what is no server's image has a path, or is refused as an argument");
                ops::local_ancestry(path, &ctx)?
            }
        },
    };
    let mut out = session.done(&[]);
    images(&mut out, &found, &args.table, &args.table.columns_or(ANCESTRY_COLUMNS))?;
    out.finish()?;
    Ok(Exit::Done)
}

pub(crate) fn import(args: &Import, session: &Session) -> Result<Exit, Stop> {
    let options = ImportOptions { folder: args.dir.clone(), jobs: args.jobs };
    let answer = ops::import(&urls(&args.servers)?, args.uuid, &options, &session.ctx());
    let imported = told(answer, session)?;
    let mut out = session.done(&[]);
    let path = |path: &std::path::Path| path.display().to_string();
    if args.json {
        let element = |image: &aurora_convert::imgapi::Imported| {
            let size = image.size.map(|size| format!(",\"size\":{size}")).unwrap_or_default();
            format!(
                "{{\"uuid\":{},\"manifest\":{},\"file\":{}{size},\"was_there\":{}}}",
                json_string(&image.uuid.to_string()),
                json_string(&path(&image.manifest)),
                json_string(&path(&image.file)),
                image.was_there
            )
        };
        let elements: Vec<String> = imported.iter().map(element).collect();
        out.line(&format!("[{}]", elements.join(",")))?;
    } else if !session.common.quiet {
        for image in &imported {
            let size = image.size.map(|size| format!(", {}", show_size(size))).unwrap_or_default();
            let had = if image.was_there { ", was there" } else { "" };
            out.line(&safe(&format!("{} {}{size}{had}", image.uuid, path(&image.manifest))))?;
        }
    }
    out.finish()?;
    Ok(Exit::Done)
}

pub(crate) fn channels(args: &Channels, session: &Session) -> Result<Exit, Stop> {
    let ctx = session.ctx();
    let mut rows = Vec::new();
    if !args.no_header {
        rows.push(["NAME", "DEFAULT", "SOURCE", "DESCRIPTION"].map(str::to_owned).to_vec());
    }
    for url in urls(&args.servers)? {
        for channel in ops::channels(&url, &ctx)? {
            let is_default = if channel.is_default { "true" } else { "-" };
            rows.push(vec![channel.name, is_default.to_owned(), url.to_string(), channel.description]);
        }
    }
    let mut out = session.done(&[]);
    for line in aligned(&rows) {
        out.line(&line)?;
    }
    out.finish()?;
    Ok(Exit::Done)
}

/// The result, after saying who could not be asked for it.
fn told<T>(answer: Answer<T>, session: &Session) -> Result<T, Stop> {
    if !answer.missed.is_empty() {
        session.watch.finish();
    }
    for Missed { source, error } in &answer.missed {
        errors::message("error", &format!("{source} was left out: {error}"), error.hint());
    }
    Ok(answer.result?)
}

fn images(out: &mut Output, found: &[Found], table: &Table, columns: &Columns) -> std::io::Result<()> {
    if table.json {
        let elements: Vec<String> = found.iter().map(Found::to_json).collect();
        return out.line(&format!("[{}]", elements.join(",")));
    }
    let mut rows = Vec::new();
    if !table.no_header {
        rows.push(columns.headings());
    }
    rows.extend(found.iter().map(|image| columns.cells(image.row())));
    aligned(&rows).iter().try_for_each(|line| out.line(line))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_line_up_and_defaults_are_columns() {
        let row = |cells: [&str; 3]| cells.map(str::to_owned).to_vec();
        let rows = [row(["A", "B", "C"]), row(["long", "é", ""]), row(["x\u{1b}", "-", "z"])];
        assert_eq!(aligned(&rows), ["A        B  C", "long     é", "x\\u{1b}  -  z"]);
        for columns in [ANCESTRY_COLUMNS, aurora_convert::imgapi::AVAIL_COLUMNS] {
            assert!(columns.parse::<Columns>().is_ok(), "{columns}");
        }
    }
}
