//! Commands that tell something.

use std::io;

use aurora_runtime::{Error, Runtime, Seen};
use serde_json::{Value, json};

use super::args::{Events, Format, List, Ps, State};
use crate::output::{Output, safe};

/// Between two columns.
const GAP: usize = 3;
/// The narrowest column, as runc has it.
const NARROWEST: usize = 12;

/// One text to standard output.
pub(super) fn print(text: &str) -> Result<i32, Error> {
    let written = || -> io::Result<()> {
        let mut out = Output::new();
        out.line(text)?;
        out.finish()
    };
    match written() {
        // Whoever read it has seen enough.
        Err(e) if e.kind() == io::ErrorKind::BrokenPipe => Ok(0),
        Err(source) => Err(Error::Io { what: "standard output".to_owned(), source }),
        Ok(()) => Ok(0),
    }
}

pub(super) fn state(runtime: &Runtime, args: &State) -> Result<i32, Error> {
    print(&serde_json::to_string_pretty(&runtime.seen(&args.id)?).expect("a state has a JSON form"))
}

pub(super) fn list(runtime: &Runtime, args: &List) -> Result<i32, Error> {
    let all = runtime.list()?;
    if args.quiet {
        return match &all.iter().map(|seen| seen.id.as_str()).collect::<Vec<_>>()[..] {
            [] => Ok(0),
            ids => print(&ids.join("\n")),
        };
    }
    if args.json || args.format == Format::Json {
        return print(&serde_json::to_string(&all).expect("states have a JSON form"));
    }
    let head = ["ID", "PID", "STATUS", "BUNDLE", "CREATED", "OWNER"].map(str::to_owned);
    let row = |seen: &Seen| {
        let bundle = safe(&seen.bundle.display().to_string());
        [
            seen.id.clone(),
            seen.pid.to_string(),
            seen.status.to_string(),
            bundle,
            seen.created.clone(),
            safe(&seen.owner),
        ]
    };
    let rows: Vec<[String; 6]> = std::iter::once(head).chain(all.iter().map(row)).collect();
    print(&columns(&rows).join("\n"))
}

pub(super) fn ps(runtime: &Runtime, args: &Ps) -> Result<i32, Error> {
    let pids = runtime.look(&args.id)?.processes()?;
    if args.json || args.format == Format::Json {
        return print(&serde_json::to_string(&pids).expect("numbers have a JSON form"));
    }
    let head = ["PID", "COMMAND"].map(str::to_owned);
    let rows: Vec<[String; 2]> =
        std::iter::once(head).chain(pids.iter().map(|pid| [pid.to_string(), safe(&command(*pid))])).collect();
    print(&columns(&rows).join("\n"))
}

/// What a process was started with, or its name in brackets.
fn command(pid: i32) -> String {
    let read = |file: &str| std::fs::read(format!("/proc/{pid}/{file}")).unwrap_or_default();
    let args = String::from_utf8_lossy(&read("cmdline")).trim_end_matches('\0').replace('\0', " ");
    if args.is_empty() { format!("[{}]", String::from_utf8_lossy(&read("comm")).trim()) } else { args }
}

pub(super) fn events(runtime: &Runtime, args: &Events) -> Result<i32, Error> {
    loop {
        // Not held while waiting.
        let stats = runtime.look(&args.id)?.stats();
        let data = match stats {
            // It has ended while it was watched.
            Err(Error::NotRunning) if !args.stats => return Ok(0),
            other => other?,
        };
        let event: Value = json!({"type": "stats", "id": args.id.as_str(), "data": data});
        print(&event.to_string())?;
        if args.stats {
            return Ok(0);
        }
        std::thread::sleep(args.interval);
    }
}

/// Rows as aligned lines.
fn columns<const N: usize>(rows: &[[String; N]]) -> Vec<String> {
    let width = |column: usize| {
        let widest = rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0);
        NARROWEST.max(widest + GAP)
    };
    let widths: Vec<usize> = (0..N).map(width).collect();
    let line = |row: &[String; N]| {
        let cells = row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}"));
        cells.collect::<String>().trim_end().to_owned()
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_as_wide_as_their_widest_cell() {
        let rows = [["ID", "PID"], ["a-long-name-of-it", "7"]].map(|row| row.map(str::to_owned));
        assert_eq!(columns(&rows), ["ID                  PID", "a-long-name-of-it   7"]);
        let rows = [["A".to_owned(), "B".to_owned()]];
        assert_eq!(columns(&rows), ["A           B"]);
    }
}
