//! `podinit --ctl`: asks a podinit that runs, for people and scripts inside.

use std::io::{BufRead, BufReader, Read, Write};
use std::os::unix::net::UnixStream;
use std::path::Path;

use serde_json::{Map, Value, json};

use crate::args::Ctl;
use crate::error::{Error, Result};

/// No answer is longer.
const MAX_ANSWER: u64 = 1 << 20;

/// Asks, prints what was answered. Whether it was done.
pub(crate) fn ctl(ctl: &Ctl, out: &mut dyn Write) -> Result<std::result::Result<(), String>> {
    let answer = ask(&ctl.socket, &request(&ctl.words)?)?;
    let written = if ctl.json {
        writeln!(out, "{answer}")
    } else if let Some(units) = answer["units"].as_array() {
        out.write_all(table(units).as_bytes())
    } else {
        Ok(())
    };
    // Nobody is left to tell when standard output is gone.
    let _ = written;
    Ok(match answer["ok"].as_bool() {
        Some(true) => Ok(()),
        _ => Err(answer["error"].as_str().unwrap_or("an answer without a reason").to_owned()),
    })
}

fn request(words: &[String]) -> Result<Value> {
    let usage = |problem: &str| Error::Usage { problem: problem.to_owned() };
    let Some((op, rest)) = words.split_first() else { return Err(usage("--ctl: what to do is missing")) };
    let names: &[&str] = match op.as_str() {
        "status" | "reload" if rest.is_empty() => &[],
        "status" | "reload" | "start" | "stop" | "restart" => &["unit"],
        "signal" => &["unit", "signal"],
        "shutdown" => &[],
        other => return Err(usage(&format!("--ctl: no such request: {other:?}"))),
    };
    if rest.len() != names.len() {
        return Err(usage(&format!(
            "--ctl {op}: it takes {}",
            if names.is_empty() { "nothing".to_owned() } else { names.join(" and ") }
        )));
    }
    let mut request = Map::from_iter([("op".to_owned(), json!(op))]);
    request.extend(names.iter().zip(rest).map(|(name, word)| ((*name).to_owned(), json!(word))));
    Ok(request.into())
}

fn ask(socket: &Path, request: &Value) -> Result<Value> {
    let failed = |source| Error::Ask { path: socket.to_owned(), source };
    let mut stream = UnixStream::connect(socket).map_err(failed)?;
    stream.write_all(format!("{request}\n").as_bytes()).map_err(failed)?;
    let mut line = Vec::new();
    BufReader::new(stream.take(MAX_ANSWER)).read_until(b'\n', &mut line).map_err(failed)?;
    serde_json::from_slice(&line).map_err(|source| Error::Parse { path: socket.to_owned(), source })
}

fn table(units: &[Value]) -> String {
    let text = |value: &Value| match value {
        Value::String(text) => text.clone(),
        Value::Null => "-".to_owned(),
        other => other.to_string(),
    };
    let mut rows = vec![["NAME", "TYPE", "STATE", "PID", "STARTS", "EXIT"].map(str::to_owned)];
    for unit in units {
        let exit =
            if unit["exit"]["signal"].is_null() { &unit["exit"]["code"] } else { &unit["exit"]["signal"] };
        rows.push([
            text(&unit["name"]),
            text(&unit["type"]),
            text(&unit["state"]),
            text(&unit["pid"]),
            text(&unit["starts"]),
            text(exit),
        ]);
    }
    let width = |n: usize| rows.iter().map(|row| row[n].len()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..6).map(width).collect();
    let line = |row: &[String; 6]| {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        cells.join("  ").trim_end().to_owned() + "\n"
    };
    rows.iter().map(line).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_requests() {
        let request = |words: &[&str]| {
            let words: Vec<String> = words.iter().map(|w| (*w).to_owned()).collect();
            request(&words).map(|request| request.to_string()).map_err(|error| error.to_string())
        };
        assert_eq!(request(&["status"]), Ok(r#"{"op":"status"}"#.to_owned()));
        assert_eq!(request(&["status", "db"]), Ok(r#"{"op":"status","unit":"db"}"#.to_owned()));
        let signal = r#"{"op":"signal","signal":"USR1","unit":"db"}"#.to_owned();
        assert_eq!(request(&["signal", "db", "USR1"]), Ok(signal));
        assert_eq!(request(&["stop"]), Err("--ctl stop: it takes unit".to_owned()));
        assert_eq!(request(&["shutdown", "x"]), Err("--ctl shutdown: it takes nothing".to_owned()));
        assert_eq!(request(&["dance"]), Err("--ctl: no such request: \"dance\"".to_owned()));
        assert_eq!(request(&[]), Err("--ctl: what to do is missing".to_owned()));
    }

    #[test]
    fn columns_align() {
        let units = [
            json!({"name": "main", "type": "main", "state": "up", "pid": 7, "starts": 1}),
            json!({"name": "database", "type": "daemon", "state": "failed", "starts": 3, "exit": {"code": 137, "signal": "KILL"}}),
        ];
        let want = "NAME      TYPE    STATE   PID  STARTS  EXIT\n\
                    main      main    up      7    1       -\n\
                    database  daemon  failed  -    3       KILL\n";
        assert_eq!(table(&units), want);
    }
}
